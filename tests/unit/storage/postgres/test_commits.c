/* The row that each commit of a node adds: what it costs, what it keeps others from, and how a
 * database of before gets it. */
#include <check.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/storage/postgres/ask.h"

#define KEPT_MAX 256 /* rows of a node that lives; the latest one counts */
#define COMMITS 3000
#define PAGES_MAX 8 /* of all tables that a commit changes and whose rows stay; a few at most */

static struct fixture k;

static void begin(void)
{
    fixture_open(&k, "postgres");
}

static void end(void)
{
    fixture_close(&k);
}

static void check_value(const char *sql, const char *expected)
{
    char *value = ask_value(k.url, sql);
    ck_assert_msg(value && strcmp(value, expected) == 0, "%s: %s", sql, value ? value : "nothing");
    free(value);
}

static long number(const char *sql)
{
    char *value = ask_value(k.url, sql);
    ck_assert_ptr_nonnull(value);
    long n = strtol(value, NULL, 10);
    free(value);
    return n;
}

static void submit(int n)
{
    for (int i = 0; i < n; i++)
        (void)fixture_submit(&k, LANE_IO, "x");
}

/* ---- what it costs ----------------------------------------------------------------------------
 */

/* The session of the store says what it has read when it ends. */
static long pages_read(long rows)
{
    char sql[256];
    fixture_stop(&k);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT n_tup_ins >= %ld FROM pg_stat_user_tables WHERE relname = 'commits'"
                   " AND schemaname = current_schema()",
                   rows);
    wait_for(ask_is_so(k.url, sql));
    return number("SELECT sum(heap_blks_hit + heap_blks_read) FROM pg_statio_user_tables"
                  " WHERE relname IN ('boots', 'commits', 'counters')"
                  " AND schemaname = current_schema()");
}

/* Nothing that was there is removed while the snapshot is, so a row that each commit changes has
 * ever more versions, through which each commit goes. */
START_TEST(test_commits_cost_the_same_beside_an_old_snapshot)
{
    begin();
    PGconn *c = PQconnectdb(k.url);
    PQclear(PQexec(c, "BEGIN ISOLATION LEVEL REPEATABLE READ"));
    PGresult *r = PQexec(c, "SELECT count(*) FROM pg_class");
    ck_assert_int_eq(PQresultStatus(r), PGRES_TUPLES_OK);
    PQclear(r);
    submit(COMMITS);
    long pages = pages_read(COMMITS);
    ck_assert_msg(pages <= (long)PAGES_MAX * COMMITS, "%ld pages for %d commits", pages, COMMITS);
    PQfinish(c);
    end();
}
END_TEST

START_TEST(test_commits_of_a_node_keep_few_rows)
{
    begin();
    submit(3 * KEPT_MAX);
    ck_assert_int_le(number("SELECT count(*) FROM commits"), KEPT_MAX);
    ck_assert_int_ge(number("SELECT max(n) FROM commits"), 3 * KEPT_MAX);
    end();
}
END_TEST

/* ---- what it keeps others from ----------------------------------------------------------------
 */

/* Somebody else writes under the number of this node. */
START_TEST(test_commits_number_taken_by_another_stops_the_node)
{
    begin();
    submit(1);
    free(ask_value(k.url, "INSERT INTO commits SELECT boot, max(n) + 1 FROM commits GROUP BY 1"));
    struct task t = fixture_task(LANE_IO, "echo", "after");
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_READ_ONLY);
    check_value("SELECT count(*) FROM tasks", "1");
    task_release(&t);
    end();
}
END_TEST

/* The session of this store alone: others are on the same server. */
#define END_ITS_SESSION                                                                            \
    "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE granted"                          \
    " AND locktype = 'advisory' AND classid = 1718973540 AND objid ="                              \
    " quote_ident(current_schema())::regnamespace::oid::int8::bit(32)::int8::oid"

/* The server comes back without what it has acknowledged: a replica that was behind. */
START_TEST(test_commits_lost_by_the_server_stop_the_node)
{
    begin();
    submit(2);
    free(ask_value(k.url, "DELETE FROM commits WHERE n = (SELECT max(n) FROM commits)"));
    check_value(END_ITS_SESSION, "1");
    struct task t = fixture_task(LANE_IO, "echo", "after");
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_READ_ONLY);
    check_value("SELECT count(*) FROM tasks", "2");
    task_release(&t);
    end();
}
END_TEST

/* ---- a database of before ---------------------------------------------------------------------
 */

/* As version 6 leaves it, with a node that has not said since then that it lives. */
static void make_older(int seconds)
{
    char sql[512];
    fixture_stop(&k);
    (void)snprintf(
        sql, sizeof(sql),
        "DROP TABLE commits; UPDATE futured SET version = 6;"
        " INSERT INTO boots (boot, name, groups, is_member, beat) VALUES (1000, 'cut off',"
        " 17, true, clock_timestamp() - %d * interval '1 s')",
        seconds);
    free(ask_value(k.url, sql));
}

START_TEST(test_commits_database_of_before_is_upgraded)
{
    struct task seen;
    begin();
    struct task_id id = fixture_submit(&k, LANE_IO, "before");
    make_older(11);
    fixture_reopen(&k);
    submit(1);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
    task_release(&seen);
    check_value("SELECT count(*) FROM tasks", "2");
    /* It hears that it is no more, and whether its last transaction has happened. */
    check_value("SELECT is_member::text || groups FROM boots WHERE boot = 1000", "false17");
    ck_assert_int_ge(number("SELECT count(*) FROM commits"), 1);
    end();
}
END_TEST

START_TEST(test_commits_node_cut_off_holds_up_an_upgrade)
{
    struct fut_errbuf err = {""};
    struct store *s = NULL;
    begin();
    make_older(1);
    ck_assert_int_eq(store_open(&k.cfg, &s, &err), FUT_ERR_BUSY);
    ck_assert_msg(strstr(err.text, "node cut off of an older version") != NULL, "%s", err.text);
    check_value("SELECT version FROM futured", "6");
    end();
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_commits_cost_the_same_beside_an_old_snapshot, 0},
        {test_commits_of_a_node_keep_few_rows, 0},
        {test_commits_number_taken_by_another_stops_the_node, 0},
        {test_commits_lost_by_the_server_stop_the_node, 0},
        {test_commits_database_of_before_is_upgraded, 0},
        {test_commits_node_cut_off_holds_up_an_upgrade, 0},
    };
    fixture_database_share();
    int status = suite_run_rows("commits", 120, NULL, NULL, rows, FUT_COUNT(rows));
    fixture_database_free();
    return status;
}
