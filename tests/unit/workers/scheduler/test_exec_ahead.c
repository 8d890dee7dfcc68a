/* Programs that are given to the fork server before their turn: each runs once, and nobody is worse
 * off for it. */
#include <sys/stat.h>

#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

enum { SLOTS = 2, SHORT = 300, LONG = 12 };

static char dir[] = "/tmp/futured-test-ahead-XXXXXX";
static char file[64], text[512];

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(file, sizeof(file), "%s/ran", dir);
    (void)snprintf(text, sizeof(text),
                   "{\"short\": {\"exec\": [\"sh\", \"-c\", \"echo >>%s\"], \"lane\": \"cpu\"},"
                   " \"long\": {\"exec\": [\"sh\", \"-c\", \"echo >>%s; exec sleep 1000\"],"
                   " \"lane\": \"cpu\"}}",
                   file, file);
    live_file = text;
    live_start(4, SLOTS);
}

static void teardown(void)
{
    live_stop();
    (void)unlink(file);
    (void)rmdir(dir);
}

/* How many programs have begun: each adds a line. */
static long began(void)
{
    struct stat st;
    return stat(file, &st) == 0 ? st.st_size : 0;
}

static void submit(const char *handler, struct task_id *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = live_submit(handler, LANE_CPU, "", 2000000, 0);
}

static void expect(const struct task_id *ids, int n, enum task_state state, uint32_t attempt)
{
    for (int i = 0; i < n; i++) {
        struct task t = live_wait(ids[i], state);
        ck_assert_uint_eq(t.attempt, attempt);
        task_release(&t);
    }
}

/* So many that the lane claims ahead. */
static void run_short(void)
{
    static struct task_id ids[SHORT];
    submit("short", ids, SHORT);
    expect(ids, SHORT, TASK_SUCCEEDED, 1);
}

START_TEST(test_exec_ahead_runs_each_once)
{
    run_short();
    ck_assert_int_eq(began(), SHORT);
    ck_assert_uint_eq(live_stats().lanes[LANE_CPU].started, SHORT);
}
END_TEST

START_TEST(test_exec_ahead_is_given_back_behind_slow_ones)
{
    struct task_id ids[LONG];
    run_short();
    submit("long", ids, LONG);
    wait_for(began() == SHORT + SLOTS);
    wait_for(live_store_stats().live[LANE_CPU][TASK_RUNNING] == SLOTS);
    expect(ids + SLOTS, LONG - SLOTS, TASK_QUEUED, 0);
    ck_assert_int_eq(began(), SHORT + SLOTS);
}
END_TEST

/* Also in the moment in which their turn comes. */
START_TEST(test_exec_ahead_may_be_cancelled)
{
    struct task_id ids[LONG], after;
    run_short();
    submit("long", ids, LONG);
    for (int i = 0; i < LONG; i++)
        live_cancel_any(ids[i]);
    submit("short", &after, 1);
    expect(&after, 1, TASK_SUCCEEDED, 1);
    wait_for(live_stats().lanes[LANE_CPU].busy == 0);
    ck_assert_uint_eq(live_store_stats().finished[TASK_CANCELLED], LONG);
    ck_assert(scheduler_drain(live.s, 1000));
}
END_TEST

START_TEST(test_exec_ahead_is_released_by_a_drain)
{
    struct task_id ids[LONG];
    run_short();
    submit("long", ids, LONG);
    ck_assert(scheduler_drain(live.s, 10));
    expect(ids, LONG, TASK_QUEUED, 0);
}
END_TEST

START_TEST(test_exec_ahead_goes_with_the_fork_server)
{
    struct task_id ids[LONG];
    run_short();
    submit("long", ids, LONG);
    ck_assert_int_eq(kill(fork_server_pid(live.fs), SIGKILL), 0);
    expect(ids, LONG, TASK_QUEUED, 0);
    ck_assert(scheduler_drain(live.s, 1000));
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_exec_ahead_runs_each_once, 0},
        {test_exec_ahead_is_given_back_behind_slow_ones, 0},
        {test_exec_ahead_may_be_cancelled, 0},
        {test_exec_ahead_is_released_by_a_drain, 0},
        {test_exec_ahead_goes_with_the_fork_server, 0},
    };
    return suite_run_rows("exec_ahead", 60, setup, teardown, rows, FUT_COUNT(rows));
}
