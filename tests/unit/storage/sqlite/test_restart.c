/* What must hold over a restart, and what grows on disk: the order of completion, retention and due
 * times after a downtime, the log, and that no step of the writer looks through what is kept. */
#include <check.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/sqlite/internal.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"

#define HOUR_MS 3600000LL
#define LIMIT_MS 10000

static struct fixture k;

static void setup(void)
{
    fixture_open(&k, "sqlite");
}

static void teardown(void)
{
    clock_test_set(-1, -1);
    fixture_close(&k);
}

/* Stopped now, started at another time. */
static void restart_after(int64_t ms)
{
    fixture_stop(&k);
    clock_test_set(-1, clock_wall_ms() + ms);
    fixture_reopen(&k);
}

static struct task finish_new(enum task_event ev)
{
    struct task t;
    (void)fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, ev, NULL), 0);
    return t;
}

START_TEST(test_restart_the_order_of_completion_goes_on)
{
    struct task first = finish_new(EVENT_FAIL);
    uint64_t seq = first.seq;
    ck_assert_int_eq(fixture_revive(&k, &first), 0); /* no row tells of it any more */
    task_release(&first);
    fixture_reopen(&k);
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    ck_assert_uint_gt(t.seq, seq);
    task_release(&t);
}
END_TEST

START_TEST(test_restart_downtime_expires_nothing)
{
    struct task t = finish_new(EVENT_FAIL), found;
    restart_after(24 * HOUR_MS); /* the retention is one hour */
    fixture_wait_looks(&k);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &found), 0);
    task_release(&found);
    task_release(&t);
}
END_TEST

static void back_off(int64_t ms)
{
    struct task t;
    (void)fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = ms}), 0);
    task_release(&t);
}

static void expect_claimed(void)
{
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1}};
    struct task t;
    p.o.tasks = &t;
    int64_t deadline = clock_mono_ms() + LIMIT_MS;
    while (fixture_stats(&k).live[LANE_IO][TASK_QUEUED] == 0 && clock_mono_ms() < deadline)
        (void)sched_yield();
    ck_assert_uint_eq(fixture_stats(&k).live[LANE_IO][TASK_QUEUED], 1);
    fixture_park(&k, &p);
    fixture_join(&p);
    task_release(&t);
}

START_TEST(test_restart_clock_set_back_stretches_no_backoff)
{
    back_off(500);
    restart_after(-HOUR_MS);
    expect_claimed();
}
END_TEST

START_TEST(test_restart_what_fell_due_meanwhile_is_due)
{
    back_off(HOUR_MS);
    restart_after(2 * HOUR_MS);
    expect_claimed();
}
END_TEST

/* ---- the log --------------------------------------------------------------------------------- */

/* Reads for as long as the test likes. */
static sqlite3 *begin_reading(void)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM tasks", NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

static void write_mebibytes(int n)
{
    size_t len = 1u << 20;
    char *input = xmalloc(len + 1);
    memset(input, 'x', len);
    input[len] = '\0';
    for (int i = 0; i < n; i++)
        (void)fixture_submit(&k, LANE_CPU, input);
    free(input);
}

static void wait_for_log(uint64_t below)
{
    int64_t deadline = clock_mono_ms() + LIMIT_MS;
    while (fixture_stats(&k).log_bytes >= below && clock_mono_ms() < deadline)
        (void)sched_yield();
    ck_assert_uint_lt(fixture_stats(&k).log_bytes, below);
}

/* The sizes are measured by a step of housekeeping: they are 0 until its first turn. */
static void wait_for_growth(uint64_t log_bytes)
{
    int64_t deadline = clock_mono_ms() + LIMIT_MS;
    while (fixture_stats(&k).log_bytes < log_bytes && clock_mono_ms() < deadline)
        (void)sched_yield();
    ck_assert_uint_ge(fixture_stats(&k).log_bytes, log_bytes);
}

START_TEST(test_restart_log_is_cut_when_a_long_reader_ends)
{
    sqlite3 *reader = begin_reading();
    write_mebibytes(40);
    wait_for_growth(40u << 20);
    ck_assert_int_eq(sqlite3_close(reader), SQLITE_OK);
    wait_for_log(1u << 20); /* although nothing is written any more */
    ck_assert_uint_gt(fixture_stats(&k).file_bytes, 40u << 20);
}
END_TEST

/* One always reads, never the same: SQLite by itself would never begin the log anew. */
START_TEST(test_restart_log_is_cut_beside_readers_that_take_turns)
{
    sqlite3 *readers[2] = {begin_reading(), NULL};
    uint64_t most = 0;
    for (int i = 0; i < 60; i++) {
        readers[(i + 1) % 2] = begin_reading();
        ck_assert_int_eq(sqlite3_close(readers[i % 2]), SQLITE_OK);
        write_mebibytes(2);
        most = fixture_stats(&k).log_bytes > most ? fixture_stats(&k).log_bytes : most;
    }
    ck_assert_int_eq(sqlite3_close(readers[0]), SQLITE_OK);
    wait_for_log(17u << 20);
    ck_assert_uint_gt(most, 0);
}
END_TEST

/* What was submitted for later, limited, and lies through a downtime. */
static struct task_id submit_timed(struct task_times times)
{
    struct task t = fixture_timed(LANE_CPU, times);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

static void expect_end(struct task_id id, enum task_state state, const char *code)
{
    struct task t = fixture_wait_state(&k, id, state);
    if (code)
        ck_assert_str_eq(t.outcome->code, code);
    task_release(&t);
}

START_TEST(test_restart_times_pass_meanwhile)
{
    int64_t now = clock_wall_ms();
    struct task_id delayed = submit_timed((struct task_times){.delay_ms = HOUR_MS});
    struct task_id at = submit_timed((struct task_times){.run_at_wall_ms = now + HOUR_MS});
    struct task_id expired = submit_timed((struct task_times){.expires_in_ms = HOUR_MS});
    struct task_id overdue = submit_timed((struct task_times){.deadline_ms = HOUR_MS});
    struct task_id later = submit_timed((struct task_times){.delay_ms = 3 * HOUR_MS});
    struct task_id later_at =
        submit_timed((struct task_times){.run_at_wall_ms = now + 3 * HOUR_MS});
    struct task_id kept =
        submit_timed((struct task_times){.expires_in_ms = 3 * HOUR_MS, .deadline_ms = 3 * HOUR_MS});
    fixture_reopen(&k);
    expect_end(expired, TASK_QUEUED, NULL);
    restart_after(2 * HOUR_MS);
    expect_end(delayed, TASK_QUEUED, NULL);
    expect_end(at, TASK_QUEUED, NULL);
    expect_end(expired, TASK_FAILED, "expired");
    expect_end(overdue, TASK_FAILED, "deadline");
    expect_end(later, TASK_SCHEDULED, NULL);
    expect_end(later_at, TASK_SCHEDULED, NULL);
    expect_end(kept, TASK_QUEUED, NULL);
}
END_TEST

/* ---- the plans of the statements ---------------------------------------------------------------
 */

static bool is_look_at_all(const char *step)
{
    bool is_scan = strncmp(step, "SCAN", 4) == 0 && strcmp(step, "SCAN CONSTANT ROW") != 0;
    return (is_scan && !strstr(step, " INDEX ")) || strstr(step, "TEMP B-TREE") != NULL;
}

/* These are for the start alone, or for a table of one row. */
static bool may_look_at_all(int which)
{
    return which == W_IN_STATE || which == W_SAVE || which == W_LIMITS || which == W_LIMIT_KEYS ||
           which == W_QUEUES || which == W_FAIR_WEIGHTS || which == W_PAUSES ||
           which == W_HAS_CHECKPOINTS || which == W_HAS_KEPT;
}

/* Each statement that the writer runs again and again finds its rows by an index. */
START_TEST(test_restart_no_statement_looks_at_all)
{
    struct backend *b = NULL;
    fixture_stop(&k);
    ck_assert_int_eq(backend_sqlite.open(&k.cfg, &b, NULL), 0);
    for (int i = 0; i < W_COUNT; i++) {
        sqlite3_stmt *st = NULL;
        char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(b->stmts[i]));
        int rc = sqlite3_prepare_v2(b->db, sql, -1, &st, NULL);
        while (!may_look_at_all(i) && rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(st, 3);
            ck_assert_msg(!is_look_at_all(step), "%s: %s", sql, step);
        }
        (void)sqlite3_finalize(st);
        sqlite3_free(sql);
    }
    backend_sqlite.close(b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_restart_the_order_of_completion_goes_on,
        test_restart_downtime_expires_nothing,
        test_restart_clock_set_back_stretches_no_backoff,
        test_restart_what_fell_due_meanwhile_is_due,
        test_restart_times_pass_meanwhile,
        test_restart_log_is_cut_when_a_long_reader_ends,
        test_restart_log_is_cut_beside_readers_that_take_turns,
        test_restart_no_statement_looks_at_all,
    };
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tc, tests[i]);
    return suite_run_cases("sqlite restart", tc, NULL);
}
