/* What only a file can show: restart, recovery, the lock, foreign and newer files. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"

static struct fixture k;

static void setup(void)
{
    fixture_open(&k, "sqlite");
}

static void teardown(void)
{
    fixture_close(&k);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

START_TEST(test_sqlite_reopen_keeps_everything)
{
    struct task_id queued = fixture_submit(&k, LANE_CPU, "stays");
    struct task_id done = fixture_submit(&k, LANE_IO, "done");
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), 0);
    uint64_t seq = t.seq;
    task_release(&t);
    fixture_reopen(&k);
    ck_assert_int_eq(fixture_get(&k, queued, &t), 0);
    ck_assert_int_eq(t.state, TASK_QUEUED);
    task_release(&t);
    ck_assert_int_eq(fixture_get(&k, done, &t), 0);
    ck_assert_mem_eq(t.outcome->body, "result", 6);
    ck_assert_uint_eq(t.seq, seq);
    task_release(&t);
    struct task_id newer = fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_gt(newer.hi, done.hi);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    ck_assert_uint_gt(t.seq, seq); /* the order of completion goes on */
    task_release(&t);
}
END_TEST

START_TEST(test_sqlite_files_are_their_owners_alone)
{
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    (void)fixture_submit(&k, LANE_IO, "secret");
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        char file[128];
        struct stat st;
        (void)snprintf(file, sizeof(file), "%s%s", k.path, names[i]);
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_int_eq(st.st_mode & 077, 0);
    }
}
END_TEST

START_TEST(test_sqlite_running_tasks_start_again)
{
    struct task_id id = fixture_submit(&k, LANE_IO, "again");
    struct task t;
    struct store_stats stats;
    for (uint32_t death = 0; death <= TASK_DAEMON_DEATHS_MAX; death++) {
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
        ck_assert_uint_eq(t.attempt, death + 1);
        ck_assert_uint_eq(t.daemon_deaths, death);
        ck_assert_mem_eq(t.spec->input, "again", 5);
        task_release(&t);
        fixture_reopen(&k);
        store_stats(k.store, &stats);
        ck_assert_uint_eq(stats.recovered, 1);
    }
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(t.state, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "daemon_died");
    task_release(&t);
}
END_TEST

START_TEST(test_sqlite_scheduled_tasks_come_back_after_restart)
{
    struct task_id id = fixture_submit(&k, LANE_IO, "later");
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 20}), 0);
    task_release(&t);
    fixture_reopen(&k);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert(id_equal(t.spec->id, id));
    task_release(&t);
}
END_TEST

/* The daemon died with members running, in the middle of cancelling their batch. */
START_TEST(test_sqlite_batch_cancel_goes_on_after_restart)
{
    enum { N = 3 };
    struct store_batch batch = {.id = id_new(), .total = N};
    struct task tasks[N], claimed[N];
    for (uint32_t i = 0; i < N; i++) {
        tasks[i] = fixture_task(LANE_IO, "echo", "x");
        tasks[i].spec->batch = batch.id;
        tasks[i].spec->batch_pos = i;
    }
    ck_assert_int_eq(fixture_submit_batch(&k, tasks, N, &batch), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, N, claimed), N);
    fixture_stop(&k);
    run_sql("UPDATE batches SET cancelling = 1");
    fixture_reopen(&k);
    for (int i = 0; i < N; i++) {
        struct task t = fixture_wait_state(&k, tasks[i].spec->id, TASK_CANCELLED);
        task_release(&t);
        task_release(&tasks[i]);
        task_release(&claimed[i]);
    }
}
END_TEST

START_TEST(test_sqlite_second_daemon_is_refused)
{
    struct store *second = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(store_open(&k.cfg, &second, &err), FUT_ERR_BUSY);
    ck_assert_ptr_nonnull(strstr(err.text, k.path));
    ck_assert_ptr_nonnull(strstr(err.text, "in use by another futured"));
    ck_assert_ptr_null(second);
}
END_TEST

static void expect_refused(int rc, const char *part)
{
    struct store *s = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(store_open(&k.cfg, &s, &err), rc);
    ck_assert_msg(strstr(err.text, part) != NULL, "\"%s\" says nothing of \"%s\"", err.text, part);
}

static int read_version(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int version = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return version;
}

START_TEST(test_sqlite_newer_schema_is_refused)
{
    char back[64];
    fixture_stop(&k);
    (void)snprintf(back, sizeof(back), "PRAGMA user_version=%d", read_version());
    run_sql("PRAGMA user_version=999");
    expect_refused(FUT_ERR_INVAL, "schema version 999");
    run_sql(back); /* undamaged: the right version opens again */
    fixture_reopen(&k);
}
END_TEST

START_TEST(test_sqlite_foreign_database_is_refused)
{
    fixture_stop(&k);
    (void)remove(k.path);
    run_sql("CREATE TABLE someone_elses (x)");
    expect_refused(FUT_ERR_INVAL, "another program");
}
END_TEST

START_TEST(test_sqlite_not_a_database_is_refused)
{
    fixture_stop(&k);
    FILE *f = fopen(k.path, "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_gt(fprintf(f, "this is no database %d\n", i), 0);
    ck_assert_int_eq(fclose(f), 0);
    expect_refused(FUT_ERR_INVAL, "not a database");
}
END_TEST

START_TEST(test_sqlite_missing_directory_is_refused)
{
    fixture_stop(&k);
    k.cfg.path = "/nonexistent/dir/q.db";
    expect_refused(FUT_ERR_IO, "/nonexistent/dir/q.db");
}
END_TEST

START_TEST(test_sqlite_commits_are_durable_by_setting)
{
    /* What a crash test cannot see without pulling the plug: the journal mode of the file. */
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &st, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(st, 0), "wal");
    ck_assert_int_eq(sqlite3_finalize(st), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_sqlite_reopen_keeps_everything,
        test_sqlite_files_are_their_owners_alone,
        test_sqlite_running_tasks_start_again,
        test_sqlite_scheduled_tasks_come_back_after_restart,
        test_sqlite_batch_cancel_goes_on_after_restart,
        test_sqlite_second_daemon_is_refused,
        test_sqlite_newer_schema_is_refused,
        test_sqlite_foreign_database_is_refused,
        test_sqlite_not_a_database_is_refused,
        test_sqlite_missing_directory_is_refused,
        test_sqlite_commits_are_durable_by_setting,
    };
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tc, tests[i]);
    return suite_run_cases("sqlite file", tc, NULL);
}
