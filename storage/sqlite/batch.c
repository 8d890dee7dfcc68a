/* sqlite_batch: batches as the writer sees them. What a batch has come to is counted when asked. */
#include "storage/sqlite/internal.h"

int sqlite_batch_put(struct backend *b, const struct store_batch *batch)
{
    sqlite3_stmt *st = b->stmts[W_PUT_BATCH];
    bind_int(st, 1, (int64_t)batch->id.hi);
    bind_int(st, 2, (int64_t)batch->id.lo);
    bind_int(st, 3, batch->created_wall_ms);
    bind_int(st, 4, batch->total);
    bind_int(st, 5, batch->fail_fast);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return step == SQLITE_CONSTRAINT ? FUT_ERR_EXISTS : sqlite_noted_rc(b, step);
}

int sqlite_batch_failed(struct backend *b, uint64_t key, bool *out_cancel)
{
    bind_int(b->stmts[W_FAIL_BATCH], 1, (int64_t)key);
    int rc = sqlite_run(b, W_FAIL_BATCH);
    *out_cancel = rc == 0 && sqlite3_changes(b->db) > 0;
    return rc;
}

int sqlite_batch_cancel(struct backend *b, struct task_id id)
{
    bind_int(b->stmts[W_CANCEL_BATCH], 1, (int64_t)id.hi);
    bind_int(b->stmts[W_CANCEL_BATCH], 2, (int64_t)id.lo);
    int rc = sqlite_run(b, W_CANCEL_BATCH);
    return rc == 0 && sqlite3_changes(b->db) == 0 ? FUT_ERR_NOT_FOUND : rc;
}

int sqlite_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n)
{
    bind_int(b->stmts[W_UNFINISHED], 1, (int64_t)max);
    int rc = sqlite_read_lives(b, W_UNFINISHED, max, tasks, out_n);
    return rc == 0 && *out_n == 0 ? sqlite_run(b, W_CANCELLED) : rc;
}
