/* Ends that the store refuses while it takes all else, as a disk does that has space for little:
 * they are kept, they keep their slots, and none is lost. */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "storage/fault.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

enum { SLOTS = 2, TASKS = 40, REFUSALS = 6, WARN_EVERY_MS = 10000 };

static const char input[] = "{\"ms\":60}"; /* long enough that nothing is claimed ahead */

static void setup(void)
{
    live_backend = STORE_FAULT_PREFIX "memory";
    live_start(SLOTS, 1);
    struct task first = live_wait(live_submit("sleep", LANE_IO, input, 10000, 0), TASK_SUCCEEDED);
    task_release(&first);
}

static void teardown(void)
{
    live_stop();
}

/* In one commit: later ones are refused while there is no space. */
static void submit_all(struct task_id ids[TASKS])
{
    struct task tasks[TASKS];
    struct store_submit o = {.tasks = tasks, .n = TASKS};
    for (int i = 0; i < TASKS; i++) {
        struct task_spec spec = {.id = ids[i] = id_new(),
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
    for (int i = 0; i < TASKS; i++)
        task_release(&tasks[i]);
}

START_TEST(test_unsaved_ends_keep_their_slots)
{
    struct task_id ids[TASKS];
    store_fault_arm(STORE_FAULT_CHANGE, 0, UINT_MAX, FUT_ERR_NO_SPACE);
    submit_all(ids);
    wait_for(store_fault_count(STORE_FAULT_CHANGE) >= REFUSALS);
    wait_for(live_store_stats().health == 0); /* with the commit in which claims are served again */
    ck_assert_uint_le(live_store_stats().claimed,
                      1 + 2 * SLOTS); /* those that run, and their successors */
    ck_assert_uint_eq(live_store_stats().finished[TASK_SUCCEEDED], 1);
    store_fault_arm(STORE_FAULT_CHANGE, 0, 0, 0);
    for (int i = 0; i < TASKS; i++) {
        struct task t = live_wait(ids[i], TASK_SUCCEEDED);
        ck_assert_uint_eq(t.attempt, 1);
        task_release(&t);
    }
}
END_TEST

static int lines_with(FILE *log, const char *text)
{
    char line[1024];
    int n = 0;
    rewind(log);
    while (fgets(line, sizeof(line), log))
        n += strstr(line, text) != NULL;
    return n;
}

/* However many ends are refused, and however often: one line, and one more each ten seconds. */
START_TEST(test_unsaved_ends_are_one_warning)
{
    struct task_id ids[TASKS];
    FILE *log = tmpfile();
    int64_t began_ms = clock_mono_ms();
    ck_assert(log && dup2(fileno(log), STDERR_FILENO) >= 0);
    store_fault_arm(STORE_FAULT_CHANGE, 0, UINT_MAX, FUT_ERR_NO_SPACE);
    submit_all(ids);
    wait_for(store_fault_count(STORE_FAULT_CHANGE) >= REFUSALS);
    store_fault_arm(STORE_FAULT_CHANGE, 0, 0, 0);
    for (int i = 0; i < TASKS; i++) {
        struct task t = live_wait(ids[i], TASK_SUCCEEDED);
        task_release(&t);
    }
    int lines = lines_with(log, "finish_failed");
    ck_assert_int_ge(lines, 1);
    ck_assert_int_le(lines, 1 + (int)((clock_mono_ms() - began_ms) / WARN_EVERY_MS));
    (void)fclose(log);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("unsaved", 60, setup, teardown);
    tcase_add_test(t, test_unsaved_ends_keep_their_slots);
    tcase_add_test(t, test_unsaved_ends_are_one_warning);
    return suite_run_cases("unsaved", t, NULL);
}
