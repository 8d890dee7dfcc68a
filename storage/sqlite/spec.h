/* sqlite_spec: how a spec stands in a row of `tasks`: one list of columns, one binder, one reader.
 */
#ifndef FUT_STORAGE_SQLITE_SPEC_H
#define FUT_STORAGE_SQLITE_SPEC_H

#include "storage/sqlite/internal.h"

#define SPEC_COLUMNS                                                                               \
    "t.key, t.lo, t.lane, t.handler, t.created_ms, t.timeout_ms, t.retries, t.batch, t.batch_pos," \
    " t.after_key, t.after_lo, t.callback_key, t.callback_lo, t.traceparent,"                      \
    " (SELECT b.lo FROM batches b WHERE b.key = t.batch), o.unique_key, o.retry_on,"               \
    " o.retry_first_ms, o.retry_max_ms, o.retry_jitter"
#define SPEC_COLUMN_COUNT 20
/* What SPEC_COLUMNS wants besides `tasks t`. */
#define JOIN_OPTIONS " LEFT JOIN options o ON o.key = t.key"

/* Of `live l`, behind SPEC_COLUMNS. */
#define LIVE_COLUMNS ", l.state, l.attempt, l.lost, l.due_ms, l.started_ms, l.past"

#define SPEC_INSERT                                                                                \
    "INSERT INTO tasks (key, lo, lane, handler, created_ms, timeout_ms, retries, batch, "          \
    "batch_pos,"                                                                                   \
    " after_key, after_lo, callback_key, callback_lo, traceparent, input_type, input)"             \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"

/* The spec is borrowed until the statement is reset. */
void sqlite_bind_spec(sqlite3_stmt *st, const struct task_spec *spec);
/* Binds what the submission said beside that to W_PUT_OPTIONS; false: nothing. */
bool sqlite_bind_options(sqlite3_stmt *st, const struct task_spec *spec);
/* Reads SPEC_COLUMNS from column 0; input_column (its type) is followed by the input, or -1 for a
 * spec without input. One reference, the caller's. */
struct task_spec *sqlite_read_spec(sqlite3_stmt *st, int input_column);

#endif
