/* settings: what is said of queues, handlers and limits, as rows; and since when a queue's tasks
 * wait. The methods that take a backend run on the writer thread alone. */
#include <stdio.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/postgres/internal.h"

/* ---- queues -----------------------------------------------------------------------------------
 */

int postgres_queue_put(struct backend *b, const struct store_queue *queue)
{
    return postgres_send(
        &b->c, P_QUEUE_PUT,
        PG_VALUES(v_text(queue->name), v_double(queue->weight), v_int(queue->limit.max_running),
                  v_double(queue->limit.rate_tasks), v_int(queue->limit.rate_per_ms),
                  v_double(queue->limit.rate_burst), v_int(queue->age_after_ms),
                  v_int(queue->retention_ms)));
}

int postgres_queue_drop(struct backend *b, const char *name)
{
    int rc = postgres_send(&b->c, P_QUEUE_DROP, PG_VALUES(v_text(name)));
    return rc == 0 ? postgres_send(&b->c, P_FAIR_DROP_ALL, PG_VALUES(v_text(name))) : rc;
}

int postgres_fair_put(struct backend *b, const char *queue, const struct store_fair_weight *weight)
{
    if (weight->weight > 0)
        return postgres_send(
            &b->c, P_FAIR_PUT,
            PG_VALUES(v_text(queue), v_text(weight->key), v_double(weight->weight)));
    return postgres_send(&b->c, P_FAIR_DROP, PG_VALUES(v_text(queue), v_text(weight->key)));
}

int postgres_pause_put(struct backend *b, enum store_pausable kind, const char *name,
                       const struct pool_pause *pause)
{
    if (!pause->since_wall_ms)
        return postgres_send(&b->c, P_PAUSE_DROP, PG_VALUES(v_int(kind), v_text(name)));
    return postgres_send(&b->c, P_PAUSE_PUT,
                         PG_VALUES(v_int(kind), v_text(name), v_int(pause->since_wall_ms),
                                   v_text(pause->by), v_text(pause->reason)));
}

static void load_queue(const PGresult *r, int row, backend_queue_fn *fn, void *ctx)
{
    struct store_queue q = {.weight = postgres_double(r, row, 1),
                            .limit = {.max_running = (uint32_t)postgres_int(r, row, 2),
                                      .rate_tasks = postgres_double(r, row, 3),
                                      .rate_per_ms = postgres_int(r, row, 4),
                                      .rate_burst = postgres_double(r, row, 5)},
                            .age_after_ms = postgres_int(r, row, 6),
                            .retention_ms = postgres_int(r, row, 7)};
    (void)snprintf(q.name, sizeof(q.name), "%s", postgres_text(r, row, 0));
    fn(ctx, &q);
}

static void load_fair(const PGresult *r, int row, backend_fair_fn *fn, void *ctx)
{
    struct store_fair_weight w = {.weight = postgres_double(r, row, 2)};
    (void)snprintf(w.key, sizeof(w.key), "%s", postgres_text(r, row, 1));
    fn(ctx, postgres_text(r, row, 0), &w);
}

static void load_pause(const PGresult *r, int row, backend_pause_fn *fn, void *ctx)
{
    struct pool_pause p = {.since_wall_ms = postgres_int(r, row, 2)};
    (void)snprintf(p.by, sizeof(p.by), "%s", postgres_text(r, row, 3));
    (void)snprintf(p.reason, sizeof(p.reason), "%s", postgres_text(r, row, 4));
    fn(ctx, (enum store_pausable)postgres_int(r, row, 0), postgres_text(r, row, 1), &p);
}

int postgres_queues(struct backend *b, backend_queue_fn *queue_fn, backend_fair_fn *fair_fn,
                    backend_pause_fn *pause_fn, void *ctx)
{
    static const enum postgres_stmt stmts[] = {P_QUEUES, P_FAIR_WEIGHTS, P_PAUSES};
    for (size_t k = 0; k < FUT_COUNT(stmts); k++) {
        PGresult *r;
        int rc = postgres_ask(&b->c, stmts[k], PG_NO_VALUES, &r);
        if (rc != 0)
            return rc;
        for (int i = 0; i < PQntuples(r); i++) {
            if (stmts[k] == P_QUEUES)
                load_queue(r, i, queue_fn, ctx);
            else if (stmts[k] == P_FAIR_WEIGHTS)
                load_fair(r, i, fair_fn, ctx);
            else
                load_pause(r, i, pause_fn, ctx);
        }
        PQclear(r);
    }
    return 0;
}

/* ---- limits -----------------------------------------------------------------------------------
 */

int postgres_limit_put(struct backend *b, const struct store_limit *limit)
{
    return postgres_send(&b->c, P_LIMIT_PUT,
                         PG_VALUES(v_text(limit->name), v_int(limit->per_key),
                                   v_int(limit->max_running), v_double(limit->rate_tasks),
                                   v_int(limit->rate_per_ms), v_double(limit->rate_burst)));
}

int postgres_limit_drop(struct backend *b, const char *name)
{
    return postgres_send(&b->c, P_LIMIT_DROP, PG_VALUES(v_text(name)));
}

int postgres_limit_key_put(struct backend *b, const struct backend_limit_key *key)
{
    return postgres_send(&b->c, P_LIMIT_KEY_PUT,
                         PG_VALUES(v_text(key->name), v_text(key->key), v_double(key->tokens),
                                   v_int(key->tokens_up_ms), v_int(key->closed_until_up_ms)));
}

int postgres_limit_key_drop(struct backend *b, const char *name, const char *key)
{
    return postgres_send(&b->c, P_LIMIT_KEY_DROP, PG_VALUES(v_text(name), v_text(key)));
}

static void load_limit(const PGresult *r, int row, backend_limit_fn *fn, void *ctx)
{
    struct store_limit l = {.per_key = postgres_int(r, row, 1) != 0,
                            .max_running = (uint32_t)postgres_int(r, row, 2),
                            .rate_tasks = postgres_double(r, row, 3),
                            .rate_per_ms = postgres_int(r, row, 4),
                            .rate_burst = postgres_double(r, row, 5)};
    (void)snprintf(l.name, sizeof(l.name), "%s", postgres_text(r, row, 0));
    fn(ctx, &l);
}

int postgres_limits(struct backend *b, backend_limit_fn *limit_fn, backend_limit_key_fn *key_fn,
                    void *ctx)
{
    PGresult *r;
    int rc = postgres_ask(&b->c, P_LIMITS, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(r); i++)
        load_limit(r, i, limit_fn, ctx);
    PQclear(r);
    rc = postgres_ask(&b->c, P_LIMIT_KEYS, PG_NO_VALUES, &r);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(r); i++)
        key_fn(ctx, &(struct backend_limit_key){postgres_text(r, i, 0), postgres_text(r, i, 1),
                                                postgres_double(r, i, 2), postgres_int(r, i, 3),
                                                postgres_int(r, i, 4)});
    PQclear(r);
    return 0;
}

/* ---- reading: a reader thread -----------------------------------------------------------------
 */

/* The oldest of those that are first of their priorities in the line. */
static int oldest_of_line(struct backend_reader *r, int64_t line, bool is_strict, int64_t *oldest)
{
    int64_t from = INT64_MIN;
    bool is_there;
    do {
        PGresult *row;
        int rc = postgres_read(r, P_LINE_NEXT, PG_VALUES(v_int(line), v_int(from)), &row);
        if (rc != 0)
            return rc;
        is_there = PQntuples(row) > 0;
        if (is_there) {
            int64_t at = backend_place_wall_ms(postgres_int(row, 0, 0), 0, 0);
            *oldest = !*oldest || at < *oldest ? at : *oldest;
            from = backend_place_below(postgres_int(row, 0, 1));
        }
        PQclear(row);
    } while (is_there && is_strict);
    return 0;
}

static int oldest_of(struct backend_reader *r, const struct store_queue_status *q, int64_t *oldest)
{
    bool is_default = strcmp(q->queue.name, TASK_QUEUE_DEFAULT) == 0;
    PGresult *lines;
    int rc = postgres_read(
        r, P_QUEUE_LINES,
        PG_VALUES(v_text(is_default ? "" : q->queue.name), v_int(STORE_QUEUE_LINES_MAX)), &lines);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < PQntuples(lines); i++)
        rc = oldest_of_line(r, postgres_int(lines, i, 0), !q->queue.age_after_ms, oldest);
    PQclear(lines);
    return rc;
}

int postgres_queue_oldest(struct backend_reader *r, struct store_queue_oldest *o)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->n; i++) {
        o->wall_ms[i] = 0;
        rc = oldest_of(r, &o->queues[i], &o->wall_ms[i]);
    }
    return rc;
}
