/* queues: what is said of queues and handlers, as rows; and since when a queue's tasks wait. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "storage/sqlite/internal.h"

/* ---- the writer -------------------------------------------------------------------------------
 */

int sqlite_queue_put(struct backend *b, const struct store_queue *queue)
{
    sqlite3_stmt *st = b->stmts[W_QUEUE_PUT];
    bind_text(st, 1, queue->name);
    (void)sqlite3_bind_double(st, 2, queue->weight);
    bind_int(st, 3, queue->limit.max_running);
    (void)sqlite3_bind_double(st, 4, queue->limit.rate_tasks);
    bind_int(st, 5, queue->limit.rate_per_ms);
    (void)sqlite3_bind_double(st, 6, queue->limit.rate_burst);
    bind_int(st, 7, queue->age_after_ms);
    bind_int(st, 8, queue->retention_ms);
    return sqlite_run(b, W_QUEUE_PUT);
}

int sqlite_queue_drop(struct backend *b, const char *name)
{
    bind_text(b->stmts[W_QUEUE_DROP], 1, name);
    bind_text(b->stmts[W_FAIR_DROP_ALL], 1, name);
    int rc = sqlite_run(b, W_QUEUE_DROP);
    return rc == 0 ? sqlite_run(b, W_FAIR_DROP_ALL) : rc;
}

int sqlite_queue_put_fair(struct backend *b, const char *queue,
                          const struct store_fair_weight *weight)
{
    enum write_stmt which = weight->weight > 0 ? W_FAIR_PUT : W_FAIR_DROP;
    sqlite3_stmt *st = b->stmts[which];
    bind_text(st, 1, queue);
    bind_text(st, 2, weight->key);
    if (weight->weight > 0)
        (void)sqlite3_bind_double(st, 3, weight->weight);
    return sqlite_run(b, which);
}

int sqlite_queue_put_pause(struct backend *b, enum store_pausable kind, const char *name,
                           const struct pool_pause *pause)
{
    enum write_stmt which = pause->since_wall_ms ? W_PAUSE_PUT : W_PAUSE_DROP;
    sqlite3_stmt *st = b->stmts[which];
    bind_int(st, 1, kind);
    bind_text(st, 2, name);
    if (which == W_PAUSE_PUT) {
        bind_int(st, 3, pause->since_wall_ms);
        bind_text(st, 4, pause->by);
        bind_text(st, 5, pause->reason);
    }
    return sqlite_run(b, which);
}

/* ---- at start ---------------------------------------------------------------------------------
 */

static void load_queue(sqlite3_stmt *st, backend_queue_fn *fn, void *ctx)
{
    struct store_queue q = {.weight = sqlite3_column_double(st, 1),
                            .limit = {.max_running = (uint32_t)sqlite3_column_int64(st, 2),
                                      .rate_tasks = sqlite3_column_double(st, 3),
                                      .rate_per_ms = sqlite3_column_int64(st, 4),
                                      .rate_burst = sqlite3_column_double(st, 5)},
                            .age_after_ms = sqlite3_column_int64(st, 6),
                            .retention_ms = sqlite3_column_int64(st, 7)};
    (void)snprintf(q.name, sizeof(q.name), "%s", column_text(st, 0));
    fn(ctx, &q);
}

static void load_fair(sqlite3_stmt *st, backend_fair_fn *fn, void *ctx)
{
    struct store_fair_weight w = {.weight = sqlite3_column_double(st, 2)};
    (void)snprintf(w.key, sizeof(w.key), "%s", column_text(st, 1));
    fn(ctx, column_text(st, 0), &w);
}

static void load_pause(sqlite3_stmt *st, backend_pause_fn *fn, void *ctx)
{
    struct pool_pause p = {.since_wall_ms = sqlite3_column_int64(st, 2)};
    (void)snprintf(p.by, sizeof(p.by), "%s", column_text(st, 3));
    (void)snprintf(p.reason, sizeof(p.reason), "%s", column_text(st, 4));
    fn(ctx, (enum store_pausable)sqlite3_column_int(st, 0), column_text(st, 1), &p);
}

int sqlite_queues(struct backend *b, backend_queue_fn *queue_fn, backend_fair_fn *fair_fn,
                  backend_pause_fn *pause_fn, void *ctx)
{
    sqlite3_stmt *queues = b->stmts[W_QUEUES], *fair = b->stmts[W_FAIR_WEIGHTS];
    sqlite3_stmt *pauses = b->stmts[W_PAUSES];
    int step, rc;
    while ((step = sqlite3_step(queues)) == SQLITE_ROW)
        load_queue(queues, queue_fn, ctx);
    (void)sqlite3_reset(queues);
    rc = sqlite_noted_rc(b, step);
    while (rc == 0 && (step = sqlite3_step(fair)) == SQLITE_ROW)
        load_fair(fair, fair_fn, ctx);
    (void)sqlite3_reset(fair);
    rc = rc ? rc : sqlite_noted_rc(b, step);
    while (rc == 0 && (step = sqlite3_step(pauses)) == SQLITE_ROW)
        load_pause(pauses, pause_fn, ctx);
    (void)sqlite3_reset(pauses);
    return rc ? rc : sqlite_noted_rc(b, step);
}

/* ---- readers ----------------------------------------------------------------------------------
 */

/* The oldest of those that are first of their priorities in the line. */
static int oldest_of_line(struct backend_reader *r, int64_t line, bool is_strict, int64_t *oldest)
{
    sqlite3_stmt *st = r->stmts[R_LINE_NEXT];
    int64_t from = INT64_MIN;
    int step;
    do {
        bind_int(st, 1, line);
        bind_int(st, 2, from);
        step = sqlite3_step(st);
        if (step == SQLITE_ROW) {
            int64_t at = backend_place_wall_ms(sqlite3_column_int64(st, 0), 0, 0);
            *oldest = !*oldest || at < *oldest ? at : *oldest;
            from = backend_place_below(sqlite3_column_int64(st, 1));
        }
        (void)sqlite3_reset(st);
    } while (step == SQLITE_ROW && is_strict);
    return step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sqlite_rc(r->db, step);
}

static int oldest_of(struct backend_reader *r, const struct store_queue_status *q, int64_t *oldest)
{
    sqlite3_stmt *st = r->stmts[R_QUEUE_LINES];
    bool is_default = strcmp(q->queue.name, TASK_QUEUE_DEFAULT) == 0;
    int step, rc = 0;
    bind_text(st, 1, is_default ? "" : q->queue.name);
    bind_int(st, 2, STORE_QUEUE_LINES_MAX);
    while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW)
        rc = oldest_of_line(r, sqlite3_column_int64(st, 0), !q->queue.age_after_ms, oldest);
    (void)sqlite3_reset(st);
    return rc ? rc : sqlite_rc(r->db, step);
}

int sqlite_queue_oldest(struct backend_reader *r, struct store_queue_oldest *o)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->n; i++) {
        o->wall_ms[i] = 0;
        rc = oldest_of(r, &o->queues[i], &o->wall_ms[i]);
    }
    return rc;
}
