/* What the files of the SQLite backend share: the statements, how tasks stand in rows, the two
 * kinds of connections (the writer's, and one per reader thread). */
#ifndef FUT_STORAGE_SQLITE_INTERNAL_H
#define FUT_STORAGE_SQLITE_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "storage/backend.h"
#include "storage/sqlite/params.h"
#include "storage/sqlite/statements.h"

/* The writer's: of its thread alone, but for up_offset_ms. */
struct backend {
    sqlite3 *db;
    int lock_fd;
    char *path;
    int64_t reserve_bytes;
    struct backend_time now;     /* of this transaction */
    atomic_llong up_offset_ms;   /* wall time - uptime; for the readers, who show due times */
    atomic_bool has_checkpoints; /* the table may have rows; else nobody looks */
    bool has_kept;               /* likewise: batches or futures with times of their own */
    struct backend_ends ends;
    int64_t cancel_key, cancel_pos; /* members of that batch before this place are done */
    int wal_pages;                  /* in the log, as of the latest commit or checkpoint */
    int wal_next_pages;             /* a reader is in the way: the next checkpoint is at so many, */
    int64_t wal_next_mono_us;       /* or at this time */
    bool is_behind;                 /* the latest checkpoint failed */
    bool broken;                    /* an fsync failed, or the file is damaged: leave it as it is */
    sqlite3_stmt *stmts[W_COUNT];
    struct params put_task, put_live, put_result, change_live; /* of those that run most */
};

/* A reader thread's. One statement is one snapshot, so a future is never seen half-way between two
 * states. */
struct backend_reader {
    sqlite3 *db;
    struct backend *b;
    sqlite3_stmt *stmts[R_COUNT];
};

/* ---- rows: how a task stands in them ------------------------------------------------------------
 */

#define SPEC_COLUMNS                                                                               \
    "t.key, t.lo, t.lane, t.handler, t.created_ms, t.timeout_ms, t.retries, t.batch, t.batch_pos," \
    " t.after_key, t.after_lo, t.callback_key, t.callback_lo, t.traceparent,"                      \
    " (SELECT b.lo FROM batches b WHERE b.key = t.batch), o.unique_key, o.retry_on,"               \
    " o.retry_first_ms, o.retry_max_ms, o.retry_jitter, o.delay_ms, o.run_at_ms,"                  \
    " o.expires_in_ms, o.deadline_ms, o.schedule, o.queue, o.fair_key, o.priority,"                \
    " o.flags, o.limits, o.name, o.parent, o.parent_lo"
#define SPEC_COLUMN_COUNT 33
/* What SPEC_COLUMNS wants besides `tasks t`. */
#define JOIN_OPTIONS " LEFT JOIN options o ON o.key = t.key"

/* Of `live l`, behind SPEC_COLUMNS. */
#define LIVE_COLUMNS                                                                               \
    ", l.state, l.attempt, l.lost, l.due_ms, l.started_ms, l.past, l.suspended, l.unmet"

#define SPEC_INSERT                                                                                \
    "INSERT INTO tasks (key, lo, lane, handler, created_ms, timeout_ms, retries, batch, "          \
    "batch_pos,"                                                                                   \
    " after_key, after_lo, callback_key, callback_lo, traceparent, input_type, input)"             \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"

/* Columns behind SPEC_COLUMNS; the last three only where whole tasks are read. */
enum task_column {
    C_LIVE_STATE = SPEC_COLUMN_COUNT,
    C_LIVE_ATTEMPT,
    C_LIVE_LOST,
    C_DUE,
    C_LIVE_STARTED,
    C_PAST,
    C_SUSPENDED,
    C_UNMET,
    C_STATE,
    C_ATTEMPT,
    C_LOST,
    C_SEQ,
    C_STARTED,
    C_FINISHED,
    C_CODE,
    C_EXIT,
    C_SIGNAL,
    C_OOM,
    C_RSS,
    C_CPU,
    C_MESSAGE,
    C_ERROR_TYPE,
    C_TYPE,
    C_LOG,
    C_BODY,
    C_PROGRESS,
    C_NOTE,
    C_LOG_END,
};

#define TASK_COLUMNS                                                                               \
    SPEC_COLUMNS LIVE_COLUMNS ", r.state, r.attempt, r.lost, r.seq, r.started_ms, r.finished_ms, " \
                              "r.code, r.exit_code, r.signal,"                                     \
                              " r.oom, r.max_rss_kib, r.cpu_ms, r.message, r.error_type"
#define BODY_COLUMNS ", r.type, r.log, r.body"

#define SESSION_COLUMNS                                                                            \
    "s.key, s.lo, s.handler, s.created_ms, s.closed_ms, b.total, b.unfinished,"                    \
    " s.init IS NOT NULL, s.max_tasks, s.broken, s.on_disconnect, s.grace_ms, s.lease_ms,"         \
    " s.disconnected_ms FROM sessions s JOIN batches b ON b.key = s.key"
#define JOIN_LIVE " LEFT JOIN live l ON l.key = t.key"
#define JOIN_RESULTS " LEFT JOIN results r ON r.key = t.key"
/* What TASK_COLUMNS wants besides `options o`. */
#define JOIN_OF_OPTIONS " CROSS JOIN tasks t ON t.key = o.key" JOIN_LIVE JOIN_RESULTS
/* The member of a filter that has an index. */
enum sqlite_filter_index { SQLITE_BY_NONE, SQLITE_BY_QUEUE, SQLITE_BY_SCHEDULE, SQLITE_BY_PARENT };
enum sqlite_filter_index sqlite_filter_index(const struct task_filter *f);
/* Binds the value that the index is asked for at i; nothing for SQLITE_BY_NONE. */
void sqlite_bind_filter(sqlite3_stmt *st, int i, const struct task_filter *f);

#define BULK_COLUMNS                                                                               \
    "key, lo, kind, is_dry, filter, by, created_ms, finished_ms, is_stopped, next, seen, matched," \
    " changed, refused"

#define SCHEDULE_COLUMNS                                                                           \
    "name, is_file, is_paused, is_ready, revision, since_ms, next_ms, due_ms, waiting_ms, runs, "  \
    "text"

/* ---- schema.c -------------------------------------------------------------------------------- */

/* Opens a file that must be there and ours (FUT_ERR_INVAL: another program's, or
 * newer), and changes nothing in it, not even when the connection is closed. */
int sqlite_look(const char *path, sqlite3 **out, struct fut_errbuf *err);
/* Opens one connection with our settings, by a VFS (NULL: SQLite's own). */
int sqlite_connect(const char *path, const char *vfs, sqlite3 **out, struct fut_errbuf *err);
/* sqlite/backend.c: the lock that a daemon holds on its database. FUT_ERR_BUSY: another process has
 * it. It is given back by closing *out_fd. */
int sqlite_take_lock(const char *path, int *out_fd, struct fut_errbuf *err);
/* sqlite/copy.c: copies the database at path, as of one moment, to `to`, which is made anew
 * (0600) and neither checked nor synced. This process must not have it open. */
int sqlite_copy(const char *path, const char *to, struct fut_errbuf *err);
/* The sentence and the code for a file that could not be written, by errno. */
int sqlite_write_failed(const char *to, struct fut_errbuf *err);
/* Gives the file `part`, which is whole, the name `to`, on disk. FUT_ERR_EXISTS: there is such a
 * file. */
int sqlite_put_in_place(const char *part, const char *to, struct fut_errbuf *err);
/* Removes such a copy and what SQLite may have made beside it. */
void sqlite_remove_copy(const char *path);
/* The version that this program makes and knows. */
extern const int sqlite_schema_version;
/* Brings an older file to version `to`, each version in a transaction of its own; a file that is
 * not older stays as it is. */
int sqlite_migrate(sqlite3 *db, const char *path, int to, struct fut_errbuf *err);
/* SQLite's result code to ours. */
int sqlite_rc(sqlite3 *db, int rc);
/* The sentence for the operator about a file that cannot be used; returns rc. */
int sqlite_fail(sqlite3 *db, const char *path, int rc, struct fut_errbuf *err);

/* ---- log.c ----------------------------------------------------------------------------------- */

/* Configures SQLite itself. To be called before its first use in the process; later calls do
 * nothing. Any thread. */
void sqlite_configure(void);
/* Name of the VFS of the writing connection, for sqlite3_open_v2. Registers it. Any thread. */
const char *sqlite_log_vfs(void);
/* Registers a VFS that opens files with open, and leaves all else to the one that it returns, which
 * opens each file behind file_bytes of the caller's own. Once per vfs and name, both of which last
 * as long as the process. Aborts when SQLite does not take it. */
typedef int sqlite_open_fn(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                           int *out_flags);
sqlite3_vfs *sqlite_add_vfs(sqlite3_vfs *vfs, const char *name, sqlite_open_fn *open,
                            size_t file_bytes);

/* ---- reserve.c ------------------------------------------------------------------------------- */

/* Sets bytes of the disk aside in a file of their own, or (on: false) gives them back. sqlite_touch
 * writes one row: does the disk take it again? */
int sqlite_reserve(struct backend *b, bool on);
int sqlite_touch(struct backend *b);
/* From now on b->wal_pages is kept. */
void sqlite_watch_wal(struct backend *b);
/* Moves the log into the database file when it has grown long, and cuts it when that has failed for
 * long enough to make it large. */
int sqlite_tidy(struct backend *b, int64_t *out_again_mono_us);
void sqlite_sizes(const struct backend *b, uint64_t *out_file, uint64_t *out_log);

/* ---- sql.c ----------------------------------------------------------------------------------- */

/* Prepares all statements of the writing connection. */
int sqlite_prepare_writes(struct backend *b);
/* Frees them. */
void sqlite_finalize_writes(struct backend *b);
/* sqlite_rc of the writing connection; remembers what must not be written to any more. */
int sqlite_noted_rc(struct backend *b, int sqlite);
/* Runs a prepared and bound statement that gives no rows. */
int sqlite_run(struct backend *b, enum write_stmt which);
/* One whose first parameter is a key. */
int sqlite_run_with_key(struct backend *b, enum write_stmt which, int64_t key);

/* ---- spec.c ---------------------------------------------------------------------------------- */

/* The spec is borrowed until the statement is reset. */
void sqlite_bind_spec(struct params *p, const struct task_spec *spec);
/* Binds what the submission said beside that to W_PUT_OPTIONS; false: nothing. */
bool sqlite_bind_options(sqlite3_stmt *st, const struct task_spec *spec);
/* An id in two columns. */
struct task_id sqlite_id(sqlite3_stmt *st, int hi, int lo);
/* Reads SPEC_COLUMNS from column 0; input_column (its type) is followed by the input, or -1 for a
 * spec without input. One reference, the caller's. */
struct task_spec *sqlite_read_spec(sqlite3_stmt *st, int input_column);
/* Reads SPEC_COLUMNS and LIVE_COLUMNS: an unfinished task without its input, the caller's. */
void sqlite_read_live(sqlite3_stmt *st, struct task *out);

/* ---- the methods of backend.h, file by file ----------------------------------------------------
 */

/* log.c */
const struct histogram *sqlite_log_syncs(const struct backend *b);

/* write.c */
int sqlite_begin(struct backend *b, struct backend_time now);
int sqlite_commit(struct backend *b);
void sqlite_rollback(struct backend *b);
int sqlite_mark(struct backend *b);
int sqlite_unmark(struct backend *b);
int sqlite_back(struct backend *b);
int sqlite_insert(struct backend *b, const struct task *t, int64_t line, int64_t place);
int sqlite_change(struct backend *b, const struct task_change *c, const struct task *after,
                  int64_t line, int64_t place);
int sqlite_remove(struct backend *b, struct task_id id);
int sqlite_save(struct backend *b, const struct backend_counters *c);
/* Deletes all that there is of a done task but its batch. */
int sqlite_delete_task(struct backend *b, int64_t key);

/* prune.c */
int sqlite_prune(struct backend *b, struct backend_prune *p);

/* kept.c */
/* Looks, once after the statements are prepared, whether any future has a retention of its own. */
int sqlite_find_kept(struct backend *b);
/* The done task, which is no member of a batch, is kept for its keep_ms. */
int sqlite_keep(struct backend *b, const struct task *t);
/* Before and after ends of members are counted: for how long they are kept, and whether that begins
 * now. */
int sqlite_keep_members(struct backend *b, const struct backend_end *e);
int sqlite_keep_batch(struct backend *b, int64_t batch);
/* From when on the batch is kept as others are; -1: it is not. */
int sqlite_set_ended(struct backend *b, int64_t batch, int64_t up_ms);
/* The task or batch is unfinished again, or gone. */
int sqlite_drop_kept(struct backend *b, int64_t key);

/* queue.c */
int sqlite_add_line(struct backend *b, const struct backend_line *line);
int sqlite_drop_line(struct backend *b, int64_t number);
int sqlite_take(struct backend *b, int64_t line, const struct task_move *move, size_t max,
                struct backend_row *rows, size_t *out_n, int64_t *out_next);
int sqlite_first(struct backend *b, int64_t line, int64_t *out_place);
int sqlite_load(struct backend *b, uint64_t key, struct task_spec **out);
int sqlite_due(struct backend *b, size_t max, struct backend_moved *rows, size_t *out_n);
int sqlite_after(struct backend *b, uint64_t key, const struct buf *end, size_t max,
                 struct backend_moved *rows, size_t *out_n);
int sqlite_queue(struct backend *b, uint64_t key, enum task_state to, int64_t place);
int sqlite_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                    size_t *out_n);
int sqlite_totals(struct backend *b, int64_t now_wall_ms, struct backend_totals *out);
int sqlite_lines(struct backend *b, backend_line_fn *fn, void *ctx);

/* timers.c */
int sqlite_next_times(struct backend *b, struct backend_next *out);
/* Keeps the timers of a new life of the task; is_first: also the time that it waits for. */
int sqlite_put_timers(struct backend *b, const struct task *t, bool is_first);
/* The task has not begun after all: its expiry counts again, and is over if it was dropped. */
int sqlite_return_expiry(struct backend *b, uint64_t key);
int sqlite_drop_timers(struct backend *b, uint64_t key);
int sqlite_set_due(struct backend *b, const struct task *t);
int sqlite_timed_out(struct backend *b, enum backend_timer which, size_t max, struct task *tasks,
                     size_t *out_n);
int sqlite_drop_expiry(struct backend *b, uint64_t key);
int sqlite_drop_timer(struct backend *b, uint64_t key, enum backend_timer which);

/* edges.c */
int sqlite_edges(struct backend_reader *r, struct store_edges *o);
int sqlite_find_state(struct backend *b, struct task_id id, enum task_state *out);
int sqlite_put_edge(struct backend *b, const struct backend_edge *e);
int sqlite_drop_wakes(struct backend *b, uint64_t child);
int sqlite_pending_edges(struct backend *b, uint64_t parent, size_t max, struct backend_edge *edges,
                         size_t *out_n);
int sqlite_children(struct backend *b, uint64_t parent, uint64_t after, size_t max,
                    struct backend_edge *edges, size_t *out_n);
int sqlite_place(struct backend *b, uint64_t key, int64_t *out);
int sqlite_submitted(struct backend *b, uint64_t key, uint64_t after, size_t max, uint64_t *keys,
                     size_t *out_n);
int sqlite_parents(struct backend *b, uint64_t child, size_t max, struct backend_edge *edges,
                   size_t *out_n);
int sqlite_set_unmet(struct backend *b, uint64_t child, uint32_t unmet);
int sqlite_find_live(struct backend *b, uint64_t key, struct task *out);
int sqlite_find_done(struct backend *b, uint64_t key, struct task *out);
int sqlite_put_cascade(struct backend *b, const struct backend_cascade *c);
int sqlite_next_cascade(struct backend *b, struct backend_cascade *out);
int sqlite_drop_cascade(struct backend *b, const struct backend_cascade *c);

/* attempts.c */
int sqlite_add_attempt(struct backend *b, uint64_t key, const struct store_attempt *a);
int sqlite_set_callback(struct backend *b, uint64_t key, struct task_id callback);
int sqlite_attempts(struct backend_reader *r, struct store_attempts *o);

/* checkpoints.c */
/* Whether there are any, once all is prepared. */
int sqlite_find_checkpoints(struct backend *b);
int sqlite_put_checkpoint(struct backend *b, const struct store_checkpoint *o);
int sqlite_drop_checkpoint(struct backend *b, uint64_t key);
int sqlite_load_checkpoint(struct backend *b, uint64_t key, struct task_checkpoint **out);
/* Adds what is kept to a task that was read, with its body or only its length. */
int sqlite_read_checkpoint(struct backend_reader *r, struct task *t, bool with_body);

/* batch.c */
int sqlite_batch_put(struct backend *b, const struct store_batch *batch);
int sqlite_batch_failed(struct backend *b, uint64_t key, bool *out_cancel);
int sqlite_batch_cancel(struct backend *b, struct task_id id, bool spares_running);
int sqlite_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n,
                            bool *out_more);
int sqlite_batch_ends(struct backend *b, uint64_t key, struct store_batch *out,
                      uint64_t *out_unfinished);
int sqlite_batch_set_callback(struct backend *b, uint64_t key, struct task_id callback);
/* A member of a batch has ended: counted when the transaction is committed, or by
 * sqlite_flush_ends. */
int sqlite_end_member(struct backend *b, const struct task *t);
int sqlite_flush_ends(struct backend *b);
/* A member of the batch that had ended in this state is unfinished again. */
int sqlite_return_member(struct backend *b, struct task_id batch, enum task_state state);
/* sessions.c */
int sqlite_session_put(struct backend *b, const struct store_session *s,
                       const struct task_init *init);
int sqlite_session_init(struct backend *b, uint64_t key, struct task_init **out);
int sqlite_session_break(struct backend *b, uint64_t key, const char *why);
int sqlite_session_find(struct backend *b, uint64_t key, struct store_session *out);
int sqlite_session_add(struct backend *b, uint64_t key, uint32_t n);
int sqlite_session_close(struct backend *b, uint64_t key, int64_t now_wall_ms);
int sqlite_session_renew(struct backend *b, uint64_t key);
int sqlite_session_renew_all(struct backend *b);
int sqlite_session_leases(struct backend *b, size_t max, struct store_session *out, size_t *out_n);
int sqlite_session_end_lease(struct backend *b, uint64_t key, int64_t wall_ms);
/* Deletes the session of a batch that goes; *out hi 0: it was none. */
int sqlite_session_delete(struct backend *b, int64_t key, struct task_id *out);
int sqlite_session_get(struct backend_reader *r, struct store_session_get *o);
int sqlite_session_list(struct backend_reader *r, struct store_session_list *o);
int sqlite_session_ends(struct backend_reader *r, struct store_session_ends *o);
int sqlite_find_unique(struct backend *b, const char *unique, struct task_id *out);
int sqlite_find_key(struct backend *b, const char *key, struct backend_key *out);
int sqlite_put_key(struct backend *b, const struct store_key *key, struct task_id id);
/* bulk.c: bulks, for the writer and for the readers; and failures in groups */
int sqlite_bulk_put(struct backend *b, const struct store_bulk *bulk);
int sqlite_bulk_next(struct backend *b, uint64_t after, struct store_bulk *out, size_t *out_n);
int sqlite_bulk_find(struct backend *b, struct task_id id, struct store_bulk *out);
int sqlite_bulk_scan(struct backend *b, struct backend_scan *scan);
int sqlite_failures(struct backend_reader *r, struct store_failures *o);
int sqlite_bulk_get(struct backend_reader *r, struct store_bulk_get *o);
int sqlite_bulk_list(struct backend_reader *r, struct store_bulk_list *o);
/* queues.c */
int sqlite_queue_put(struct backend *b, const struct store_queue *queue);
int sqlite_queue_drop(struct backend *b, const char *name);
int sqlite_queue_put_fair(struct backend *b, const char *queue,
                          const struct store_fair_weight *weight);
int sqlite_queue_put_pause(struct backend *b, enum store_pausable kind, const char *name,
                           const struct pool_pause *pause);
int sqlite_queues(struct backend *b, backend_queue_fn *queue_fn, backend_fair_fn *fair_fn,
                  backend_pause_fn *pause_fn, void *ctx);
int sqlite_queue_oldest(struct backend_reader *r, struct store_queue_oldest *o);
/* limits.c */
int sqlite_limit_put(struct backend *b, const struct store_limit *limit);
int sqlite_limit_drop(struct backend *b, const char *name);
int sqlite_limit_key_put(struct backend *b, const struct backend_limit_key *key);
int sqlite_limit_key_drop(struct backend *b, const char *name, const char *key);
int sqlite_limits(struct backend *b, backend_limit_fn *limit_fn, backend_limit_key_fn *key_fn,
                  void *ctx);
/* report.c */
/* 0, or FUT_ERR_STALE: that attempt does not run. */
int sqlite_check_running(struct backend *b, struct task_id id, uint32_t attempt);
int sqlite_report(struct backend *b, const struct store_report *o);

/* schedules.c */
int sqlite_schedule_find(struct backend *b, const char *name, struct store_schedule *out);
int sqlite_schedule_put(struct backend *b, const struct store_schedule *s);
int sqlite_schedule_remove(struct backend *b, const char *name);
int sqlite_schedule_count(struct backend *b, size_t *out_all, size_t *out_of_file);
int sqlite_schedule_of_file(struct backend *b, char (**out)[STORE_SCHEDULE_NAME_MAX + 1],
                            size_t *out_n);
int sqlite_schedule_add_run(struct backend *b, struct store_schedule *s,
                            const struct store_schedule_run *run);
int sqlite_schedule_end_waiting(struct backend *b, const char *name);
int sqlite_schedule_unfinished(struct backend *b, const char *name, size_t max, struct task *tasks,
                               size_t *out_n);
/* A task of a schedule is unfinished from now on, or is not any more. */
int sqlite_schedule_add_task(struct backend *b, const struct task_spec *spec);
int sqlite_schedule_end_task(struct backend *b, const struct task_spec *spec);
int sqlite_schedule_get(struct backend_reader *r, struct store_schedule_get *o);
int sqlite_schedule_list(struct backend_reader *r, struct store_schedule_list *o);
int sqlite_schedule_due(struct backend_reader *r, struct store_schedule_due *o);

/* read.c, read_many.c */
int sqlite_reader_open(struct backend *b, struct backend_reader **out);
void sqlite_reader_close(struct backend_reader *r);
/* Reads TASK_COLUMNS; whole: with BODY_COLUMNS. */
void sqlite_read_task(const struct backend *b, sqlite3_stmt *st, bool whole, struct task *out);
int sqlite_get(struct backend_reader *r, struct store_get *o);
int sqlite_get_several(struct backend_reader *r, struct store_get_several *o);
int sqlite_list(struct backend_reader *r, struct store_list *o);
int sqlite_get_many(struct backend_reader *r, struct store_get_many *o);
int sqlite_batch_get(struct backend_reader *r, struct store_batch_get *o);
int sqlite_batch_list(struct backend_reader *r, struct store_batch_list *o);
int sqlite_members(struct backend_reader *r, struct store_members *o);
int sqlite_log(struct backend_reader *r, struct store_log *o);

#define SQLITE_BUSY_MS 5000 /* how long a connection waits for another, as in its settings */
#define SQLITE_MEMBER_POS (SPEC_COLUMN_COUNT + 8) /* column of W_UNFINISHED */

/* The column's number, or null where it is NULL. */
static inline int sqlite_int_or(sqlite3_stmt *st, int i, int null)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? null : sqlite3_column_int(st, i);
}

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
