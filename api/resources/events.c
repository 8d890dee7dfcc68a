#include "api/resources/rows.h"

#include <string.h>

#include "api/http/mhd.h"
#include "api/http/request_large.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/events.h"
#include "api/resources/future_json.h"
#include "api/resources/many.h"
#include "api/resources/member_events.h"
#include "api/resources/result_page.h"
#include "api/resources/show.h"
#include "api/text/event_out.h"
#include "api/text/json_out.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "storage/ends.h"

/* Ends that are to be read, the earliest first, and what was read of them. */
struct reads {
    struct waiter_link *links[RESULT_PAGE_MAX];
    size_t n;
    size_t limit;                               /* of those that are read at once */
    struct waiter_link *again[RESULT_PAGE_MAX]; /* which somebody has given another life */
    size_t n_again;
    struct task_id ids[RESULT_PAGE_MAX]; /* all three lent to large.get_several */
    struct task tasks[RESULT_PAGE_MAX];
    struct store_reported reported[RESULT_PAGE_MAX];
};

struct events {
    struct many many;  /* first: r->work is either */
    uint64_t last_seq; /* all up to it was seen by the client; 0: nothing */
    uint64_t sent;     /* futures told on this stream */
    unsigned fields;   /* of each future; 0: all */
    size_t remaining;  /* futures whose end was not taken from the waiter yet */
    struct event_out out;
    struct reads *reads;       /* NULL: none was needed yet */
    struct waiter_link *taken; /* is to be read, or told of, alone; NULL */
    struct waiter_link *asked; /* is asked again, as it lives again */
    bool taken_is_done;        /* what is told of it is its end, not something reported */
    bool follows;              /* what happens beside ends is told, and first */
};

static void next_event(struct request *r);

/* ---- the events ------------------------------------------------------------------------------ */

static void tell_done(struct request *r, struct events *e, const struct task *t,
                      const struct store_reported *reported)
{
    bool has_succeeded = t->state == TASK_SUCCEEDED; /* then its progress says nothing */
    future_json_write_done(&r->out, &e->out,
                           &(struct future_view){.task = t,
                                                 .reported = has_succeeded ? NULL : reported,
                                                 .fields = e->fields});
    e->sent++;
}

static void tell_progress(struct request *r, struct events *e)
{
    struct buf json = BUF_INIT;
    char id[ID_TEXT_SIZE];
    id_format(r->task.spec->id, id);
    buf_putc(&json, '{');
    json_out_str(&json, "id", id);
    json_out_key(&json, "fraction");
    if (r->reported.progress >= 0)
        buf_printf(&json, "%.6g", r->reported.progress);
    else
        buf_puts(&json, "null");
    json_out_str(&json, "message", r->reported.message);
    json_out_uint(&json, "log_end", r->reported.log_end);
    buf_putc(&json, '}');
    event_out_write(&r->out, &e->out, "progress", 0, json.data, json.len);
    buf_release(&json);
}

/* It was deleted, or expired, between its end and its turn. */
static void tell_gone(struct request *r, struct events *e, struct task_id gone)
{
    struct buf json = BUF_INIT;
    char id[ID_TEXT_SIZE];
    id_format(gone, id);
    buf_putc(&json, '{');
    json_out_str(&json, "id", id);
    buf_putc(&json, '}');
    event_out_write(&r->out, &e->out, "gone", 0, json.data, json.len);
    buf_release(&json);
}

static void tell_end(struct request *r, struct events *e)
{
    struct buf json = BUF_INIT;
    buf_putc(&json, '{');
    json_out_uint(&json, "total", e->many.n);
    json_out_uint(&json, "sent", e->sent);
    buf_putc(&json, '}');
    event_out_write(&r->out, &e->out, "end", 0, json.data, json.len);
    buf_release(&json);
    request_stream_end(r);
}

/* What has ended a moment ago need not be read, but for what it reported. */
static bool tell_recent(struct request *r, struct events *e, const struct waiter_link *l)
{
    struct task t;
    if (!store_recent_end(r->api->cfg.store, l->id, l->seq, e->fields == 0, &t))
        return false;
    future_json_write_done(&r->out, &e->out,
                           &(struct future_view){.task = &t, .fields = e->fields});
    e->sent++;
    task_release(&t);
    return true;
}

/* ---- what is read alone ---------------------------------------------------------------------- */

/* What was read becomes r->task, unless it is gone. False: the read failed, and that is answered.
 */
static bool take_read(struct request *r, bool *out_found)
{
    int rc = r->op.base.rc;
    if (rc != 0 && rc != FUT_ERR_NOT_FOUND) {
        request_fail(r, rc);
        return false;
    }
    *out_found = rc == 0;
    if (*out_found)
        request_take_task(r);
    return true;
}

/* The end that we were told of is not the one that was read: somebody has given the future another
 * life meanwhile. It has an end yet to come, or one that comes behind others. */
static bool lives_again(const struct waiter_link *l, const struct task *t)
{
    return !task_state_is_final(t->state) || (l->seq && l->seq != t->seq);
}

/* t: what was read of the future whose end we were told of; without a spec: it is gone. False: it
 * lives again. */
static bool tell_read_end(struct request *r, struct events *e, const struct waiter_link *l,
                          const struct task *t, const struct store_reported *reported)
{
    if (t->spec && lives_again(l, t))
        return false;
    if (!t->spec)
        tell_gone(r, e, l->id);
    else if (t->seq > e->last_seq)
        tell_done(r, e, t, reported);
    return true;
}

static void read_again(struct request *r)
{
    struct events *e = r->work;
    bool found;
    if (!take_read(r, &found))
        return;
    waiter_update_one(&r->api->waiters, e->asked,
                      &(struct store_brief){.found = found,
                                            .state = found ? r->task.state : TASK_QUEUED,
                                            .seq = found ? r->task.seq : 0});
    e->remaining -= e->asked->is_gone;
    request_stream_more(r, next_event);
}

static void wait_again(struct request *r, struct waiter_link *l)
{
    struct events *e = r->work;
    e->asked = l;
    waiter_reopen(&r->api->waiters, l);
    e->remaining++;
    request_get(r, l->id, read_again);
}

static void future_read(struct request *r)
{
    struct events *e = r->work;
    struct waiter_link *taken = e->taken;
    bool found;
    if (!take_read(r, &found))
        return;
    e->taken = NULL;
    if (e->taken_is_done &&
        !tell_read_end(r, e, taken, found ? &r->task : &(struct task){0}, &r->reported)) {
        wait_again(r, taken);
        return;
    }
    if (!e->taken_is_done && found && !task_state_is_final(r->task.state))
        tell_progress(r, e);
    request_stream_more(r, next_event);
}

/* ---- ends that are read together ------------------------------------------------------------- */

static void add_read(struct request *r, struct events *e, struct waiter_link *l)
{
    if (!e->reads) {
        e->reads = arena_alloc(&r->arena, sizeof(*e->reads));
        e->reads->n = e->reads->n_again = 0;
        e->reads->limit = RESULT_PAGE_FIRST;
    }
    e->reads->links[e->reads->n++] = l;
}

static void drop_reads(struct request *r)
{
    struct store_get_several *o = &r->large->get_several;
    for (size_t i = 0; i < o->page.n; i++)
        store_reported_release(&o->reported[i]);
    store_page_release(&o->page);
}

static void ends_read(struct request *r)
{
    struct events *e = r->work;
    struct reads *s = e->reads;
    const struct store_page *p = &r->large->get_several.page;
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        if (!tell_read_end(r, e, s->links[i], &s->tasks[i], &s->reported[i]))
            s->again[s->n_again++] = s->links[i];
    }
    s->limit = result_page_next(p);
    s->n -= p->n;
    memmove(s->links, s->links + p->n, s->n * sizeof(*s->links));
    request_drop_op(r);
    request_stream_more(r, next_event);
}

static void read_ends(struct request *r)
{
    struct reads *s = ((struct events *)r->work)->reads;
    for (size_t i = 0; i < s->n; i++)
        s->ids[i] = s->links[i]->id;
    request_large(r)->get_several = (struct store_get_several){
        .ids = s->ids,
        .n_ids = s->n,
        .page = {.limit = s->limit, .max_bytes = RESULT_PAGE_BYTES, .tasks = s->tasks},
        .reported = s->reported};
    request_large_post(r, &store_verb_get_several, drop_reads, ends_read);
}

static void ask_again(struct request *r)
{
    struct reads *s = ((struct events *)r->work)->reads;
    wait_again(r, s->again[--s->n_again]);
}

/* ---- the loop of the stream ------------------------------------------------------------------ */

/* Woken by news, the time for a sign of life, a hang-up or the end of the daemon. */
static void woken(struct request *r)
{
    struct events *e = r->work;
    if (r->is_hung_up) {
        request_stream_break(r);
        return;
    }
    if (clock_mono_ms() >= r->wake_mono_ms)
        event_out_keep_alive(&r->out, &e->out);
    request_stream_more(r, next_event);
}

/* Is this to be told? The text before an end is, also where the end is not. */
static bool is_wanted(const struct request *r, bool is_end)
{
    return is_end ? member_events_wants(r, MEMBER_DONE) || member_events_wants(r, MEMBER_LOG)
                  : member_events_wants(r, MEMBER_PROGRESS);
}

static bool has_reads(const struct events *e)
{
    return e->reads && e->reads->n;
}

/* Tells of what need not be read, and gathers what is to be: ends together, and behind them, in
 * e->taken, what has something to be told before it. */
static void take_news(struct request *r, struct events *e)
{
    struct waiters *ws = &r->api->waiters;
    struct waiter_link *l;
    while (r->out.len < REQUEST_STREAM_BYTES && !(has_reads(e) && e->reads->n == e->reads->limit) &&
           (l = waiter_take_news(ws, &r->waiter, &e->taken_is_done))) {
        bool is_end = e->taken_is_done;
        e->remaining -= is_end;
        bool is_known = is_end && l->seq && l->seq <= e->last_seq;
        if (is_known || !is_wanted(r, is_end))
            continue;
        if (e->follows || !is_end) {
            e->taken = l;
            return;
        }
        if (has_reads(e) || !tell_recent(r, e, l)) /* they are told in their order */
            add_read(r, e, l);
    }
}

static void get_taken(struct request *r)
{
    struct events *e = r->work;
    request_get(r, e->taken->id, future_read);
}

static void tell_taken(struct request *r)
{
    struct events *e = r->work;
    if (member_events_wants(r, MEMBER_DONE) && !tell_recent(r, e, e->taken)) {
        get_taken(r);
        return;
    }
    e->taken = NULL;
    request_stream_more(r, next_event);
}

static void log_taken(struct request *r)
{
    struct events *e = r->work;
    member_events_tell_log(r, e->taken->id, tell_taken);
}

static void read_taken(struct request *r)
{
    struct events *e = r->work;
    if (e->follows && e->taken_is_done) /* what began is told before its end */
        member_events_tell(r, member_events_wants(r, MEMBER_LOG) ? log_taken : tell_taken);
    else
        get_taken(r);
}

static void tell_last(struct request *r)
{
    tell_end(r, r->work);
}

/* What is at hand to be done; NULL: nothing. */
static request_step *next_step(const struct events *e)
{
    return e->reads && e->reads->n_again ? ask_again
           : has_reads(e)                ? read_ends
           : e->taken                    ? read_taken
                                         : NULL;
}

/* What is written leaves before anything is read or waited for. */
static void next_end(struct request *r)
{
    struct events *e = r->work;
    if (!next_step(e))
        take_news(r, e);
    request_step *step = next_step(e);
    if (r->out.len)
        request_stream_more(r, step ? step : next_event);
    else if (step)
        step(r);
    else if (e->remaining)
        sleep_until_woken(r, EVENT_OUT_KEEP_ALIVE_MS, woken);
    else if (e->follows)
        member_events_tell(r, tell_last);
    else
        tell_end(r, e);
}

/* The stream of a daemon that shuts down stops without "end": its reader comes back later. */
static void next_event(struct request *r)
{
    const struct events *e = r->work;
    if (atomic_load(&r->api->is_released))
        request_stream_end(r);
    else if (e->follows)
        member_events_tell(r, next_end);
    else
        next_end(r);
}

/* ---- its begin ------------------------------------------------------------------------------- */

static void count_remaining(struct events *e)
{
    e->remaining = e->many.n;
    for (size_t i = 0; i < e->many.n; i++)
        e->remaining -= e->many.links[i].is_gone;
}

static void begin(struct request *r)
{
    struct events *e = r->work;
    count_remaining(e);
    buf_release(&r->body);
    request_stream_want_ends(r);
    request_stream_events(r, &e->out, next_event);
}

static void begin_if_it_may_wait(struct request *r)
{
    sleep_if_allowed(r, begin);
}

static bool open_waiter(struct request *r, struct events *e)
{
    struct waiter_wish wish = {.wants_news = true, .wake = request_wake};
    wish.members = member_events_begin(r, &e->out);
    return many_open(r, &e->many, &wish);
}

static void found(struct request *r)
{
    struct events *e = r->work;
    struct problem p;
    if (open_waiter(r, e)) {
        many_read(r, &e->many, begin_if_it_may_wait);
        return;
    }
    problem_set(&p, PROBLEM_BUSY, "Too many futures are being waited for; try again.");
    p.retry_after_s = 1;
    request_problem(r, &p);
}

/* NULL: the request was answered. */
static struct events *events_new(struct request *r)
{
    struct events *e = arena_alloc(&r->arena, sizeof(*e));
    if (!request_stream_last_event(r, UINT64_MAX, &e->last_seq))
        return NULL;
    e->many.resumes = e->last_seq > 0;
    if (!show_read_fields(r, &e->fields) ||
        !member_events_read(r, request_arg(r, "events"), MEMBER_EVENTS_OF_LINKS))
        return NULL;
    e->follows = member_events_follow(r);
    r->work = e;
    return e;
}

void events_batch(struct request *r)
{
    struct task_id id;
    struct events *e = events_new(r);
    struct problem p;
    if (!e)
        return;
    if (id_parse(r->captures[0], &id)) {
        many_find_batch(r, &e->many, id, found);
        return;
    }
    problem_set(&p, PROBLEM_UNKNOWN_BATCH, "No batch has the id \"%.64s\".", r->captures[0]);
    request_problem(r, &p);
}

void events_as_completed(struct request *r)
{
    struct events *e = events_new(r);
    struct many_in in;
    struct problem p;
    if (!e)
        return;
    if (many_in_read(r->body.data, r->body.len, false, &in, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    many_find(r, &e->many, &in, found);
    many_in_release(&in);
}

/* ---- behind a submission --------------------------------------------------------------------- */

static void accepted_read(struct request *r)
{
    count_remaining(r->work);
    request_stream_more(r, next_event);
}

static void accepted_found(struct request *r)
{
    struct events *e = r->work;
    if (open_waiter(r, e))
        many_read(r, &e->many, accepted_read);
    else
        request_stream_break(r); /* too many wait */
}

static void find_accepted(struct request *r)
{
    struct events *e = r->work;
    many_find_batch(r, &e->many, e->many.batch, accepted_found);
}

void events_of_accepted(struct request *r, struct task_id batch, unsigned fields,
                        const struct buf *json)
{
    struct events *e = arena_alloc(&r->arena, sizeof(*e));
    *e = (struct events){.many = {.batch = batch}, .fields = fields};
    (void)member_events_read(r, NULL, MEMBER_EVENTS_OF_LINKS);
    r->work = e;
    request_stream_want_ends(r);
    request_stream_events(r, &e->out, find_accepted);
    event_out_write(&r->out, &e->out, "accepted", 0, json->data, json->len);
}
