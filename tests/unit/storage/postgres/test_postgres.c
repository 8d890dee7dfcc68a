/* What only a server can show: who may have the database, servers that restart while tasks come,
 * commits of which nobody heard, another daemon, text that PostgreSQL does not take. */
#include <check.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "tests/contract/fixture.h"
#include "tests/support/database.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/storage/postgres/ask.h"

static struct fixture k;

static void begin(void)
{
    fixture_open(&k, "postgres");
}

static void end(void)
{
    fixture_close(&k);
}

static void check_refused(int rc, const char *words)
{
    struct fut_errbuf err = {""};
    struct store *s = NULL;
    ck_assert_int_eq(store_open(&k.cfg, &s, &err), rc);
    ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
    ck_assert_ptr_null(strstr(err.text, k.url));
}

START_TEST(test_postgres_second_daemon_is_refused)
{
    begin();
    check_refused(FUT_ERR_BUSY, "in use by another futured");
    (void)fixture_submit(&k, LANE_IO, "x"); /* the first one goes on */
    end();
}
END_TEST

START_TEST(test_postgres_newer_schema_is_refused)
{
    begin();
    fixture_stop(&k);
    free(ask_value(k.url, "UPDATE futured SET version = 1000"));
    check_refused(FUT_ERR_INVAL, "schema version 1000");
    end();
}
END_TEST

START_TEST(test_postgres_tables_of_others_are_refused)
{
    begin();
    fixture_stop(&k);
    free(ask_value(k.url, "DROP TABLE futured"));
    check_refused(FUT_ERR_INVAL, "tables of another program");
    end();
}
END_TEST

START_TEST(test_postgres_asynchronous_commit_is_refused)
{
    char saved[sizeof(k.url)];
    begin();
    fixture_stop(&k);
    memcpy(saved, k.url, sizeof(saved));
    (void)snprintf(k.url + strlen(k.url), sizeof(k.url) - strlen(k.url),
                   "%%20-csynchronous_commit%%3Doff");
    check_refused(FUT_ERR_INVAL, "synchronous_commit is off");
    memcpy(k.url, saved, sizeof(saved));
    end();
}
END_TEST

START_TEST(test_postgres_no_server_is_said)
{
    begin();
    fixture_stop(&k);
    (void)snprintf(k.url, sizeof(k.url), "postgresql:///postgres?host=%s/none", k.dir);
    check_refused(FUT_ERR_IO, "cannot connect to PostgreSQL");
    end();
}
END_TEST

/* A node that the others have given up without its noticing writes nothing any more. */
START_TEST(test_postgres_daemon_that_was_replaced_stops_writing)
{
    begin();
    (void)fixture_submit(&k, LANE_IO, "before");
    free(ask_value(k.url, "UPDATE boots SET is_member = false"));
    struct task t = fixture_task(LANE_IO, "echo", "after");
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_READ_ONLY);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_READ_ONLY);
    char *n = ask_value(k.url, "SELECT count(*) FROM tasks");
    ck_assert_str_eq(n, "1");
    free(n);
    task_release(&t);
    end();
}
END_TEST

#define MIXED 40
#define LONG_INPUT (100 << 10) /* goes by itself */

/* Runs of tasks that are alike, of which the server gets each by one statement, and some that are
 * like no other. */
static struct task mixed(int i)
{
    static unsigned char input[LONG_INPUT];
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    memset(input, 'a' + i % 26, sizeof(input));
    spec.input = input;
    spec.input_len = i == 7 ? LONG_INPUT : (size_t)(i % 5);
    spec.timeout_ms = i / 10 % 2 ? 1000 + i : 5000;
    spec.handler = i < 30 ? "echo" : "text";
    spec.priority = i % 13 == 0 ? 3 : 0;
    fixture_respec(&t, &spec);
    return t;
}

START_TEST(test_postgres_rows_that_go_together_stay_apart)
{
    struct task tasks[MIXED], got;
    begin();
    for (int i = 0; i < MIXED; i++)
        tasks[i] = mixed(i);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, MIXED), 0);
    for (int i = 0; i < MIXED; i++) {
        const struct task_spec *s = tasks[i].spec;
        ck_assert_int_eq(fixture_get(&k, s->id, &got), 0);
        ck_assert_int_eq(got.state, TASK_QUEUED);
        ck_assert_int_eq(got.spec->timeout_ms, s->timeout_ms);
        ck_assert_str_eq(got.spec->handler, s->handler);
        ck_assert_int_eq(got.spec->priority, s->priority);
        task_release(&got);
    }
    for (int i = 0; i < MIXED; i++) {
        struct task t = fixture_claim_one(&k);
        int at = 0;
        while (at < MIXED && !id_equal(tasks[at].spec->id, t.spec->id))
            at++;
        ck_assert_int_lt(at, MIXED);
        ck_assert_uint_eq(t.spec->input_len, tasks[at].spec->input_len);
        ck_assert_int_eq(memcmp(t.spec->input, tasks[at].spec->input, t.spec->input_len), 0);
        ck_assert_int_eq(fixture_succeed(&k, &t, i % 3 ? "\"y\"" : "\"yy\""), 0);
        task_release(&t);
    }
    char *n = ask_value(k.url, "SELECT count(*) FROM results r LEFT JOIN live l USING (key)"
                               " WHERE l.key IS NULL");
    ck_assert_str_eq(n, "40");
    free(n);
    for (int i = 0; i < MIXED; i++)
        task_release(&tasks[i]);
    end();
}
END_TEST

/* Rows that change behind the writer's back are noticed, and nothing of the transaction stays. */
START_TEST(test_postgres_change_by_others_is_noticed)
{
    struct task t;
    begin();
    (void)fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    free(ask_value(k.url, "DELETE FROM live"));
    ck_assert_int_eq(fixture_succeed(&k, &t, "y"), FUT_ERR_READ_ONLY);
    char *n = ask_value(k.url, "SELECT count(*) FROM results");
    ck_assert_str_eq(n, "0");
    free(n);
    task_release(&t);
    end();
}
END_TEST

/* Bytes that are not UTF-8 cost their own text alone. */
START_TEST(test_postgres_text_that_is_not_utf8_is_kept_repaired)
{
    struct task t, seen;
    begin();
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    struct task_outcome *o = task_outcome_error("broken", "a\xff\xc3\x28 \xc3\xa4");
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, &(struct task_in){.outcome = o}), 0);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
    ck_assert_str_eq(seen.outcome->message, "a?\?( \xc3\xa4");
    task_outcome_unref(o);
    task_release(&seen);
    task_release(&t);
    end();
}
END_TEST

/* While the former session holds the lock of its node's number its transaction may be open: a new
 * one reads nothing, and writes nothing. Another session plays that one here. */
START_TEST(test_postgres_waits_for_the_end_of_its_former_session)
{
    char sql[256];
    begin();
    (void)fixture_submit(&k, LANE_IO, "before"); /* what a start has to do is done */
    char *lock =
        ask_value(k.url, "SELECT (quote_ident(current_schema())::regnamespace::oid::int8 << 32)"
                         " | max(boot) FROM boots");
    PGconn *c = PQconnectdb(k.url);
    (void)snprintf(sql, sizeof(sql), "SELECT pg_advisory_lock(%s)", lock);
    ck_assert_int_eq(PQsendQuery(c, sql), 1);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT bool_or(pg_terminate_backend(h.pid)) FROM pg_locks w JOIN pg_locks h"
                   " USING (locktype, database, classid, objid, objsubid)"
                   " WHERE w.pid = %d AND NOT w.granted AND h.granted",
                   PQbackendPID(c));
    wait_for(ask_is_so(k.url, sql));
    PQclear(PQgetResult(c)); /* it has the lock now */
    struct task t = fixture_task(LANE_IO, "echo", "x");
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_IO);
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %d",
                   PQbackendPID(c));
    PQfinish(c);
    wait_for(ask_is_so(k.url, sql)); /* the second time nobody waits for the lock */
    (void)fixture_submit(&k, LANE_IO, "y");
    char *n = ask_value(k.url, "SELECT count(*) FROM tasks");
    ck_assert_str_eq(n, "2");
    free(n);
    free(lock);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_postgres_heals_after_a_restart)
{
    fixture_database_own();
    begin();
    struct task_id before = fixture_submit(&k, LANE_IO, "before");
    struct task seen;
    database_stop(fixture_database(), _i ? SIGINT : SIGQUIT);
    database_start(fixture_database());
    struct task_id after =
        fixture_submit(&k, LANE_IO, "after"); /* the first one, without an error */
    ck_assert_int_eq(fixture_get(&k, before, &seen), 0);
    task_release(&seen);
    ck_assert_int_eq(fixture_get(&k, after, &seen), 0);
    task_release(&seen);
    end();
    fixture_database_free();
}
END_TEST

/* A table that each transaction writes, one that it asks before it writes. */
static const struct {
    const char *table, *unique;
} cuts[] = {{"commits", NULL}, {"live", "one"}};

static atomic_bool is_done;

static void on_done(struct store_op *op)
{
    (void)op;
    atomic_store(&is_done, true);
}

/* The connection ends in the middle of a transaction, which waits for a table there. Whoever waits
 * for it hears of the next one. */
START_TEST(test_postgres_cut_in_a_transaction_is_repeated)
{
    char sql[256];
    struct task plain = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *plain.spec;
    spec.unique = cuts[_i].unique;
    struct task t = {.spec = task_spec_new(&spec), .state = TASK_QUEUED};
    struct store_submit o = {.tasks = &t, .n = 1};
    begin();
    (void)fixture_submit(&k, LANE_IO, "before");
    PGconn *c = PQconnectdb(k.url);
    (void)snprintf(sql, sizeof(sql), "BEGIN; LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
                   cuts[_i].table);
    PQclear(PQexec(c, sql));
    atomic_store(&is_done, false);
    ck_assert_int_eq(store_post(k.store, &store_verb_submit, &o.op, on_done), 0);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_locks"
                   " WHERE NOT granted AND relation = '%s'::regclass",
                   cuts[_i].table);
    wait_for(ask_is_so(k.url, sql));
    PQfinish(c);
    wait_for(atomic_load(&is_done));
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert(ask_is_so(k.url, "SELECT count(*) = 2 FROM tasks"));
    task_release(&plain);
    task_release(&t);
    end();
}
END_TEST

#define WAITS_FOR_COMMITS "NOT granted AND relation = 'commits'::regclass"

/* The session that waits for the table `commits` ends, once there is one other than `before`;
 * returns the number of its process. */
static int cut_off(int before)
{
    char sql[256];
    char *pid = NULL;
    (void)snprintf(sql, sizeof(sql),
                   "SELECT coalesce(max(pid), 0) FROM pg_locks WHERE " WAITS_FOR_COMMITS
                   " AND pid <> %d AND pg_terminate_backend(pid)",
                   before);
    wait_for((free(pid), pid = ask_value(k.url, sql), strcmp(pid, "0") != 0));
    int n = (int)strtol(pid, NULL, 10);
    free(pid);
    return n;
}

/* What the node says of itself goes in the transaction of the first cut's repetition, and is done
 * again with it. */
START_TEST(test_postgres_handlers_said_in_a_transaction_that_is_cut)
{
    struct store_node_handlers o = {.names = xcalloc(1, sizeof(char *)), .n = 1};
    struct task t = fixture_task(LANE_IO, "echo", "x"), foreign = fixture_task(LANE_IO, "f", "x");
    struct task got[2], both[] = {t, foreign};
    struct store_queue_list list = {.limit = 10};
    struct store_submit submit = {.tasks = &t, .n = 1}, next = {.tasks = &foreign, .n = 1};
    o.names[0] = xstrdup("echo");
    begin();
    PGconn *c = PQconnectdb(k.url);
    PQclear(PQexec(c, "BEGIN; LOCK TABLE commits IN SHARE MODE"));
    ck_assert_int_eq(store_post(k.store, &store_verb_submit, &submit.op, on_done), 0);
    wait_for(ask_is_so(k.url, "SELECT count(*) = 1 FROM pg_locks"
                              " WHERE " WAITS_FOR_COMMITS));
    ck_assert_int_eq(store_post(k.store, &store_verb_node_handlers, &o.op, on_done), 0);
    ck_assert_int_eq(store_post(k.store, &store_verb_queue_list, &list.op, on_done), 0);
    atomic_store(&is_done, false);
    (void)cut_off(cut_off(0));
    PQfinish(c);
    wait_for(atomic_load(&is_done));
    ck_assert_int_eq(fixture_do(&k, &store_verb_submit, &next.op), 0);
    ck_assert_int_eq(submit.op.rc, 0);
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert_int_eq(list.op.rc, 0);
    ck_assert_uint_eq(list.n, 1);
    free(list.queues);
    free(list.fair);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 2, got), 1);
    ck_assert_str_eq(got[0].spec->handler, "echo");
    task_release(&got[0]);
    for (size_t i = 0; i < FUT_COUNT(both); i++)
        task_release(&both[i]);
    end();
}
END_TEST

/* The server has made the commit, and waits for a standby that there is not, when the connection
 * ends: it has happened, and is not done again. */
START_TEST(test_postgres_commit_of_which_nobody_heard_counts)
{
    fixture_database_own();
    begin();
    (void)fixture_submit(&k, LANE_IO, "before");
    free(ask_value(k.url, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"));
    free(ask_value(k.url, "SELECT pg_reload_conf()"));
    wait_for(ask_is_so(k.url, "SELECT current_setting('synchronous_standby_names') = 'nobody'"));
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct store_submit o = {.tasks = &t, .n = 1};
    atomic_store(&is_done, false);
    ck_assert_int_eq(store_post(k.store, &store_verb_submit, &o.op, on_done), 0);
    wait_for(ask_is_so(k.url, "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity"
                              " WHERE wait_event = 'SyncRep'"));
    free(ask_value(k.url, "ALTER SYSTEM RESET synchronous_standby_names"));
    free(ask_value(k.url, "SELECT pg_reload_conf()"));
    wait_for(atomic_load(&is_done));
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert(ask_is_so(k.url, "SELECT count(*) = 2 FROM tasks"));
    task_release(&t);
    end();
    fixture_database_free();
}
END_TEST

/* ---- restarts under load ----------------------------------------------------------------------
 */

#define IN_FLIGHT 16
#define RESTARTS 24
#define ACKS_MAX 200000
#define COUNT_STEP 5000 /* tasks that one statement looks for */

static struct {
    struct mutex mu;
    struct task_id *acked;
    size_t n_acked, n_refused;
    bool stops;
    unsigned open;
} load = {.mu = {PTHREAD_MUTEX_INITIALIZER}};

struct one {
    struct store_submit o;
    struct task task;
};

static void submit_next(struct one *one);

static void on_submitted(struct store_op *op)
{
    struct one *one = FUT_CONTAINER(op, struct one, o.op);
    struct task_id id = one->task.spec->id;
    mutex_lock(&load.mu);
    if (op->rc == 0 && load.n_acked < ACKS_MAX)
        load.acked[load.n_acked++] = id;
    load.n_refused += op->rc != 0;
    bool stops = load.stops;
    load.open -= stops;
    mutex_unlock(&load.mu);
    task_release(&one->task);
    if (!stops)
        submit_next(one);
}

static void submit_next(struct one *one)
{
    one->task = fixture_task(LANE_IO, "echo", "x");
    one->o = (struct store_submit){.tasks = &one->task, .n = 1};
    ck_assert_int_eq(store_post(k.store, &store_verb_submit, &one->o.op, on_submitted), 0);
}

static size_t acked(void)
{
    mutex_lock(&load.mu);
    size_t n = load.n_acked;
    mutex_unlock(&load.mu);
    return n;
}

static unsigned still_open(void)
{
    mutex_lock(&load.mu);
    unsigned n = load.open;
    mutex_unlock(&load.mu);
    return n;
}

/* So many of the tasks are there. */
static size_t count_kept(const struct task_id *ids, size_t n)
{
    size_t kept = 0;
    for (size_t at = 0; at < n;) {
        struct buf sql = BUF_INIT;
        buf_puts(&sql, "SELECT count(*) FROM tasks WHERE key IN (0");
        for (size_t i = 0; i < COUNT_STEP && at < n; i++, at++)
            buf_printf(&sql, ",%" PRIi64, (int64_t)ids[at].hi);
        buf_putc(&sql, ')');
        char *count = ask_value(k.url, sql.data);
        kept += strtoul(count, NULL, 10);
        free(count);
        buf_release(&sql);
    }
    return kept;
}

/* Whoever submits waits, and is refused nothing; what was acknowledged is there: also of the
 * transactions that were at their commit when the server died, or had just made it: a fast shutdown
 * tells of the commit and then of its own end. */
START_TEST(test_postgres_restarts_tear_nothing)
{
    struct one ones[IN_FLIGHT];
    fixture_database_own();
    begin();
    load.acked = xcalloc(ACKS_MAX, sizeof(*load.acked));
    load.open = IN_FLIGHT;
    for (size_t i = 0; i < IN_FLIGHT; i++)
        submit_next(&ones[i]);
    for (int i = 0; i < RESTARTS; i++) {
        size_t before = acked();
        wait_for(acked() > before + 40 + 17 * (size_t)(i % 6));
        database_stop(fixture_database(), i % 4 ? SIGINT : SIGQUIT);
        database_start(fixture_database());
    }
    size_t before = acked();
    wait_for(acked() > before);
    mutex_lock(&load.mu);
    load.stops = true;
    mutex_unlock(&load.mu);
    wait_for(still_open() == 0);
    ck_assert_uint_eq(count_kept(load.acked, load.n_acked), load.n_acked);
    ck_assert_uint_eq(load.n_refused, 0);
    free(load.acked);
    end();
    fixture_database_free();
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_postgres_second_daemon_is_refused, 0},
        {test_postgres_newer_schema_is_refused, 0},
        {test_postgres_tables_of_others_are_refused, 0},
        {test_postgres_asynchronous_commit_is_refused, 0},
        {test_postgres_no_server_is_said, 0},
        {test_postgres_daemon_that_was_replaced_stops_writing, 0},
        {test_postgres_change_by_others_is_noticed, 0},
        {test_postgres_rows_that_go_together_stay_apart, 0},
        {test_postgres_text_that_is_not_utf8_is_kept_repaired, 0},
        {test_postgres_waits_for_the_end_of_its_former_session, 0},
        {test_postgres_heals_after_a_restart, 2},
        {test_postgres_cut_in_a_transaction_is_repeated, FUT_COUNT(cuts)},
        {test_postgres_handlers_said_in_a_transaction_that_is_cut, 0},
        {test_postgres_commit_of_which_nobody_heard_counts, 0},
        {test_postgres_restarts_tear_nothing, 0},
    };
    fixture_database_share();
    int status = suite_run_rows("postgres", 120, NULL, NULL, rows, FUT_COUNT(rows));
    fixture_database_free();
    return status;
}
