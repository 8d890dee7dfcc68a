/* Every pair of state and event against a table written by hand, not derived from the code. */
#include <check.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/task_state.h"
#include "tests/support/suite.h"

#define NO (-1)
/*                          due          start         succeed         fail
 *                          retry        release       defer           suspend         lose
 *                          expire       overdue       resolve         reject
 *                          cancel       revive */
static const int expected[TASK_STATE_COUNT][TASK_EVENT_COUNT] = {
    [TASK_SCHEDULED] = {TASK_QUEUED, NO, NO, NO, NO, NO, NO, NO, NO, TASK_FAILED, TASK_FAILED, NO,
                        NO, TASK_CANCELLED, NO},
    [TASK_QUEUED] = {NO, TASK_RUNNING, NO, NO, NO, NO, NO, NO, NO, TASK_FAILED, TASK_FAILED, NO, NO,
                     TASK_CANCELLED, NO},
    [TASK_RUNNING] = {NO, NO, TASK_SUCCEEDED, TASK_FAILED, TASK_SCHEDULED, TASK_QUEUED,
                      TASK_SCHEDULED, TASK_SCHEDULED, TASK_QUEUED, NO, TASK_FAILED, NO, NO,
                      TASK_CANCELLED, NO},
    [TASK_SUCCEEDED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [TASK_FAILED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, TASK_QUEUED},
    [TASK_CANCELLED] = {NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, TASK_QUEUED},
};

/* What a legal event adds to the counters of attempts and of daemon deaths. */
static const struct {
    int attempt, daemon_deaths;
} added[TASK_EVENT_COUNT] = {
    [EVENT_START] = {1, 0},    [EVENT_RELEASE] = {-1, 0}, [EVENT_DEFER] = {-1, 0},
    [EVENT_SUSPEND] = {-1, 0}, [EVENT_LOSE] = {0, 1},
};

/* Events that end an attempt, and so bring an outcome. */
static const bool ends_attempt[TASK_EVENT_COUNT] = {
    [EVENT_SUCCEED] = true, [EVENT_FAIL] = true,    [EVENT_RETRY] = true,  [EVENT_LOSE] = true,
    [EVENT_EXPIRE] = true,  [EVENT_OVERDUE] = true, [EVENT_CANCEL] = true,
};

/* Whether the event may be refused by a condition, so that no rule for many rows can stand. */
static const bool guarded[TASK_EVENT_COUNT] = {
    [EVENT_RETRY] = true, [EVENT_LOSE] = true, [EVENT_REVIVE] = true};

static struct task_spec *spec;

static struct task task_in_state(int state, uint32_t attempt, uint32_t daemon_deaths)
{
    return (struct task){.spec = spec,
                         .state = (enum task_state)state,
                         .attempt = attempt,
                         .daemon_deaths = daemon_deaths};
}

static void setup(void)
{
    spec = task_spec_new(
        &(struct task_spec){.id = {5, 6}, .handler = "h", .input_type = "t", .retries = 2});
}

static void teardown(void)
{
    task_spec_unref(spec);
}

START_TEST(test_task_state_every_pair)
{
    int s = _i / TASK_EVENT_COUNT, e = _i % TASK_EVENT_COUNT;
    struct task t = task_in_state(s, 1, 0);
    struct task_change c = {.attempt = 99};
    int rc = task_apply(&t, (enum task_event)e, NULL, &c);
    if (expected[s][e] == NO) {
        ck_assert_int_eq(rc, FUT_ERR_STATE);
        ck_assert_uint_eq(c.attempt, 99); /* untouched */
        return;
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(c.to_state, expected[s][e]);
    ck_assert_int_eq(c.from_state, s);
    ck_assert_uint_eq(c.from_attempt, 1);
    ck_assert_uint_eq(c.id.hi, 5);
}
END_TEST

START_TEST(test_task_state_every_pair_counts)
{
    int s = _i / TASK_EVENT_COUNT, e = _i % TASK_EVENT_COUNT;
    struct task_outcome *o = task_outcome_error("exit", "busy");
    struct task_in in = {.due_in_ms = 70, .outcome = o};
    struct task t = task_in_state(s, 2, 1);
    struct task_change c;
    if (expected[s][e] != NO) {
        ck_assert_int_eq(task_apply(&t, (enum task_event)e, &in, &c), 0);
        ck_assert_int_eq((int)c.attempt, 2 + added[e].attempt);
        ck_assert_int_eq((int)c.daemon_deaths, e == EVENT_REVIVE ? 0 : 1 + added[e].daemon_deaths);
        ck_assert_int_eq(c.suspends, e == EVENT_SUSPEND);
        ck_assert(c.outcome == (ends_attempt[e] ? o : NULL));
        ck_assert_int_eq(c.due_in_ms, c.to_state == TASK_SCHEDULED ? 70 : 0);
    }
    task_outcome_unref(o);
}
END_TEST

START_TEST(test_task_state_every_pair_for_many)
{
    int s = _i / TASK_EVENT_COUNT, e = _i % TASK_EVENT_COUNT;
    struct task_move m = {.attempt_delta = 99};
    int rc = task_move_of((enum task_state)s, (enum task_event)e, &m);
    if (expected[s][e] == NO || guarded[e]) {
        ck_assert_int_eq(rc, FUT_ERR_STATE);
        ck_assert_int_eq(m.attempt_delta, 99); /* untouched */
        return;
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(m.from, s);
    ck_assert_int_eq(m.to, expected[s][e]);
    ck_assert_int_eq(m.attempt_delta, added[e].attempt);
}
END_TEST

/* A promise waits for somebody, in its next life too; nothing else is completed from outside. */
START_TEST(test_task_state_promise)
{
    struct task_outcome *o = task_outcome_error("no", "not today");
    struct task_in in = {.due_in_ms = 70, .outcome = o};
    struct task_change c;
    struct task t = task_in_state(TASK_SCHEDULED, 0, 0);
    spec->is_promise = true;
    ck_assert_int_eq(task_apply(&t, EVENT_RESOLVE, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_SUCCEEDED);
    ck_assert(c.outcome == o);
    ck_assert_int_eq(task_apply(&t, EVENT_REJECT, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_FAILED);
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        t = task_in_state(s, 0, 0);
        ck_assert_int_eq(task_apply(&t, EVENT_RESOLVE, &in, &c),
                         s == TASK_SCHEDULED ? 0 : FUT_ERR_STATE);
    }
    t = task_in_state(TASK_FAILED, 0, 0);
    ck_assert_int_eq(task_apply(&t, EVENT_REVIVE, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_SCHEDULED);
    ck_assert_int_lt(c.due_in_ms, 0);
    task_outcome_unref(o);
}
END_TEST

START_TEST(test_task_state_counts_attempts)
{
    struct task_change c;
    struct task t = task_in_state(TASK_QUEUED, 3, 1);
    ck_assert_int_eq(task_apply(&t, EVENT_START, NULL, &c), 0);
    ck_assert_uint_eq(c.attempt, 4);
    t = task_in_state(TASK_RUNNING, 4, 1);
    ck_assert_int_eq(task_apply(&t, EVENT_RELEASE, NULL, &c), 0);
    ck_assert_uint_eq(c.attempt, 3);
    ck_assert_int_eq(task_apply(&t, EVENT_LOSE, NULL, &c), 0);
    ck_assert_uint_eq(c.attempt, 4);
    ck_assert_uint_eq(c.daemon_deaths, 2);
}
END_TEST

START_TEST(test_task_state_retries_end)
{
    struct task_change c;
    struct task_outcome *o = task_outcome_error("exit", "busy");
    struct task_in in = {.due_in_ms = 70, .outcome = o};
    struct task t = task_in_state(TASK_RUNNING, 2, 0);
    ck_assert_int_eq(task_apply(&t, EVENT_RETRY, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_SCHEDULED);
    ck_assert_int_eq(c.due_in_ms, 70);
    ck_assert_ptr_eq(c.outcome, o);        /* of the attempt */
    t = task_in_state(TASK_RUNNING, 3, 0); /* two retries were allowed */
    ck_assert_int_eq(task_apply(&t, EVENT_RETRY, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_FAILED);
    ck_assert_ptr_eq(c.outcome, o);
    t = task_in_state(TASK_RUNNING, 3, 1); /* an attempt that a daemon took with it is no retry */
    ck_assert_int_eq(task_apply(&t, EVENT_RETRY, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_SCHEDULED);
    task_outcome_unref(o);
}
END_TEST

START_TEST(test_task_state_killer_of_daemons_is_stopped)
{
    struct task_change c;
    struct task t = task_in_state(TASK_RUNNING, 4, TASK_DAEMON_DEATHS_MAX);
    ck_assert_int_eq(task_apply(&t, EVENT_LOSE, NULL, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_FAILED);
}
END_TEST

START_TEST(test_task_state_moves_for_many)
{
    struct task_move m;
    ck_assert_int_eq(task_move_of(TASK_QUEUED, EVENT_START, &m), 0);
    ck_assert_int_eq(m.to, TASK_RUNNING);
    ck_assert_int_eq(m.attempt_delta, 1);
    ck_assert_int_eq(task_move_of(TASK_RUNNING, EVENT_RETRY, &m), FUT_ERR_STATE); /* guarded */
    ck_assert_int_eq(task_move_of(TASK_FAILED, EVENT_START, &m), FUT_ERR_STATE);
}
END_TEST

START_TEST(test_task_state_another_life)
{
    struct task_change c;
    struct task_outcome *o = task_outcome_error("exit", "busy");
    struct task_in in = {.outcome = o};
    struct task t = task_in_state(TASK_FAILED, 5, 3);
    ck_assert_int_eq(task_apply(&t, EVENT_REVIVE, &in, &c), 0);
    ck_assert_uint_eq(c.attempt, 5);
    ck_assert_uint_eq(c.earlier_attempts, 5);
    ck_assert_uint_eq(c.daemon_deaths, 0);
    ck_assert_ptr_null(c.outcome);
    t = task_in_state(TASK_RUNNING, 7, 0); /* two retries are allowed in each life */
    t.earlier_attempts = 5;
    ck_assert_int_eq(task_apply(&t, EVENT_RETRY, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_SCHEDULED);
    ck_assert_uint_eq(c.earlier_attempts, 5);
    t.attempt = 8;
    ck_assert_int_eq(task_apply(&t, EVENT_RETRY, &in, &c), 0);
    ck_assert_int_eq(c.to_state, TASK_FAILED);
    task_outcome_unref(o);
}
END_TEST

/* An attempt that is given back has ended no way at all. */
START_TEST(test_task_state_release_has_no_outcome)
{
    struct task_change c;
    struct task_outcome *o = task_outcome_error("exit", "busy");
    struct task t = task_in_state(TASK_RUNNING, 1, 0);
    ck_assert_int_eq(task_apply(&t, EVENT_RELEASE, &(struct task_in){.outcome = o}, &c), 0);
    ck_assert_ptr_null(c.outcome);
    task_outcome_unref(o);
}
END_TEST

START_TEST(test_task_state_once_has_no_second_attempt)
{
    struct task_spec *once = task_spec_new(
        &(struct task_spec){.id = {5, 7}, .handler = "h", .input_type = "t", .once = true});
    struct task t = {.spec = once, .state = TASK_RUNNING, .attempt = 1};
    static const enum task_event events[] = {EVENT_RETRY, EVENT_LOSE};
    struct task_change c;
    for (size_t i = 0; i < FUT_COUNT(events); i++) {
        ck_assert_int_eq(task_apply(&t, events[i], NULL, &c), 0);
        ck_assert_int_eq(c.to_state, TASK_FAILED);
    }
    ck_assert_int_eq(task_apply(&t, EVENT_RELEASE, NULL, &c), 0); /* of one that never began */
    ck_assert_int_eq(c.to_state, TASK_QUEUED);
    task_spec_unref(once);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_task_state_every_pair, 0, TASK_STATE_COUNT * TASK_EVENT_COUNT);
    tcase_add_loop_test(tc, test_task_state_every_pair_counts, 0,
                        TASK_STATE_COUNT * TASK_EVENT_COUNT);
    tcase_add_loop_test(tc, test_task_state_every_pair_for_many, 0,
                        TASK_STATE_COUNT * TASK_EVENT_COUNT);
    tcase_add_test(tc, test_task_state_counts_attempts);
    tcase_add_test(tc, test_task_state_promise);
    tcase_add_test(tc, test_task_state_retries_end);
    tcase_add_test(tc, test_task_state_killer_of_daemons_is_stopped);
    tcase_add_test(tc, test_task_state_moves_for_many);
    tcase_add_test(tc, test_task_state_another_life);
    tcase_add_test(tc, test_task_state_release_has_no_outcome);
    tcase_add_test(tc, test_task_state_once_has_no_second_attempt);
    return suite_run_cases("task_state", tc, NULL);
}
