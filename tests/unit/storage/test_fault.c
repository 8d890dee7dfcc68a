/* What happens to operations, claims and numbers when the backend fails under them. */
#include <check.h>
#include <limits.h>
#include <sched.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/fault.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"

#define HEAL_LIMIT_MS 20000 /* the store looks four times a second */

static const char *const faulty[] = {"fault+sqlite", "fault+memory"};
static struct fixture k;

/* No retention, and the housekeeping of the start is over: no transaction but the test's own. */
static void begin(int i)
{
    fixture_open(&k, faulty[i]);
    fixture_stop(&k);
    k.cfg.retention_ms = 0;
    fixture_reopen(&k);
    (void)fixture_submit(&k, LANE_CPU, "first");
}

static int submit_rc(void)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    int rc = fixture_submit_n(&k, &t, 1);
    task_release(&t);
    return rc;
}

static struct store_stats stats(void)
{
    struct store_stats s;
    store_stats(k.store, &s);
    return s;
}

/* A check, not the case's timeout: that it heals is what is tested. */
static void wait_healthy(void)
{
    int64_t deadline_mono_ms = clock_mono_ms() + HEAL_LIMIT_MS;
    while (stats().health != 0 && clock_mono_ms() < deadline_mono_ms)
        (void)sched_yield();
    ck_assert_int_eq(stats().health, 0);
}

START_TEST(test_fault_commit_answers_error_and_leaves_nothing)
{
    begin(_i);
    struct task t = fixture_task(LANE_IO, "echo", "x"), seen;
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_NO_SPACE);
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_COMMIT), 1);
    ck_assert_int_eq(stats().health, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), FUT_ERR_NOT_FOUND);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 0);
    ck_assert_uint_eq(stats().submitted, 1); /* the first */
    wait_healthy();                          /* space again: it heals by itself */
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    ck_assert_int_eq(stats().health, 0);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 1);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_in_a_batch_leaves_nothing)
{
    begin(_i);
    struct task tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = fixture_task(LANE_IO, "echo", "x");
    store_fault_arm(STORE_FAULT_INSERT, 2, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, 3), FUT_ERR_IO);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 0);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, 3), 0);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 3);
    for (int i = 0; i < 3; i++)
        task_release(&tasks[i]);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_finish_keeps_the_task_running)
{
    begin(_i);
    struct task t, seen;
    ck_assert_int_eq(submit_rc(), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), FUT_ERR_IO);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_RUNNING);
    task_release(&seen);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

/* A claim is not the client's: it waits again, and gets the task when the store can write. */
START_TEST(test_fault_claim_waits_again)
{
    begin(_i);
    struct task t;
    ck_assert_int_eq(submit_rc(), 0);
    store_fault_arm(STORE_FAULT_TAKE, 0, 1, FUT_ERR_IO);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_TAKE), 1);
    ck_assert_uint_eq(t.attempt, 1); /* the failed transaction charged nothing */
    struct store_stats s = stats();
    ck_assert_uint_eq(s.live[LANE_IO][TASK_RUNNING], 1);
    ck_assert_uint_eq(s.claimed, 1);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

/* While there is no space, tasks end, but none comes and none is started. */
START_TEST(test_fault_full_lets_tasks_end)
{
    begin(_i);
    struct task t, seen;
    struct task_id waits;
    ck_assert_int_eq(submit_rc(), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    waits = fixture_submit(&k, LANE_IO, "waits");
    store_fault_arm(STORE_FAULT_RESERVE, 0, UINT_MAX, FUT_ERR_NO_SPACE);
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(submit_rc(), FUT_ERR_NO_SPACE);
    ck_assert_int_eq(submit_rc(), FUT_ERR_NO_SPACE); /* although a commit would work */
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), 0);
    ck_assert_int_eq(stats().health, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(fixture_get(&k, waits, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_QUEUED);
    task_release(&seen);
    while (store_fault_count(STORE_FAULT_RESERVE) < 2) /* it looks again and again */
        (void)sched_yield();
    store_fault_arm(STORE_FAULT_RESERVE, 0, 0, 0);
    wait_healthy();
    ck_assert_int_eq(submit_rc(), 0);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_fsync_makes_read_only_until_restart)
{
    begin(_i);
    struct task t = fixture_task(LANE_IO, "echo", "x"), seen;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_READ_ONLY);
    ck_assert_int_eq(submit_rc(), FUT_ERR_READ_ONLY);
    ck_assert_int_eq(submit_rc(), FUT_ERR_READ_ONLY); /* though the disk would work again */
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_COMMIT), 1);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0); /* reads go on */
    task_release(&seen);
    task_release(&t);
    fixture_reopen(&k);
    ck_assert_int_eq(submit_rc(), 0);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_fault_commit_answers_error_and_leaves_nothing,
        test_fault_in_a_batch_leaves_nothing,
        test_fault_finish_keeps_the_task_running,
        test_fault_claim_waits_again,
        test_fault_full_lets_tasks_end,
        test_fault_fsync_makes_read_only_until_restart,
    };
    TCase *tc = suite_case("all", 30, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_loop_test(tc, tests[i], 0, (int)FUT_COUNT(faulty));
    return suite_run_cases("store faults", tc, NULL);
}
