/* GET /v1/events: all that happens, as one stream of events. */
#include "api/http/sleep.h"
#include "api/resources/rows.h"

#include <string.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/event_out.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"

#define STEP 64

struct activity {
    struct feed_reader reader;
    struct event_out out;
    struct task_filter filter;
    unsigned kinds; /* bit (1u << kind) for each that is wanted */
    uint64_t last;  /* Last-Event-ID; 0 none */
};

static void next_events(struct request *r);

/* ---- what is told ---------------------------------------------------------------------------- */

/* The names are part of the HTTP contract. */
static const char *const kind_names[FEED_KINDS] = {
    [FEED_SUBMITTED] = "submitted", [FEED_STARTED] = "started", [FEED_PROGRESS] = "progress",
    [FEED_WAITING] = "waiting",     [FEED_ENDED] = "ended",     [FEED_POOL] = "pool",
    [FEED_LIMIT] = "limit",         [FEED_WORKER] = "worker",
};

static void write_task(struct buf *b, const struct feed_entry *e)
{
    char id[ID_TEXT_SIZE];
    id_format(e->id, id);
    json_out_str(b, "id", id);
    json_out_str(b, "handler", e->name);
    json_out_str(b, "lane", lane_name(e->lane));
    if (e->batch.hi) {
        id_format(e->batch, id);
        json_out_str(b, "batch", id);
    }
    json_out_str(b, "state", task_state_name(e->state));
    if (e->attempt)
        json_out_uint(b, "attempt", e->attempt);
    if (e->progress >= 0) {
        json_out_key(b, "fraction");
        buf_printf(b, "%.6g", e->progress);
    }
    if (e->text[0])
        json_out_str(b, "code", e->text);
}

static void write_entry(struct request *r, struct activity *a, const struct feed_entry *e)
{
    struct buf json = BUF_INIT;
    buf_putc(&json, '{');
    json_out_time(&json, "at", e->at_wall_ms);
    if (e->id.hi) {
        write_task(&json, e);
    } else {
        json_out_str(&json, "name", e->name);
        json_out_str(&json, "change", e->text);
    }
    buf_putc(&json, '}');
    event_out_write(&r->out, &a->out, kind_names[e->kind], e->number, json.data, json.len);
    buf_release(&json);
}

/* Of tasks, those that the filter means; the rest concerns every reader. */
static bool is_wanted(const struct activity *a, const struct feed_entry *e)
{
    struct task_spec spec = {.id = e->id,
                             .batch = e->batch,
                             .lane = e->lane,
                             .handler = e->name,
                             .created_wall_ms = e->at_wall_ms};
    struct task_outcome outcome = {.code = e->text};
    struct task t = {.spec = &spec, .state = e->state};
    if (!(a->kinds & 1u << e->kind))
        return false;
    if (e->text[0])
        t.outcome = &outcome;
    return !e->id.hi || task_filter_wants(&a->filter, &t);
}

static void write_missed(struct request *r, struct activity *a, uint64_t n)
{
    struct buf json = BUF_INIT;
    buf_puts(&json, "{\"count\":");
    if (n == UINT64_MAX)
        buf_puts(&json, "null}");
    else
        buf_printf(&json, "%llu}", (unsigned long long)n);
    event_out_write(&r->out, &a->out, "missed", 0, json.data, json.len);
    buf_release(&json);
}

/* Its id is where to go on from when nothing else has come. */
static void write_open(struct request *r, struct activity *a)
{
    struct buf json = BUF_INIT;
    buf_putc(&json, '{');
    json_out_time(&json, "at", clock_wall_ms());
    buf_putc(&json, '}');
    event_out_write(&r->out, &a->out, "open", a->reader.next - 1, json.data, json.len);
    buf_release(&json);
}

/* ---- the loop of the stream ------------------------------------------------------------------ */

/* Woken by news, the time for a sign of life, a hang-up or the end of the daemon. */
static void woken(struct request *r)
{
    struct activity *a = r->work;
    if (r->is_hung_up) {
        request_stream_break(r);
        return;
    }
    if (clock_mono_ms() >= r->wake_mono_ms)
        event_out_keep_alive(&r->out, &a->out);
    request_stream_more(r, next_events);
}

static void next_events(struct request *r)
{
    struct activity *a = r->work;
    struct feed_entry entries[STEP];
    uint64_t missed;
    size_t n;
    if (atomic_load(&r->api->is_released)) { /* its reader comes back later */
        request_stream_end(r);
        return;
    }
    do {
        n = feed_read(&r->api->feed, &a->reader, entries, STEP, &missed);
        if (missed)
            write_missed(r, a, missed);
        for (size_t i = 0; i < n; i++) {
            if (is_wanted(a, &entries[i]))
                write_entry(r, a, &entries[i]);
        }
    } while (n && r->out.len == 0);
    if (r->out.len)
        request_stream_more(r, next_events);
    else
        sleep_until_woken(r, EVENT_OUT_KEEP_ALIVE_MS, woken);
}

/* ---- its begin ------------------------------------------------------------------------------- */

static bool read_kinds(struct request *r, unsigned *out)
{
    const char *text = request_arg(r, "types");
    *out = text ? 0 : ~0u;
    while (text && *text) {
        size_t n = strcspn(text, ","), kind = 0;
        while (kind < FEED_KINDS &&
               (strlen(kind_names[kind]) != n || strncmp(kind_names[kind], text, n) != 0))
            kind++;
        if (kind == FEED_KINDS)
            return request_refuse_arg(r, "types",
                                      "a comma list of submitted, started, progress, waiting, "
                                      "ended, pool, limit, worker");
        *out |= 1u << kind;
        text += n + (text[n] == ',');
    }
    return true;
}

void activity_get(struct request *r)
{
    struct activity *a = arena_alloc(&r->arena, sizeof(*a));
    const struct waiter_wish wish = {.wants_news = true, .wake = request_wake};
    struct problem p;
    if (!read_kinds(r, &a->kinds) || !request_stream_last_event(r, UINT64_MAX - 1, &a->last) ||
        !request_read_filter(r, &a->filter))
        return;
    if (!waiter_open(&r->api->waiters, &r->waiter, NULL, 0, &wish)) {
        problem_set(&p, PROBLEM_BUSY, "Too many requests wait; try again.");
        p.retry_after_s = 1;
        request_problem(r, &p);
        return;
    }
    r->work = a;
    r->reader = &a->reader;
    feed_join(&r->api->feed, r->reader, &r->waiter, a->last);
    request_stream_events(r, &a->out, next_events);
    if (!a->last)
        write_open(r, a);
}
