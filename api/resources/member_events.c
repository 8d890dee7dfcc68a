/* member_events: what happens to the futures that a stream follows, as events. */
#include "api/resources/member_events.h"

#include <stdlib.h>
#include <string.h>

#include "api/http/shared.h"
#include "api/text/json_out.h"
#include "core/mem.h"
#include "core/utf8.h"

#define LOG_PLACES 256 /* futures that write at the same time, of which it is known how far */

/* The names are part of the HTTP contract. `progress` is for links alone, and the last. */
static const char *const names[] = {[MEMBER_STARTED] = "started",
                                    [MEMBER_WAITING] = "waiting",
                                    [MEMBER_LOG] = "log",
                                    [MEMBER_DONE] = "done",
                                    [MEMBER_PROGRESS] = "progress"};

/* How much of the log of a future was told. */
struct log_place {
    struct task_id id;
    uint64_t next;
};

struct member_events {
    unsigned wanted; /* bits (1u << enum member_event) */
    const struct event_out *out;
    struct waiter_members *members; /* NULL: nothing is followed */
    request_step *then;             /* behind what is being told */
    struct log_place *places;       /* NULL: no text is wanted */
    size_t n_places, next_place;
};

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
    buf_putc(json, '}');
    event_out_write(&r->out, r->members->out, event, 0, json->data, json->len);
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
    tell(r, names[m->event == WAITER_STARTED ? MEMBER_STARTED : MEMBER_WAITING], &json);
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

/* ---- text of logs ---------------------------------------------------------------------------- */

static struct log_place *place_of(struct member_events *m, struct task_id id)
{
    for (size_t i = 0; i < m->n_places; i++) {
        if (id_equal(m->places[i].id, id))
            return &m->places[i];
    }
    return NULL;
}

/* In place of the one that came first where there is no space. */
static void set_place(struct member_events *m, struct task_id id, uint64_t next)
{
    struct log_place *p = place_of(m, id);
    if (!p && m->n_places < LOG_PLACES)
        p = &m->places[m->n_places++];
    else if (!p)
        p = &m->places[m->next_place++ % LOG_PLACES];
    *p = (struct log_place){id, next};
}

static void forget_place(struct member_events *m, struct task_id id)
{
    struct log_place *p = place_of(m, id);
    if (p)
        *p = m->places[--m->n_places];
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
    store_reported_release(&r->op.log.reported);
    free(r->op.log.log);
    r->op.log.log = NULL;
}

/* False: it could not be read, and that is answered. */
static bool tell_log(struct request *r)
{
    struct store_log *o = &r->op.log;
    struct buf json = BUF_INIT;
    if (o->op.rc != 0 && o->op.rc != FUT_ERR_NOT_FOUND) {
        request_fail(r, o->op.rc);
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
        set_place(r->members, o->id, o->begin + n);
        tell(r, names[MEMBER_LOG], &json);
    }
    request_drop_op(r);
    return true;
}

static void post_log(struct request *r, struct task_id id, request_step *next)
{
    const struct log_place *p = place_of(r->members, id);
    r->op.log = (struct store_log){.id = id, .from = p ? p->next : 0};
    request_post(r, &store_verb_log, drop_log, next);
}

static void last_log_read(struct request *r)
{
    struct task_id id = r->op.log.id;
    if (!tell_log(r))
        return;
    forget_place(r->members, id);
    r->members->then(r);
}

void member_events_tell_log(struct request *r, struct task_id id, request_step *then)
{
    r->members->then = then;
    post_log(r, id, last_log_read);
}

/* ---- what happened to members ---------------------------------------------------------------- */

static void tell_members(struct request *r);

static void log_of_member_read(struct request *r)
{
    if (tell_log(r))
        request_stream_more(r, tell_members);
}

static void tell_members(struct request *r)
{
    struct waiter_member m;
    tell_missed(r);
    while (waiter_take_member(&r->api->waiters, &r->waiter, &m)) {
        if (m.event == WAITER_REPORTED) {
            post_log(r, m.id, log_of_member_read);
            return;
        }
        tell_begin(r, &m);
    }
    r->members->then(r);
}

void member_events_tell(struct request *r, request_step *then)
{
    r->members->then = then;
    tell_members(r);
}

/* ---- its begin ------------------------------------------------------------------------------- */

bool member_events_wants(const struct request *r, enum member_event event)
{
    return r->members->wanted & 1u << event;
}

bool member_events_follow(const struct request *r)
{
    return r->members->members != NULL;
}

struct waiter_members *member_events_begin(struct request *r, const struct event_out *out)
{
    r->members->out = out;
    return r->members->members;
}

static bool find(const char *name, size_t n, size_t n_names, unsigned *wanted)
{
    for (size_t i = 0; i < n_names; i++) {
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) {
            *wanted |= 1u << i;
            return true;
        }
    }
    return false;
}

/* False: the request was answered. */
static bool read_wanted(struct request *r, const char *text, bool of_links, unsigned *out)
{
    *out = text ? 0 : 1u << MEMBER_DONE | (of_links ? 1u << MEMBER_PROGRESS : 0);
    while (text) {
        size_t n = strcspn(text, ",");
        if (!find(text, n, of_links ? FUT_COUNT(names) : MEMBER_PROGRESS, out))
            return request_refuse_arg(r, "events",
                                      of_links
                                          ? "a comma list of started, waiting, log, done, progress"
                                          : "a comma list of started, waiting, log, done");
        text = text[n] ? text + n + 1 : NULL;
    }
    return true;
}

/* What it costs to follow is spent by those alone who do. */
static void follow(struct request *r, struct member_events *m, bool of_links)
{
    static const enum waiter_event events[] = {[MEMBER_STARTED] = WAITER_STARTED,
                                               [MEMBER_WAITING] = WAITER_WAITING,
                                               [MEMBER_LOG] = WAITER_REPORTED};
    for (size_t i = 0; i < FUT_COUNT(events); i++) {
        if (!(m->wanted & 1u << i))
            continue;
        if (!m->members) {
            m->members = arena_alloc(&r->arena, sizeof(*m->members));
            m->members->of_links = of_links;
        }
        m->members->events |= 1u << events[i];
    }
    if (m->wanted & 1u << MEMBER_LOG)
        m->places = arena_alloc(&r->arena, LOG_PLACES * sizeof(*m->places));
}

bool member_events_read(struct request *r, const char *list, enum member_events_of of)
{
    bool of_links = of == MEMBER_EVENTS_OF_LINKS;
    struct member_events *m = arena_alloc(&r->arena, sizeof(*m));
    if (!read_wanted(r, list, of_links, &m->wanted))
        return false;
    follow(r, m, of_links);
    r->members = m;
    return true;
}
