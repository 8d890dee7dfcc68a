/* Tasks that are claimed ahead: when that happens, and that nobody is worse off for it. */
#include <poll.h>
#include <stdio.h>

#include "core/clock.h"
#include "storage/session.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

enum { SLOTS = 4, SHORT = 400, LONG = 60, MEDIUM = 240 };

static void setup(void)
{
    live_start(SLOTS, 2);
}

static void teardown(void)
{
    live_stop();
}

/* Until the io lane has seen so many short attempts that it claims ahead. */
static void open_window(void)
{
    uint64_t before = live_store_stats().finished[TASK_SUCCEEDED];
    for (int i = 0; i < SHORT; i++)
        (void)live_submit("echo", LANE_IO, "1", 10000, 0);
    wait_for(live_store_stats().finished[TASK_SUCCEEDED] >= before + SHORT);
}

static void submit_long(struct task_id *ids)
{
    for (int i = 0; i < LONG; i++)
        ids[i] = live_submit("sleep", LANE_IO, "{\"seconds\":1000}", 2000000, 0);
}

static void wait_running(uint64_t n)
{
    wait_for(live_store_stats().live[LANE_IO][TASK_RUNNING] == n);
}

START_TEST(test_ready_gives_back_what_waits_too_long)
{
    struct task_id ids[LONG];
    open_window();
    submit_long(ids);
    wait_running(SLOTS);
    ck_assert_uint_gt(live_store_stats().claimed, SHORT + SLOTS); /* some had been claimed ahead */
    ck_assert_uint_eq(live_store_stats().live[LANE_IO][TASK_QUEUED], LONG - SLOTS);
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].busy, SLOTS);
    for (int i = SLOTS; i < LONG; i++) {
        struct task t = live_wait(ids[i], TASK_QUEUED);
        ck_assert_uint_eq(t.attempt, 0);
        task_release(&t);
    }
}
END_TEST

/* Whoever submits slowly brings fewer before the first is given back: then once more. */
START_TEST(test_ready_claims_what_the_slots_run_in_some_commits)
{
    struct task_id ids[LONG];
    uint64_t claimed;
    do {
        open_window();
        claimed = live_store_stats().claimed;
        submit_long(ids);
        wait_running(SLOTS);
        claimed = live_store_stats().claimed - claimed;
        for (int i = 0; i < LONG; i++)
            live_cancel_any(ids[i]);
        wait_running(0);
    } while (claimed <= SLOTS + 8 * SLOTS);
}
END_TEST

/* True: some were claimed ahead. Never more than one for each slot. */
static bool claims_one_ahead(uint64_t before)
{
    struct store_stats st = live_store_stats();
    ck_assert_uint_le(st.live[LANE_IO][TASK_RUNNING], 2 * SLOTS);
    return st.claimed > before + SLOTS;
}

/* They fail when the daemon dies, whether they have begun or not. */
START_TEST(test_ready_claims_few_where_tasks_run_once)
{
    struct task_id ids[LONG];
    struct task_spec spec = {.lane = LANE_IO,
                             .timeout_ms = 10000,
                             .once = true,
                             .created_wall_ms = clock_wall_ms(),
                             .handler = "echo",
                             .input_type = CONTENT_JSON,
                             .input = (const unsigned char *)"1",
                             .input_len = 1};
    for (int i = 0; i < SHORT; i++) {
        spec.id = id_new();
        live_submit_spec(&spec, TASK_QUEUED, 0);
    }
    wait_for(live_store_stats().finished[TASK_SUCCEEDED] >= SHORT);
    uint64_t before = live_store_stats().claimed;
    submit_long(ids);
    wait_for(claims_one_ahead(before));
    wait_for(live_store_stats().live[LANE_IO][TASK_QUEUED] == LONG - SLOTS);
}
END_TEST

START_TEST(test_ready_may_be_cancelled)
{
    struct task_id ids[LONG];
    open_window();
    submit_long(ids);
    for (int i = 0; i < LONG; i++)
        live_cancel_any(ids[i]);
    struct task_id after = live_submit("echo", LANE_IO, "1", 10000, 0);
    struct task t = live_wait(after, TASK_SUCCEEDED);
    task_release(&t);
    wait_running(0);
    ck_assert_uint_eq(live_store_stats().finished[TASK_CANCELLED], LONG);
    ck_assert(scheduler_drain(live.s, 1000));
}
END_TEST

START_TEST(test_ready_is_released_by_a_drain)
{
    struct task_id ids[LONG];
    open_window();
    submit_long(ids);
    ck_assert(scheduler_drain(live.s, 10));
    for (int i = 0; i < LONG; i++) {
        struct task t = live_wait(ids[i], TASK_QUEUED);
        ck_assert_uint_eq(t.attempt, 0);
        task_release(&t);
    }
}
END_TEST

/* A task that a daemon has died with: what it may do next must not be charged to others. */
START_TEST(test_ready_claims_nothing_ahead_beside_a_suspect)
{
    struct task_spec spec = {.id = id_new(),
                             .lane = LANE_CPU,
                             .timeout_ms = 1000000,
                             .created_wall_ms = clock_wall_ms(),
                             .handler = "sleep",
                             .input_type = CONTENT_JSON,
                             .input = (const unsigned char *)"{\"seconds\":1000}",
                             .input_len = 16};
    struct task_id ids[LONG];
    open_window();
    live_submit_spec(&spec, TASK_QUEUED, 1);
    wait_for(live_stats().lanes[LANE_CPU].busy == 1);
    submit_long(ids);
    wait_running(SLOTS);
    for (int i = 0; i < SHORT; i++) { /* also not by and by */
        ck_assert_uint_le(live_store_stats().live[LANE_IO][TASK_RUNNING], SLOTS);
        ck_assert_uint_eq(live_stats().lanes[LANE_IO].busy, SLOTS);
    }
}
END_TEST

/* ---- attempts of a few milliseconds: never below 4, however fast the machine is ---- */

static void submit_medium(void)
{
    static const char input[] = "{\"ms\":5}";
    static struct task tasks[MEDIUM];
    struct store_submit o = {.tasks = tasks, .n = MEDIUM};
    for (int i = 0; i < MEDIUM; i++) {
        struct task_spec spec = {.id = id_new(),
                                 .lane = LANE_IO,
                                 .timeout_ms = 10000,
                                 .created_wall_ms = clock_wall_ms(),
                                 .handler = "sleep",
                                 .input_type = CONTENT_JSON,
                                 .input = (const unsigned char *)input,
                                 .input_len = sizeof(input) - 1};
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
    }
    ck_assert_int_eq(store_post(live.store, &store_verb_submit, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    for (int i = 0; i < MEDIUM; i++)
        task_release(&tasks[i]);
}

/* True: n tasks have ended. *saw is set once more ran, for the store, than there are slots. */
static bool have_ended(uint64_t n, bool *saw)
{
    struct store_stats st = live_store_stats();
    if (st.finished[TASK_SUCCEEDED] >= n)
        return true;
    ck_assert_uint_le(st.live[LANE_IO][TASK_RUNNING], 2 * SLOTS);
    *saw = *saw || st.live[LANE_IO][TASK_RUNNING] > SLOTS;
    return false;
}

static bool saw_ahead(uint64_t n)
{
    bool saw = false;
    wait_for(have_ended(n, &saw));
    return saw;
}

START_TEST(test_ready_claims_one_ahead_for_each_slot)
{
    uint64_t n = 0;
    do {
        submit_medium();
        n += MEDIUM;
    } while (!saw_ahead(n));
}
END_TEST

START_TEST(test_ready_gathers_ends)
{
    uint64_t before, commits, n = 0;
    do { /* until one is claimed ahead */
        submit_medium();
        n += MEDIUM;
    } while (!saw_ahead(n));
    before = live_store_stats().commits;
    submit_medium();
    (void)saw_ahead(n + MEDIUM);
    commits = live_store_stats().commits - before;
    ck_assert_uint_lt(commits, MEDIUM * 3 / 4); /* one end each: MEDIUM */
}
END_TEST

/* ---- sessions ---- */

static struct task_id open_session(uint32_t max_running)
{
    struct store_session_open o = {
        .session = {.id = id_new(), .handler = "sleep", .created_wall_ms = clock_wall_ms()},
        .max_running = max_running};
    ck_assert_int_eq(store_post(live.store, &store_verb_session_open, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    return o.session.id;
}

static void join_long(struct task_id session, struct task_id *ids)
{
    struct task tasks[LONG];
    char limits[STORE_SESSION_LIMIT_SIZE + 1];
    char limit[STORE_SESSION_LIMIT_SIZE];
    store_session_limit(session, limit);
    (void)snprintf(limits, sizeof(limits), "%s\n", limit);
    for (int i = 0; i < LONG; i++) {
        struct task_spec spec = live_spec("sleep", LANE_IO, "{\"seconds\":1000}", 2000000, 0);
        spec.batch = session;
        spec.in_session = true;
        spec.limits = limits;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
        ids[i] = spec.id;
    }
    struct store_submit o = {.tasks = tasks, .n = LONG, .session = session, .n_members = LONG};
    ck_assert_int_eq(store_post(live.store, &store_verb_submit, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    for (int i = 0; i < LONG; i++)
        task_release(&tasks[i]);
}

static bool all_ready_are_back(void)
{
    return live_store_stats().live[LANE_IO][TASK_RUNNING] == live_stats().lanes[LANE_IO].busy;
}

/* More than may run are claimed; no more than may run begin, also when one has ended. */
START_TEST(test_ready_holds_sessions_to_their_limit)
{
    struct task_id ids[LONG];
    open_window();
    join_long(open_session(2), ids);
    wait_for(live_store_stats().live[LANE_IO][TASK_RUNNING] > 2);
    wait_for(live_stats().lanes[LANE_IO].busy >= 2);
    live_cancel(ids[0]);
    wait_for(live_stats().lanes[LANE_IO].started >= SHORT + 3);
    wait_for(all_ready_are_back()); /* what waited too long */
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].started, SHORT + 3);
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].busy, 2);
}
END_TEST

/* ---- many, short, on both lanes, all exactly once ---- */

START_TEST(test_ready_runs_each_once)
{
    static struct task_id ids[1500];
    enum { MANY = (int)FUT_COUNT(ids) };
    for (int i = 0; i < MANY; i++)
        ids[i] = live_submit("echo", i % 3 ? LANE_IO : LANE_CPU, "1", 10000, 0);
    for (int i = 0; i < MANY; i++) {
        struct task t = live_wait(ids[i], TASK_SUCCEEDED);
        ck_assert_uint_eq(t.attempt, 1);
        task_release(&t);
    }
    struct pool_stats st = live_stats();
    ck_assert_uint_eq(st.lanes[LANE_IO].started + st.lanes[LANE_CPU].started, MANY);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("ready", 60, setup, teardown);
    tcase_add_test(t, test_ready_gives_back_what_waits_too_long);
    tcase_add_test(t, test_ready_claims_what_the_slots_run_in_some_commits);
    tcase_add_test(t, test_ready_claims_few_where_tasks_run_once);
    tcase_add_test(t, test_ready_may_be_cancelled);
    tcase_add_test(t, test_ready_is_released_by_a_drain);
    tcase_add_test(t, test_ready_claims_nothing_ahead_beside_a_suspect);
    tcase_add_test(t, test_ready_claims_one_ahead_for_each_slot);
    tcase_add_test(t, test_ready_gathers_ends);
    tcase_add_test(t, test_ready_holds_sessions_to_their_limit);
    tcase_add_test(t, test_ready_runs_each_once);
    return suite_run_cases("ready", t, NULL);
}
