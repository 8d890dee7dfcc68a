#include "storage/fault.h"

#include <stdatomic.h>

static struct {
    atomic_uint calls, after, times, given;
    atomic_int rc;
} points[STORE_FAULT_POINTS];

static const struct backend_ops *inner;
static struct backend_ops wrapped;

void store_fault_arm(enum store_fault_point point, unsigned after, unsigned times, int rc)
{
    atomic_store(&points[point].times, 0); /* none while it changes */
    atomic_store(&points[point].calls, 0);
    atomic_store(&points[point].given, 0);
    atomic_store(&points[point].after, after);
    atomic_store(&points[point].rc, rc);
    atomic_store(&points[point].times, times);
}

unsigned store_fault_count(enum store_fault_point point)
{
    return atomic_load(&points[point].given);
}

/* The fault that is due at this call, or 0. */
static int due(enum store_fault_point point)
{
    unsigned call = atomic_fetch_add(&points[point].calls, 1);
    unsigned after = atomic_load(&points[point].after);
    if (call < after || call - after >= atomic_load(&points[point].times))
        return 0;
    atomic_fetch_add(&points[point].given, 1);
    return atomic_load(&points[point].rc);
}

static int fault_begin(struct backend *b, struct backend_time now)
{
    int rc = due(STORE_FAULT_BEGIN);
    return rc ? rc : inner->begin(b, now);
}

static int fault_commit(struct backend *b)
{
    int rc = due(STORE_FAULT_COMMIT);
    return rc ? rc : inner->commit(b);
}

static int fault_insert(struct backend *b, const struct task *t, int64_t line, int64_t place)
{
    int rc = due(STORE_FAULT_INSERT);
    return rc ? rc : inner->insert(b, t, line, place);
}

static int fault_change(struct backend *b, const struct task_change *c, const struct task *after,
                        int64_t line, int64_t place)
{
    int rc = due(STORE_FAULT_CHANGE);
    return rc ? rc : inner->change(b, c, after, line, place);
}

static int fault_take(struct backend *b, int64_t line, const struct task_move *move, size_t max,
                      struct backend_row *rows, size_t *out_n, int64_t *out_next)
{
    int rc = due(STORE_FAULT_TAKE);
    return rc ? rc : inner->take(b, line, move, max, rows, out_n, out_next);
}

static int fault_put_checkpoint(struct backend *b, const struct store_checkpoint *o)
{
    int rc = due(STORE_FAULT_CHECKPOINT);
    return rc ? rc : inner->put_checkpoint(b, o);
}

static int fault_queue_put(struct backend *b, const struct store_queue *queue)
{
    int rc = due(STORE_FAULT_QUEUE);
    return rc ? rc : inner->queue_put(b, queue);
}

static int fault_fair_put(struct backend *b, const char *queue,
                          const struct store_fair_weight *weight)
{
    int rc = due(STORE_FAULT_QUEUE);
    return rc ? rc : inner->fair_put(b, queue, weight);
}

static int fault_pause_put(struct backend *b, enum store_pausable kind, const char *name,
                           const struct pool_pause *pause)
{
    int rc = due(STORE_FAULT_QUEUE);
    return rc ? rc : inner->pause_put(b, kind, name, pause);
}

static int fault_reserve(struct backend *b, bool on)
{
    int rc = on ? due(STORE_FAULT_RESERVE) : 0;
    return rc ? rc : inner->reserve(b, on);
}

static int fault_get(struct backend_reader *r, struct store_get *o)
{
    int rc = due(STORE_FAULT_GET);
    return rc ? rc : inner->get(r, o);
}

static int fault_attempts(struct backend_reader *r, struct store_attempts *o)
{
    int rc = due(STORE_FAULT_ATTEMPTS);
    return rc ? rc : inner->attempts(r, o);
}

const struct backend_ops *store_fault_wrap(const struct backend_ops *ops)
{
    if (inner == ops) /* another store of the process has it already */
        return &wrapped;
    inner = ops;
    wrapped = *ops;
    wrapped.begin = fault_begin;
    wrapped.commit = fault_commit;
    wrapped.insert = fault_insert;
    wrapped.change = fault_change;
    wrapped.take = fault_take;
    wrapped.put_checkpoint = fault_put_checkpoint;
    wrapped.get = fault_get;
    wrapped.attempts = fault_attempts;
    wrapped.reserve = fault_reserve;
    wrapped.queue_put = fault_queue_put;
    wrapped.fair_put = fault_fair_put;
    wrapped.pause_put = fault_pause_put;
    return &wrapped;
}
