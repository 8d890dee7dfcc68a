/* Transactions of nodes, which follow one upon the other: who waits for whom, and who does not. */
#include <check.h>
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/node.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/storage/postgres/pair.h"

#define OWN_SCHEMA "quote_ident(current_schema())::regnamespace::oid::int8::bit(32)"

/* A session that has the turn and does nothing with it. */
static PGconn *take_turn(void)
{
    PGconn *c = PQconnectdb(nodes[0].url);
    PGresult *r = PQexec(c, "SELECT pg_advisory_lock(1718973541, " OWN_SCHEMA "::int4)");
    ck_assert_int_eq(PQresultStatus(r), PGRES_TUPLES_OK);
    PQclear(r);
    return c;
}

#define POSTED_MAX 4

static struct {
    struct store_submit o[POSTED_MAX];
    struct task tasks[POSTED_MAX];
    atomic_int n_done;
} posted;

static void on_posted(struct store_op *op)
{
    (void)op;
    (void)atomic_fetch_add(&posted.n_done, 1);
}

static void post(int i)
{
    posted.tasks[i] = make_task(NULL, NULL, 0);
    posted.o[i] = (struct store_submit){.tasks = &posted.tasks[i], .n = 1};
    ck_assert_int_eq(store_post(nodes[1].store, &store_verb_submit, &posted.o[i].op, on_posted), 0);
}

static bool waits_for_its_turn(void)
{
    return atomic_load(&posted.n_done) > 0 ||
           is_so("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
                 " AND classid = 1718973541 AND objid = " OWN_SCHEMA "::int8::oid");
}

/* Transactions of all nodes follow one upon the other, so none finds a row locked by another, and
 * what it has read nobody changes. */
START_TEST(test_turns_write_one_after_the_other)
{
    begin();
    PGconn *c = take_turn();
    ck_assert_int_eq(PQsendQuery(c, "SELECT pg_sleep(600)"), 1); /* it does not stand still */
    post(0);
    wait_for(waits_for_its_turn());
    ck_assert_int_eq(atomic_load(&posted.n_done), 0);
    for (int i = 1; i < POSTED_MAX; i++)
        post(i);
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", PQbackendPID(c));
    free(run_sql(sql));
    wait_for(atomic_load(&posted.n_done) == POSTED_MAX);
    for (int i = 0; i < POSTED_MAX; i++) {
        ck_assert_int_eq(posted.o[i].op.rc, 0);
        task_release(&posted.tasks[i]);
    }
    /* What has come while it waited goes in the same transaction. */
    ck_assert(is_so("SELECT count(*) = 4 AND count(DISTINCT xmin::text) = 1 FROM tasks"));
    PQfinish(c);
    end();
}
END_TEST

#define KEPT                                                                                       \
    "SELECT count(*) = %d FROM pg_locks WHERE granted AND locktype = 'advisory'"                   \
    " AND classid = 1718973541 AND objid = " OWN_SCHEMA "::int8::oid"

static bool is_kept(int n)
{
    char sql[512];
    (void)snprintf(sql, sizeof(sql), KEPT, n);
    return is_so(sql);
}

/* Writes at both, and hears of it at both. */
static void write_in_turn(void)
{
    for (int i = 0; i < 4; i++) {
        struct task t;
        struct task_id id = submit(i % 2, NULL, NULL);
        ck_assert_uint_eq(fixture_claim_now(&nodes[(i + 1) % 2], LANE_IO, 1, &t), 1);
        ck_assert(id_equal(t.spec->id, id));
        finish((i + 1) % 2, &t);
        wait_for(has_ended(i % 2, id));
    }
}

static void write_alone(void)
{
    struct task t;
    (void)submit(0, NULL, NULL);
    ck_assert_uint_eq(fixture_claim_now(&nodes[0], LANE_IO, 1, &t), 1);
    finish(0, &t);
    ck_assert(is_kept(1));
}

/* The first one, which keeps its turn from its second transaction on. */
static void begin_alone(void)
{
    begin();
    wait_for(is_kept(0));
    fixture_stop(&nodes[1]);
    fixture_stop(&nodes[0]);
    open_node(0, "first");
    write_alone();
}

/* It has it between its transactions, and gives it up for one that comes, at once. */
START_TEST(test_turns_are_kept_by_one_that_is_alone)
{
    begin_alone();
    int64_t began_ms = clock_mono_ms();
    open_node(1, "second");
    ck_assert_int_lt(clock_mono_ms() - began_ms, LATE_MS);
    write_in_turn();
    wait_for(is_kept(0));
    end();
}
END_TEST

/* Its session ends: then it asks again, and keeps the turn again. */
START_TEST(test_turns_that_are_kept_end_with_the_session)
{
    begin_alone();
    free(run_sql("SELECT bool_and(pg_terminate_backend(pid)) FROM pg_locks WHERE granted"
                 " AND locktype = 'advisory' AND classid = 1718973541"
                 " AND objid = " OWN_SCHEMA "::int8::oid"));
    wait_for(is_kept(0));
    write_alone();
    open_node(1, "second");
    write_in_turn();
    end();
}
END_TEST

/* Alone it hears itself of its own drain. */
START_TEST(test_turns_that_are_kept_hear_of_a_drain)
{
    struct task t;
    begin_alone();
    for (int i = 0; i < 2; i++) {
        struct store_node_drain o = {.name = "first", .drains = true};
        struct task_id id = submit(0, NULL, NULL);
        ck_assert_int_eq(fixture_do(&nodes[0], &store_verb_node_drain, &o.op), 0);
        ck_assert_uint_eq(fixture_claim_now(&nodes[0], LANE_IO, 1, &t), 0);
        o.drains = false;
        ck_assert_int_eq(fixture_do(&nodes[0], &store_verb_node_drain, &o.op), 0);
        ck_assert_uint_eq(fixture_claim(&nodes[0], LANE_IO, 1, &t), 1);
        ck_assert(id_equal(t.spec->id, id));
        finish(0, &t);
        ck_assert(is_kept(1));
    }
    end();
}
END_TEST

#define COMMITS 200
#define CALL_MS 3 /* at least between two */

/* The calls that c has heard since it was asked last. */
static int count_calls(PGconn *c)
{
    int calls = 0;
    PQclear(PQexec(c, "SELECT 1")); /* behind what was called before it */
    for (PGnotify *call; (call = PQnotifies(c)); calls++)
        PQfreemem(call);
    return calls;
}

/* Commits in a row. Returns how many calls there may be for them. */
static int be_busy(void)
{
    int64_t began_ms = clock_mono_ms();
    for (int i = 0; i < COMMITS; i++)
        (void)submit(0, NULL, NULL);
    return (int)(clock_mono_ms() - began_ms) / CALL_MS + 2;
}

/* A call costs the server and the other node more than it is worth where one follows upon the
 * other. On a machine that is slow for the moment commits are as rare as calls: then again, some
 * times. */
START_TEST(test_turns_calls_of_a_busy_node_go_together)
{
    begin();
    PGconn *c = PQconnectdb(nodes[0].url);
    char *sql = run_sql("SELECT 'LISTEN futured_' || (" OWN_SCHEMA ")::int8");
    PGresult *r = PQexec(c, sql);
    ck_assert_int_eq(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    free(sql);
    int most = COMMITS;
    for (int i = 0; i < 8 && most > COMMITS / 2; i++) {
        (void)count_calls(c);
        most = be_busy();
        int calls = count_calls(c);
        ck_assert_int_ge(calls, 1);
        ck_assert_msg(calls <= most, "%d calls, at most %d", calls, most);
    }
    PQfinish(c);
    end();
}
END_TEST

/* Who calls in a transaction keeps all others that call waiting until that is on disk, here with a
 * standby that is not there. */
START_TEST(test_turns_call_behind_their_commits)
{
    fixture_database_own();
    begin_with("%20-csynchronous_commit%3Dlocal");
    free(run_sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'"));
    free(run_sql("SELECT pg_reload_conf()"));
    PGconn *c = PQconnectdb(nodes[0].url);
    PQclear(PQexec(c, "SET synchronous_commit = on"));
    wait_for(is_so("SELECT current_setting('synchronous_standby_names') = 'nobody'"));
    ck_assert_int_eq(PQsendQuery(c, "BEGIN; CREATE TABLE other (); NOTIFY other; COMMIT"), 1);
    wait_for(is_so("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"));
    int64_t began_ms = clock_mono_ms();
    (void)submit(0, NULL, NULL);
    ck_assert_int_lt(clock_mono_ms() - began_ms, LATE_MS);
    free(run_sql("ALTER SYSTEM RESET synchronous_standby_names"));
    free(run_sql("SELECT pg_reload_conf()"));
    PGresult *r;
    while ((r = PQgetResult(c)))
        PQclear(r);
    PQfinish(c);
    end();
    fixture_database_free();
}
END_TEST

START_TEST(test_turns_end_one_that_stands_still_in_its_turn)
{
    begin();
    PGconn *c = take_turn();
    struct task_id id = submit(0, NULL, NULL); /* waits for its turn, and gets it */
    struct task t;
    ck_assert_uint_eq(fixture_claim(&nodes[1], LANE_IO, 1, &t), 1);
    ck_assert(id_equal(t.spec->id, id));
    finish(1, &t);
    PQfinish(c);
    end();
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_turns_write_one_after_the_other, 0},
        {test_turns_are_kept_by_one_that_is_alone, 0},
        {test_turns_that_are_kept_end_with_the_session, 0},
        {test_turns_that_are_kept_hear_of_a_drain, 0},
        {test_turns_calls_of_a_busy_node_go_together, 0},
        {test_turns_call_behind_their_commits, 0},
        {test_turns_end_one_that_stands_still_in_its_turn, 0},
    };
    fixture_database_share();
    int status = suite_run_rows("postgres: turns", 120, NULL, NULL, rows, FUT_COUNT(rows));
    fixture_database_free();
    return status;
}
