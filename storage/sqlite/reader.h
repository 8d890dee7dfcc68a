/* sqlite_reader: what the files that serve the reader threads share. Each reader has a connection
 * of its own; one statement is one snapshot, so a future is never seen half-way between two states.
 */
#ifndef FUT_STORAGE_SQLITE_READER_H
#define FUT_STORAGE_SQLITE_READER_H

#include "storage/sqlite/spec.h"

enum read_stmt {
    R_GET,
    R_LIST_ALL,
    R_LIST_LIVE,
    R_LIST_DONE,
    R_BRIEF,
    R_BATCH,
    R_BATCH_COUNTS,
    R_MEMBERS,
    R_LOG,
    R_INPUT,
    R_ATTEMPTS,
    R_AHEAD,
    R_COUNT,
};

struct backend_reader {
    sqlite3 *db;
    sqlite3_stmt *stmts[R_COUNT];
};

/* Columns behind SPEC_COLUMNS; the last three only where whole tasks are read. */
enum task_column {
    C_LIVE_STATE = SPEC_COLUMN_COUNT,
    C_LIVE_ATTEMPT,
    C_LIVE_LOST,
    C_DUE,
    C_LIVE_STARTED,
    C_PAST,
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
                              " r.oom, r.max_rss_kib, r.cpu_ms, r.message"
#define BODY_COLUMNS ", r.type, r.log, r.body"

/* whole: with BODY_COLUMNS. */
void sqlite_read_task(sqlite3_stmt *st, bool whole, struct task *out);

#endif
