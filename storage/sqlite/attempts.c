/* attempts: how attempts ended that did not end their task; another life. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"

/* ---- writing: the writer thread -------------------------------------------------------------- */

static void bind_outcome(sqlite3_stmt *st, const struct task_outcome *o)
{
    static const struct task_outcome none = {.exit_code = -1};
    if (!o)
        o = &none;
    bind_text(st, 6, o->code);
    bind_text(st, 7, o->message);
    bind_int_or_null(st, 8, o->exit_code, -1);
    bind_int_or_null(st, 9, o->signal, 0);
    bind_int_or_null(st, 10, o->oom, TASK_OOM_UNKNOWN);
    bind_int_or_null(st, 11, (int64_t)o->max_rss_kib, 0);
    bind_int_or_null(st, 12, o->max_rss_kib ? (int64_t)o->cpu_ms : -1, -1);
    if (o->log_len)
        bind_blob(st, 13, o->log, o->log_len);
    else
        (void)sqlite3_bind_null(st, 13);
    bind_text(st, 14, o->error_type);
}

static int trim(struct backend *b, uint64_t key, uint32_t attempt)
{
    if (attempt <= STORE_ATTEMPTS_MAX)
        return 0;
    bind_int(b->stmts[W_TRIM_ATTEMPTS], 1, (int64_t)key);
    bind_int(b->stmts[W_TRIM_ATTEMPTS], 2, (int64_t)attempt - STORE_ATTEMPTS_MAX);
    return sqlite_run(b, W_TRIM_ATTEMPTS);
}

int sqlite_add_attempt(struct backend *b, uint64_t key, const struct store_attempt *a)
{
    sqlite3_stmt *st = b->stmts[W_ADD_ATTEMPT];
    struct store_attempt kept = backend_keep_attempt(a);
    bind_int(st, 1, (int64_t)key);
    bind_int(st, 2, kept.attempt);
    bind_int(st, 3, kept.state);
    bind_int_or_null(st, 4, kept.started_wall_ms, 0);
    bind_int(st, 5, kept.finished_wall_ms);
    bind_outcome(st, kept.outcome);
    int rc = sqlite_run(b, W_ADD_ATTEMPT);
    task_outcome_unref(kept.outcome);
    return rc == 0 ? trim(b, key, a->attempt) : rc;
}

int sqlite_set_callback(struct backend *b, uint64_t key, struct task_id callback)
{
    sqlite3_stmt *st = b->stmts[W_SET_CALLBACK];
    bind_int(st, 1, (int64_t)key);
    bind_int(st, 2, (int64_t)callback.hi);
    bind_int(st, 3, (int64_t)callback.lo);
    return sqlite_run(b, W_SET_CALLBACK);
}

/* ---- reading: a reader thread ---------------------------------------------------------------- */

static struct task_outcome *read_outcome(sqlite3_stmt *st)
{
    return task_outcome_new(&(struct task_outcome){
        .code = column_text(st, 4),
        .message = column_text(st, 5),
        .exit_code = sqlite_int_or(st, 6, -1),
        .signal = sqlite_int_or(st, 7, 0),
        .oom = (enum task_oom)sqlite_int_or(st, 8, TASK_OOM_UNKNOWN),
        .max_rss_kib = (uint64_t)sqlite3_column_int64(st, 9),
        .cpu_ms = (uint64_t)sqlite3_column_int64(st, 10),
        .log = sqlite3_column_blob(st, 11),
        .log_len = (size_t)sqlite3_column_bytes(st, 11),
        .error_type = column_text(st, 12),
    });
}

static struct store_attempt read_attempt(sqlite3_stmt *st)
{
    return (struct store_attempt){
        .attempt = (uint32_t)sqlite3_column_int64(st, 0),
        .state = (enum task_state)sqlite3_column_int(st, 1),
        .started_wall_ms = sqlite3_column_int64(st, 2),
        .finished_wall_ms = sqlite3_column_int64(st, 3),
        .outcome = sqlite3_column_type(st, 4) == SQLITE_NULL ? NULL : read_outcome(st),
    };
}

int sqlite_attempts(struct backend_reader *r, struct store_attempts *o)
{
    sqlite3_stmt *st = r->stmts[R_ATTEMPTS];
    int step;
    bind_int(st, 1, (int64_t)o->id.hi);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && o->n < STORE_ATTEMPTS_MAX) {
        if (!o->attempts)
            o->attempts = xcalloc(STORE_ATTEMPTS_MAX, sizeof(*o->attempts));
        o->attempts[o->n++] = read_attempt(st);
    }
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}
