/* timers: the times that only some tasks have (enum backend_timer), and when the next of all times
 * comes. The writer thread alone. */
#include "core/mem.h"
#include "storage/sqlite/internal.h"

static int run_put(struct backend *b, enum write_stmt put, uint64_t key, enum backend_timer which,
                   int64_t at_ms)
{
    bind_int(b->stmts[put], 1, (int64_t)key);
    bind_int(b->stmts[put], 2, which);
    bind_int(b->stmts[put], 3, at_ms);
    return sqlite_run(b, put);
}

static int put_timer(struct backend *b, uint64_t key, enum backend_timer which, int64_t at_ms)
{
    return run_put(b, W_PUT_TIMER, key, which, at_ms);
}

int sqlite_put_timers(struct backend *b, const struct task *t, bool is_first)
{
    const struct task_times *times = &t->spec->times;
    uint64_t key = t->spec->id.hi;
    int rc = 0;
    if (is_first && backend_waits_for_wall(t))
        rc = put_timer(b, key, BACKEND_RUN_AT, times->run_at_wall_ms);
    if (rc == 0 && times->expires_in_ms)
        rc = put_timer(b, key, BACKEND_EXPIRY, b->now.up_ms + times->expires_in_ms);
    if (rc == 0 && times->deadline_ms)
        rc = put_timer(b, key, BACKEND_DEADLINE, b->now.up_ms + times->deadline_ms);
    return rc;
}

int sqlite_set_due(struct backend *b, const struct task *t)
{
    uint64_t key = t->spec->id.hi;
    if (backend_waits_for_wall(t))
        return put_timer(b, key, BACKEND_RUN_AT, t->spec->times.run_at_wall_ms);
    bind_int(b->stmts[W_SET_DUE], 1, (int64_t)key);
    bind_int(b->stmts[W_SET_DUE], 2, b->now.up_ms + t->due_wall_ms - b->now.wall_ms);
    return sqlite_run(b, W_SET_DUE);
}

int sqlite_return_expiry(struct backend *b, uint64_t key)
{
    return run_put(b, W_RETURN_EXPIRY, key, BACKEND_EXPIRY, b->now.up_ms);
}

int sqlite_drop_timers(struct backend *b, uint64_t key)
{
    bind_int(b->stmts[W_DROP_TIMERS], 1, (int64_t)key);
    return sqlite_run(b, W_DROP_TIMERS);
}

int sqlite_drop_timer(struct backend *b, uint64_t key, enum backend_timer which)
{
    bind_int(b->stmts[W_DROP_TIMER], 1, (int64_t)key);
    bind_int(b->stmts[W_DROP_TIMER], 2, which);
    return sqlite_run(b, W_DROP_TIMER);
}

int sqlite_drop_expiry(struct backend *b, uint64_t key)
{
    return sqlite_drop_timer(b, key, BACKEND_EXPIRY);
}

int sqlite_timed_out(struct backend *b, enum backend_timer which, size_t max, struct task *tasks,
                     size_t *out_n)
{
    sqlite3_stmt *st = b->stmts[W_TIMED_OUT];
    size_t n = 0;
    int step = SQLITE_ROW;
    bind_int(st, 1, which);
    bind_int(st, 2, b->now.up_ms);
    bind_int(st, 3, (int64_t)max);
    while (n < max && (step = sqlite3_step(st)) == SQLITE_ROW)
        sqlite_read_live(st, &tasks[n++]);
    (void)sqlite3_reset(st);
    *out_n = n;
    return sqlite_noted_rc(b, step);
}

/* The first number of the bound statement's first row into *out, when it is a smaller one. */
static int read_earlier(struct backend *b, enum write_stmt which, int64_t *out)
{
    sqlite3_stmt *st = b->stmts[which];
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL &&
        sqlite3_column_int64(st, 0) < *out)
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

int sqlite_next_times(struct backend *b, struct backend_next *out)
{
    struct backend_next next = {INT64_MAX, INT64_MAX, INT64_MAX};
    int64_t *const to[BACKEND_TIMER_COUNT] = {
        [BACKEND_RUN_AT] = &next.run_at_wall_ms,
        [BACKEND_EXPIRY] = &next.limit_up_ms,
        [BACKEND_DEADLINE] = &next.limit_up_ms,
    };
    int rc = read_earlier(b, W_NEXT_DUE, &next.due_up_ms);
    for (int i = 0; rc == 0 && i < BACKEND_TIMER_COUNT; i++) {
        bind_int(b->stmts[W_NEXT_TIMER], 1, i);
        rc = read_earlier(b, W_NEXT_TIMER, to[i]);
    }
    if (rc == 0)
        *out = next;
    return rc;
}
