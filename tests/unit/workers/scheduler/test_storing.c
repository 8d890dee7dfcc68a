/* Checkpoints of real workers on their way to the store, and workers that suspend their tasks. */
#include <limits.h>

#include "storage/fault.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/live.h"
#include "tests/unit/workers/scripted.h"

static void build(const char *options)
{
    static char file[2 * PATH_MAX];
    (void)snprintf(file, sizeof(file), "{\"scripted\": {\"worker\": [\"%s\", \"worker\"%s]}}",
                   scripted_self(), options);
    live_file = file;
    live_backend = STORE_FAULT_PREFIX "memory";
    live_start(1, 1);
}

static struct task run(const char *input, enum task_state state)
{
    return live_wait(live_submit("scripted", LANE_CPU, input, 60000, 0), state);
}

static void answers(const char *input, const char *text)
{
    struct task t = run(input, TASK_SUCCEEDED);
    ck_assert_msg(t.outcome->body_len == strlen(text) &&
                      memcmp(t.outcome->body, text, strlen(text)) == 0,
                  "%s: %.*s", input, (int)t.outcome->body_len, (const char *)t.outcome->body);
    task_release(&t);
}

START_TEST(test_checkpoint_is_answered)
{
    build(", \"checkpoint=1\"");
    answers("save 0", "SAVED");
    answers("save 1048576", "SAVED");
    answers("save 1048577", "REFUSED the checkpoint is 1048577 bytes; allowed: up to 1048576");
    answers("hasty 10", "REFUSED the checkpoint before it has not been answered");
    answers("fine", "fine");
    live_stop();
}
END_TEST

/* It is not said to be stored before it is. */
START_TEST(test_checkpoint_that_is_not_stored_is_refused)
{
    build(", \"checkpoint=1\"");
    answers("fine", "fine");
    store_fault_arm(STORE_FAULT_CHECKPOINT, 0, 1, FUT_ERR_NO_SPACE);
    answers("save 10", "REFUSED the disk is full");
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_CHECKPOINT), 1);
    live_stop();
}
END_TEST

START_TEST(test_checkpoint_of_a_worker_that_would_not_understand_the_answer)
{
    build("");
    struct task t = run("save 10", TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "worker_protocol");
    task_release(&t);
    t = run("suspend 1", TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "worker_protocol");
    task_release(&t);
    live_stop();
}
END_TEST

START_TEST(test_suspend_for_more_than_a_year_breaks_the_protocol)
{
    build(", \"checkpoint=1\"");
    struct task t = run("suspend 31536001", TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "worker_protocol");
    task_release(&t);
    t = run("suspend 31536000", TASK_SCHEDULED);
    ck_assert(t.is_suspended);
    ck_assert_uint_eq(t.attempt, 0);
    task_release(&t);
    answers("fine", "fine"); /* its slot is free */
    live_stop();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *tests[] = {
        test_checkpoint_is_answered,
        test_checkpoint_that_is_not_stored_is_refused,
        test_checkpoint_of_a_worker_that_would_not_understand_the_answer,
        test_suspend_for_more_than_a_year_breaks_the_protocol,
    };
    scripted_main(argc, argv);
    return suite_run("storing", tests, FUT_COUNT(tests));
}
