#include "api/resources/stats.h"

#include <string.h>

#include "api/http/loop.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/rows.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"

/* ---- the table ------------------------------------------------------------------------------- */

#define READER(name, expression)                                                                   \
    static double read_##name(const struct stats_numbers *n, enum lane lane,                       \
                              enum task_state state)                                               \
    {                                                                                              \
        (void)lane;                                                                                \
        (void)state;                                                                               \
        return (double)(expression);                                                               \
    }

READER(uptime, n->uptime)
READER(live, n->store.live[lane][state])
READER(submitted, n->store.submitted)
READER(started, n->store.claimed)
READER(finished, n->store.finished[state])
READER(recovered, n->store.recovered)
READER(pruned, n->store.pruned)
READER(max_queued, n->store.max_queued)
READER(drain_per_s, n->store.drain_per_s)
READER(callbacks_scheduled, n->store.callbacks[TASK_SCHEDULED])
READER(callbacks_pending, n->store.callbacks[TASK_QUEUED] + n->store.callbacks[TASK_RUNNING])
READER(callbacks_delivered, n->store.callbacks[TASK_SUCCEEDED])
READER(callbacks_failed, n->store.callbacks[TASK_FAILED])
READER(is_healthy, n->store.health == 0)
READER(commits, n->store.commits)
READER(ops, n->store.ops)
READER(file_bytes, n->store.file_bytes)
READER(log_bytes, n->store.log_bytes)
READER(capacity, n->pools.lanes[lane].capacity)
READER(busy, n->pools.lanes[lane].busy)
READER(lent, n->pools.lanes[lane].lent)
READER(claimed, n->pools.lanes[lane].claimed)
READER(pool_started, n->pools.lanes[lane].started)
READER(is_paused, n->pools.lanes[lane].pause.since_wall_ms != 0)
READER(workers_alive, n->pools.workers_alive)
READER(workers_died, n->pools.workers_died)
READER(programs_broken, n->pools.programs_broken)
READER(connections, n->http.connections)
READER(max_connections, n->http.max_connections)
READER(requests, n->http.requests)
READER(open_requests, n->http.open)
READER(waiters, n->http.waiters)
READER(max_waiters, n->http.max_waiters)
READER(buffered, n->http.buffered)
READER(max_buffered, n->http.max_buffered)

/* The rows of a section stand together, those of lanes first. */
static const struct stats_row rows[] = {
    {NULL, "uptime", "uptime_seconds", STATS_GAUGE, STATS_WHOLE, read_uptime,
     "Seconds since the daemon started."},

    {"tasks", NULL, "tasks", STATS_GAUGE, STATS_LANE_STATE, read_live,
     "Unfinished tasks by lane and state."},
    {"tasks", "submitted", "tasks_submitted", STATS_COUNTER, STATS_WHOLE, read_submitted,
     "Tasks that were taken in."},
    {"tasks", "claimed", "tasks_started", STATS_COUNTER, STATS_WHOLE, read_started,
     "Attempts that were given to a lane."},
    {"tasks", NULL, "tasks_finished", STATS_COUNTER, STATS_END_STATE, read_finished,
     "Tasks that ended, by their final state."},
    {"tasks", "recovered", "tasks_recovered", STATS_GAUGE, STATS_WHOLE, read_recovered,
     "Tasks that were running when the daemon before this one died."},
    {"tasks", "pruned", "tasks_pruned", STATS_COUNTER, STATS_WHOLE, read_pruned,
     "Futures that were deleted because their retention was over."},
    {"tasks", "max_queued", "tasks_queued_max", STATS_GAUGE, STATS_WHOLE, read_max_queued,
     "How many tasks may wait; beyond, submissions are refused."},
    {"tasks", "drain_per_s", "tasks_finished_per_second", STATS_GAUGE, STATS_WHOLE,
     read_drain_per_s, "Tasks that end in a second, smoothed over about 10 s."},

    {"store", NULL, "store_healthy", STATS_GAUGE, STATS_WHOLE, read_is_healthy,
     "1 while the store can write, else 0."},
    {"store", "commits", "store_commits", STATS_COUNTER, STATS_WHOLE, read_commits,
     "Transactions that were committed."},
    {"store", "ops", "store_operations", STATS_COUNTER, STATS_WHOLE, read_ops,
     "Operations in these transactions."},
    {"store", "file_bytes", "store_file_bytes", STATS_GAUGE, STATS_WHOLE, read_file_bytes,
     "The database on disk."},
    {"store", "log_bytes", "store_log_bytes", STATS_GAUGE, STATS_WHOLE, read_log_bytes,
     "The log of the latest changes beside the database."},

    {"callbacks", "scheduled", "callbacks_scheduled", STATS_GAUGE, STATS_WHOLE,
     read_callbacks_scheduled,
     "Callbacks whose future or batch has not ended, and those that are tried again later."},
    {"callbacks", "pending", "callbacks_pending", STATS_GAUGE, STATS_WHOLE, read_callbacks_pending,
     "Callbacks that are being delivered, or wait for it."},
    {"callbacks", "delivered", "callbacks_delivered", STATS_COUNTER, STATS_WHOLE,
     read_callbacks_delivered, "Callbacks that their receivers have taken."},
    {"callbacks", "failed", "callbacks_failed", STATS_COUNTER, STATS_WHOLE, read_callbacks_failed,
     "Callbacks that were given up."},

    {"pools", "capacity", "pool_capacity", STATS_GAUGE, STATS_LANE, read_capacity,
     "Slots of the lane: attempts that may run at once."},
    {"pools", "busy", "pool_busy", STATS_GAUGE, STATS_LANE, read_busy,
     "Attempts of the lane that run now."},
    {"pools", "lent", "pool_lent", STATS_GAUGE, STATS_LANE, read_lent,
     "Of these, attempts that wait for other tasks, and have lent their slots."},
    {"pools", "claimed", "pool_claimed", STATS_GAUGE, STATS_LANE, read_claimed,
     "Attempts of the lane that were taken and whose end is not stored yet."},
    {"pools", "started", "pool_attempts_started", STATS_COUNTER, STATS_LANE, read_pool_started,
     "Attempts of the lane that began to run."},
    {"pools", NULL, "pool_paused", STATS_GAUGE, STATS_LANE, read_is_paused,
     "1 while the lane is paused, else 0."},
    {"pools", "workers_alive", "workers", STATS_GAUGE, STATS_WHOLE, read_workers_alive,
     "Worker processes that live."},
    {"pools", "workers_died", NULL, STATS_COUNTER, STATS_WHOLE, read_workers_died,
     "Worker processes that died unasked."},
    {"pools", "programs_broken", "programs_broken", STATS_GAUGE, STATS_WHOLE, read_programs_broken,
     "Programs that do not start now."},

    {"http", "connections", "http_connections", STATS_GAUGE, STATS_WHOLE, read_connections,
     "Open connections."},
    {"http", "max_connections", "http_connections_max", STATS_GAUGE, STATS_WHOLE,
     read_max_connections, "Connections that each listening socket may have."},
    {"http", "requests", NULL, STATS_COUNTER, STATS_WHOLE, read_requests,
     "Requests since the start."},
    {"http", "open_requests", "http_requests_open", STATS_GAUGE, STATS_WHOLE, read_open_requests,
     "Requests that are being answered, those that wait included."},
    {"http", "waiters", "http_waiters", STATS_GAUGE, STATS_WHOLE, read_waiters,
     "Requests that wait for a future."},
    {"http", "max_waiters", "http_waiters_max", STATS_GAUGE, STATS_WHOLE, read_max_waiters,
     "How many may."},
    {"http", "buffered_bytes", "http_buffered_bytes", STATS_GAUGE, STATS_WHOLE, read_buffered,
     "Large bodies and answers in memory."},
    {"http", "max_buffered_bytes", "http_buffered_bytes_max", STATS_GAUGE, STATS_WHOLE,
     read_max_buffered, "How many there may be."},
};

const struct stats_table stats_table = {rows, FUT_COUNT(rows)};

/* ---- reading --------------------------------------------------------------------------------- */

static void read_http(const struct api *a, struct stats_numbers *out)
{
    for (size_t i = 0; i < a->n_loops; i++) {
        const struct http_loop *l = a->loops[i];
        out->http.connections += atomic_load_explicit(&l->connections, memory_order_relaxed);
        out->http.requests += atomic_load_explicit(&l->requests, memory_order_relaxed);
        out->http.open += atomic_load_explicit(&l->open, memory_order_relaxed);
    }
    out->http.max_connections = a->cfg.max_connections;
    out->http.waiters = waiters_count(&a->waiters);
    out->http.max_waiters = a->waiters.max;
    out->http.buffered = budget_used(&a->budget);
    out->http.max_buffered = a->budget.max;
}

void stats_read(const struct api *a, struct stats_numbers *out)
{
    const struct pool_view *pools = &a->cfg.pools;
    *out = (struct stats_numbers){0};
    out->uptime = (double)(clock_mono_ms() - a->started_mono_ms) / 1000;
    store_stats(a->cfg.store, &out->store);
    if (pools->read) {
        out->has_pools = true;
        pools->read(pools->ctx, &out->pools);
    }
    read_http(a, out);
}

/* ---- GET /v1/stats --------------------------------------------------------------------------- */

/* Whole numbers as such; others with one decimal. */
static void write_number(struct buf *b, const char *key, double v)
{
    json_out_key(b, key);
    if (v == (double)(uint64_t)v)
        buf_printf(b, "%llu", (unsigned long long)v);
    else
        buf_printf(b, "%.1f", v);
}

static void write_states(struct buf *b, const struct stats_row *row, const struct stats_numbers *n,
                         enum lane lane)
{
    bool wants_final = row->split == STATS_END_STATE;
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        enum task_state state = (enum task_state)i;
        if (task_state_is_final(state) == wants_final)
            write_number(b, task_state_name(state), row->read(n, lane, state));
    }
}

static bool is_of_lane(const struct stats_row *row)
{
    return row->split == STATS_LANE || row->split == STATS_LANE_STATE;
}

static void write_row(struct buf *b, const struct stats_row *row, const struct stats_numbers *n,
                      enum lane lane)
{
    if (row->split == STATS_LANE_STATE || row->split == STATS_END_STATE)
        write_states(b, row, n, lane);
    else if (row->member)
        write_number(b, row->member, row->read(n, lane, TASK_QUEUED));
}

static void write_lanes(struct buf *b, const struct stats_row *from, const struct stats_row *end,
                        const struct stats_numbers *n)
{
    for_each_lane (l) {
        json_out_key(b, lane_name(l));
        buf_putc(b, '{');
        for (const struct stats_row *row = from; row < end; row++) {
            if (is_of_lane(row))
                write_row(b, row, n, l);
        }
        buf_putc(b, '}');
    }
}

/* The rows from `from` on that have its section; returns the one behind them. */
static size_t write_section(struct buf *b, size_t from, const struct stats_numbers *n)
{
    const char *section = rows[from].section;
    size_t end = from;
    json_out_key(b, section);
    buf_putc(b, '{');
    if (strcmp(section, "store") == 0)
        json_out_str(b, "health", fut_err_name(n->store.health));
    while (end < FUT_COUNT(rows) && strcmp(rows[end].section, section) == 0)
        end++;
    if (is_of_lane(&rows[from]))
        write_lanes(b, &rows[from], &rows[end], n);
    for (size_t i = from; i < end; i++) {
        if (!is_of_lane(&rows[i]))
            write_row(b, &rows[i], n, LANE_IO);
    }
    if (strcmp(section, "pools") == 0 && n->pools.containment)
        json_out_str(b, "containment", n->pools.containment);
    buf_putc(b, '}');
    return end;
}

void stats_get(struct request *r)
{
    struct stats_numbers n;
    struct buf *b = &r->out;
    stats_read(r->api, &n);
    buf_putc(b, '{');
    json_out_str(b, "version", r->api->cfg.version);
    for (size_t i = 0; i < FUT_COUNT(rows);) {
        if (!rows[i].section)
            write_row(b, &rows[i++], &n, LANE_IO);
        else if (strcmp(rows[i].section, "pools") == 0 && !n.has_pools)
            i++;
        else
            i = write_section(b, i, &n);
    }
    buf_putc(b, '}');
    request_reply_json(r, 200);
}
