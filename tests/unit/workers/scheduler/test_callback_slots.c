/* Callbacks have slots of their own: a receiver that never answers keeps no task waiting. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

#define SOON_MS 10000 /* far less than a callback may take, which is 20 s */

enum { MANY = 60, SLOTS = 2 };

static int receiver = -1; /* listens, and never answers */
static char input[96];

static void setup(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    receiver = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(receiver, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(listen(receiver, 1000), 0);
    ck_assert_int_eq(getsockname(receiver, (struct sockaddr *)&sa, &len), 0);
    (void)snprintf(input, sizeof(input), "{\"url\":\"http://127.0.0.1:%u/\"}",
                   (unsigned)ntohs(sa.sin_port));
    live_start(SLOTS, 1);
}

static void teardown(void)
{
    live_stop();
    (void)close(receiver);
}

/* A task that is done, and the callback that tells of it. */
static void submit_with_callback(void)
{
    struct task_spec callback = live_spec("callback", LANE_IO, input, 30000, 3);
    struct task_spec spec = live_spec("echo", LANE_IO, "1", 10000, 0);
    callback.after = spec.id;
    spec.callback = callback.id;
    struct task tasks[] = {{.spec = task_spec_new(&spec), .state = TASK_QUEUED},
                           {.spec = task_spec_new(&callback), .state = TASK_SCHEDULED}};
    struct store_submit o = {.tasks = tasks, .n = 2};
    ck_assert_int_eq(store_post(live.store, &store_verb_submit, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    task_release(&tasks[0]);
    task_release(&tasks[1]);
}

static bool all_are_done(void *ctx)
{
    return live_store_stats().finished[TASK_SUCCEEDED] >= *(const uint64_t *)ctx;
}

/* The others were claimed, and go back: all have one receiver. */
static bool few_run(void *ctx)
{
    (void)ctx;
    return live_store_stats().live[LANE_IO][TASK_RUNNING] <= 2;
}

START_TEST(test_callbacks_keep_no_task_waiting)
{
    uint64_t wanted = MANY;
    for (int i = 0; i < MANY; i++)
        submit_with_callback();
    ck_assert_msg(wait_until(all_are_done, &wanted, SOON_MS), "callbacks have the tasks' slots");
    wanted += MANY;
    for (int i = 0; i < MANY; i++)
        (void)live_submit("echo", LANE_IO, "1", 10000, 0);
    ck_assert_msg(wait_until(all_are_done, &wanted, SOON_MS), "callbacks have the tasks' slots");
    struct pool_lane io = live_stats().lanes[LANE_IO];
    ck_assert_uint_eq(io.capacity, SLOTS);
    ck_assert_uint_le(io.busy, SLOTS);
    ck_assert_msg(wait_until(few_run, NULL, SOON_MS), "the bound of a receiver does not hold");
}
END_TEST

int main(void)
{
    TCase *t = suite_case("callback_slots", 90, setup, teardown);
    tcase_add_test(t, test_callbacks_keep_no_task_waiting);
    return suite_run_cases("callback_slots", t, NULL);
}
