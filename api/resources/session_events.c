/* session_events: what happens in a session as a stream: its ends in the order in which they came,
 * and what member_events tells. */
#include "api/http/conn.h"
#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/request_large.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/future_json.h"
#include "api/resources/member_events.h"
#include "api/resources/result_page.h"
#include "api/resources/rows.h"
#include "api/resources/sessions.h"
#include "api/resources/show.h"
#include "api/text/event_out.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"
#include "storage/ends.h"

struct stream {
    struct task_id id;
    struct event_out out;
    uint64_t last; /* the seq of the latest end that the client knows */
    uint64_t sent;
    size_t limit;                      /* of the page */
    unsigned fields;                   /* of each future; 0: all */
    bool must_read;                    /* there may be ends that were not read, */
    bool must_ask;                     /* and memory does not tell all that the store does */
    int64_t renew_every_ms;            /* the session's lease; 0: it has none */
    int64_t renew_mono_ms;             /* when next */
    struct task page[RESULT_PAGE_MAX]; /* lent to op.session_ends */
};

static void read_page(struct request *r);

/* ---- what is told ---------------------------------------------------------------------------- */

static void tell_done(struct request *r, struct stream *s, const struct task *t)
{
    future_json_write_done(&r->out, &s->out, &(struct future_view){.task = t, .fields = s->fields});
    s->last = t->seq;
    s->sent++;
}

static void tell_end(struct request *r)
{
    const struct stream *s = r->work;
    struct buf json = BUF_INIT;
    buf_putc(&json, '{');
    json_out_uint(&json, "sent", s->sent);
    buf_putc(&json, '}');
    event_out_write(&r->out, &s->out, "end", 0, json.data, json.len);
    buf_release(&json);
    request_stream_end(r);
}

/* ---- the loop of the stream ------------------------------------------------------------------ */

static void woken(struct request *r)
{
    struct stream *s = r->work;
    if (r->is_hung_up) {
        request_stream_break(r);
        return;
    }
    if (clock_mono_ms() >= r->wake_mono_ms) {
        event_out_keep_alive(&r->out, &s->out);
        s->must_read = s->must_ask = true; /* is it still there? */
    }
    request_stream_more(r, read_page);
}

/* A renewal that fails is made good by the store, and tried again. */
static void renewed(struct request *r)
{
    struct stream *s = r->work;
    s->renew_mono_ms = clock_mono_ms() + s->renew_every_ms;
    read_page(r);
}

static bool is_renewal_due(const struct stream *s)
{
    return s->renew_every_ms && clock_mono_ms() >= s->renew_mono_ms;
}

static int64_t sleep_ms(const struct stream *s)
{
    int64_t ms = s->renew_every_ms ? s->renew_mono_ms - clock_mono_ms() : EVENT_OUT_KEEP_ALIVE_MS;
    return ms < EVENT_OUT_KEEP_ALIVE_MS ? (ms > 0 ? ms : 0) : EVENT_OUT_KEEP_ALIVE_MS;
}

static void wait_for_more(struct request *r)
{
    if (atomic_load(&r->api->is_released))
        request_stream_end(r); /* without "end": the reader comes back later */
    else
        sleep_until_woken(r, sleep_ms(r->work), woken);
}

/* What was written goes out first. */
static void sleep_behind(struct request *r)
{
    request_stream_more(r, wait_for_more);
}

static void tell_page(struct request *r)
{
    struct stream *s = r->work;
    struct store_session_ends *o = &r->op.session_ends;
    for (size_t i = 0; i < o->page.n; i++)
        tell_done(r, s, &o->page.tasks[i]);
    bool is_finished = o->is_finished;
    s->must_read = o->page.is_full;
    s->must_ask =
        s->must_ask && s->must_read; /* a full page does not say whether it was the last */
    if (o->page.n)
        s->limit = result_page_next(&o->page);
    request_drop_op(r);
    if (is_finished)
        tell_end(r);
    else
        request_stream_more(r, s->must_read ? read_page : wait_for_more);
}

static void last_log_told(struct request *r)
{
    tell_done(r, r->work, &r->task);
    task_release(&r->task);
    r->task = (struct task){0};
    request_stream_more(r, read_page);
}

static void tell_last_log(struct request *r)
{
    member_events_tell_log(r, r->task.spec->id, last_log_told);
}

/* What began is told before its end, and so is what the future wrote, if that is wanted; such ends
 * are read one by one. */
static void page_read(struct request *r)
{
    struct stream *s = r->work;
    struct store_session_ends *o = &r->op.session_ends;
    if (o->op.rc != 0) {
        sessions_fail(r, o->op.rc);
        return;
    }
    request_step *then = tell_page;
    if (member_events_wants(r, MEMBER_LOG)) { /* which lends the operation to logs */
        then = o->page.n ? tell_last_log : o->is_finished ? tell_end : sleep_behind;
        s->must_read = o->page.n > 0;
        s->must_ask = s->must_ask && s->must_read;
        if (o->page.n)
            r->task = o->page.tasks[--o->page.n];
        request_drop_op(r);
    }
    member_events_tell(r, then);
}

/* Where ends are not wanted. */
static void looked(struct request *r)
{
    const struct store_session *session = &r->large->session_get.session;
    if (r->op.base.rc != 0) {
        sessions_fail(r, r->op.base.rc);
        return;
    }
    bool is_finished = session->closed_wall_ms && !session->unfinished;
    member_events_tell(r, is_finished ? tell_end : sleep_behind);
}

static void drop_page(struct request *r)
{
    store_page_release(&r->op.session_ends.page);
}

/* Ends that are at hand are not read, unless the session may be over. */
static void look_for_ends(struct request *r, struct stream *s)
{
    struct store_session_ends *o = &r->op.session_ends;
    bool is_finished = waiter_is_finished(&r->api->waiters, &r->waiter);
    *o = (struct store_session_ends){
        .id = s->id,
        .after = s->last,
        .page = {.limit = s->limit, .max_bytes = RESULT_PAGE_BYTES, .tasks = s->page}};
    if (!s->must_ask && !is_finished &&
        store_recent_session_ends(r->api->cfg.store, o, s->fields == 0)) {
        r->drop_op = drop_page;
        page_read(r);
        return;
    }
    request_post(r, &store_verb_session_ends, drop_page, page_read);
}

/* What is told from here on wakes it again. */
static void look(struct request *r)
{
    struct stream *s = r->work;
    if (!s->must_read) {
        sleep_behind(r);
        return;
    }
    s->must_read = false;
    if (member_events_wants(r, MEMBER_DONE)) {
        look_for_ends(r, s);
    } else {
        request_large(r)->session_get = (struct store_session_get){.id = s->id};
        request_large_post(r, &store_verb_session_get, NULL, looked);
    }
}

static void read_page(struct request *r)
{
    struct stream *s = r->work;
    bool is_done;
    if (is_renewal_due(s)) {
        r->op.session_renew = (struct store_session_renew){.id = s->id};
        request_post(r, &store_verb_session_renew, NULL, renewed);
        return;
    }
    while (waiter_take_news(&r->api->waiters, &r->waiter, &is_done))
        s->must_read = true;
    member_events_tell(r, look);
}

/* ---- its begin ------------------------------------------------------------------------------- */

/* Nothing would be told until as many tasks have ended. */
static void refuse_last(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_HISTORY_GONE,
                "No event has this id yet, so the stream cannot go on behind it: the database is "
                "another one, or older, than when it was told.");
    problem_set_parameter(&p, "Last-Event-ID");
    request_problem(r, &p);
}

/* Each renewal goes with a sign of life, so a client whose machine or network is gone is noticed.
 */
static void hold_lease(struct request *r, int64_t grace_ms)
{
    struct stream *s = r->work;
    s->renew_every_ms = grace_ms / 3;
    if (r->peer)
        http_conn_limit_silence(r->peer, grace_ms);
}

static void begin(struct request *r)
{
    struct stream *s = r->work;
    struct waiter_wish wish = {.wants_news = true, .wake = request_wake};
    struct problem p;
    if (r->op.base.rc != 0) {
        sessions_fail(r, r->op.base.rc);
        return;
    }
    if (s->last > store_session_newest_seq(r->api->cfg.store)) {
        refuse_last(r);
        return;
    }
    if (r->large->session_get.session.lease_up_ms != STORE_NO_LEASE)
        hold_lease(r, r->large->session_get.session.grace_ms);
    wish.members = member_events_begin(r, &s->out);
    r->link = (struct waiter_link){.id = s->id};
    if (!waiter_open(&r->api->waiters, &r->waiter, &r->link, 1, &wish)) {
        problem_set(&p, PROBLEM_BUSY, "Too many futures are being waited for; try again.");
        p.retry_after_s = 1;
        request_problem(r, &p);
        return;
    }
    request_stream_want_ends(r);
    request_stream_events(r, &s->out, read_page);
}

void session_events_get(struct request *r)
{
    struct stream *s = arena_alloc(&r->arena, sizeof(*s));
    *s = (struct stream){.limit = RESULT_PAGE_FIRST, .must_read = true, .must_ask = true};
    if (!request_stream_last_event(r, UINT64_MAX, &s->last) || !show_read_fields(r, &s->fields) ||
        !member_events_read(r, request_arg(r, "events"), MEMBER_EVENTS_OF_SESSION) ||
        !sessions_read_id(r, &s->id))
        return;
    if (member_events_wants(r, MEMBER_LOG))
        s->limit = 1;
    r->work = s;
    request_large(r)->session_get = (struct store_session_get){.id = s->id};
    request_large_post(r, &store_verb_session_get, NULL, begin);
}
