/* report: what running attempts report: progress and log. The writer thread alone. */
#include "storage/sqlite/internal.h"

int sqlite_check_running(struct backend *b, struct task_id id, uint32_t attempt)
{
    sqlite3_stmt *st = b->stmts[W_IS_RUNNING];
    bind_int(st, 1, (int64_t)id.hi);
    bind_int(st, 2, TASK_RUNNING);
    bind_int(st, 3, attempt);
    int step = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_STALE : sqlite_noted_rc(b, step);
}

static int set_progress(struct backend *b, const struct store_report *o)
{
    sqlite3_stmt *st = b->stmts[W_SET_PROGRESS];
    bind_int(st, 1, (int64_t)o->id.hi);
    if (o->progress >= 0)
        (void)sqlite3_bind_double(st, 2, o->progress);
    else
        (void)sqlite3_bind_null(st, 2);
    bind_text(st, 3, o->message);
    return sqlite_run(b, W_SET_PROGRESS);
}

static int add_log(struct backend *b, const struct store_report *o)
{
    sqlite3_stmt *st = b->stmts[W_ADD_LOG];
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_blob(st, 2, o->log, o->log_len);
    bind_int(st, 3, STORE_LOG_MAX);
    return sqlite_run(b, W_ADD_LOG);
}

int sqlite_report(struct backend *b, const struct store_report *o)
{
    int rc = sqlite_check_running(b, o->id, o->attempt);
    if (rc == 0) {
        bind_int(b->stmts[W_PUT_NOTE], 1, (int64_t)o->id.hi);
        rc = sqlite_run(b, W_PUT_NOTE);
    }
    if (rc == 0 && (o->progress >= 0 || o->message))
        rc = set_progress(b, o);
    if (rc == 0 && o->log_len)
        rc = add_log(b, o);
    return rc;
}
