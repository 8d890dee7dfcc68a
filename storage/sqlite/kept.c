/* kept: what is kept for a time of its own, as the queue says in which it ended. The writer thread
 * alone. A database in which nothing is, is not asked for any. */
#include "storage/sqlite/internal.h"

int sqlite_find_kept(struct backend *b)
{
    sqlite3_stmt *st = b->stmts[W_HAS_KEPT];
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        b->has_kept = sqlite3_column_int(st, 0) != 0;
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

int sqlite_keep(struct backend *b, const struct task *t)
{
    b->has_kept = true;
    bind_int(b->stmts[W_KEEP], 2, b->now.up_ms + t->keep_ms);
    return sqlite_run_with_key(b, W_KEEP, (int64_t)t->spec->id.hi);
}

int sqlite_keep_members(struct backend *b, const struct backend_end *e)
{
    if (!e->keep_ms)
        return 0;
    b->has_kept = true;
    bind_int(b->stmts[W_KEEP_BATCH], 2, e->keep_ms);
    return sqlite_run_with_key(b, W_KEEP_BATCH, e->batch);
}

int sqlite_set_ended(struct backend *b, int64_t batch, int64_t up_ms)
{
    bind_int_or_null(b->stmts[W_SET_ENDED], 2, up_ms, -1);
    return sqlite_run_with_key(b, W_SET_ENDED, batch);
}

int sqlite_keep_batch(struct backend *b, int64_t batch)
{
    int rc = b->has_kept ? sqlite_run_with_key(b, W_KEEP_ENDED, batch) : 0;
    return rc == 0 && b->has_kept && sqlite3_changes(b->db) ? sqlite_set_ended(b, batch, -1) : rc;
}

int sqlite_drop_kept(struct backend *b, int64_t key)
{
    return b->has_kept ? sqlite_run_with_key(b, W_DROP_KEPT, key) : 0;
}
