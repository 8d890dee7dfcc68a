/* sqlite_internal: what the files of the SQLite backend share. */
#ifndef FUT_STORAGE_SQLITE_INTERNAL_H
#define FUT_STORAGE_SQLITE_INTERNAL_H

#include <sqlite3.h>

#include "storage/backend.h"

/* One prepared statement per entry of a table; a NULL stmt was not prepared yet. */
enum write_stmt {
    W_BEGIN,
    W_COMMIT,
    W_ROLLBACK,
    W_MARK,
    W_UNMARK,
    W_BACK,
    W_INSERT_TASK,
    W_INSERT_LIVE,
    W_PUT_OPTIONS,
    W_UPDATE_LIVE,
    W_DELETE_LIVE,
    W_INSERT_RESULT,
    W_TAKE_RESULT,
    W_ADD_ATTEMPT,
    W_TRIM_ATTEMPTS,
    W_SET_CALLBACK,
    W_TAKE,
    W_TAKE_PART,
    W_TAKE_ONE,
    W_LOAD,
    W_DUE,
    W_PROMOTE_ONE,
    W_NEXT_DUE,
    W_IN_STATE,
    W_WAITING,
    W_WAKE_ONE,
    W_FIND_UNIQUE,
    W_FIND_KEY,
    W_PUT_KEY,
    W_PRUNE_KEYS,
    W_PUT_BATCH,
    W_FAIL_BATCH,
    W_CANCEL_BATCH,
    W_UNFINISHED,
    W_CANCELLED,
    W_PRUNE_BATCHES,
    W_IS_RUNNING,
    W_PUT_NOTE,
    W_SET_PROGRESS,
    W_ADD_LOG,
    W_GET_NOTE,
    W_DELETE_NOTE,
    W_IS_LIVE,
    W_DELETE_TASK,
    W_DELETE_RESULT,
    W_DELETE_ATTEMPTS,
    W_DELETE_OPTIONS,
    W_OLDEST,
    W_TOUCH,
    W_COUNT,
};

struct backend {
    sqlite3 *db;
    int lock_fd;
    char *path;
    int64_t reserve_bytes; /* disk space to hold back */
    int wal_pages;         /* in the log, as of the latest commit */
    bool is_behind;        /* the latest checkpoint failed */
    bool broken;           /* an fsync failed, or the file is damaged: leave it as it is */
    sqlite3_stmt *stmts[W_COUNT];
};

/* sqlite_schema.c: opens a file that must be there and ours (FUT_ERR_INVAL: another program's, or
 * newer), and changes nothing in it, not even when the connection is closed. */
int sqlite_look(const char *path, sqlite3 **out, struct fut_errbuf *err);
/* Opens one connection with our settings, by a VFS (NULL: SQLite's own). */
int sqlite_connect(const char *path, const char *vfs, sqlite3 **out, struct fut_errbuf *err);
int sqlite_migrate(sqlite3 *db, const char *path, struct fut_errbuf *err);
/* SQLite's result code to ours. */
int sqlite_rc(sqlite3 *db, int rc);
/* The sentence for the operator about a file that cannot be used; returns rc. */
int sqlite_fail(sqlite3 *db, const char *path, int rc, struct fut_errbuf *err);

/* sqlite_room.c */
int sqlite_hold_room(struct backend *b, bool hold);
int sqlite_touch(struct backend *b);
/* From now on b->wal_pages is kept. */
void sqlite_watch_wal(struct backend *b);
/* Moves the log into the database file when it has grown long. */
int sqlite_tidy(struct backend *b);

/* sqlite_sql.c */
int sqlite_prepare_writes(struct backend *b);
void sqlite_finalize_writes(struct backend *b);
/* sqlite_rc of the writing connection; remembers what must not be written to any more. */
int sqlite_noted_rc(struct backend *b, int sqlite);
/* Runs a prepared and bound statement that gives no rows. */
int sqlite_run(struct backend *b, enum write_stmt which);

/* sqlite_write.c */
int sqlite_begin(struct backend *b);
int sqlite_commit(struct backend *b);
void sqlite_rollback(struct backend *b);
int sqlite_mark(struct backend *b);
int sqlite_unmark(struct backend *b);
int sqlite_back(struct backend *b);
int sqlite_insert(struct backend *b, const struct task *t);
int sqlite_change(struct backend *b, const struct task_change *c, const struct task *after);
int sqlite_remove(struct backend *b, struct task_id id);
int sqlite_prune(struct backend *b, int64_t cutoff_wall_ms, size_t max, size_t *out_n);

/* sqlite_queue.c */
int sqlite_take(struct backend *b, enum lane lane, const struct task_move *move,
                int64_t now_wall_ms, size_t max, struct backend_row *rows, size_t *out_n);
int sqlite_take_part(struct backend *b, enum lane lane, const struct task_move *move,
                     int64_t now_wall_ms, size_t max, struct backend_part *part,
                     struct backend_row *rows, size_t *out_n);
int sqlite_load(struct backend *b, uint64_t key, struct task_spec **out);
int sqlite_promote(struct backend *b, const struct task_move *move, int64_t now_wall_ms, size_t max,
                   size_t out_lanes[LANE_COUNT]);
int sqlite_wake_after(struct backend *b, uint64_t key, const struct task_move *move,
                      size_t out_lanes[LANE_COUNT]);
int sqlite_next_due(struct backend *b, int64_t *out_wall_ms);
int sqlite_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                    size_t *out_n);
/* Tasks of a bound statement that selects SPEC_COLUMNS and then LIVE_COLUMNS. */
int sqlite_read_lives(struct backend *b, enum write_stmt which, size_t max, struct task *tasks,
                      size_t *out_n);
int sqlite_totals(struct backend *b, struct backend_totals *out);

/* sqlite_attempts.c */
int sqlite_add_attempt(struct backend *b, uint64_t key, const struct store_attempt *a);
int sqlite_set_callback(struct backend *b, uint64_t key, struct task_id callback);
int sqlite_attempts(struct backend_reader *r, struct store_attempts *o);

/* sqlite_batch.c */
int sqlite_batch_put(struct backend *b, const struct store_batch *batch);
int sqlite_batch_failed(struct backend *b, uint64_t key, bool *out_cancel);
int sqlite_batch_cancel(struct backend *b, struct task_id id);
int sqlite_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n);

/* sqlite_keys.c */
int sqlite_find_unique(struct backend *b, const char *unique, struct task_id *out);
int sqlite_find_key(struct backend *b, const char *key, struct backend_key *out);
int sqlite_put_key(struct backend *b, const struct store_key *key, struct task_id id,
                   int64_t now_wall_ms);
int sqlite_report(struct backend *b, const struct store_report *o, struct store_note *out);

/* sqlite_read.c */
int sqlite_reader_open(struct backend *b, struct backend_reader **out);
void sqlite_reader_close(struct backend_reader *r);
int sqlite_get(struct backend_reader *r, struct store_get *o);
int sqlite_list(struct backend_reader *r, struct store_list *o);
int sqlite_get_many(struct backend_reader *r, struct store_get_many *o);
int sqlite_batch_get(struct backend_reader *r, struct store_batch_get *o);
int sqlite_members(struct backend_reader *r, struct store_members *o);
int sqlite_log(struct backend_reader *r, struct store_log *o);

/* Small binding helpers; indexes begin at 1. */
static inline void bind_int(sqlite3_stmt *st, int i, int64_t v)
{
    (void)sqlite3_bind_int64(st, i, v); /* fails only for an index out of range */
}

static inline void bind_int_or_null(sqlite3_stmt *st, int i, int64_t v, int64_t null)
{
    if (v == null)
        (void)sqlite3_bind_null(st, i);
    else
        bind_int(st, i, v);
}

/* s is borrowed until the statement is reset. */
static inline void bind_text(sqlite3_stmt *st, int i, const char *s)
{
    (void)sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

static inline void bind_blob(sqlite3_stmt *st, int i, const void *bytes, size_t n)
{
    (void)sqlite3_bind_blob64(st, i, n ? bytes : "", n, SQLITE_STATIC);
}

static inline const char *column_text(sqlite3_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st, i);
}

#endif
