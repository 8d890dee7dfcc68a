/* sqlite_keys: unique and idempotency keys, and what running attempts report. The writer thread. */
#include <string.h>

#include "storage/sqlite/internal.h"

int sqlite_find_unique(struct backend *b, const char *unique, struct task_id *out)
{
    sqlite3_stmt *st = b->stmts[W_FIND_UNIQUE];
    bind_text(st, 1, unique);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out = (struct task_id){(uint64_t)sqlite3_column_int64(st, 0),
                                (uint64_t)sqlite3_column_int64(st, 1)};
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_find_key(struct backend *b, const char *key, struct backend_key *out)
{
    sqlite3_stmt *st = b->stmts[W_FIND_KEY];
    bind_text(st, 1, key);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        *out = (struct backend_key){
            .id = {(uint64_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1)}};
        if (sqlite3_column_bytes(st, 2) == STORE_FINGERPRINT_SIZE)
            memcpy(out->fingerprint, sqlite3_column_blob(st, 2), STORE_FINGERPRINT_SIZE);
    }
    (void)sqlite3_reset(st);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_noted_rc(b, step);
}

int sqlite_put_key(struct backend *b, const struct store_key *key, struct task_id id,
                   int64_t now_wall_ms)
{
    sqlite3_stmt *st = b->stmts[W_PUT_KEY];
    bind_text(st, 1, key->key);
    bind_blob(st, 2, key->fingerprint, sizeof(key->fingerprint));
    bind_int(st, 3, (int64_t)id.hi);
    bind_int(st, 4, (int64_t)id.lo);
    bind_int(st, 5, now_wall_ms);
    return sqlite_run(b, W_PUT_KEY);
}

/* ---- reports --------------------------------------------------------------------------------- */

static int check_running(struct backend *b, const struct store_report *o)
{
    sqlite3_stmt *st = b->stmts[W_IS_RUNNING];
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_int(st, 2, TASK_RUNNING);
    bind_int(st, 3, o->attempt);
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

/* How the note stands now; the message is the one just reported (an older one is not repeated). */
static int read_note(struct backend *b, const struct store_report *o, struct store_note *out)
{
    sqlite3_stmt *st = b->stmts[W_GET_NOTE];
    bind_int(st, 1, (int64_t)o->id.hi);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        bool unknown = sqlite3_column_type(st, 0) == SQLITE_NULL;
        *out = (struct store_note){.progress = unknown ? -1 : sqlite3_column_double(st, 0),
                                   .message = o->message,
                                   .log_end = (uint64_t)sqlite3_column_int64(st, 2)};
    }
    (void)sqlite3_reset(st);
    return sqlite_noted_rc(b, step);
}

int sqlite_report(struct backend *b, const struct store_report *o, struct store_note *out)
{
    int rc = check_running(b, o);
    if (rc == 0) {
        bind_int(b->stmts[W_PUT_NOTE], 1, (int64_t)o->id.hi);
        rc = sqlite_run(b, W_PUT_NOTE);
    }
    if (rc == 0 && (o->progress >= 0 || o->message))
        rc = set_progress(b, o);
    if (rc == 0 && o->log_len)
        rc = add_log(b, o);
    return rc == 0 ? read_note(b, o, out) : rc;
}
