/* Pools that change while they work: larger, smaller, paused. */
#include <poll.h>
#include <sys/resource.h>

#include "core/sanitizers.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

#define LONG "{\"seconds\":1000}"

static void setup(void)
{
    live_start(2, 2);
}

static void teardown(void)
{
    live_stop();
}

static void resize(enum lane lane, uint32_t capacity)
{
    live.view.change(live.view.ctx, lane,
                     &(struct pool_wish){.sets_capacity = true, .capacity = capacity});
}

static void set_pause(enum lane lane, bool is_paused)
{
    struct pool_wish wish = {.sets_pause = true};
    if (is_paused)
        wish.pause = (struct pool_pause){clock_wall_ms(), "a test", "to see"};
    live.view.change(live.view.ctx, lane, &wish);
}

static void wait_busy(enum lane lane, uint32_t n)
{
    wait_for(live_stats().lanes[lane].busy == n);
}

static void wait_alive(uint32_t n)
{
    wait_for(live_stats().workers_alive == n);
}

static void expect_done(struct task_id id, uint32_t attempt)
{
    struct task t = live_wait(id, TASK_SUCCEEDED);
    ck_assert_uint_eq(t.attempt, attempt);
    task_release(&t);
}

static const enum lane lanes[] = {LANE_IO, LANE_CPU};

START_TEST(test_pools_grow_while_busy)
{
    enum lane lane = lanes[_i];
    for (int i = 0; i < 5; i++)
        (void)live_submit("sleep", lane, LONG, 2000000, 0);
    wait_busy(lane, 2);
    resize(lane, 5);
    ck_assert_uint_eq(live_stats().lanes[lane].capacity, 5); /* at once */
    ck_assert_uint_eq(live_stats().lanes[lane].configured, 2);
    wait_busy(lane, 5);
    if (lane == LANE_CPU)
        wait_alive(5);
}
END_TEST

START_TEST(test_pools_shrink_lets_attempts_end)
{
    enum lane lane = lanes[_i];
    struct task_id first[4], later[3];
    resize(lane, 4);
    for (int i = 0; i < 4; i++)
        first[i] = live_submit("sleep", lane, LONG, 2000000, 0);
    wait_busy(lane, 4);
    resize(lane, 1);
    for (int i = 0; i < 3; i++)
        later[i] = live_submit("echo", lane, "1", 10000, 0);
    for (int i = 0; i < 3; i++)
        live_cancel(first[i]);
    wait_busy(lane, 1);
    if (lane == LANE_CPU) {
        wait_alive(1);
        ck_assert_uint_eq(live_stats().workers_died, 0);
    }
    struct task t = live_wait(later[0], TASK_QUEUED); /* the one slot is still taken */
    task_release(&t);
    ck_assert_uint_eq(live_stats().lanes[lane].started, 4);
    live_cancel(first[3]);
    for (int i = 0; i < 3; i++)
        expect_done(later[i], 1);
}
END_TEST

/* With idle slots: claims for two wait in the store when one slot goes. */
START_TEST(test_pools_shrink_recalls_what_waits_for_slots)
{
    enum lane lane = lanes[_i];
    struct task_id ids[3];
    resize(lane, 1);
    for (int i = 0; i < 3; i++)
        ids[i] = live_submit("sleep", lane, "{\"ms\":30}", 10000, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_le(live_stats().lanes[lane].busy, 1);
        expect_done(ids[i], 1);
    }
    resize(lane, 0);
    ck_assert_uint_eq(live_stats().lanes[lane].capacity, 2);
}
END_TEST

START_TEST(test_pools_pause_stops_claims_and_not_attempts)
{
    enum lane lane = lanes[_i];
    struct task_id running = live_submit("sleep", lane, "{\"ms\":100}", 10000, 0);
    wait_busy(lane, 1);
    set_pause(lane, true);
    ck_assert_int_gt(live_stats().lanes[lane].pause.since_wall_ms, 0);
    ck_assert_str_eq(live_stats().lanes[lane].pause.by, "a test");
    struct task_id waits = live_submit("echo", lane, "1", 10000, 0);
    struct task_id other = live_submit("echo", lanes[1 - _i], "1", 10000, 0);
    expect_done(running, 1);
    expect_done(other, 1);
    wait_busy(lane, 0);
    struct task t = live_wait(waits, TASK_QUEUED);
    ck_assert_uint_eq(t.attempt, 0);
    task_release(&t);
    set_pause(lane, false);
    expect_done(waits, 1); /* not charged for the pause */
    ck_assert_int_eq(live_stats().lanes[lane].pause.since_wall_ms, 0);
}
END_TEST

/* Changes at random under load: each task ends once, and the pool has the last size. */
START_TEST(test_pools_changed_at_random_lose_nothing)
{
    enum { MANY = 300 };
    static struct task_id ids[MANY];
    srand(7);
    for (int i = 0; i < MANY; i++) {
        enum lane lane = lanes[i % 2];
        ids[i] = live_submit("sleep", lane, "{\"ms\":1}", 30000, 0);
        if (i % 10 == 3)
            resize(lane, 1 + (uint32_t)rand() % 6);
        if (i % 25 == 9)
            set_pause(lane, rand() % 2);
    }
    for (int i = 0; i < 2; i++) {
        set_pause(lanes[i], false);
        resize(lanes[i], 2);
    }
    for (int i = 0; i < MANY; i++)
        expect_done(ids[i], 1);
    wait_busy(LANE_IO, 0);
    wait_busy(LANE_CPU, 0);
    wait_alive(2);
    ck_assert_uint_eq(live_stats().workers_died, 0);
}
END_TEST

/* ---- reload ---- */

static void reload(const char *json, uint32_t threads, unsigned paused)
{
    struct scheduler_plan plan = {.max_threads = threads, .max_workers = 2, .paused = paused};
    struct handlers *h = live_handlers_from(json);
    plan.handlers = h;
    scheduler_reload(live.s, &plan);
    handlers_free(&h);
}

/* The program waits for its input's end, which is there; so it is started with the old registry and
 * ends with the new one in force. */
START_TEST(test_reload_leaves_running_attempts_their_handler)
{
    struct task_id before = live_submit("stubborn", LANE_CPU, "", 300, 0);
    wait_busy(LANE_CPU, 1);
    reload("{\"lower\": {\"exec\": [\"tr\", \"A-Z\", \"a-z\"]}}", 2, 0);
    struct task t = live_wait(live_submit("lower", LANE_CPU, "HELLO", 10000, 0), TASK_SUCCEEDED);
    ck_assert_str_eq((const char *)t.outcome->body, "hello");
    task_release(&t);
    t = live_wait(live_submit("upper", LANE_CPU, "x", 10000, 0), TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "unknown_handler");
    task_release(&t);
    t = live_wait(before, TASK_FAILED); /* by its own timeout */
    ck_assert_str_eq(t.outcome->code, "timeout");
    task_release(&t);
}
END_TEST

START_TEST(test_reload_again_and_again_under_load)
{
    enum { MANY = 200 };
    static struct task_id ids[MANY];
    for (int i = 0; i < MANY; i++) {
        ids[i] = live_submit(i % 10 ? "echo" : "upper", lanes[i % 2], "1", 30000, 0);
        if (i % 5 == 0)
            reload("{\"upper\": {\"exec\": [\"tr\", \"a-z\", \"A-Z\"]}}", 2 + (uint32_t)i % 3, 0);
    }
    for (int i = 0; i < MANY; i++)
        expect_done(ids[i], 1);
}
END_TEST

/* What was changed by hand stays until the plan says something else. */
START_TEST(test_reload_and_changes_by_hand)
{
    resize(LANE_IO, 5);
    set_pause(LANE_CPU, true);
    reload("{}", 2, 0); /* as it was configured: nothing new */
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].capacity, 5);
    ck_assert_int_gt(live_stats().lanes[LANE_CPU].pause.since_wall_ms, 0);
    reload("{}", 3, 1u << LANE_IO);
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].capacity, 3);
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].configured, 3);
    ck_assert_str_eq(live_stats().lanes[LANE_IO].pause.by, "configuration");
    ck_assert_int_gt(live_stats().lanes[LANE_CPU].pause.since_wall_ms, 0);
    reload("{}", 3, 0);
    ck_assert_int_eq(live_stats().lanes[LANE_IO].pause.since_wall_ms, 0);
}
END_TEST

/* A change that comes when the scheduler has ended is for nobody, and harms nobody. */
START_TEST(test_pools_change_after_the_end)
{
    scheduler_stop(live.s);
    resize(LANE_IO, 9);
    set_pause(LANE_CPU, true);
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].capacity, 9);
}
END_TEST

/* ---- what the system does not give ---- */

#if !FUT_ASAN
static bool is_refused(void *ctx)
{
    (void)ctx;
    return live_stats().lanes[LANE_IO].refused > 0;
}

static bool is_given(void *ctx)
{
    return live_stats().lanes[LANE_IO].capacity == *(const uint32_t *)ctx;
}

static rlim_t address_space(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128];
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
    (void)fclose(f);
    return (rlim_t)strtoul(line, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* No memory for the stacks of 200 threads. */
START_TEST(test_pools_keep_the_threads_that_could_be_had)
{
    uint32_t wanted = 200;
    struct rlimit before, low;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    low = before;
    low.rlim_cur = address_space() + ((rlim_t)256 << 20);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &low), 0);
    resize(LANE_IO, wanted);
    ck_assert(wait_until(is_refused, NULL, 30000));
    struct pool_lane io = live_stats().lanes[LANE_IO];
    ck_assert_uint_ge(io.capacity, 2);
    ck_assert_uint_eq(io.capacity + io.refused, wanted);
    expect_done(live_submit("echo", LANE_IO, "1", 10000, 0), 1);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
    ck_assert(wait_until(is_given, &wanted, 60000)); /* by itself */
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].refused, 0);
}
END_TEST
#endif

int main(void)
{
    TCase *t = suite_case("pools", 60, setup, teardown);
    tcase_add_loop_test(t, test_pools_grow_while_busy, 0, 2);
    tcase_add_loop_test(t, test_pools_shrink_lets_attempts_end, 0, 2);
    tcase_add_loop_test(t, test_pools_shrink_recalls_what_waits_for_slots, 0, 2);
    tcase_add_loop_test(t, test_pools_pause_stops_claims_and_not_attempts, 0, 2);
    tcase_add_test(t, test_pools_changed_at_random_lose_nothing);
    tcase_add_test(t, test_reload_leaves_running_attempts_their_handler);
    tcase_add_test(t, test_reload_again_and_again_under_load);
    tcase_add_test(t, test_reload_and_changes_by_hand);
    tcase_add_test(t, test_pools_change_after_the_end);
#if !FUT_ASAN
    tcase_add_test(t, test_pools_keep_the_threads_that_could_be_had);
#endif
    return suite_run_cases("pools", t, NULL);
}
