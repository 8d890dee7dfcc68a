/* schema: the server that we need, the schema, and how an older one becomes new. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/mem.h"
#include "storage/postgres/internal.h"

#define SERVER_MIN 150000
#define CLOCK_OFF_MAX_MS 60000

#define MIGRATION_PARTS 4 /* texts of one entry, as the compiler takes no longer ones */

/* Entry i brings a schema of version i to version i + 1. Released entries are never edited.
 *
 * tasks and results are written once. All that changes while a task is unfinished is its small row
 * in live, which goes when it ends. live.queue is the task's line while it may be claimed, else
 * NULL, so the index holds what waits and nothing else. kept: what goes by a time of its own, and
 * not by results.up_ms or batches.up_ms, which are NULL then. Names compare by their bytes ("C"),
 * and keys that clients choose are bytes. boots, commits: owner.c; boots.groups is that of nodes of
 * before version 7, which may come back after a long cut and find that they are no more. */
static const char *const migrations[][MIGRATION_PARTS] = {
    {
        "CREATE TABLE counters (one bool PRIMARY KEY DEFAULT true CHECK (one), seq int8 NOT NULL,"
        "  up_ms int8 NOT NULL, wall_ms int8 NOT NULL, boot int8 NOT NULL) WITH (fillfactor = 50);"
        "INSERT INTO counters (seq, up_ms, wall_ms, boot) VALUES"
        "  (0, 0, (extract(epoch FROM clock_timestamp()) * 1000)::int8, 0);"
        "CREATE TABLE boots (boot int8 PRIMARY KEY, at timestamptz NOT NULL DEFAULT "
        "clock_timestamp(),"
        "  groups int8 NOT NULL DEFAULT 0) WITH (fillfactor = 50);"
        "CREATE TABLE tasks ("
        "  key int8 PRIMARY KEY, lo int8 NOT NULL, created_ms int8 NOT NULL, timeout_ms int8 NOT "
        "NULL,"
        "  retries int4 NOT NULL, lane int2 NOT NULL, batch int8, batch_pos int8, after_key int8,"
        "  after_lo int8, callback_key int8, callback_lo int8, handler text COLLATE \"C\" NOT NULL,"
        "  traceparent text, input_type text NOT NULL, input bytea NOT NULL);"
        "CREATE INDEX tasks_batch ON tasks (batch, batch_pos) WHERE batch IS NOT NULL;"
        "CREATE TABLE options ("
        "  key int8 PRIMARY KEY, unique_key bytea, retry_on int4, retry_first_ms int8,"
        "  retry_max_ms int8, retry_jitter int4, delay_ms int8, run_at_ms int8, expires_in_ms int8,"
        "  deadline_ms int8, schedule text COLLATE \"C\", queue text COLLATE \"C\","
        "  fair_key text COLLATE \"C\", priority int4 NOT NULL, flags int4, limits text, name text,"
        "  parent int8, parent_lo int8);"
        "CREATE INDEX options_queue ON options (queue, key) WHERE queue IS NOT NULL;"
        "CREATE INDEX options_schedule ON options (schedule, key) WHERE schedule IS NOT NULL;"
        "CREATE INDEX options_parent ON options (parent, key) WHERE parent IS NOT NULL;"
        "CREATE TABLE live ("
        "  key int8 PRIMARY KEY, line int8 NOT NULL, queue int8, place int8 NOT NULL, due_ms int8,"
        "  started_ms int8, after_key int8, attempt int8 NOT NULL, earlier_attempts int8 NOT NULL,"
        "  daemon_deaths int4 NOT NULL, priority int4 NOT NULL, unmet int4, suspended int2,"
        "  state int2 NOT NULL, lane int2 NOT NULL, unique_key bytea)"
        "  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
        "  autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 0.2);"
        "CREATE INDEX live_queue ON live (queue, place) WHERE queue IS NOT NULL;"
        "CREATE INDEX live_due ON live (due_ms) WHERE due_ms IS NOT NULL;"
        "CREATE INDEX live_after ON live (after_key) WHERE after_key IS NOT NULL;"
        "CREATE UNIQUE INDEX live_unique ON live (unique_key) WHERE unique_key IS NOT NULL;"
        "CREATE TABLE results ("
        "  key int8 PRIMARY KEY, seq int8 NOT NULL, session int8, up_ms int8, started_ms int8,"
        "  finished_ms int8 NOT NULL, attempt int8 NOT NULL, max_rss_kib int8, cpu_ms int8,"
        "  daemon_deaths int4 NOT NULL, exit_code int4, signal int4, state int2 NOT NULL, oom int2,"
        "  type text, code text COLLATE \"C\", message text, error_type text, log bytea, body "
        "bytea);"
        "CREATE INDEX results_up ON results (up_ms) WHERE up_ms IS NOT NULL;"
        "CREATE INDEX results_code ON results (key) WHERE code IS NOT NULL;"
        "CREATE INDEX results_session ON results (session, seq) WHERE session IS NOT NULL;",
        "CREATE TABLE attempts ("
        "  key int8 NOT NULL, attempt int8 NOT NULL, state int2 NOT NULL, started_ms int8,"
        "  finished_ms int8 NOT NULL, code text, message text, exit_code int4, signal int4, oom "
        "int2,"
        "  max_rss_kib int8, cpu_ms int8, log bytea, error_type text, PRIMARY KEY (key, attempt));"
        "CREATE TABLE checkpoints ("
        "  key int8 PRIMARY KEY, attempt int8 NOT NULL, stored_ms int8 NOT NULL, type text NOT "
        "NULL,"
        "  body bytea NOT NULL);"
        "CREATE TABLE reports ("
        "  key int8 PRIMARY KEY, progress float8, message text, log_end int8 NOT NULL, log bytea)"
        "  WITH (fillfactor = 50);"
        "CREATE TABLE timers ("
        "  key int8 NOT NULL, kind int2 NOT NULL, at_ms int8 NOT NULL, PRIMARY KEY (key, kind));"
        "CREATE INDEX timers_at ON timers (kind, at_ms);"
        "CREATE TABLE edges ("
        "  parent int8 NOT NULL, parent_lo int8 NOT NULL, child int8 NOT NULL, kind int2 NOT NULL,"
        "  is_pending bool NOT NULL, PRIMARY KEY (parent, child));"
        "CREATE INDEX edges_pending ON edges (parent, child) WHERE is_pending;"
        "CREATE INDEX edges_child ON edges (child, parent);"
        "CREATE TABLE cascades ("
        "  key int8 NOT NULL, kind int2 NOT NULL, state int2 NOT NULL, after int8 NOT NULL,"
        "  PRIMARY KEY (key, kind));"
        "CREATE TABLE batches ("
        "  key int8 PRIMARY KEY, lo int8 NOT NULL, created_ms int8 NOT NULL, up_ms int8,"
        "  total int8 NOT NULL, unfinished int8 NOT NULL, failed int8 NOT NULL,"
        "  cancelled int8 NOT NULL, callback_key int8, callback_lo int8, then_key int8, then_lo "
        "int8,"
        "  parent int8, parent_lo int8, keep_ms int8, fail_fast bool NOT NULL,"
        "  cancelling bool NOT NULL DEFAULT false, keeps_default bool NOT NULL DEFAULT false)"
        "  WITH (fillfactor = 50);"
        "CREATE INDEX batches_keep ON batches (key) WHERE keep_ms IS NOT NULL;"
        "CREATE TABLE kept (key int8 PRIMARY KEY, is_batch bool NOT NULL, until_ms int8 NOT NULL,"
        "  then_up_ms int8);"
        "CREATE INDEX kept_until ON kept (until_ms);"
        "CREATE TABLE sessions (key int8 PRIMARY KEY, lo int8 NOT NULL, handler text NOT NULL,"
        "  created_ms int8 NOT NULL, closed_ms int8);"
        "CREATE INDEX batches_up ON batches (up_ms) WHERE up_ms IS NOT NULL;"
        "CREATE INDEX batches_cancelling ON batches (key) WHERE cancelling;"
        "CREATE TABLE keys ("
        "  key bytea PRIMARY KEY, fingerprint bytea NOT NULL, task int8 NOT NULL, lo int8 NOT NULL,"
        "  created_ms int8 NOT NULL);"
        "CREATE INDEX keys_task ON keys (task);",
        "CREATE TABLE bulks ("
        "  key int8 PRIMARY KEY, lo int8 NOT NULL, kind int2 NOT NULL, is_dry bool NOT NULL,"
        "  filter text NOT NULL, by text NOT NULL, created_ms int8 NOT NULL, finished_ms int8,"
        "  is_stopped bool NOT NULL, next int8 NOT NULL, seen int8 NOT NULL, matched int8 NOT NULL,"
        "  changed int8 NOT NULL, refused int8 NOT NULL);"
        "CREATE INDEX bulks_unfinished ON bulks (key) WHERE finished_ms IS NULL;"
        "CREATE TABLE schedules ("
        "  name text COLLATE \"C\" PRIMARY KEY, is_file bool NOT NULL, is_paused bool NOT NULL,"
        "  is_ready bool NOT NULL, revision int8 NOT NULL, since_ms int8 NOT NULL, next_ms int8,"
        "  due_ms int8, waiting_ms int8, runs int8 NOT NULL, wake_ms int8, text text NOT NULL);"
        "CREATE INDEX schedules_wake ON schedules (wake_ms) WHERE wake_ms IS NOT NULL;"
        "CREATE TABLE schedule_runs ("
        "  name text COLLATE \"C\" NOT NULL, n int8 NOT NULL, kind int2 NOT NULL, at_ms int8 NOT "
        "NULL,"
        "  to_ms int8 NOT NULL, done_ms int8 NOT NULL, is_manual bool NOT NULL, key int8, lo int8,"
        "  PRIMARY KEY (name, n));"
        "CREATE TABLE schedule_tasks ("
        "  name text COLLATE \"C\" NOT NULL, key int8 NOT NULL, PRIMARY KEY (name, key));"
        "CREATE TABLE lines ("
        "  number int8 PRIMARY KEY, lane int2 NOT NULL, queue text COLLATE \"C\" NOT NULL,"
        "  handler text COLLATE \"C\" NOT NULL, fair_key text COLLATE \"C\" NOT NULL,"
        "  limits text NOT NULL);"
        "CREATE INDEX lines_queue ON lines (queue, lane, fair_key);"
        "CREATE TABLE limits (name text COLLATE \"C\" PRIMARY KEY, per_key bool NOT NULL,"
        "  max_running int8 NOT NULL, rate_tasks float8 NOT NULL, rate_per_ms int8 NOT NULL,"
        "  rate_burst float8 NOT NULL);"
        "CREATE TABLE limit_keys (name text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT "
        "NULL,"
        "  tokens float8 NOT NULL, tokens_ms int8 NOT NULL, closed_until_ms int8 NOT NULL,"
        "  PRIMARY KEY (name, key));"
        "CREATE TABLE queues (name text COLLATE \"C\" PRIMARY KEY, weight float8 NOT NULL,"
        "  max_running int8 NOT NULL, rate_tasks float8 NOT NULL, rate_per_ms int8 NOT NULL,"
        "  rate_burst float8 NOT NULL, age_after_ms int8 NOT NULL,"
        "  retention_ms int8 NOT NULL);"
        "CREATE TABLE fair_weights (queue text COLLATE \"C\" NOT NULL,"
        "  fair_key text COLLATE \"C\" NOT NULL, weight float8 NOT NULL,"
        "  PRIMARY KEY (queue, fair_key));"
        "CREATE TABLE pauses (kind int2 NOT NULL, name text COLLATE \"C\" NOT NULL,"
        "  since_ms int8 NOT NULL, by text NOT NULL, reason text NOT NULL,"
        "  PRIMARY KEY (kind, name));",
    },
    {
        "ALTER TABLE sessions ADD COLUMN init_type text, ADD COLUMN init bytea,"
        "  ADD COLUMN max_tasks int8, ADD COLUMN broken text;",
    },
    {
        "ALTER TABLE boots ADD COLUMN name text NOT NULL DEFAULT '',"
        "  ADD COLUMN beat timestamptz NOT NULL DEFAULT clock_timestamp(),"
        "  ADD COLUMN is_member bool NOT NULL DEFAULT false,"
        "  ADD COLUMN up_ms int8, ADD COLUMN seen int8 NOT NULL DEFAULT 0;"
        "CREATE INDEX boots_members ON boots (boot) WHERE is_member;"
        "ALTER TABLE live ADD COLUMN node int8;"
        "CREATE INDEX live_node ON live (node) WHERE node IS NOT NULL;"
        "CREATE TABLE news (n int8 PRIMARY KEY, body bytea NOT NULL)"
        "  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
        "  autovacuum_vacuum_cost_delay = 0);",
    },
    {
        "ALTER TABLE boots ADD COLUMN is_draining bool NOT NULL DEFAULT false,"
        "  ADD COLUMN info text, ADD COLUMN load text;",
    },
    {
        "ALTER TABLE boots ADD COLUMN changes int8 NOT NULL DEFAULT 0;",
    },
    {
        "ALTER TABLE sessions ADD COLUMN on_disconnect int2 NOT NULL DEFAULT 0,"
        "  ADD COLUMN grace_ms int8, ADD COLUMN lease_ms int8, ADD COLUMN disconnected_ms int8;"
        "CREATE INDEX sessions_lease ON sessions (lease_ms) WHERE lease_ms IS NOT NULL;"
        "ALTER TABLE batches ADD COLUMN spares_running bool NOT NULL DEFAULT false;",
    },
    {
        "CREATE TABLE commits (boot int8 NOT NULL, n int8 NOT NULL, PRIMARY KEY (boot, n))"
        "  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
        "  autovacuum_vacuum_cost_delay = 0);"
        "UPDATE boots SET is_member = false WHERE is_member;",
    }};

#define SCHEMA_VERSION ((int)FUT_COUNT(migrations))

const int postgres_schema_version = SCHEMA_VERSION;

/* ---- looking ----------------------------------------------------------------------------------
 */

/* One row of one query's texts, outside of the pipeline. */
static int look(struct postgres_conn *c, const char *sql, PGresult **out, struct fut_errbuf *err)
{
    char text[256];
    *out = PQexec(c->pg, sql);
    if (PQresultStatus(*out) == PGRES_TUPLES_OK && PQntuples(*out) == 1)
        return 0;
    int rc = fut_fail(err, postgres_first_rc(PQresultErrorField(*out, PG_DIAG_SQLSTATE)),
                      "cannot look at the PostgreSQL database: %s",
                      postgres_message(c, text, sizeof(text)));
    PQclear(*out);
    *out = NULL;
    return rc;
}

/* The clock of the machine, which tests do not set. */
static int64_t own_wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int check_server(struct postgres_conn *c, struct fut_errbuf *err)
{
    PGresult *r;
    int rc = look(c,
                  "SELECT version(), current_setting('server_encoding'),"
                  " (extract(epoch FROM clock_timestamp()) * 1000)::int8,"
                  " current_schema(), current_setting('synchronous_commit')",
                  &r, err);
    if (rc != 0)
        return rc;
    const char *version = PQgetvalue(r, 0, 0);
    long long off_ms = strtoll(PQgetvalue(r, 0, 2), NULL, 10) - own_wall_ms();
    if (strncmp(version, "PostgreSQL ", 11) != 0 || strstr(version, "-YB-"))
        rc = fut_fail(err, FUT_ERR_INVAL, "futured needs PostgreSQL 15 or newer; this is %s",
                      version);
    else if (PQserverVersion(c->pg) < SERVER_MIN)
        rc = fut_fail(err, FUT_ERR_INVAL, "futured needs PostgreSQL 15 or newer; this is %.24s",
                      version);
    else if (strcmp(PQgetvalue(r, 0, 1), "UTF8") != 0)
        rc = fut_fail(err, FUT_ERR_INVAL,
                      "the database's encoding is %s; futured needs UTF8: createdb -E UTF8 "
                      "-T template0",
                      PQgetvalue(r, 0, 1));
    else if (off_ms > CLOCK_OFF_MAX_MS || off_ms < -CLOCK_OFF_MAX_MS)
        rc = fut_fail(err, FUT_ERR_INVAL,
                      "the clocks of this machine and of PostgreSQL differ by %lld s; futured "
                      "starts when it is less than %d s",
                      off_ms / 1000, CLOCK_OFF_MAX_MS / 1000);
    else if (PQgetisnull(r, 0, 3))
        rc = fut_fail(err, FUT_ERR_INVAL, "no schema of the user's search_path exists");
    else if (strcmp(PQgetvalue(r, 0, 4), "off") == 0)
        rc = fut_fail(err, FUT_ERR_INVAL,
                      "synchronous_commit is off for this user or database, so what was "
                      "acknowledged could be lost: ALTER ROLE … SET synchronous_commit = on");
    PQclear(r);
    return rc;
}

/* *out -1: there is no schema of ours, and nothing else either. */
static int read_version(struct postgres_conn *c, int *out, struct fut_errbuf *err)
{
    PGresult *r;
    int rc = look(c,
                  "SELECT to_regclass(quote_ident(current_schema()) || '.futured'),"
                  " (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p')"
                  "  AND relnamespace = quote_ident(current_schema())::regnamespace)",
                  &r, err);
    if (rc != 0)
        return rc;
    bool is_ours = !PQgetisnull(r, 0, 0);
    bool is_empty = strcmp(PQgetvalue(r, 0, 1), "0") == 0;
    PQclear(r);
    if (!is_ours && !is_empty)
        return fut_fail(err, FUT_ERR_INVAL,
                        "the PostgreSQL database has tables of another program: give futured one "
                        "of its own (createdb futured), or a schema of its own");
    *out = -1;
    if (!is_ours)
        return 0;
    rc = look(c, "SELECT version FROM futured", &r, err);
    if (rc != 0)
        return rc;
    *out = (int)strtol(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return 0;
}

/* ---- migrating --------------------------------------------------------------------------------
 */

#define CREATE                                                                                     \
    "BEGIN; CREATE TABLE futured (one bool PRIMARY KEY DEFAULT true CHECK (one),"                  \
    " version int4 NOT NULL, cluster uuid NOT NULL DEFAULT gen_random_uuid());"                    \
    " INSERT INTO futured (version) VALUES (0); COMMIT"

/* Text of several statements is one transaction. */
static int migrate_one(struct postgres_conn *c, int from, struct fut_errbuf *err)
{
    struct buf sql = BUF_INIT;
    buf_puts(&sql, "BEGIN; ");
    for (int i = 0; i < MIGRATION_PARTS && migrations[from][i]; i++)
        buf_puts(&sql, migrations[from][i]);
    buf_printf(&sql, " UPDATE futured SET version = %d; COMMIT", from + 1);
    int rc = postgres_exec(c, sql.data, err);
    buf_release(&sql);
    if (rc != 0)
        (void)postgres_exec(c, "ROLLBACK", NULL);
    return rc;
}

#define WITH_MEMBERS 3 /* the version from which on boots tells who lives */

/* A node that the database does not hear at the moment may come back within its lease: until then
 * its programs run on. Of its own name (node) none does, as everywhere. */
static int check_cut_off(struct postgres_conn *c, const char *node, struct fut_errbuf *err)
{
    PGresult *r;
    char sql[256];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT min(name), count(*) FROM boots WHERE is_member AND name <> $1"
                   " AND beat > clock_timestamp() - %d * interval '1 ms'",
                   POSTGRES_LEASE_MS);
    const char *const values[] = {node ? node : ""};
    r = PQexecParams(c->pg, sql, 1, NULL, values, NULL, NULL, 0);
    int rc = PQresultStatus(r) == PGRES_TUPLES_OK ? 0 : FUT_ERR_IO;
    if (rc != 0)
        rc = fut_fail(err, rc, "cannot look at the PostgreSQL database");
    else if (!PQgetisnull(r, 0, 0))
        rc = fut_fail(err, FUT_ERR_BUSY,
                      "node %s of an older version used the PostgreSQL database %d s ago or less: "
                      "stop all of them first, and try again",
                      PQgetvalue(r, 0, 0), POSTGRES_LEASE_MS / 1000);
    PQclear(r);
    return rc;
}

/* Nodes of an older version would not understand it. The session shares the lock itself. */
static int check_alone(struct postgres_conn *c, struct fut_errbuf *err)
{
    PGresult *r;
    int rc = look(c,
                  "SELECT CASE WHEN pg_try_advisory_lock(1718973540, n)"
                  " THEN pg_advisory_unlock(1718973540, n) ELSE false END FROM (SELECT"
                  " quote_ident(current_schema())::regnamespace::oid::int8::bit(32)::int4 AS n) s",
                  &r, err);
    if (rc != 0)
        return rc;
    bool is_alone = *PQgetvalue(r, 0, 0) == 't';
    PQclear(r);
    return is_alone ? 0
                    : fut_fail(err, FUT_ERR_BUSY,
                               "nodes of an older version use the PostgreSQL database, whose "
                               "schema this one would change: stop all of them first");
}

static int migrate(struct postgres_conn *c, const struct store_config *cfg, struct fut_errbuf *err)
{
    int version = -1;
    int rc = read_version(c, &version, err);
    if (rc == 0 && version > SCHEMA_VERSION)
        rc = fut_fail(err, FUT_ERR_INVAL,
                      "the PostgreSQL database has schema version %d; this program knows versions "
                      "up to %d: run the newer futured that wrote it",
                      version, SCHEMA_VERSION);
    if (rc == 0 && version < 0) {
        rc = postgres_exec(c, CREATE, err);
        version = 0;
    }
    if (rc == 0 && version > 0 && version < SCHEMA_VERSION)
        rc = check_alone(c, err);
    if (rc == 0 && version >= WITH_MEMBERS && version < SCHEMA_VERSION)
        rc = check_cut_off(c, cfg->node, err);
    for (; rc == 0 && version < SCHEMA_VERSION; version++) {
        rc = migrate_one(c, version, err);
        if (cfg->on_step)
            cfg->on_step(cfg->step_ctx);
    }
    return rc;
}

int postgres_check_server(struct postgres_conn *c, struct fut_errbuf *err)
{
    (void)PQexitPipelineMode(c->pg);
    int rc = check_server(c, err);
    return PQenterPipelineMode(c->pg) == 1 ? rc : rc ? rc : FUT_ERR_IO;
}

int postgres_migrate(struct postgres_conn *c, const struct store_config *cfg,
                     struct fut_errbuf *err)
{
    (void)PQexitPipelineMode(c->pg);
    int rc = migrate(c, cfg, err);
    return PQenterPipelineMode(c->pg) == 1 ? rc : rc ? rc : FUT_ERR_IO;
}
