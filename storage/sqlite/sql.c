/* sql: every statement that the writer runs, prepared once, and how it is run. */
#include "storage/sqlite/internal.h"

/* No state is spelled here: states come in as parameters. */
static const char *const sql[W_COUNT] = {
    [W_BEGIN] = "BEGIN IMMEDIATE",
    [W_COMMIT] = "COMMIT",
    [W_ROLLBACK] = "ROLLBACK",
    [W_MARK] = "SAVEPOINT mark",
    [W_UNMARK] = "RELEASE mark",
    [W_BACK] = "ROLLBACK TO mark",
    [W_INSERT_TASK] = SPEC_INSERT,
    [W_INSERT_LIVE] =
        "INSERT INTO live (key, state, attempt, lost, lane, queue, due_ms, started_ms,"
        " after_key, unique_key, past, place, line, priority)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [W_PUT_OPTIONS] =
        "INSERT INTO options (key, unique_key, retry_on, retry_first_ms,"
        " retry_max_ms, retry_jitter, delay_ms, run_at_ms, expires_in_ms, deadline_ms, schedule,"
        " queue, fair_key, priority, flags, limits, name, parent, parent_lo)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
        " ?18, ?19)",
    [W_UPDATE_LIVE] =
        "UPDATE live SET state = ?2, attempt = ?3, lost = ?4, queue = ?6, due_ms = ?7,"
        " started_ms = ?8, place = coalesce(?11, place),"
        " suspended = CASE WHEN ?12 THEN 2 WHEN suspended THEN 1 END"
        " WHERE key = ?1 AND state = ?9 AND attempt = ?10",
    [W_DELETE_LIVE] = "DELETE FROM live WHERE key = ?1 AND state = ?2 AND attempt = ?3",
    [W_INSERT_RESULT] =
        "INSERT INTO results (key, seq, state, attempt, lost, started_ms,"
        " finished_ms, type, body, code, message, exit_code, signal, log, oom,"
        " max_rss_kib, cpu_ms, up_ms, error_type, session) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
        " ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
    [W_TAKE_RESULT] = "DELETE FROM results WHERE key = ?1 AND state = ?2 AND attempt = ?3",
    [W_ADD_ATTEMPT] =
        "INSERT INTO attempts (key, attempt, state, started_ms, finished_ms, code,"
        " message, exit_code, signal, oom, max_rss_kib, cpu_ms, log, error_type) VALUES (?1, ?2,"
        " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO NOTHING",
    [W_TRIM_ATTEMPTS] = "DELETE FROM attempts WHERE key = ?1 AND attempt <= ?2",
    [W_SET_CALLBACK] = "UPDATE tasks SET callback_key = ?2, callback_lo = ?3 WHERE key = ?1",
    [W_ADD_LINE] = "INSERT INTO lines (number, lane, queue, handler, fair_key, limits)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [W_DROP_LINE] = "DELETE FROM lines WHERE number = ?1",
    [W_TAKE] = "SELECT key, attempt, lost, past, place, suspended FROM live WHERE queue = ?1"
               " ORDER BY place LIMIT ?2",
    [W_FIRST] = "SELECT place FROM live WHERE queue = ?1 ORDER BY place LIMIT 1",
    [W_TAKE_ONE] = "UPDATE live SET state = ?2, attempt = ?3, queue = NULL, started_ms = ?4"
                   " WHERE key = ?1",
    [W_LOAD] = "SELECT " SPEC_COLUMNS ", t.input_type, t.input FROM tasks t" JOIN_OPTIONS
               " WHERE t.key = ?1",
    [W_DUE] = "SELECT key, line, priority FROM live WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2",
    [W_RUN_AT] = "SELECT l.key, l.line, l.priority FROM timers x CROSS JOIN live l ON l.key = x.key"
                 " WHERE x.kind = ?1 AND x.at_ms <= ?2 ORDER BY x.at_ms LIMIT ?3",
    [W_NEXT_TIMER] = "SELECT min(at_ms) FROM timers WHERE kind = ?1",
    [W_PUT_TIMER] = "INSERT INTO timers (key, kind, at_ms) VALUES (?1, ?2, ?3)"
                    " ON CONFLICT DO NOTHING",
    [W_RETURN_EXPIRY] = "INSERT INTO timers (key, kind, at_ms) SELECT key, ?2, ?3 FROM live"
                        " WHERE key = ?1 AND suspended IS NULL ON CONFLICT DO NOTHING",
    [W_TIMED_OUT] =
        "SELECT " SPEC_COLUMNS LIVE_COLUMNS " FROM timers x CROSS JOIN live l ON l.key = x.key"
        " CROSS JOIN tasks t ON t.key = x.key" JOIN_OPTIONS
        " WHERE x.kind = ?1 AND x.at_ms <= ?2 ORDER BY x.at_ms LIMIT ?3",
    [W_DROP_TIMER] = "DELETE FROM timers WHERE key = ?1 AND kind = ?2",
    [W_DROP_TIMERS] = "DELETE FROM timers WHERE key = ?1",
    [W_NEXT_DUE] = "SELECT min(due_ms) FROM live WHERE due_ms IS NOT NULL",
    [W_IN_STATE] =
        "SELECT " SPEC_COLUMNS LIVE_COLUMNS
        " FROM live l JOIN tasks t ON t.key = l.key" JOIN_OPTIONS " WHERE l.state = ?1 LIMIT ?2",
    [W_AFTER] = "SELECT key, line, priority FROM live WHERE after_key = ?1 LIMIT ?2",
    [W_APPEND_END] = "UPDATE tasks SET input = CAST(input || char(10) || ?2 AS BLOB)"
                     " WHERE key IN (SELECT key FROM live WHERE after_key = ?1)",
    [W_QUEUE] = "UPDATE live SET state = ?2, queue = line, due_ms = NULL, after_key = NULL,"
                " unmet = NULL, place = ?3 WHERE key = ?1",
    [W_FIND_STATE] = "SELECT coalesce(l.state, r.state) FROM tasks t"
                     " LEFT JOIN live l ON l.key = t.key LEFT JOIN results r ON r.key = t.key"
                     " WHERE t.key = ?1 AND t.lo = ?2",
    [W_PUT_EDGE] = "INSERT INTO edges (parent, parent_lo, child, kind, is_pending)"
                   " VALUES (?1, ?2, ?3, ?4, ?5)"
                   " ON CONFLICT (parent, child) DO UPDATE SET kind = excluded.kind,"
                   " is_pending = excluded.is_pending",
    [W_DROP_WAKES] = "DELETE FROM edges WHERE child = ?1 AND kind = ?2",
    [W_END_WAKES] = "UPDATE edges SET is_pending = 0, kind = kind - ?2"
                    " WHERE child = ?1 AND kind & ?2",
    [W_PENDING_EDGES] = "SELECT parent, parent_lo, child, kind, is_pending FROM edges"
                        " INDEXED BY edges_pending WHERE parent = ?1 AND is_pending"
                        " ORDER BY child LIMIT ?2",
    [W_CHILDREN] = "SELECT parent, parent_lo, child, kind, is_pending FROM edges"
                   " WHERE parent = ?1 AND child > ?2 ORDER BY child LIMIT ?3",
    [W_PARENTS] = "SELECT parent, parent_lo, child, kind, is_pending FROM edges"
                  " WHERE child = ?1 LIMIT ?2",
    [W_PLACE] = "SELECT place FROM live WHERE key = ?1",
    [W_SUBMITTED] = "SELECT key FROM options INDEXED BY options_parent"
                    " WHERE parent = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
    [W_SET_UNMET] = "UPDATE live SET unmet = ?2 WHERE key = ?1",
    [W_SET_DUE] = "UPDATE live SET due_ms = ?2 WHERE key = ?1",
    [W_FIND_LIVE] = "SELECT " SPEC_COLUMNS LIVE_COLUMNS
                    " FROM live l JOIN tasks t ON t.key = l.key" JOIN_OPTIONS " WHERE l.key = ?1",
    [W_FIND_DONE] = "SELECT " TASK_COLUMNS " FROM results r CROSS JOIN tasks t ON t.key = r.key"
                    " LEFT JOIN live l ON l.key = t.key" JOIN_OPTIONS " WHERE r.key = ?1",
    [W_PUT_CASCADE] = "INSERT OR REPLACE INTO cascades (key, kind, state, after)"
                      " VALUES (?1, ?2, ?3, ?4)",
    [W_NEXT_CASCADE] = "SELECT key, kind, state, after FROM cascades WHERE key > 0 LIMIT 1",
    [W_DROP_CASCADE] = "DELETE FROM cascades WHERE key = ?1 AND kind = ?2",
    [W_DELETE_EDGES] = "DELETE FROM edges WHERE child = ?1",
    [W_FIND_UNIQUE] = "SELECT t.key, t.lo FROM live l JOIN tasks t ON t.key = l.key"
                      " WHERE l.unique_key = ?1",
    [W_FIND_KEY] = "SELECT task, lo, fingerprint FROM keys WHERE key = ?1",
    [W_PUT_KEY] = "INSERT INTO keys (key, fingerprint, task, lo, created_ms)"
                  " VALUES (?1, ?2, ?3, ?4, ?5)",
    [W_DELETE_KEYS] = "DELETE FROM keys WHERE task = ?1",
    [W_PUT_BATCH] = "INSERT INTO batches (key, lo, created_ms, total, fail_fast, unfinished, up_ms,"
                    " failed, cancelled, callback_key, callback_lo, then_key, then_lo,"
                    " parent, parent_lo, keeps_default)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?4, NULL, 0, 0, ?6, ?7, ?8, ?9, ?10, ?11, 0)",
    [W_FAIL_BATCH] = "UPDATE batches SET cancelling = 1, spares_running = 0"
                     " WHERE key = ?1 AND fail_fast",
    [W_CANCEL_BATCH] = "UPDATE batches SET cancelling = 1, spares_running ="
                       " (?3 AND (spares_running OR cancelling IS NULL))"
                       " WHERE key = ?1 AND lo = ?2",
    [W_END_MEMBERS] = "UPDATE batches SET unfinished = unfinished - ?2, failed = failed + ?4,"
                      " cancelled = cancelled + ?5, keeps_default = keeps_default OR ?6,"
                      " up_ms = CASE WHEN unfinished = ?2 THEN ?3 END WHERE key = ?1",
    [W_RETURN_MEMBER] = "UPDATE batches SET unfinished = unfinished + 1, up_ms = NULL,"
                        " failed = failed - ?2, cancelled = cancelled - ?3 WHERE key = ?1",
    [W_BATCH_ENDS] = "SELECT lo, total, unfinished, failed, cancelled, callback_key, callback_lo"
                     " FROM batches WHERE key = ?1",
    [W_SET_BATCH_CALLBACK] = "UPDATE batches SET callback_key = ?2, callback_lo = ?3"
                             " WHERE key = ?1",
    [W_CANCELLING] = "SELECT key, spares_running FROM batches"
                     " WHERE cancelling IS NOT NULL LIMIT 1",
    [W_UNFINISHED] = "SELECT " SPEC_COLUMNS LIVE_COLUMNS ", t.batch_pos"
                     " FROM tasks t LEFT JOIN live l ON l.key = t.key" JOIN_OPTIONS
                     " WHERE t.batch = ?1 AND t.batch_pos >= ?2 ORDER BY t.batch_pos",
    [W_CANCELLED] = "UPDATE batches SET cancelling = NULL WHERE key = ?1",
    [W_OLD_BATCH] = "SELECT key, up_ms FROM batches WHERE up_ms IS NOT NULL ORDER BY up_ms LIMIT 1",
    [W_MEMBERS] = "SELECT key FROM tasks WHERE batch = ?1 LIMIT ?2",
    [W_DELETE_BATCH] = "DELETE FROM batches WHERE key = ?1",
    [W_DELETE_EMPTY_BATCH] = "DELETE FROM batches WHERE key = ?1"
                             " AND NOT EXISTS (SELECT 1 FROM tasks WHERE batch = ?1)"
                             " AND NOT EXISTS (SELECT 1 FROM sessions WHERE key = ?1)",
    [W_PUT_SESSION] = "INSERT INTO sessions (key, lo, handler, created_ms, init_type, init,"
                      " max_tasks, on_disconnect, grace_ms, lease_ms)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [W_SESSION_INIT] = "SELECT lo, init_type, init, max_tasks, broken FROM sessions"
                       " WHERE key = ?1 AND init IS NOT NULL",
    [W_BREAK_SESSION] = "UPDATE sessions SET broken = ?2 WHERE key = ?1 AND broken IS NULL",
    [W_PUT_SESSION_BATCH] =
        "INSERT INTO batches (key, lo, created_ms, total, fail_fast, unfinished, up_ms, failed,"
        " cancelled) VALUES (?1, ?2, ?3, 0, 0, 0, ?4, 0, 0)",
    [W_FIND_SESSION] = "SELECT " SESSION_COLUMNS " WHERE s.key = ?1",
    [W_ADD_TO_SESSION] = "UPDATE batches SET total = total + ?2, unfinished = unfinished + ?2,"
                         " up_ms = NULL, keeps_default = keeps_default AND total > 0"
                         " WHERE key = ?1",
    [W_CLOSE_SESSION] = "UPDATE sessions SET closed_ms = ?2 WHERE key = ?1 AND closed_ms IS NULL",
    [W_RENEW_SESSION] = "UPDATE sessions SET lease_ms = ?2 + grace_ms + grace_ms / 3"
                        " WHERE key = ?1 AND lease_ms IS NOT NULL",
    [W_RENEW_SESSIONS] = "UPDATE sessions SET lease_ms = ?1 + grace_ms + grace_ms / 3"
                         " WHERE lease_ms IS NOT NULL",
    [W_SESSION_LEASES] = "SELECT " SESSION_COLUMNS " WHERE s.lease_ms IS NOT NULL"
                         " ORDER BY s.lease_ms LIMIT ?1",
    [W_END_LEASE] = "UPDATE sessions SET lease_ms = NULL, disconnected_ms = ?2 WHERE key = ?1",
    [W_DELETE_SESSION] = "DELETE FROM sessions WHERE key = ?1 RETURNING lo",
    [W_IS_RUNNING] = "SELECT 1 FROM live WHERE key = ?1 AND state = ?2 AND attempt = ?3",
    [W_PUT_NOTE] = "INSERT INTO notes (key, log_end) VALUES (?1, 0) ON CONFLICT DO NOTHING",
    [W_SET_PROGRESS] = "UPDATE notes SET progress = coalesce(?2, progress),"
                       " message = coalesce(?3, message) WHERE key = ?1",
    [W_ADD_LOG] = "UPDATE notes SET log_end = log_end + length(?2),"
                  " log = substr(CAST(coalesce(log, x'') || ?2 AS BLOB), -?3) WHERE key = ?1",
    [W_DELETE_NOTE] = "DELETE FROM notes WHERE key = ?1",
    [W_IS_LIVE] =
        "SELECT (SELECT 1 FROM live WHERE key = ?1), batch FROM tasks WHERE key = ?1 AND lo = ?2",
    [W_DELETE_TASK] = "DELETE FROM tasks WHERE key = ?1",
    [W_DELETE_RESULT] = "DELETE FROM results WHERE key = ?1",
    [W_DELETE_ATTEMPTS] = "DELETE FROM attempts WHERE key = ?1",
    [W_DELETE_OPTIONS] = "DELETE FROM options WHERE key = ?1",
    [W_PUT_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoints (key, attempt, stored_ms, type, body)"
                         " VALUES (?1, ?2, ?3, ?4, ?5)",
    [W_DELETE_CHECKPOINT] = "DELETE FROM checkpoints WHERE key = ?1",
    [W_GET_CHECKPOINT] = "SELECT attempt, stored_ms, type, length(body), body FROM checkpoints"
                         " WHERE key = ?1",
    [W_HAS_CHECKPOINTS] = "SELECT EXISTS (SELECT 1 FROM checkpoints)",
    [W_OLDEST] = "SELECT key, up_ms, (SELECT after_key FROM tasks t WHERE t.key = results.key)"
                 " FROM results WHERE up_ms IS NOT NULL ORDER BY up_ms LIMIT ?1",
    [W_KEEP] = "INSERT OR REPLACE INTO kept (key, is_batch, until_ms) VALUES (?1, 0, ?2)",
    [W_KEEP_BATCH] = "UPDATE batches SET keep_ms = max(coalesce(keep_ms, 0), ?2) WHERE key = ?1",
    [W_KEEP_ENDED] = "INSERT OR REPLACE INTO kept (key, is_batch, until_ms, then_up_ms)"
                     " SELECT key, 1, up_ms + keep_ms, CASE WHEN keeps_default THEN up_ms END"
                     " FROM batches WHERE key = ?1 AND up_ms IS NOT NULL AND keep_ms IS NOT NULL",
    [W_SET_ENDED] = "UPDATE batches SET up_ms = ?2 WHERE key = ?1",
    [W_DROP_KEPT] = "DELETE FROM kept WHERE key = ?1",
    [W_KEPT_OLDEST] = "SELECT key, is_batch, until_ms, then_up_ms FROM kept"
                      " ORDER BY until_ms LIMIT 1",
    [W_HAS_KEPT] = "SELECT EXISTS (SELECT 1 FROM kept)"
                   " OR EXISTS (SELECT 1 FROM batches WHERE keep_ms IS NOT NULL)",
    [W_IS_NEEDED] = "SELECT 1 FROM tasks WHERE key = ?2 AND callback_key = ?1 UNION ALL"
                    " SELECT 1 FROM batches WHERE key = ?2 AND callback_key = ?1",
    [W_KEEP_LONGER] = "UPDATE results SET up_ms = ?2 WHERE key = ?1",
    [W_BULK_PUT] = "INSERT OR REPLACE INTO bulks (" BULK_COLUMNS ") VALUES"
                   " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [W_BULK_TRIM] =
        "DELETE FROM bulks WHERE key IN (SELECT key FROM bulks INDEXED BY bulks_finished"
        " WHERE finished_ms IS NOT NULL ORDER BY key DESC LIMIT -1 OFFSET ?1)",
    [W_BULK_NEXT] = "SELECT " BULK_COLUMNS " FROM bulks INDEXED BY bulks_unfinished"
                    " WHERE finished_ms IS NULL AND key > ?1 ORDER BY key LIMIT 1",
    [W_BULK_COUNT] = "SELECT count(*) FROM bulks WHERE finished_ms IS NULL",
    [W_BULK_FIND] = "SELECT " BULK_COLUMNS " FROM bulks WHERE key = ?1 AND lo = ?2",
    [W_BULK_SCAN_LIVE] =
        "SELECT " TASK_COLUMNS
        " FROM live l CROSS JOIN tasks t ON t.key = l.key" JOIN_RESULTS JOIN_OPTIONS
        " WHERE l.key < ?1 AND l.key >= ?2 ORDER BY l.key DESC LIMIT ?3",
    [W_BULK_SCAN_DONE] =
        "SELECT " TASK_COLUMNS
        " FROM results r CROSS JOIN tasks t ON t.key = r.key" JOIN_LIVE JOIN_OPTIONS
        " WHERE r.key < ?1 AND r.key >= ?2 ORDER BY r.key DESC LIMIT ?3",
    [W_BULK_SCAN_CODE] =
        "SELECT " TASK_COLUMNS BODY_COLUMNS " FROM results r INDEXED BY results_code"
        " CROSS JOIN tasks t ON t.key = r.key" JOIN_LIVE JOIN_OPTIONS
        " WHERE r.code IS NOT NULL AND r.key < ?1 AND r.key >= ?2"
        " ORDER BY r.key DESC LIMIT ?3",
    [W_BULK_SCAN_QUEUE] =
        "SELECT " TASK_COLUMNS BODY_COLUMNS
        " FROM options o INDEXED BY options_queue" JOIN_OF_OPTIONS
        " WHERE o.queue = ?4 AND o.key < ?1 AND o.key >= ?2 ORDER BY o.key DESC LIMIT ?3",
    [W_BULK_SCAN_SCHEDULE] =
        "SELECT " TASK_COLUMNS BODY_COLUMNS
        " FROM options o INDEXED BY options_schedule" JOIN_OF_OPTIONS
        " WHERE o.schedule = ?4 AND o.key < ?1 AND o.key >= ?2 ORDER BY o.key DESC LIMIT ?3",
    [W_BULK_SCAN_PARENT] =
        "SELECT " TASK_COLUMNS BODY_COLUMNS
        " FROM options o INDEXED BY options_parent" JOIN_OF_OPTIONS
        " WHERE o.parent = ?4 AND o.key < ?1 AND o.key >= ?2 ORDER BY o.key DESC LIMIT ?3",
    [W_SCHEDULE_FIND] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE name = ?1",
    [W_SCHEDULE_PUT] =
        "INSERT INTO schedules (" SCHEDULE_COLUMNS ", wake_ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (name) DO UPDATE"
        " SET is_file = ?2, is_paused = ?3, is_ready = ?4, revision = ?5, since_ms = ?6,"
        " next_ms = ?7, due_ms = ?8, waiting_ms = ?9, runs = ?10, text = ?11, wake_ms = ?12",
    [W_SCHEDULE_REMOVE] = "DELETE FROM schedules WHERE name = ?1",
    [W_SCHEDULE_REMOVE_RUNS] = "DELETE FROM schedule_runs WHERE name = ?1",
    [W_SCHEDULE_COUNT] = "SELECT count(*), coalesce(sum(is_file), 0) FROM schedules",
    [W_SCHEDULE_OF_FILE] = "SELECT name FROM schedules WHERE is_file = 1",
    [W_SCHEDULE_ADD_RUN] =
        "INSERT INTO schedule_runs (name, n, kind, at_ms, to_ms, done_ms, is_manual, key, lo)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [W_SCHEDULE_TRIM_RUNS] = "DELETE FROM schedule_runs WHERE name = ?1 AND n <= ?2",
    [W_SCHEDULE_END_WAITING] = "DELETE FROM schedule_runs WHERE name = ?1 AND kind = ?2",
    [W_SCHEDULE_UNFINISHED] =
        "SELECT " SPEC_COLUMNS LIVE_COLUMNS " FROM schedule_tasks s"
        " JOIN live l ON l.key = s.key"
        " JOIN tasks t ON t.key = s.key" JOIN_OPTIONS " WHERE s.name = ?1 LIMIT ?2",
    [W_SCHEDULE_ADD_TASK] = "INSERT INTO schedule_tasks (name, key) VALUES (?1, ?2)",
    [W_SCHEDULE_DROP_TASK] = "DELETE FROM schedule_tasks WHERE name = ?1 AND key = ?2",
    [W_SCHEDULE_READY] = "UPDATE schedules SET is_ready = 1, wake_ms = 0 WHERE name = ?1"
                         " AND waiting_ms IS NOT NULL AND NOT is_paused"
                         " AND NOT EXISTS (SELECT 1 FROM schedule_tasks t WHERE t.name = ?1)",
    [W_LIMIT_PUT] = "INSERT OR REPLACE INTO limits (name, per_key, max_running, rate_tasks,"
                    " rate_per_ms, rate_burst) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [W_LIMIT_DROP] = "DELETE FROM limits WHERE name = ?1",
    [W_LIMIT_KEY_PUT] = "INSERT OR REPLACE INTO limit_keys (name, key, tokens, tokens_ms,"
                        " closed_until_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    [W_LIMIT_KEY_DROP] = "DELETE FROM limit_keys WHERE name = ?1 AND key = ?2",
    [W_LIMITS] = "SELECT name, per_key, max_running, rate_tasks, rate_per_ms, rate_burst"
                 " FROM limits",
    [W_LIMIT_KEYS] = "SELECT name, key, tokens, tokens_ms, closed_until_ms FROM limit_keys",
    [W_QUEUE_PUT] = "INSERT OR REPLACE INTO queues (name, weight, max_running, rate_tasks,"
                    " rate_per_ms, rate_burst, age_after_ms, retention_ms)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [W_QUEUE_DROP] = "DELETE FROM queues WHERE name = ?1",
    [W_FAIR_PUT] = "INSERT OR REPLACE INTO fair_weights (queue, fair_key, weight)"
                   " VALUES (?1, ?2, ?3)",
    [W_FAIR_DROP] = "DELETE FROM fair_weights WHERE queue = ?1 AND fair_key = ?2",
    [W_FAIR_DROP_ALL] = "DELETE FROM fair_weights WHERE queue = ?1",
    [W_PAUSE_PUT] = "INSERT OR REPLACE INTO pauses (kind, name, since_ms, by, reason)"
                    " VALUES (?1, ?2, ?3, ?4, ?5)",
    [W_PAUSE_DROP] = "DELETE FROM pauses WHERE kind = ?1 AND name = ?2",
    [W_QUEUES] = "SELECT name, weight, max_running, rate_tasks, rate_per_ms, rate_burst,"
                 " age_after_ms, retention_ms FROM queues",
    [W_FAIR_WEIGHTS] = "SELECT queue, fair_key, weight FROM fair_weights"
                       " ORDER BY queue, fair_key",
    [W_PAUSES] = "SELECT kind, name, since_ms, by, reason FROM pauses",
    [W_SAVE] = "UPDATE counters SET seq = ?1, up_ms = ?2, wall_ms = ?3",
    [W_TOUCH] = "PRAGMA application_id = 1718973540", /* what it is; writes a page all the same */
};

int sqlite_noted_rc(struct backend *b, int sqlite)
{
    int rc = sqlite_rc(b->db, sqlite);
    b->broken = b->broken || rc == FUT_ERR_READ_ONLY || rc == FUT_ERR_DAMAGED;
    return rc;
}

int sqlite_prepare_writes(struct backend *b)
{
    for (int i = 0; i < W_COUNT; i++) {
        int rc =
            sqlite3_prepare_v3(b->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &b->stmts[i], NULL);
        if (rc != SQLITE_OK)
            return sqlite_noted_rc(b, rc);
    }
    b->put_task.st = b->stmts[W_INSERT_TASK];
    b->put_live.st = b->stmts[W_INSERT_LIVE];
    b->put_result.st = b->stmts[W_INSERT_RESULT];
    b->change_live.st = b->stmts[W_UPDATE_LIVE];
    return 0;
}

void sqlite_finalize_writes(struct backend *b)
{
    for (int i = 0; i < W_COUNT; i++)
        (void)sqlite3_finalize(b->stmts[i]);
}

/* Runs a statement without rows; its reset repeats the error that step gave. */
int sqlite_run(struct backend *b, enum write_stmt which)
{
    sqlite3_stmt *st = b->stmts[which];
    int rc = sqlite_noted_rc(b, sqlite3_step(st));
    (void)sqlite3_reset(st);
    return rc;
}

int sqlite_run_with_key(struct backend *b, enum write_stmt which, int64_t key)
{
    bind_int(b->stmts[which], 1, key);
    return sqlite_run(b, which);
}
