/* checkpoints: what attempts stored for those that come. A database in which nobody ever stored one
 * is not asked for any: tasks that do not use them cost nothing. */
#include "core/mem.h"
#include "storage/sqlite/internal.h"

static bool may_have(const struct backend *b)
{
    return atomic_load_explicit(&b->has_checkpoints, memory_order_relaxed);
}

/* The columns that all statements give first; the body where there is a fifth one. */
static struct task_checkpoint *read_row(sqlite3_stmt *st)
{
    const unsigned char *body = NULL;
    if (sqlite3_column_count(st) > 4)
        body = sqlite3_column_bytes(st, 4) ? sqlite3_column_blob(st, 4) : (const void *)"";
    return task_checkpoint_new(&(struct task_checkpoint){
        .attempt = (uint32_t)sqlite3_column_int64(st, 0),
        .stored_wall_ms = sqlite3_column_int64(st, 1),
        .type = column_text(st, 2),
        .len = (size_t)sqlite3_column_int64(st, 3),
        .body = body,
    });
}

/* ---- writing: the writer thread -------------------------------------------------------------- */

int sqlite_find_checkpoints(struct backend *b)
{
    sqlite3_stmt *st = b->stmts[W_HAS_CHECKPOINTS];
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        atomic_store(&b->has_checkpoints, sqlite3_column_int(st, 0) != 0);
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

int sqlite_put_checkpoint(struct backend *b, const struct store_checkpoint *o)
{
    sqlite3_stmt *st = b->stmts[W_PUT_CHECKPOINT];
    int rc = sqlite_check_running(b, o->id, o->attempt);
    if (rc != 0)
        return rc;
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_int(st, 2, o->attempt);
    bind_int(st, 3, b->now.wall_ms);
    bind_text(st, 4, o->type);
    bind_blob(st, 5, o->body, o->len);
    atomic_store(&b->has_checkpoints, true);
    return sqlite_run(b, W_PUT_CHECKPOINT);
}

int sqlite_drop_checkpoint(struct backend *b, uint64_t key)
{
    if (!may_have(b))
        return 0;
    bind_int(b->stmts[W_DELETE_CHECKPOINT], 1, (int64_t)key);
    return sqlite_run(b, W_DELETE_CHECKPOINT);
}

int sqlite_load_checkpoint(struct backend *b, uint64_t key, struct task_checkpoint **out)
{
    sqlite3_stmt *st = b->stmts[W_GET_CHECKPOINT];
    *out = NULL;
    if (!may_have(b))
        return 0;
    bind_int(st, 1, (int64_t)key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out = read_row(st);
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

/* ---- reading: a reader thread ---------------------------------------------------------------- */

int sqlite_read_checkpoint(struct backend_reader *r, struct task *t, bool with_body)
{
    sqlite3_stmt *st = r->stmts[with_body ? R_CHECKPOINT : R_CHECKPOINT_SIZE];
    if (!may_have(r->b))
        return 0;
    bind_int(st, 1, (int64_t)t->spec->id.hi);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        t->checkpoint = read_row(st);
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}
