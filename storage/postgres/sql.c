/* sql: every statement, prepared on each connection that uses it. */
#include "storage/postgres/internal.h"

#define BULK_COLUMNS                                                                               \
    "key, lo, kind, is_dry, filter, by, created_ms, finished_ms, is_stopped, next, seen, matched," \
    " changed, refused"
#define SCHEDULE_COLUMNS                                                                           \
    "name, is_file, is_paused, is_ready, revision, since_ms, next_ms, due_ms, waiting_ms, runs, "  \
    "text"
#define SESSION_COLUMNS                                                                            \
    "s.key, s.lo, s.handler, s.created_ms, s.closed_ms, b.total, b.unfinished,"                    \
    " s.init IS NOT NULL, s.max_tasks, s.broken, s.on_disconnect, s.grace_ms, s.lease_ms,"         \
    " s.disconnected_ms FROM sessions s JOIN batches b ON b.key = s.key"
#define EDGE_COLUMNS "parent, parent_lo, child, kind, is_pending"

/* What follows `tasks t` (or what drives it) in a walk by descending key. */
#define SCAN(columns, from, key, and_)                                                             \
    "SELECT " columns " FROM " from " WHERE " key " < $1 AND " key " >= $2" and_ " ORDER BY " key  \
    " DESC LIMIT $3"
#define OF_OPTIONS "options o JOIN tasks t ON t.key = o.key" JOIN_LIVE JOIN_RESULTS
#define OF_RESULTS "results r JOIN tasks t ON t.key = r.key" JOIN_LIVE JOIN_OPTIONS

/* An error, and so the end of the transaction, when there are no rows and `may` is not 1. */
#define CHECKED(rows, may) "SELECT count(*), 1 / greatest(count(*), " may ") FROM " rows

#define INSERT_TASK                                                                                \
    "INSERT INTO tasks (key, lo, lane, handler, created_ms, timeout_ms, retries, batch,"           \
    " batch_pos, traceparent, input_type, input) "
#define INSERT_LIVE                                                                                \
    "INSERT INTO live (key, state, attempt, daemon_deaths, lane, queue, due_ms, started_ms,"       \
    " earlier_attempts, place, line, priority, node) "
#define INSERT_OPTIONS                                                                             \
    "INSERT INTO options (key, unique_key, retry_on, retry_first_ms, retry_max_ms, retry_jitter,"  \
    " delay_ms, run_at_ms, expires_in_ms, deadline_ms, schedule, queue, fair_key, priority, "      \
    "flags,"                                                                                       \
    " limits, name, parent, parent_lo) "
#define INSERT_RESULT                                                                              \
    "INSERT INTO results (key, seq, state, attempt, daemon_deaths, started_ms, finished_ms, type," \
    " body, code, message, exit_code, signal, log, oom, max_rss_kib, cpu_ms, up_ms, error_type,"   \
    " session) "

/* No state is spelled here: states come in as parameters. */
const char *const postgres_sql[P_COUNT] = {
    [P_BEGIN] = "BEGIN",
    [P_COMMIT] = "COMMIT",
    [P_ROLLBACK] = "ROLLBACK",
    [P_MARK] = "SAVEPOINT mark",
    [P_UNMARK] = "RELEASE mark",
    [P_BACK] = "ROLLBACK TO mark",
    /* Advisory locks, in classes of the whole database, by the schema's number: 1718973540: shared
     * by all nodes; 1718973541: the turn of the transaction that writes. That of a node has 64
     * bits. */
    [P_SCHEMA_NUMBER] =
        "SELECT quote_ident(current_schema())::regnamespace::oid::int8::bit(32)::int4",
    [P_SHARE] = "SELECT pg_try_advisory_lock_shared(1718973540, $1::int4)",
    [P_ALONE] = "SELECT pg_try_advisory_lock(1718973540, $1::int4)",
    [P_TRY_NODE] = "SELECT pg_try_advisory_lock($1)",
    [P_FREE_NODE] = "SELECT pg_advisory_unlock($1)",
    [P_HOLDER] =
        "SELECT a.pid, host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()"
        " AND ((l.objsubid = 1 AND l.classid = ($1::int8 >> 32)::bit(32)::int8::oid"
        " AND l.objid = $1::int8::bit(32)::int8::oid) OR (l.objsubid = 2"
        " AND l.classid = 1718973540 AND l.objid = $2::int4::bit(32)::int8::oid))"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " ORDER BY l.objsubid LIMIT 1",
    [P_END_SESSION] = "SELECT pg_terminate_backend($1::int4)",
    [P_TURN] = "SELECT pg_advisory_xact_lock(1718973541, $1::int4)",
    [P_TURN_OF_SESSION] = "SELECT pg_advisory_lock(1718973541, $1::int4)",
    [P_END_TURN] = "SELECT pg_advisory_unlock(1718973541, $1::int4)",
    [P_TURN_IS_WANTED] =
        "SELECT EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND NOT l.granted"
        " AND l.objsubid = 2 AND l.classid = 1718973541 AND l.objid = $1::int4::bit(32)::int8::oid"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    [P_END_STANDING] =
        "SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2"
        " AND l.classid = 1718973541 AND l.objid = $1::int4::bit(32)::int8::oid"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND a.wait_event_type = 'Client'"
        " AND a.state_change < clock_timestamp() - $2 * interval '1 ms'",
    [P_NEW_NODE] = "WITH c AS (UPDATE counters SET boot = boot + 1 RETURNING boot),"
                   " d AS (DELETE FROM boots WHERE NOT is_member"
                   " AND beat < clock_timestamp() - interval '30 days' RETURNING boot),"
                   " g AS (DELETE FROM commits USING d WHERE commits.boot = d.boot)"
                   " INSERT INTO boots (boot, name) SELECT boot, $1 FROM c RETURNING boot,"
                   " EXISTS (SELECT 1 FROM boots o, c WHERE o.is_member"
                   " AND o.boot % $2 = c.boot % $2)",
    [P_OWN_NODE] = "SELECT coalesce((SELECT n FROM commits WHERE boot = $1 ORDER BY n DESC"
                   " LIMIT 1), 0), is_member FROM boots WHERE boot = $1",
    [P_NAMESAKES] = "SELECT boot FROM boots WHERE is_member AND name = $1",
    [P_GIVE_UP] = "UPDATE boots SET is_member = false WHERE boot = $1",
    [P_EXPIRE] = "UPDATE boots SET is_member = false WHERE is_member AND boot <> $1"
                 " AND beat < clock_timestamp() - $2 * interval '1 ms' RETURNING boot, name",
    [P_JOIN] = "UPDATE boots SET is_member = true, beat = clock_timestamp(), seen = $2, up_ms = $3"
               " WHERE boot = $1",
    [P_LEAVE] = "UPDATE boots SET is_member = false WHERE boot = $1 AND is_member",
    [P_BEAT] =
        "UPDATE boots SET beat = clock_timestamp(), up_ms = $2, seen = $3, load = $5"
        " WHERE boot = $1"
        " AND is_member RETURNING (SELECT count(*) FROM boots WHERE is_member),"
        " EXISTS (SELECT 1 FROM boots WHERE is_member AND boot <> $1"
        " AND beat < clock_timestamp() - $4 * interval '1 ms') OR EXISTS (SELECT 1 FROM boots n"
        " WHERE NOT n.is_member AND EXISTS (SELECT 1 FROM live l WHERE l.node = n.boot)),"
        " coalesce((SELECT n FROM news ORDER BY n DESC LIMIT 1), 0),"
        " (SELECT sum(boot * 1048576 + changes) FROM boots WHERE is_member)::int8",
    [P_PUBLISH] = "UPDATE boots SET info = $2, changes = changes + 1 WHERE boot = $1 AND is_member",
    [P_NODES] = "SELECT b.boot, b.name, b.is_member, b.is_draining,"
                " EXISTS (SELECT 1 FROM live l WHERE l.node = b.boot AND l.state = $1),"
                " (extract(epoch FROM b.beat) * 1000)::int8, b.info, b.load FROM boots b"
                " WHERE b.is_member OR (b.beat > clock_timestamp() - $2 * interval '1 ms'"
                " AND b.name <> '' AND NOT EXISTS (SELECT 1 FROM boots o WHERE o.name = b.name"
                " AND (o.is_member OR o.boot > b.boot))) ORDER BY b.name",
    [P_QUEUE_NODES] = "SELECT n.queue, b.name, n.lane, count(*) FROM live l"
                      " JOIN lines n ON n.number = l.line JOIN boots b ON b.boot = l.node"
                      " WHERE l.node IS NOT NULL AND l.state = $1 GROUP BY n.queue, b.name, n.lane"
                      " ORDER BY n.queue, b.name COLLATE \"C\", n.lane",
    [P_DRAIN] = "UPDATE boots SET is_draining = $2 = 1, changes = changes + 1"
                " WHERE name = $1 AND is_member RETURNING 1",
    [P_NOTIFY] = "SELECT pg_notify($1, $2)",
    [P_LATEST_NEWS] = "SELECT greatest((SELECT coalesce(max(n), 0) FROM news),"
                      " (SELECT coalesce(max(seen), 0) FROM boots)),"
                      " (SELECT max(up_ms + (extract(epoch FROM clock_timestamp() - beat)"
                      " * 1000)::int8) FROM boots WHERE is_member)",
    [P_NEWS] =
        "SELECT 0, (SELECT count(*) FROM boots WHERE is_member),"
        " (SELECT min(boot) FROM boots WHERE is_member),"
        " EXISTS (SELECT 1 FROM boots WHERE boot = $1 AND is_member), NULL::bytea,"
        " EXISTS (SELECT 1 FROM boots WHERE boot = $1 AND is_draining)"
        " UNION ALL (SELECT n, NULL, NULL, NULL, body, NULL FROM news WHERE n > $2 ORDER BY n)",
    [P_TELL] = "INSERT INTO news (n, body) VALUES ($1, $2)",
    [P_TRIM_NEWS] = "DELETE FROM news WHERE n <= (SELECT min(seen) FROM boots WHERE is_member)",
    [P_REPLICAS] = "SELECT count(*), coalesce(string_agg(nullif(r.application_name, ''), ', '), '')"
                   " FROM pg_stat_replication r WHERE r.state IS DISTINCT FROM 'backup'"
                   " AND NOT EXISTS (SELECT 1 FROM pg_replication_slots s"
                   " WHERE s.active_pid = r.pid AND s.slot_type = 'logical')"
                   " AND (current_setting('synchronous_standby_names') = ''"
                   " OR current_setting('synchronous_commit') = 'local')",
    [P_ABANDONED] =
        "SELECT " SPEC_COLUMNS LIVE_COLUMNS
        " FROM live l JOIN tasks t ON t.key = l.key" JOIN_OPTIONS
        " WHERE l.node IS NOT NULL AND l.state = $1 AND NOT EXISTS (SELECT 1 FROM boots n"
        " WHERE n.boot = l.node AND n.is_member) LIMIT $2",
    [P_GUARD] = "INSERT INTO commits (boot, n) VALUES ($1, $2 / (SELECT count(*) FROM boots"
                " WHERE boot = $1 AND is_member))",
    [P_TRIM_COMMITS] = "DELETE FROM commits WHERE boot = $1 AND n >= $2 AND n < $3",

    [P_INSERT] =
        "WITH t AS (INSERT INTO tasks (key, lo, lane, handler, created_ms, timeout_ms, retries,"
        " batch, batch_pos, after_key, after_lo, callback_key, callback_lo, traceparent,"
        " input_type, input) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
        " $15, $16) ON CONFLICT (key) DO NOTHING RETURNING key),"
        " l AS (INSERT INTO live (key, state, attempt, daemon_deaths, lane, queue, due_ms,"
        " started_ms, after_key, unique_key, earlier_attempts, place, line, priority, node)"
        " SELECT key, $17::int8, $18::int8, $19::int8, $3::int8, $20::int8, $21::int8, $22::int8,"
        " $23::int8, $24::bytea, $25::int8, $26::int8, $27::int8, $28::int8, $30::int8 FROM t"
        " RETURNING key) " CHECKED("l", "$29"),
    [P_ADD_TASK] = INSERT_TASK "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    [P_ADD_TASKS] = INSERT_TASK
    "SELECT v.key, v.lo, $3, $4, v.created_ms, $6, $7, $8, v.batch_pos, $10, $11, v.input"
    " FROM unnest($1, $2, $5, $9, $12) v(key, lo, created_ms, batch_pos, input)",
    [P_ADD_LIVE] = INSERT_LIVE "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    [P_ADD_LIVES] =
        INSERT_LIVE "SELECT v.key, $2, $3, $4, $5, $6, $7, $8, $9, v.place, $11, $12, $13"
                    " FROM unnest($1, $10) v(key, place)",
    [P_PUT_OPTIONS] = INSERT_OPTIONS "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
                                     " $13, $14, $15, $16, $17, $18, $19)",
    [P_PUT_OPTIONS_OF] = INSERT_OPTIONS
    "SELECT v.key, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19"
    " FROM unnest($1) v(key)",
    [P_UPDATE_LIVE] =
        "WITH u AS (UPDATE live SET state = $2, attempt = $3, daemon_deaths = $4, queue = $5,"
        " due_ms = $6, started_ms = $7, node = NULL, place = coalesce($10, place),"
        " suspended = CASE WHEN $11 = 1 THEN 2 WHEN suspended IS NOT NULL THEN 1 END"
        " WHERE key = $1 AND state = $8 AND attempt = $9 RETURNING 1) " CHECKED("u", "$12"),
    [P_FINISH] =
        "WITH d AS (DELETE FROM live WHERE key = $1 AND state = $21 AND attempt = $22"
        " RETURNING key), r AS (" INSERT_RESULT
        "SELECT key, $2::int8, $3::int8, $4::int8, $5::int8, $6::int8, $7::int8, $8, $9::bytea,"
        " $10, $11, $12::int8, $13::int8, $14::bytea, $15::int8, $16::int8, $17::int8, $18::int8,"
        " $19, $20::int8 FROM d RETURNING key) " CHECKED("r", "$23"),
    [P_ADD_RESULT] = INSERT_RESULT "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
                                   " $14, $15, $16, $17, $18, $19, $20)",
    [P_ADD_RESULTS] = INSERT_RESULT
    "SELECT v.key, v.seq, $3, $4, $5, v.started_ms, $7, $8, v.body, $10, $11, $12, $13, $14, $15,"
    " $16, $17, $18, $19, $20 FROM unnest($1, $2, $6, $9) v(key, seq, started_ms, body)",
    [P_END_LIVE] = "WITH d AS (DELETE FROM live WHERE key = $1 AND state = $2 AND attempt = $3"
                   " RETURNING 1) " CHECKED("d", "0"),
    [P_END_LIVES] = "WITH d AS (DELETE FROM live WHERE key = ANY($1) AND state = $2 AND"
                    " attempt = $3 RETURNING 1)"
                    " SELECT 1 / (count(*) = cardinality($1))::int FROM d",
    [P_RETURN] =
        "WITH d AS (DELETE FROM results WHERE key = $1 AND state = $2 AND attempt = $3"
        " RETURNING key), l AS (INSERT INTO live (key, state, attempt, daemon_deaths, lane, queue,"
        " due_ms, started_ms, after_key, unique_key, earlier_attempts, place, line, priority)"
        " SELECT key, $4::int8, $5::int8, $6::int8, $7::int8, $8::int8, $9::int8, $10::int8,"
        " $11::int8, $12::bytea, $13::int8, $14::int8, $15::int8, $16::int8 FROM d RETURNING 1)"
        " SELECT count(*) FROM l",
    [P_ADD_ATTEMPT] =
        "INSERT INTO attempts (key, attempt, state, started_ms, finished_ms, code,"
        " message, exit_code, signal, oom, max_rss_kib, cpu_ms, log, error_type) VALUES ($1, $2,"
        " $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING",
    [P_TRIM_ATTEMPTS] = "DELETE FROM attempts WHERE key = $1 AND attempt <= $2",
    [P_SET_CALLBACK] = "UPDATE tasks SET callback_key = $2, callback_lo = $3 WHERE key = $1",

    [P_ADD_LINE] = "INSERT INTO lines (number, lane, queue, handler, fair_key, limits)"
                   " VALUES ($1, $2, $3, $4, $5, $6)",
    [P_DROP_LINE] = "DELETE FROM lines WHERE number = $1",
    [P_TAKE] =
        "WITH c AS MATERIALIZED (SELECT key FROM live WHERE queue = $1 AND place >= $2"
        " ORDER BY place LIMIT $3), u AS (UPDATE live l SET state = $4, attempt = l.attempt + $5,"
        " queue = NULL, started_ms = $6, node = $7 FROM c WHERE l.key = c.key"
        " RETURNING l.key, l.attempt, l.daemon_deaths, l.earlier_attempts, l.place,"
        " l.suspended)"
        " SELECT key, attempt, daemon_deaths, earlier_attempts, place, suspended FROM u UNION ALL"
        " SELECT NULL, NULL, NULL, NULL, place, NULL FROM (SELECT place FROM live WHERE queue = $1"
        " AND place >= $2 ORDER BY place OFFSET $3 LIMIT 1) n ORDER BY place",
    [P_FIRST] = "SELECT place FROM live WHERE queue = $1 AND place >= $2 ORDER BY place LIMIT 1",
    [P_LOAD] = "SELECT " SPEC_COLUMNS ", t.input_type, t.input FROM tasks t" JOIN_OPTIONS
               " WHERE t.key = ANY($2) AND (t.key = $1 OR octet_length(t.input) <= 8192)",
    [P_DUE] = "SELECT key, line, priority FROM live WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2",
    [P_RUN_AT] = "WITH x AS MATERIALIZED (SELECT key, kind, at_ms FROM timers"
                 " WHERE kind = $1 AND at_ms <= $2 ORDER BY at_ms LIMIT $3),"
                 " d AS (DELETE FROM timers t USING x WHERE t.key = x.key AND t.kind = x.kind)"
                 " SELECT l.key, l.line, l.priority FROM x JOIN live l ON l.key = x.key"
                 " ORDER BY x.at_ms",
    [P_NEXT_TIMES] = "SELECT (SELECT min(due_ms) FROM live WHERE due_ms IS NOT NULL),"
                     " (SELECT min(at_ms) FROM timers WHERE kind = $1),"
                     " least((SELECT min(at_ms) FROM timers WHERE kind = $2),"
                     " (SELECT min(at_ms) FROM timers WHERE kind = $3))",
    [P_PUT_TIMER] = "INSERT INTO timers (key, kind, at_ms) VALUES ($1, $2, $3)"
                    " ON CONFLICT DO NOTHING",
    [P_RETURN_EXPIRY] = "INSERT INTO timers (key, kind, at_ms) SELECT key, $2::int8, $3::int8"
                        " FROM live WHERE key = $1 AND suspended IS NULL ON CONFLICT DO NOTHING",
    [P_TIMED_OUT] =
        "SELECT " SPEC_COLUMNS LIVE_COLUMNS
        " FROM timers x JOIN live l ON l.key = x.key JOIN tasks t ON t.key = x.key" JOIN_OPTIONS
        " WHERE x.kind = $1 AND x.at_ms <= $2 ORDER BY x.at_ms LIMIT $3",
    [P_DROP_TIMER] = "DELETE FROM timers WHERE key = $1 AND kind = $2",
    [P_DROP_TIMERS] = "DELETE FROM timers WHERE key = $1",
    [P_IN_STATE] =
        "SELECT " SPEC_COLUMNS LIVE_COLUMNS
        " FROM live l JOIN tasks t ON t.key = l.key" JOIN_OPTIONS " WHERE l.state = $1"
        " AND NOT EXISTS (SELECT 1 FROM boots n WHERE n.boot = l.node AND n.is_member) LIMIT $2",
    [P_AFTER] = "WITH m AS (SELECT key, line, priority FROM live WHERE after_key = $1),"
                " a AS (UPDATE tasks t SET input = t.input || '\\x0a'::bytea || $2 FROM m"
                " WHERE t.key = m.key) SELECT key, line, priority FROM m LIMIT $3",
    [P_QUEUE] = "UPDATE live SET state = $2, queue = line, due_ms = NULL, after_key = NULL,"
                " unmet = NULL, place = $3 WHERE key = $1",

    [P_FIND_STATE] = "SELECT coalesce(l.state, r.state) FROM tasks t" JOIN_LIVE JOIN_RESULTS
                     " WHERE t.key = $1 AND t.lo = $2",
    [P_PUT_EDGE] = "INSERT INTO edges (" EDGE_COLUMNS ") VALUES ($1, $2, $3, $4, $5 = 1)"
                   " ON CONFLICT (parent, child) DO UPDATE SET kind = excluded.kind,"
                   " is_pending = excluded.is_pending",
    [P_PENDING_EDGES] = "SELECT " EDGE_COLUMNS " FROM edges WHERE parent = $1 AND is_pending"
                        " ORDER BY child LIMIT $2",
    [P_CHILDREN] = "SELECT " EDGE_COLUMNS " FROM edges WHERE parent = $1 AND child > $2"
                   " ORDER BY child LIMIT $3",
    [P_PARENTS] = "SELECT " EDGE_COLUMNS " FROM edges WHERE child = $1 LIMIT $2",
    [P_PLACE] = "SELECT place FROM live WHERE key = $1",
    [P_SUBMITTED] = "SELECT key FROM options WHERE parent = $1 AND key > $2 ORDER BY key LIMIT $3",
    [P_SET_UNMET] = "UPDATE live SET unmet = $2 WHERE key = $1",
    [P_SET_DUE] = "UPDATE live SET due_ms = $2 WHERE key = $1",
    [P_FIND_LIVE] = "SELECT " SPEC_COLUMNS LIVE_COLUMNS
                    " FROM live l JOIN tasks t ON t.key = l.key" JOIN_OPTIONS " WHERE l.key = $1",
    [P_FIND_DONE] = "SELECT " TASK_COLUMNS " FROM " OF_RESULTS " WHERE r.key = $1",
    [P_PUT_CASCADE] = "INSERT INTO cascades (key, kind, state, after) VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT (key, kind) DO UPDATE SET state = excluded.state,"
                      " after = excluded.after",
    [P_NEXT_CASCADE] = "SELECT key, kind, state, after FROM cascades ORDER BY key LIMIT 1",
    [P_DROP_CASCADE] = "DELETE FROM cascades WHERE key = $1 AND kind = $2",

    [P_DROP_WAKES] = "WITH d AS (DELETE FROM edges WHERE child = $1 AND kind = $2)"
                     " UPDATE edges SET is_pending = false, kind = kind - $3"
                     " WHERE child = $1 AND kind & $3 <> 0 AND kind <> $2",
    [P_WAKES] = "SELECT parent, parent_lo FROM edges WHERE child = $1 AND is_pending"
                " ORDER BY parent LIMIT $2",
    [P_FIND_UNIQUE] = "SELECT t.key, t.lo FROM live l JOIN tasks t ON t.key = l.key"
                      " WHERE l.unique_key = $1",
    [P_FIND_KEY] = "SELECT task, lo, fingerprint FROM keys WHERE key = $1",
    [P_PUT_KEY] = "INSERT INTO keys (key, fingerprint, task, lo, created_ms)"
                  " VALUES ($1, $2, $3, $4, $5)",
    [P_PUT_BATCH] =
        "WITH b AS (INSERT INTO batches (key, lo, created_ms, total, unfinished, fail_fast,"
        " failed, cancelled, callback_key, callback_lo, then_key, then_lo, parent, parent_lo)"
        " VALUES ($1, $2, $3, $4, $4, $5 = 1, 0, 0, $6, $7, $8, $9, $10, $11)"
        " ON CONFLICT (key) DO NOTHING RETURNING 1) " CHECKED("b", "$12"),
    [P_FAIL_BATCH] = "UPDATE batches SET cancelling = true, spares_running = false"
                     " WHERE key = $1 AND fail_fast RETURNING 1",
    [P_CANCEL_BATCH] = "UPDATE batches SET cancelling = true,"
                       " spares_running = ($3 = 1 AND (spares_running OR NOT cancelling))"
                       " WHERE key = $1 AND lo = $2 RETURNING 1",
    [P_END_MEMBERS] = "UPDATE batches SET unfinished = unfinished - $2, failed = failed + $4,"
                      " cancelled = cancelled + $5, keeps_default = keeps_default OR $6 = 1,"
                      " keep_ms = CASE WHEN $7 > 0 THEN greatest(keep_ms, $7) ELSE keep_ms END,"
                      " up_ms = CASE WHEN unfinished = $2 THEN $3 END WHERE key = $1",
    [P_KEEP_BATCH] =
        "WITH s AS (SELECT key, up_ms, keep_ms, keeps_default FROM batches"
        " WHERE key = $1 AND up_ms IS NOT NULL AND keep_ms IS NOT NULL),"
        " u AS (UPDATE batches b SET up_ms = NULL FROM s WHERE b.key = s.key)"
        " INSERT INTO kept (key, is_batch, until_ms, then_up_ms)"
        " SELECT key, true, up_ms + keep_ms, CASE WHEN keeps_default THEN up_ms END FROM s"
        " ON CONFLICT (key) DO UPDATE SET until_ms = excluded.until_ms,"
        " then_up_ms = excluded.then_up_ms",
    [P_KEEP] = "INSERT INTO kept (key, is_batch, until_ms) VALUES ($1, false, $2)"
               " ON CONFLICT (key) DO UPDATE SET until_ms = $2",
    [P_DROP_KEPT] = "DELETE FROM kept WHERE key = $1",
    [P_KEPT_OLDEST] = "SELECT key, is_batch, until_ms, then_up_ms FROM kept"
                      " ORDER BY until_ms LIMIT 1",
    [P_END_KEPT] = "WITH k AS (DELETE FROM kept WHERE key = $1)"
                   " UPDATE batches SET up_ms = $2 WHERE key = $1",
    [P_HAS_KEPT] = "SELECT EXISTS (SELECT 1 FROM kept)"
                   " OR EXISTS (SELECT 1 FROM batches WHERE keep_ms IS NOT NULL)",
    [P_RETURN_MEMBER] = "UPDATE batches SET unfinished = unfinished + 1, up_ms = NULL,"
                        " failed = failed - $2, cancelled = cancelled - $3 WHERE key = $1",
    [P_BATCH_ENDS] = "SELECT lo, total, unfinished, failed, cancelled, callback_key, callback_lo"
                     " FROM batches WHERE key = $1",
    [P_SET_BATCH_CALLBACK] = "UPDATE batches SET callback_key = $2, callback_lo = $3"
                             " WHERE key = $1",
    [P_CANCELLING] = "SELECT key, spares_running::int4 FROM batches WHERE cancelling"
                     " ORDER BY key LIMIT 1",
    [P_WINDOW] = "SELECT max(batch_pos), count(*) FROM (SELECT batch_pos FROM tasks"
                 " WHERE batch = $1 AND batch_pos >= $2 ORDER BY batch_pos LIMIT $3) w",
    [P_UNFINISHED] = "SELECT " SPEC_COLUMNS LIVE_COLUMNS
                     " FROM tasks t JOIN live l ON l.key = t.key" JOIN_OPTIONS
                     " WHERE t.batch = $1 AND t.batch_pos >= $2 AND t.batch_pos <= $3"
                     " AND l.state <> $5 ORDER BY t.batch_pos LIMIT $4",
    [P_CANCELLED] = "UPDATE batches SET cancelling = false WHERE key = $1",
    [P_OLD_BATCH] = "SELECT key, up_ms FROM batches WHERE up_ms IS NOT NULL ORDER BY up_ms LIMIT 1",
    [P_MEMBER_KEYS] = "SELECT key FROM tasks WHERE batch = $1 LIMIT $2",
    [P_DELETE_BATCH] = "WITH k AS (DELETE FROM keys WHERE task = $1),"
                       " t AS (DELETE FROM kept WHERE key = $1),"
                       " b AS (DELETE FROM batches WHERE key = $1)"
                       " DELETE FROM sessions WHERE key = $1 RETURNING lo",
    [P_PUT_SESSION] =
        "WITH b AS (INSERT INTO batches (key, lo, created_ms, total, fail_fast, unfinished,"
        " up_ms, failed, cancelled, keeps_default) VALUES ($1, $2, $4, 0, false, 0, $5, 0, 0, true)"
        " ON CONFLICT (key) DO NOTHING RETURNING key), s AS (INSERT INTO sessions (key, lo,"
        " handler, created_ms, init_type, init, max_tasks, on_disconnect, grace_ms, lease_ms)"
        " SELECT key, $2::int8, $3, $4::int8, $6, $7, $8, $9, $10, $11 FROM b RETURNING 1)"
        " SELECT count(*) FROM s",
    [P_SESSION_INIT] = "SELECT lo, init_type, init, max_tasks, broken FROM sessions"
                       " WHERE key = $1 AND init IS NOT NULL",
    [P_BREAK_SESSION] = "UPDATE sessions SET broken = $2 WHERE key = $1 AND broken IS NULL",
    [P_FIND_SESSION] = "SELECT " SESSION_COLUMNS " WHERE s.key = $1",
    [P_SESSION_LIST] = "SELECT " SESSION_COLUMNS " WHERE s.key < $1 ORDER BY s.key DESC LIMIT $2",
    [P_ADD_TO_SESSION] =
        "UPDATE batches SET total = total + $2, unfinished = unfinished + $2, up_ms = NULL,"
        " keeps_default = keeps_default AND total > 0 WHERE key = $1",
    [P_CLOSE_SESSION] = "UPDATE sessions SET closed_ms = $2 WHERE key = $1 AND closed_ms IS NULL",
    [P_RENEW_SESSION] = "UPDATE sessions SET lease_ms = $2 + grace_ms + grace_ms / 3"
                        " WHERE key = $1 AND lease_ms IS NOT NULL",
    [P_RENEW_SESSIONS] = "UPDATE sessions SET lease_ms = $1 + grace_ms + grace_ms / 3"
                         " WHERE lease_ms IS NOT NULL",
    [P_SESSION_LEASES] = "SELECT " SESSION_COLUMNS " WHERE s.lease_ms IS NOT NULL"
                         " ORDER BY s.lease_ms LIMIT $1",
    [P_END_LEASE] = "UPDATE sessions SET lease_ms = NULL, disconnected_ms = $2 WHERE key = $1",
    [P_DELETE_EMPTY_BATCH] =
        "WITH b AS (DELETE FROM batches WHERE key = $1"
        " AND NOT EXISTS (SELECT 1 FROM tasks WHERE batch = $1)"
        " AND NOT EXISTS (SELECT 1 FROM sessions WHERE key = $1) RETURNING key),"
        " t AS (DELETE FROM kept WHERE key IN (SELECT key FROM b))"
        " DELETE FROM keys WHERE task IN (SELECT key FROM b)",

    [P_IS_RUNNING] = "SELECT 1 FROM live WHERE key = $1 AND state = $2 AND attempt = $3",
    [P_REPORT] = "INSERT INTO reports AS n (key, progress, message, log_end, log)"
                 " VALUES ($1, $2, $3, $6, $4) ON CONFLICT (key) DO UPDATE SET"
                 " progress = coalesce($2, n.progress), message = coalesce($3, n.message),"
                 " log_end = n.log_end + $6, log = CASE WHEN octet_length($4) = 0 THEN n.log"
                 " ELSE substring(coalesce(n.log, '') || $4 FROM greatest(1,"
                 " octet_length(coalesce(n.log, '')) + octet_length($4) - $5 + 1)::int4) END",
    [P_IS_LIVE] = "SELECT EXISTS (SELECT 1 FROM live WHERE key = $1), batch FROM tasks"
                  " WHERE key = $1 AND lo = $2",
    [P_DELETE_TASKS] = "WITH a AS (DELETE FROM results WHERE key = ANY($1)),"
                       " b AS (DELETE FROM reports WHERE key = ANY($1)),"
                       " c AS (DELETE FROM attempts WHERE key = ANY($1)),"
                       " d AS (DELETE FROM options WHERE key = ANY($1)),"
                       " e AS (DELETE FROM keys WHERE task = ANY($1)),"
                       " f AS (DELETE FROM edges WHERE child = ANY($1)),"
                       " g AS (DELETE FROM checkpoints WHERE key = ANY($1)),"
                       " h AS (DELETE FROM kept WHERE key = ANY($1))"
                       " DELETE FROM tasks WHERE key = ANY($1)",
    [P_PUT_CHECKPOINT] = "INSERT INTO checkpoints (key, attempt, stored_ms, type, body)"
                         " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO UPDATE SET"
                         " attempt = $2, stored_ms = $3, type = $4, body = $5",
    [P_DELETE_CHECKPOINT] = "DELETE FROM checkpoints WHERE key = $1",
    [P_GET_CHECKPOINT] = "SELECT attempt, stored_ms, type, octet_length(body), body"
                         " FROM checkpoints WHERE key = $1",
    [P_CHECKPOINT_SIZE] = "SELECT attempt, stored_ms, type, octet_length(body)"
                          " FROM checkpoints WHERE key = $1",
    [P_HAS_CHECKPOINTS] = "SELECT EXISTS (SELECT 1 FROM checkpoints)",
    [P_OLDEST] =
        "SELECT r.key, r.up_ms, t.after_key,"
        " EXISTS (SELECT 1 FROM tasks x WHERE x.key = t.after_key AND x.callback_key = r.key)"
        " OR EXISTS (SELECT 1 FROM batches x WHERE x.key = t.after_key"
        " AND x.callback_key = r.key) FROM results r JOIN tasks t ON t.key = r.key"
        " WHERE r.up_ms IS NOT NULL ORDER BY r.up_ms LIMIT $1",
    [P_KEEP_LONGER] = "UPDATE results SET up_ms = $2 WHERE key = ANY($1)",

    [P_BULK_PUT] =
        "INSERT INTO bulks (" BULK_COLUMNS ") VALUES ($1, $2, $3, $4 = 1, $5, $6, $7, $8, $9 = 1,"
        " $10, $11, $12, $13, $14) ON CONFLICT (key) DO UPDATE SET finished_ms = $8,"
        " is_stopped = $9 = 1, next = $10, seen = $11, matched = $12, changed = $13, refused = $14",
    [P_BULK_TRIM] = "DELETE FROM bulks WHERE key IN (SELECT key FROM bulks"
                    " WHERE finished_ms IS NOT NULL ORDER BY key DESC OFFSET $1)",
    [P_BULK_NEXT] =
        "SELECT " BULK_COLUMNS ", (SELECT count(*) FROM bulks WHERE finished_ms IS NULL)"
        " FROM bulks WHERE finished_ms IS NULL AND key > $1 ORDER BY key LIMIT 1",
    [P_BULK_FIND] = "SELECT " BULK_COLUMNS " FROM bulks WHERE key = $1 AND lo = $2",
    [P_BULKS] = "SELECT " BULK_COLUMNS " FROM bulks ORDER BY key DESC LIMIT $1",

    [P_SCHEDULE_FIND] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE name = $1",
    [P_SCHEDULE_PUT] =
        "INSERT INTO schedules (" SCHEDULE_COLUMNS ", wake_ms)"
        " VALUES ($1, $2 = 1, $3 = 1, $4 = 1, $5, $6, $7, $8, $9, $10, $11, $12)"
        " ON CONFLICT (name) DO UPDATE SET is_file = $2 = 1, is_paused = $3 = 1,"
        " is_ready = $4 = 1, revision = $5, since_ms = $6, next_ms = $7, due_ms = $8,"
        " waiting_ms = $9, runs = $10, text = $11, wake_ms = $12",
    [P_SCHEDULE_REMOVE] = "DELETE FROM schedules WHERE name = $1",
    [P_SCHEDULE_REMOVE_RUNS] = "DELETE FROM schedule_runs WHERE name = $1",
    [P_SCHEDULE_COUNT] = "SELECT count(*), count(*) FILTER (WHERE is_file) FROM schedules",
    [P_SCHEDULE_OF_FILE] = "SELECT name FROM schedules WHERE is_file ORDER BY name",
    [P_SCHEDULE_ADD_RUN] =
        "INSERT INTO schedule_runs (name, n, kind, at_ms, to_ms, done_ms, is_manual, key, lo)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7 = 1, $8, $9)",
    [P_SCHEDULE_TRIM_RUNS] = "DELETE FROM schedule_runs WHERE name = $1 AND n <= $2",
    [P_SCHEDULE_END_WAITING] = "DELETE FROM schedule_runs WHERE name = $1 AND kind = $2",
    [P_SCHEDULE_UNFINISHED] =
        "SELECT " SPEC_COLUMNS LIVE_COLUMNS " FROM schedule_tasks s JOIN live l ON l.key = s.key"
        " JOIN tasks t ON t.key = s.key" JOIN_OPTIONS " WHERE s.name = $1 ORDER BY s.key LIMIT $2",
    [P_SCHEDULE_ADD_TASK] = "INSERT INTO schedule_tasks (name, key) VALUES ($1, $2)",
    [P_SCHEDULE_DROP_TASK] = "DELETE FROM schedule_tasks WHERE name = $1 AND key = $2",
    [P_SCHEDULE_READY] = "UPDATE schedules SET is_ready = true, wake_ms = 0 WHERE name = $1"
                         " AND waiting_ms IS NOT NULL AND NOT is_paused"
                         " AND NOT EXISTS (SELECT 1 FROM schedule_tasks t WHERE t.name = $1)",
    [P_SCHEDULE_RUNS] = "SELECT s.kind, s.at_ms, s.to_ms, s.done_ms, s.is_manual, s.key, s.lo,"
                        " coalesce(l.state, r.state) FROM schedule_runs s"
                        " LEFT JOIN live l ON l.key = s.key LEFT JOIN results r ON r.key = s.key"
                        " WHERE s.name = $1 ORDER BY s.n DESC LIMIT $2",
    [P_SCHEDULE_LIST] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE name > $1"
                        " ORDER BY name LIMIT $2",
    [P_SCHEDULE_DUE] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE wake_ms <= $1"
                       " ORDER BY wake_ms LIMIT $2",
    [P_SCHEDULE_NEXT] = "SELECT min(wake_ms) FROM schedules WHERE wake_ms > $1",

    [P_LIMIT_PUT] =
        "INSERT INTO limits (name, per_key, max_running, rate_tasks, rate_per_ms, rate_burst)"
        " VALUES ($1, $2 = 1, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET per_key = $2 = 1,"
        " max_running = $3, rate_tasks = $4, rate_per_ms = $5, rate_burst = $6",
    [P_LIMIT_DROP] = "DELETE FROM limits WHERE name = $1",
    [P_LIMIT_KEY_PUT] =
        "INSERT INTO limit_keys (name, key, tokens, tokens_ms, closed_until_ms)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name, key) DO UPDATE SET tokens = $3,"
        " tokens_ms = $4, closed_until_ms = $5",
    [P_LIMIT_KEY_DROP] = "DELETE FROM limit_keys WHERE name = $1 AND key = $2",
    [P_LIMITS] = "SELECT name, per_key, max_running, rate_tasks, rate_per_ms, rate_burst"
                 " FROM limits",
    [P_LIMIT_KEYS] = "SELECT name, key, tokens, tokens_ms, closed_until_ms FROM limit_keys",
    [P_QUEUE_PUT] =
        "INSERT INTO queues (name, weight, max_running, rate_tasks, rate_per_ms, rate_burst,"
        " age_after_ms, retention_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) "
        "DO UPDATE SET"
        " weight = $2, max_running = $3, rate_tasks = $4, rate_per_ms = $5, rate_burst = $6,"
        " age_after_ms = $7, retention_ms = $8",
    [P_QUEUE_DROP] = "DELETE FROM queues WHERE name = $1",
    [P_FAIR_PUT] = "INSERT INTO fair_weights (queue, fair_key, weight) VALUES ($1, $2, $3)"
                   " ON CONFLICT (queue, fair_key) DO UPDATE SET weight = $3",
    [P_FAIR_DROP] = "DELETE FROM fair_weights WHERE queue = $1 AND fair_key = $2",
    [P_FAIR_DROP_ALL] = "DELETE FROM fair_weights WHERE queue = $1",
    [P_PAUSE_PUT] = "INSERT INTO pauses (kind, name, since_ms, by, reason)"
                    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, name) DO UPDATE SET"
                    " since_ms = $3, by = $4, reason = $5",
    [P_PAUSE_DROP] = "DELETE FROM pauses WHERE kind = $1 AND name = $2",
    [P_QUEUES] = "SELECT name, weight, max_running, rate_tasks, rate_per_ms, rate_burst,"
                 " age_after_ms, retention_ms FROM queues",
    [P_FAIR_WEIGHTS] = "SELECT queue, fair_key, weight FROM fair_weights"
                       " ORDER BY queue, fair_key",
    [P_PAUSES] = "SELECT kind, name, since_ms, by, reason FROM pauses",

    [P_SAVE] = "UPDATE counters SET seq = $1, up_ms = $2, wall_ms = $3",
    [P_TOUCH] = "UPDATE counters SET seq = seq",
    [P_SIZE] = "SELECT pg_database_size(current_database())",
    [P_TOTALS] = "SELECT seq, up_ms, wall_ms, (SELECT max(up_ms) FROM results"
                 " WHERE up_ms IS NOT NULL), (SELECT max(up_ms) FROM batches"
                 " WHERE up_ms IS NOT NULL), (SELECT max(key) FROM tasks),"
                 " (SELECT max(place) FROM live WHERE priority = 0),"
                 " EXISTS (SELECT 1 FROM edges), (SELECT max(key) FROM batches) FROM counters",
    [P_LINES] = "SELECT n.number, n.lane, n.queue, n.handler, n.fair_key, n.limits, l.state, l.n,"
                " l.first FROM lines n LEFT JOIN (SELECT line, state, count(*) AS n,"
                " min(place) FILTER (WHERE queue IS NOT NULL) AS first"
                " FROM live GROUP BY line, state) l ON l.line = n.number ORDER BY n.number",
    [P_PASS_DUE] = "UPDATE live SET due_ms = greatest(0, due_ms - $1) WHERE due_ms IS NOT NULL",
    [P_PASS_TIMERS] = "UPDATE timers SET at_ms = greatest(0, at_ms - $1) WHERE kind <> $2",
    [P_PASS_LIMITS] = "UPDATE limit_keys SET closed_until_ms ="
                      " greatest(0, closed_until_ms - $1) WHERE closed_until_ms > 0",

    [P_GET] = "SELECT " TASK_COLUMNS BODY_COLUMNS ", n.progress, n.message, n.log_end"
              " FROM tasks t" JOIN_LIVE JOIN_RESULTS JOIN_OPTIONS
              " LEFT JOIN reports n ON n.key = t.key WHERE t.key = $1 AND t.lo = $2",
    [P_SCAN_ALL] = SCAN(TASK_COLUMNS, "tasks t" JOIN_LIVE JOIN_RESULTS JOIN_OPTIONS, "t.key", ""),
    [P_SCAN_LIVE] =
        SCAN(TASK_COLUMNS, "live l JOIN tasks t ON t.key = l.key" JOIN_RESULTS JOIN_OPTIONS,
             "l.key", ""),
    [P_SCAN_DONE] = SCAN(TASK_COLUMNS, OF_RESULTS, "r.key", ""),
    [P_SCAN_CODE] = SCAN(TASK_COLUMNS, OF_RESULTS, "r.key", " AND r.code IS NOT NULL"),
    [P_SCAN_CODE_WHOLE] =
        SCAN(TASK_COLUMNS BODY_COLUMNS, OF_RESULTS, "r.key", " AND r.code IS NOT NULL"),
    [P_SCAN_QUEUE] = SCAN(TASK_COLUMNS, OF_OPTIONS, "o.key", " AND o.queue = $4"),
    [P_SCAN_QUEUE_WHOLE] =
        SCAN(TASK_COLUMNS BODY_COLUMNS, OF_OPTIONS, "o.key", " AND o.queue = $4"),
    [P_SCAN_SCHEDULE] = SCAN(TASK_COLUMNS, OF_OPTIONS, "o.key", " AND o.schedule = $4"),
    [P_SCAN_SCHEDULE_WHOLE] =
        SCAN(TASK_COLUMNS BODY_COLUMNS, OF_OPTIONS, "o.key", " AND o.schedule = $4"),
    [P_SCAN_PARENT] = SCAN(TASK_COLUMNS, OF_OPTIONS, "o.key", " AND o.parent = $4"),
    [P_SCAN_PARENT_WHOLE] =
        SCAN(TASK_COLUMNS BODY_COLUMNS, OF_OPTIONS, "o.key", " AND o.parent = $4"),
    [P_SCAN_HERE] =
        SCAN(TASK_COLUMNS, "live l JOIN tasks t ON t.key = l.key" JOIN_RESULTS JOIN_OPTIONS,
             "l.key", " AND l.node = $4"),
    [P_BRIEFS] = "SELECT t.key IS NOT NULL, l.state, r.state, r.seq"
                 " FROM unnest($1::int8[], $2::int8[]) WITH ORDINALITY u (key, lo, n)"
                 " LEFT JOIN tasks t ON t.key = u.key AND t.lo = u.lo" JOIN_LIVE JOIN_RESULTS
                 " ORDER BY u.n",
    [P_BATCH] = "SELECT created_ms, total, fail_fast, cancelling, callback_key, callback_lo,"
                " then_key, then_lo, parent, parent_lo,"
                " EXISTS (SELECT 1 FROM sessions s WHERE s.key = batches.key)"
                " FROM batches WHERE key = $1 AND lo = $2",
    [P_BATCH_COUNTS] = "SELECT coalesce(l.state, r.state), count(*), max(r.finished_ms)"
                       " FROM tasks t" JOIN_LIVE JOIN_RESULTS " WHERE t.batch = $1 GROUP BY 1",
    [P_BATCH_LIST] =
        "SELECT b.key, b.lo, b.created_ms, b.total, b.fail_fast, b.cancelling, b.parent,"
        " b.parent_lo, b.unfinished, b.failed, b.cancelled FROM batches b"
        " WHERE b.key < $1 AND ($3 = 0 OR (b.unfinished = 0) = ($3 = 2))"
        " AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.key = b.key)"
        " ORDER BY b.key DESC LIMIT $2",
    [P_MEMBERS] =
        "SELECT " TASK_COLUMNS BODY_COLUMNS
        " FROM batches b JOIN tasks t ON t.batch = b.key" JOIN_LIVE JOIN_RESULTS JOIN_OPTIONS
        " WHERE b.key = $1 AND b.lo = $2 AND t.batch_pos >= $3"
        " ORDER BY t.batch_pos LIMIT $4",
    [P_SESSION_ENDS] = "SELECT " TASK_COLUMNS BODY_COLUMNS " FROM " OF_RESULTS
                       " WHERE r.session = $1 AND r.seq > $2 ORDER BY r.seq LIMIT $3",
    [P_LOG] = "SELECT coalesce(r.state, l.state), n.progress, n.message, n.log_end, n.log"
              " FROM tasks t" JOIN_LIVE JOIN_RESULTS " LEFT JOIN reports n ON n.key = t.key"
              " WHERE t.key = $1 AND t.lo = $2",
    [P_INPUT] = "SELECT input_type, input FROM tasks WHERE key = $1",
    [P_ATTEMPTS] = "SELECT attempt, state, started_ms, finished_ms, code, message, exit_code,"
                   " signal, oom, max_rss_kib, cpu_ms, log, error_type FROM attempts"
                   " WHERE key = $1 ORDER BY attempt LIMIT $2",
    [P_EDGES] = "SELECT u.n, e.parent, e.parent_lo, e.kind, e.is_pending"
                " FROM unnest($1::int8[]) WITH ORDINALITY u (child, n)"
                " JOIN edges e ON e.child = u.child ORDER BY u.n, e.parent",
    [P_AHEAD] = "SELECT count(*) FROM (SELECT 1 FROM live me JOIN lines mine"
                " ON mine.number = me.queue JOIN lines n ON n.queue = mine.queue"
                " AND n.lane = mine.lane AND n.fair_key = mine.fair_key"
                " JOIN live l ON l.queue = n.number AND l.place < me.place"
                " WHERE me.key = $1 LIMIT $2) x",
    [P_QUEUE_LINES] = "SELECT number FROM lines WHERE queue = $1 LIMIT $2",
    [P_LINE_NEXT] = "SELECT key, place FROM live WHERE queue = $1 AND place >= $2"
                    " ORDER BY place LIMIT 1",
};
