/* sqlite_spec: how a spec stands in a row of `tasks`: one list of columns, one binder, one reader.
 */
#ifndef FUT_STORAGE_SQLITE_SPEC_H
#define FUT_STORAGE_SQLITE_SPEC_H

#include "storage/sqlite_internal.h"

#define SPEC_COLUMNS                                                                               \
    "t.key, t.lo, t.lane, t.handler, t.created_ms, t.timeout_ms, t.retries, t.batch, t.batch_pos," \
    " t.after_key, t.after_lo, t.callback_key, t.callback_lo, t.traceparent,"                      \
    " (SELECT b.lo FROM batches b WHERE b.key = t.batch)"
#define SPEC_COLUMN_COUNT 15

#define SPEC_INSERT                                                                                \
    "INSERT INTO tasks (key, lo, lane, handler, created_ms, timeout_ms, retries, batch, "          \
    "batch_pos,"                                                                                   \
    " after_key, after_lo, callback_key, callback_lo, traceparent, input_type, input)"             \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"

/* The spec is borrowed until the statement is reset. */
void sqlite_bind_spec(sqlite3_stmt *st, const struct task_spec *spec);
/* Reads SPEC_COLUMNS from column 0; input_column (its type) is followed by the input, or -1 for a
 * spec without input. One reference, the caller's. */
struct task_spec *sqlite_read_spec(sqlite3_stmt *st, int input_column);

#endif
