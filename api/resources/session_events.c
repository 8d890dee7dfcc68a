/* session_events: what happens in a session as a stream: attempts that begin, text for logs, and
 * ends, each in the order in which it came. */
#include <stdlib.h>
#include <string.h>

#include "api/http/conn.h"
#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/future_json.h"
#include "api/resources/rows.h"
#include "api/resources/sessions.h"
#include "api/resources/show.h"
#include "api/text/event_out.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "storage/ends.h"

#define PAGE 64            /* ends in memory at a time, */
#define PAGE_MEDIUM 8      /* or so many, where a result is larger than this, */
#define BYTES_SMALL 4096   /* bytes */
#define BYTES_MEDIUM 32768 /* or one, where it is larger than this */
#define LOG_PLACES 256     /* futures that write at the same time, of which it is known how far */

enum kind { KIND_STARTED, KIND_WAITING, KIND_LOG, KIND_DONE };

/* The names are part of the HTTP contract. */
static const char *const kind_names[] = {[KIND_STARTED] = "started",
                                         [KIND_WAITING] = "waiting",
                                         [KIND_LOG] = "log",
                                         [KIND_DONE] = "done"};

/* How much of the log of a future was told. */
struct log_place {
    struct task_id id;
    uint64_t next;
};

struct stream {
    struct task_id id;
    struct event_out out;
    unsigned kinds; /* bits (1u << enum kind) of those that are wanted */
    uint64_t last;  /* the seq of the latest end that the client knows */
    uint64_t sent;
    size_t limit;                   /* of the page */
    unsigned fields;                /* of each future; 0: all */
    bool must_read;                 /* there may be ends that were not read, */
    bool must_ask;                  /* and memory does not tell all that the store does */
    int64_t renew_every_ms;         /* the session's lease; 0: it has none */
    int64_t renew_mono_ms;          /* when next */
    struct task page[PAGE];         /* lent to op.session_ends */
    struct waiter_members *members; /* NULL: ends alone are wanted */
    request_step *then;             /* behind what happened to members */
    struct log_place *places;       /* NULL: no text is wanted */
    size_t n_places, next_place;
};

static void read_page(struct request *r);

static bool wants(const struct stream *s, enum kind kind)
{
    return s->kinds & 1u << kind;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void begin_of(struct buf *json, struct task_id id)
{
    char text[ID_TEXT_SIZE];
    id_format(id, text);
    buf_putc(json, '{');
    json_out_str(json, "id", text);
}

static void tell(struct request *r, const char *event, struct buf *json)
{
    struct stream *s = r->work;
    buf_putc(json, '}');
    event_out_write(&r->out, &s->out, event, 0, json->data, json->len);
    buf_release(json);
}

static void tell_begin(struct request *r, const struct waiter_member *m)
{
    struct buf json = BUF_INIT;
    begin_of(&json, m->id);
    if (m->attempt)
        json_out_uint(&json, "attempt", m->attempt);
    if (m->event == WAITER_STARTED)
        json_out_time(&json, "started_at", m->started_wall_ms);
    else
        json_out_str(&json, "state", task_state_name(m->state));
    tell(r, kind_names[m->event == WAITER_STARTED ? KIND_STARTED : KIND_WAITING], &json);
}

static void tell_missed(struct request *r)
{
    struct buf json = BUF_INIT;
    uint64_t n = waiter_take_missed(&r->api->waiters, &r->waiter);
    if (!n)
        return;
    buf_putc(&json, '{');
    json_out_uint(&json, "count", n);
    tell(r, "missed", &json);
}

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
    tell(r, "end", &json);
    request_stream_end(r);
}

/* ---- text of logs ---------------------------------------------------------------------------- */

static struct log_place *place_of(struct stream *s, struct task_id id)
{
    for (size_t i = 0; i < s->n_places; i++) {
        if (id_equal(s->places[i].id, id))
            return &s->places[i];
    }
    return NULL;
}

/* In place of the one that came first where there is no space. */
static void set_place(struct stream *s, struct task_id id, uint64_t next)
{
    struct log_place *p = place_of(s, id);
    if (!p && s->n_places < LOG_PLACES)
        p = &s->places[s->n_places++];
    else if (!p)
        p = &s->places[s->next_place++ % LOG_PLACES];
    *p = (struct log_place){id, next};
}

static void forget_place(struct stream *s, struct task_id id)
{
    struct log_place *p = place_of(s, id);
    if (p)
        *p = s->places[--s->n_places];
}

/* The bytes of the text without a character that it ends in the middle of. */
static size_t whole_characters(const char *text, size_t n)
{
    for (size_t back = 1; back < UTF8_MAX && back <= n; back++) {
        unsigned char c = (unsigned char)text[n - back];
        if (c < 0x80)
            return n;
        if (c >= 0xc0) /* it begins here */
            return utf8_len(text + n - back, back) ? n : n - back;
    }
    return n;
}

static void drop_log(struct request *r)
{
    request_free_reported(&r->op.log.reported);
    free(r->op.log.log);
    r->op.log.log = NULL;
}

/* False: it could not be read, and that is answered. */
static bool tell_log(struct request *r)
{
    struct stream *s = r->work;
    struct store_log *o = &r->op.log;
    struct buf json = BUF_INIT;
    if (o->op.rc != 0 && o->op.rc != FUT_ERR_NOT_FOUND) {
        sessions_fail(r, o->op.rc);
        return false;
    }
    size_t n = o->op.rc != 0                   ? 0
               : task_state_is_final(o->state) ? o->log_len
                                               : whole_characters(o->log, o->log_len);
    if (n) {
        begin_of(&json, o->id);
        json_out_uint(&json, "from", o->begin);
        json_out_uint(&json, "next", o->begin + n);
        json_out_key(&json, "text");
        json_out_text(&json, o->log, n);
        set_place(s, o->id, o->begin + n);
        tell(r, kind_names[KIND_LOG], &json);
    }
    request_drop_op(r);
    return true;
}

static void post_log(struct request *r, struct task_id id, request_step *next)
{
    const struct log_place *p = place_of(r->work, id);
    r->op.log = (struct store_log){.id = id, .from = p ? p->next : 0};
    request_post(r, &store_verb_log, drop_log, next);
}

/* ---- what happened to members ------------------------------------------------------------------
 */

static void tell_members(struct request *r);

static void log_of_member_read(struct request *r)
{
    if (tell_log(r))
        request_stream_more(r, tell_members);
}

/* All that has come, then s->then. */
static void tell_members(struct request *r)
{
    struct stream *s = r->work;
    struct waiter_member m;
    tell_missed(r);
    while (waiter_take_member(&r->api->waiters, &r->waiter, &m)) {
        if (m.event == WAITER_REPORTED) {
            post_log(r, m.id, log_of_member_read);
            return;
        }
        tell_begin(r, &m);
    }
    s->then(r);
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

/* Nobody knows how large results are before they are read: they are taken to be like those before.
 */
static void choose_limit(struct stream *s, size_t n, size_t largest)
{
    if (largest > BYTES_MEDIUM)
        s->limit = 1;
    else if (largest > BYTES_SMALL)
        s->limit = PAGE_MEDIUM;
    else if (n == s->limit && s->limit < PAGE)
        s->limit = s->limit * 2 < PAGE ? s->limit * 2 : PAGE;
}

static void tell_page(struct request *r)
{
    struct stream *s = r->work;
    struct store_session_ends *o = &r->op.session_ends;
    size_t n = o->n, largest = 0;
    for (size_t i = 0; i < n; i++) {
        const struct task_outcome *outcome = o->tasks[i].outcome;
        if (outcome && outcome->body_len > largest)
            largest = outcome->body_len;
        tell_done(r, s, &o->tasks[i]);
    }
    bool is_finished = o->is_finished;
    s->must_read = n == s->limit;
    s->must_ask =
        s->must_ask && s->must_read; /* a full page does not say whether it was the last */
    request_drop_op(r);
    if (n)
        choose_limit(s, n, largest);
    if (is_finished)
        tell_end(r);
    else
        request_stream_more(r, s->must_read ? read_page : wait_for_more);
}

static void last_log_read(struct request *r)
{
    struct stream *s = r->work;
    if (!tell_log(r))
        return;
    forget_place(s, r->task.spec->id);
    tell_done(r, s, &r->task);
    task_release(&r->task);
    r->task = (struct task){0};
    request_stream_more(r, read_page);
}

static void tell_last_log(struct request *r)
{
    post_log(r, r->task.spec->id, last_log_read);
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
    s->then = tell_page;
    if (s->places) { /* which lends the operation to logs */
        s->then = o->n ? tell_last_log : o->is_finished ? tell_end : sleep_behind;
        s->must_read = o->n > 0;
        s->must_ask = s->must_ask && s->must_read;
        if (o->n)
            r->task = o->tasks[--o->n];
        request_drop_op(r);
    }
    tell_members(r);
}

/* Where ends are not wanted. */
static void looked(struct request *r)
{
    struct stream *s = r->work;
    const struct store_session *session = &r->op.session_get.session;
    if (r->op.base.rc != 0) {
        sessions_fail(r, r->op.base.rc);
        return;
    }
    bool is_finished = session->closed_wall_ms && !session->unfinished;
    s->then = is_finished ? tell_end : sleep_behind;
    tell_members(r);
}

static void drop_page(struct request *r)
{
    struct store_session_ends *o = &r->op.session_ends;
    while (o->n)
        task_release(&o->tasks[--o->n]);
}

/* Ends that are at hand are not read, unless the session may be over. */
static void look_for_ends(struct request *r, struct stream *s)
{
    struct store_session_ends *o = &r->op.session_ends;
    bool is_finished = waiter_is_finished(&r->api->waiters, &r->waiter);
    *o = (struct store_session_ends){
        .id = s->id, .after = s->last, .limit = s->limit, .tasks = s->page};
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
    if (wants(s, KIND_DONE)) {
        look_for_ends(r, s);
    } else {
        r->op.session_get = (struct store_session_get){.id = s->id};
        request_post(r, &store_verb_session_get, NULL, looked);
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
    s->then = look;
    tell_members(r);
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
    struct waiter_wish wish = {.wants_news = true, .wake = request_wake, .members = s->members};
    struct problem p;
    if (r->op.base.rc != 0) {
        sessions_fail(r, r->op.base.rc);
        return;
    }
    if (s->last > store_session_newest_seq(r->api->cfg.store)) {
        refuse_last(r);
        return;
    }
    if (r->op.session_get.session.lease_up_ms != STORE_NO_LEASE)
        hold_lease(r, r->op.session_get.session.grace_ms);
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

static bool find_kind(const char *name, size_t n, unsigned *kinds)
{
    for (size_t i = 0; i < FUT_COUNT(kind_names); i++) {
        if (strlen(kind_names[i]) == n && memcmp(kind_names[i], name, n) == 0) {
            *kinds |= 1u << i;
            return true;
        }
    }
    return false;
}

/* *out: bits of the kinds that are wanted. False: the request was answered. */
static bool read_kinds(struct request *r, unsigned *out)
{
    const char *text = request_arg(r, "events");
    *out = text ? 0 : 1u << KIND_DONE;
    while (text) {
        size_t n = strcspn(text, ",");
        if (!find_kind(text, n, out))
            return request_refuse_arg(r, "events", "a comma list of started, waiting, log, done");
        text = text[n] ? text + n + 1 : NULL;
    }
    return true;
}

/* What it costs to follow members is spent by those alone who do. */
static void follow_members(struct request *r, struct stream *s)
{
    static const enum waiter_event events[] = {[KIND_STARTED] = WAITER_STARTED,
                                               [KIND_WAITING] = WAITER_WAITING,
                                               [KIND_LOG] = WAITER_REPORTED};
    for (size_t i = 0; i < FUT_COUNT(events); i++) {
        if (!wants(s, (enum kind)i))
            continue;
        if (!s->members) {
            s->members = arena_alloc(&r->arena, sizeof(*s->members));
            memset(s->members, 0, sizeof(*s->members));
        }
        s->members->events |= 1u << events[i];
    }
    if (!wants(s, KIND_LOG))
        return;
    s->places = arena_alloc(&r->arena, LOG_PLACES * sizeof(*s->places));
    s->limit = 1;
}

void session_events_get(struct request *r)
{
    struct stream *s = arena_alloc(&r->arena, sizeof(*s));
    *s = (struct stream){.limit = PAGE_MEDIUM, .must_read = true, .must_ask = true};
    if (!request_stream_last_event(r, UINT64_MAX, &s->last) || !show_read_fields(r, &s->fields) ||
        !read_kinds(r, &s->kinds) || !sessions_read_id(r, &s->id))
        return;
    follow_members(r, s);
    r->work = s;
    r->op.session_get = (struct store_session_get){.id = s->id};
    request_post(r, &store_verb_session_get, NULL, begin);
}
