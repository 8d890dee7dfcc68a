/* schema: the file: its settings, its lock, its schema and how old schemas become new. */
#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"

#define APPLICATION_ID 0x66757464 /* "futd"; W_TOUCH writes it again */

#define WALL_NOW "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
#define DUE_MAX_MS "86400000" /* RETRY_MAX_MS: no task waits longer */

/* Entry i brings a file of version i to version i + 1. Released entries are never edited.
 *
 * tasks and results are written once. All that changes while a task is unfinished is its small row
 * in live, which goes when it ends: the hot set is the queue, not the history. live.line is the
 * task's waiting line, and live.queue is the same while the task may be claimed, else NULL, so the
 * index holds what waits and nothing else.
 * Large columns stand last: what is before them is read without their overflow pages. */
static const char *const migrations[] = {
    "CREATE TABLE tasks ("
    "  key INTEGER PRIMARY KEY, lo INTEGER NOT NULL, lane INTEGER NOT NULL, handler TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, retries INTEGER NOT NULL,"
    "  batch INTEGER, batch_pos INTEGER, after_key INTEGER, after_lo INTEGER,"
    "  callback_key INTEGER, callback_lo INTEGER, traceparent TEXT,"
    "  input_type TEXT NOT NULL, input BLOB NOT NULL) STRICT;"
    "CREATE INDEX tasks_batch ON tasks(batch, batch_pos) WHERE batch IS NOT NULL;"
    "CREATE TABLE live ("
    "  key INTEGER PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    "  lost INTEGER NOT NULL, lane INTEGER NOT NULL, queue INTEGER, due_ms INTEGER,"
    "  started_ms INTEGER, after_key INTEGER, unique_key TEXT) STRICT;"
    "CREATE INDEX live_queue ON live(queue) WHERE queue IS NOT NULL;"
    "CREATE INDEX live_due ON live(due_ms) WHERE due_ms IS NOT NULL;"
    "CREATE INDEX live_after ON live(after_key) WHERE after_key IS NOT NULL;"
    "CREATE UNIQUE INDEX live_unique ON live(unique_key) WHERE unique_key IS NOT NULL;"
    "CREATE TABLE results ("
    "  key INTEGER PRIMARY KEY, seq INTEGER NOT NULL, state INTEGER NOT NULL,"
    "  attempt INTEGER NOT NULL, lost INTEGER NOT NULL, started_ms INTEGER,"
    "  finished_ms INTEGER NOT NULL, type TEXT, code TEXT, message TEXT, exit_code INTEGER,"
    "  signal INTEGER, log BLOB, body BLOB) STRICT;"
    "CREATE UNIQUE INDEX results_seq ON results(seq);"
    "CREATE TABLE batches ("
    "  key INTEGER PRIMARY KEY, lo INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    "  total INTEGER NOT NULL, fail_fast INTEGER NOT NULL, cancelling INTEGER) STRICT;"
    "CREATE INDEX batches_cancelling ON batches(cancelling) WHERE cancelling IS NOT NULL;"
    "CREATE TABLE keys ("
    "  key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, task INTEGER NOT NULL,"
    "  lo INTEGER NOT NULL, created_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX keys_created ON keys(created_ms);"
    "CREATE TABLE notes ("
    "  key INTEGER PRIMARY KEY, progress REAL, message TEXT, log_end INTEGER NOT NULL,"
    "  log BLOB) STRICT;",

    /* What a failed attempt took. Behind the large columns, but NULL where those are large: a row
     * of a success has no body of its own to be read for them. */
    "ALTER TABLE results ADD COLUMN oom INTEGER;"
    "ALTER TABLE results ADD COLUMN max_rss_kib INTEGER;"
    "ALTER TABLE results ADD COLUMN cpu_ms INTEGER;",

    /* attempts: how those ended that did not end their task, and those of earlier lives (of which
     * live.past is the number). options: what only some submissions say. */
    "ALTER TABLE live ADD COLUMN past INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE attempts ("
    "  key INTEGER NOT NULL, attempt INTEGER NOT NULL, state INTEGER NOT NULL,"
    "  started_ms INTEGER, finished_ms INTEGER NOT NULL, code TEXT, message TEXT,"
    "  exit_code INTEGER, signal INTEGER, oom INTEGER, max_rss_kib INTEGER, cpu_ms INTEGER,"
    "  log BLOB, PRIMARY KEY (key, attempt)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE options ("
    "  key INTEGER PRIMARY KEY, unique_key TEXT, retry_on INTEGER, retry_first_ms INTEGER,"
    "  retry_max_ms INTEGER, retry_jitter INTEGER) STRICT;",

    /* Durations by the uptime (storage/backend.h): due_ms from here on, and up_ms, from which the
     * retention counts: of a result when its task ended (NULL: it is a member's), of a batch when
     * the last member ended (NULL: unfinished). What is here counts from now. Keys go with what
     * they stand for. place is where a task stands in the queue. */
    "CREATE TABLE counters (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,"
    "  up_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL) STRICT;"
    "INSERT INTO counters SELECT 1, coalesce((SELECT max(seq) FROM results), 0), 0," WALL_NOW ";"
    "DROP INDEX results_seq;"
    "ALTER TABLE results ADD COLUMN up_ms INTEGER DEFAULT 0;"
    "UPDATE results SET up_ms = NULL"
    "  WHERE key IN (SELECT key FROM tasks WHERE batch IS NOT NULL);"
    "CREATE INDEX results_up ON results(up_ms) WHERE up_ms IS NOT NULL;"
    "ALTER TABLE batches ADD COLUMN unfinished INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE batches ADD COLUMN up_ms INTEGER DEFAULT 0;"
    "UPDATE batches SET unfinished ="
    "  (SELECT count(*) FROM tasks t JOIN live l ON l.key = t.key WHERE t.batch = batches.key);"
    "UPDATE batches SET up_ms = NULL WHERE unfinished > 0;"
    "CREATE INDEX batches_up ON batches(up_ms) WHERE up_ms IS NOT NULL;"
    "DROP INDEX keys_created;"
    "DELETE FROM keys WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.key = keys.task)"
    "  AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.key = keys.task);"
    "CREATE INDEX keys_task ON keys(task);"
    "UPDATE live SET due_ms = max(0, min(due_ms - " WALL_NOW ", " DUE_MAX_MS "))"
    "  WHERE due_ms IS NOT NULL;"
    "DROP INDEX live_queue;"
    "ALTER TABLE live ADD COLUMN place INTEGER NOT NULL DEFAULT 0;"
    "UPDATE live SET place = key;"
    "CREATE INDEX live_queue ON live(queue, place) WHERE queue IS NOT NULL;",

    /* What a program itself calls its error; NULL where the body is large. */
    ("ALTER TABLE results ADD COLUMN error_type TEXT;"
     "ALTER TABLE attempts ADD COLUMN error_type TEXT;"),

    /* One change of many futures, and how far it has got. results_code: what has failed or was
     * cancelled, without a look at what went well. */
    "CREATE TABLE bulks ("
    "  key INTEGER PRIMARY KEY, lo INTEGER NOT NULL, kind INTEGER NOT NULL, is_dry INTEGER NOT "
    "NULL,"
    "  filter TEXT NOT NULL, by TEXT NOT NULL, created_ms INTEGER NOT NULL, finished_ms INTEGER,"
    "  is_stopped INTEGER NOT NULL, next INTEGER NOT NULL, seen INTEGER NOT NULL,"
    "  matched INTEGER NOT NULL, changed INTEGER NOT NULL, refused INTEGER NOT NULL) STRICT;"
    "CREATE INDEX bulks_unfinished ON bulks(key) WHERE finished_ms IS NULL;"
    "CREATE INDEX bulks_finished ON bulks(key) WHERE finished_ms IS NOT NULL;"
    "CREATE INDEX results_code ON results(key) WHERE code IS NOT NULL;",

    /* Times that only some tasks have (enum backend_timer): a table of their own, so that the rest
     * carries none of them. */
    "ALTER TABLE options ADD COLUMN delay_ms INTEGER;"
    "ALTER TABLE options ADD COLUMN run_at_ms INTEGER;"
    "ALTER TABLE options ADD COLUMN expires_in_ms INTEGER;"
    "ALTER TABLE options ADD COLUMN deadline_ms INTEGER;"
    "CREATE TABLE timers ("
    "  key INTEGER NOT NULL, kind INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (key, kind)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX timers_at ON timers(kind, at_ms);",

    /* The callback of a batch, and what it tells: how many members have failed and been cancelled,
     * deleted ones included. NULL: the batch is older, and has no callback. */
    ("ALTER TABLE batches ADD COLUMN failed INTEGER;"
     "ALTER TABLE batches ADD COLUMN cancelled INTEGER;"
     "ALTER TABLE batches ADD COLUMN callback_key INTEGER;"
     "ALTER TABLE batches ADD COLUMN callback_lo INTEGER;"),

    /* Schedules, what their last times came to, and their unfinished tasks. wake_ms: from when on
     * one is due; NULL: not by itself. */
    "CREATE TABLE schedules ("
    "  name TEXT PRIMARY KEY, is_file INTEGER NOT NULL, is_paused INTEGER NOT NULL,"
    "  is_ready INTEGER NOT NULL, revision INTEGER NOT NULL, since_ms INTEGER NOT NULL,"
    "  next_ms INTEGER, due_ms INTEGER, waiting_ms INTEGER, runs INTEGER NOT NULL,"
    "  wake_ms INTEGER, text TEXT NOT NULL) STRICT;"
    "CREATE INDEX schedules_wake ON schedules(wake_ms) WHERE wake_ms IS NOT NULL;"
    "CREATE INDEX schedules_file ON schedules(is_file);"
    "CREATE TABLE schedule_runs ("
    "  name TEXT NOT NULL, n INTEGER NOT NULL, kind INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  to_ms INTEGER NOT NULL, done_ms INTEGER NOT NULL, is_manual INTEGER NOT NULL,"
    "  key INTEGER, lo INTEGER, PRIMARY KEY (name, n)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE schedule_tasks ("
    "  name TEXT NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (name, key)) STRICT, WITHOUT ROWID;"
    "ALTER TABLE options ADD COLUMN schedule TEXT;",
    /* Waiting lines: queue is the line's number from here on, and no longer the lane. */
    ("CREATE TABLE lines (number INTEGER PRIMARY KEY, lane INTEGER NOT NULL, queue TEXT NOT NULL,"
     "  handler TEXT NOT NULL, fair_key TEXT NOT NULL) STRICT;"
     "CREATE INDEX lines_queue ON lines(queue, lane, fair_key);"
     "INSERT INTO lines (lane, queue, handler, fair_key)"
     "  SELECT DISTINCT t.lane, CASE t.handler WHEN 'callback' THEN '(callbacks)' ELSE '' END,"
     "  t.handler, '' FROM live l JOIN tasks t ON t.key = l.key;"
     "ALTER TABLE live ADD COLUMN line INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE live ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
     "UPDATE live SET line = (SELECT n.number FROM tasks t"
     "  JOIN lines n ON n.lane = t.lane AND n.handler = t.handler WHERE t.key = live.key);"
     "UPDATE live SET queue = line WHERE queue IS NOT NULL;"
     "ALTER TABLE options ADD COLUMN queue TEXT;"
     "ALTER TABLE options ADD COLUMN fair_key TEXT;"
     "ALTER TABLE options ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
     "INSERT INTO options (key, queue) SELECT l.key, '(callbacks)'"
     "  FROM live l JOIN tasks t ON t.key = l.key WHERE t.handler = 'callback'"
     "  ON CONFLICT (key) DO UPDATE SET queue = excluded.queue;"),

    /* Futures without code. */
    "ALTER TABLE options ADD COLUMN is_promise INTEGER;",

    /* Limits, and what is kept of their keys beside the tasks that name them. */
    ("CREATE TABLE limits (name TEXT PRIMARY KEY, per_key INTEGER NOT NULL,"
     "  max_running INTEGER NOT NULL, rate_tasks REAL NOT NULL, rate_per_ms INTEGER NOT NULL,"
     "  rate_burst REAL NOT NULL) STRICT, WITHOUT ROWID;"
     "CREATE TABLE limit_keys (name TEXT NOT NULL, key TEXT NOT NULL, tokens REAL NOT NULL,"
     "  tokens_ms INTEGER NOT NULL, closed_until_ms INTEGER NOT NULL,"
     "  PRIMARY KEY (name, key)) STRICT, WITHOUT ROWID;"
     "ALTER TABLE lines ADD COLUMN limits TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE options ADD COLUMN limits TEXT;"),

    /* What attempts stored for those that come: of unfinished tasks, and of those that did not
     * succeed until they are deleted. suspended: 2 of a scheduled task whose attempt asked for it;
     * 1 of one that was suspended before; in other states 2 is as 1. */
    ("CREATE TABLE checkpoints ("
     "  key INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, stored_ms INTEGER NOT NULL,"
     "  type TEXT NOT NULL, body BLOB NOT NULL) STRICT;"
     "ALTER TABLE live ADD COLUMN suspended INTEGER;"),

    /* Which tasks wait for which (enum store_on), for how many each does, and what is still to be
     * done for the children of tasks that have ended or live again. */
    ("CREATE TABLE edges ("
     "  parent INTEGER NOT NULL, parent_lo INTEGER NOT NULL, child INTEGER NOT NULL,"
     "  kind INTEGER NOT NULL, is_pending INTEGER NOT NULL, PRIMARY KEY (parent, child))"
     "  STRICT, WITHOUT ROWID;"
     "CREATE INDEX edges_pending ON edges(parent, child) WHERE is_pending;"
     "CREATE INDEX edges_child ON edges(child);"
     "CREATE TABLE cascades ("
     "  key INTEGER NOT NULL, is_revival INTEGER NOT NULL, state INTEGER NOT NULL,"
     "  after INTEGER NOT NULL, PRIMARY KEY (key, is_revival)) STRICT, WITHOUT ROWID;"
     "ALTER TABLE live ADD COLUMN unmet INTEGER;"),

    /* What is said of queues and handlers (pauses.kind: enum store_pausable); and which futures a
     * queue or a schedule has, without a look at the others. */
    ("CREATE TABLE queues (name TEXT PRIMARY KEY, weight REAL NOT NULL,"
     "  max_running INTEGER NOT NULL, rate_tasks REAL NOT NULL, rate_per_ms INTEGER NOT NULL,"
     "  rate_burst REAL NOT NULL, age_after_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
     "CREATE TABLE fair_weights (queue TEXT NOT NULL, fair_key TEXT NOT NULL,"
     "  weight REAL NOT NULL, PRIMARY KEY (queue, fair_key)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE pauses (kind INTEGER NOT NULL, name TEXT NOT NULL, since_ms INTEGER NOT NULL,"
     "  by TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;"
     "CREATE INDEX options_queue ON options(queue) WHERE queue IS NOT NULL;"
     "CREATE INDEX options_schedule ON options(schedule) WHERE schedule IS NOT NULL;"),

    /* What is true of some submissions, as bits (spec.c): the first one says what is_promise said.
     */
    "ALTER TABLE options RENAME COLUMN is_promise TO flags;",

    /* The task that waits for all members of a batch. */
    ("ALTER TABLE batches ADD COLUMN then_key INTEGER;"
     "ALTER TABLE batches ADD COLUMN then_lo INTEGER;"),

    /* What the tasks of a batch are called. */
    "ALTER TABLE options ADD COLUMN name TEXT;",

    /* Which task submitted which. From here on cascades.kind is enum backend_cascade_kind. */
    ("ALTER TABLE options ADD COLUMN parent INTEGER;"
     "ALTER TABLE options ADD COLUMN parent_lo INTEGER;"
     "CREATE INDEX options_parent ON options(parent, key) WHERE parent IS NOT NULL;"
     "ALTER TABLE batches ADD COLUMN parent INTEGER;"
     "ALTER TABLE batches ADD COLUMN parent_lo INTEGER;"
     "ALTER TABLE cascades RENAME COLUMN is_revival TO kind;"),

    /* What is kept for a time of its own (queues.retention_ms), and not as results.up_ms and
     * batches.up_ms say, which are NULL then: futures, and batches with the longest time of their
     * members (keep_ms). then_up_ms: when until_ms is over the batch is kept from this time on as
     * others are, as one of its members was (keeps_default). */
    ("CREATE TABLE kept ("
     "  key INTEGER PRIMARY KEY, is_batch INTEGER NOT NULL, until_ms INTEGER NOT NULL,"
     "  then_up_ms INTEGER) STRICT;"
     "CREATE INDEX kept_until ON kept(until_ms);"
     "ALTER TABLE queues ADD COLUMN retention_ms INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE batches ADD COLUMN keep_ms INTEGER;"
     "CREATE INDEX batches_keep ON batches(key) WHERE keep_ms IS NOT NULL;"
     "ALTER TABLE batches ADD COLUMN keeps_default INTEGER NOT NULL DEFAULT 1;"),
    /* Sessions, each of which has a batch of the same key; and the ends of their tasks in the order
     * in which they came (results.session: NULL for all others). */
    ("CREATE TABLE sessions (key INTEGER PRIMARY KEY, lo INTEGER NOT NULL, handler TEXT NOT NULL,"
     "  created_ms INTEGER NOT NULL, closed_ms INTEGER) STRICT;"
     "ALTER TABLE results ADD COLUMN session INTEGER;"
     "CREATE INDEX results_session ON results(session, seq) WHERE session IS NOT NULL;"),
    /* What prepares the worker processes of a session, how many tasks of it one of them runs, and
     * why none runs any more. */
    ("ALTER TABLE sessions ADD COLUMN init_type TEXT;"
     "ALTER TABLE sessions ADD COLUMN init BLOB;"
     "ALTER TABLE sessions ADD COLUMN max_tasks INTEGER;"
     "ALTER TABLE sessions ADD COLUMN broken TEXT;"),
    /* What becomes of a session whose client has gone (enum store_on_disconnect), until when it is
     * taken to be there (NULL: nobody looks), and since when it is gone. The cancel of a batch that
     * spares what runs. */
    ("ALTER TABLE sessions ADD COLUMN on_disconnect INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE sessions ADD COLUMN grace_ms INTEGER;"
     "ALTER TABLE sessions ADD COLUMN lease_ms INTEGER;"
     "ALTER TABLE sessions ADD COLUMN disconnected_ms INTEGER;"
     "CREATE INDEX sessions_lease ON sessions(lease_ms) WHERE lease_ms IS NOT NULL;"
     "ALTER TABLE batches ADD COLUMN spares_running INTEGER NOT NULL DEFAULT 0;"),
};

#define SCHEMA_VERSION ((int)FUT_COUNT(migrations))

const int sqlite_schema_version = SCHEMA_VERSION;

static int io_rc(sqlite3 *db)
{
    int extended = sqlite3_extended_errcode(db);
    if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC)
        return FUT_ERR_READ_ONLY;
    /* sqlite3_system_errno does not know of failed commits; errno is still the failed call's. */
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return FUT_ERR_NO_SPACE; /* SQLite itself knows the first one only */
    case EROFS: return FUT_ERR_READ_ONLY;
    default: return FUT_ERR_IO;
    }
}

int sqlite_rc(sqlite3 *db, int rc)
{
    switch (rc) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW: return 0;
    case SQLITE_FULL: return FUT_ERR_NO_SPACE;
    case SQLITE_READONLY: return FUT_ERR_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return FUT_ERR_DAMAGED;
    default: return io_rc(db);
    }
}

int sqlite_fail(sqlite3 *db, const char *path, int rc, struct fut_errbuf *err)
{
    if (rc == FUT_ERR_DAMAGED)
        return fut_fail(err, rc,
                        "the database %s is damaged (%s): `futured check` lists what is wrong with "
                        "it; to go on, move it and %s-wal away and copy a backup to its place",
                        path, sqlite3_errmsg(db), path);
    return fut_fail(err, rc, "cannot use the database %s: %s", path, sqlite3_errmsg(db));
}

static int read_pragma(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : FUT_ERR_IO;
}

static int migrate_one(sqlite3 *db, int from)
{
    char version[96];
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, migrations[from], NULL, NULL, NULL);
    (void)sqlite3_snprintf(sizeof(version), version,
                           "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
                           APPLICATION_ID, from + 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, version, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : FUT_ERR_IO;
}

static int check_ours(sqlite3 *db, const char *path, struct fut_errbuf *err)
{
    int64_t app = 0, version = 0, tables = 0;
    if (read_pragma(db, "PRAGMA application_id", &app) != 0 ||
        read_pragma(db, "PRAGMA user_version", &version) != 0 ||
        read_pragma(db, "SELECT count(*) FROM sqlite_schema", &tables) != 0) {
        int code = sqlite3_errcode(db);
        return sqlite_fail(db, path, code == SQLITE_NOTADB ? FUT_ERR_INVAL : sqlite_rc(db, code),
                           err);
    }
    if (app != APPLICATION_ID && (tables > 0 || version != 0))
        return fut_fail(err, FUT_ERR_INVAL, "%s is a database of another program", path);
    if (version > SCHEMA_VERSION)
        return fut_fail(err, FUT_ERR_INVAL,
                        "%s has schema version %lld; this program knows versions up to %d: "
                        "run the newer futured that wrote it",
                        path, (long long)version, SCHEMA_VERSION);
    return 0;
}

int sqlite_look(const char *path, sqlite3 **out, struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    sqlite_configure();
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        rc = sqlite_fail(db, path, sqlite_rc(db, rc), err);
    } else {
        (void)sqlite3_busy_timeout(db, SQLITE_BUSY_MS);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        rc = check_ours(db, path, err);
    }
    if (rc == 0)
        *out = db;
    else
        (void)sqlite3_close(db);
    return rc;
}

/* synchronous=FULL: a commit is on disk when it returns. Checkpoints are our own (reserve.c).
 */
static const char settings[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                               "PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY;"
                               "PRAGMA cache_size=-16384; PRAGMA busy_timeout=5000;"
                               "PRAGMA journal_size_limit=16777216;";

int sqlite_connect(const char *path, const char *vfs, sqlite3 **out, struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    sqlite_configure();
    int rc = sqlite3_open_v2(path, &db, flags, vfs);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, settings, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        int ours = sqlite_fail(db, path, sqlite_rc(db, rc), err);
        (void)sqlite3_close(db);
        return ours;
    }
    *out = db;
    return 0;
}

int sqlite_migrate(sqlite3 *db, const char *path, int to, struct fut_errbuf *err)
{
    int64_t version = 0;
    if (read_pragma(db, "PRAGMA user_version", &version) != 0)
        return sqlite_fail(db, path, sqlite_rc(db, sqlite3_errcode(db)), err);
    for (int v = (int)version; v < to; v++) {
        if (migrate_one(db, v) != 0)
            return fut_fail(err, FUT_ERR_IO, "cannot bring %s from schema version %d to %d: %s",
                            path, v, v + 1, sqlite3_errmsg(db));
    }
    return 0;
}
