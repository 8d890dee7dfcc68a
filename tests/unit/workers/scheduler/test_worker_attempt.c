/* `worker` handlers from the queue to the outcome: a scheduler with real programs
 * (scripted_worker.h).
 */
#include <limits.h>

#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"
#include "tests/unit/workers/scripted.h"

static void build(uint32_t threads, uint32_t workers, const char *options)
{
    static char file[2 * PATH_MAX];
    (void)snprintf(file, sizeof(file), "{\"scripted\": {\"worker\": [\"%s\", \"worker\"%s}}",
                   scripted_self(), options);
    live_file = file;
    live_start(threads, workers);
}

static struct task run_on(enum lane lane, const char *input, enum task_state state)
{
    struct task_id id = live_submit("scripted", lane, input, 60000, 0);
    struct task t = live_wait(id, state);
    return t;
}

static struct task run(const char *input, enum task_state state)
{
    return run_on(LANE_CPU, input, state);
}

START_TEST(test_worker_success)
{
    build(1, 1, "]");
    struct task t = run("hello", TASK_SUCCEEDED);
    ck_assert_str_eq(t.outcome->type, "text/plain");
    ck_assert_mem_eq(t.outcome->body, "hello", 5);
    task_release(&t);
    t = run("print", TASK_SUCCEEDED);
    ck_assert_ptr_nonnull(memmem(t.outcome->log, t.outcome->log_len, "to stderr\n", 10));
    task_release(&t);
    live_stop();
}
END_TEST

START_TEST(test_worker_failure_has_kind_and_first_line)
{
    build(1, 1, "]");
    struct task t = run("fail", TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "handler_failed");
    ck_assert_str_eq(t.outcome->message, "ValueError: first line");
    ck_assert_str_eq(t.outcome->error_type, "ValueError");
    ck_assert_mem_eq(t.outcome->log, "second line\n", 12);
    task_release(&t);
    t = run("again", TASK_FAILED); /* no retries are left */
    ck_assert_str_eq(t.outcome->message, "not now");
    ck_assert_ptr_null(t.outcome->error_type);
    task_release(&t);
    struct task_id id = live_submit("scripted", LANE_CPU, "again", 60000, 1);
    t = live_wait(id, TASK_SCHEDULED); /* to be tried again */
    task_release(&t);
    live_stop();
}
END_TEST

START_TEST(test_worker_failure_has_data)
{
    build(1, 1, "]");
    struct task t = run("data", TASK_FAILED);
    ck_assert_str_eq(t.outcome->message, "ValueError: first");
    ck_assert_uint_eq(t.outcome->log_len, 6);
    ck_assert_mem_eq(t.outcome->log, "second", 6);
    ck_assert_str_eq(t.outcome->type, "application/x-pickle");
    ck_assert_uint_eq(t.outcome->body_len, 6);
    ck_assert_mem_eq(t.outcome->body, "\0\nda\xff", 6);
    task_release(&t);
    live_stop();
}
END_TEST

START_TEST(test_worker_death_fails_one_task)
{
    build(1, 1, "]");
    struct task t = run("kill 11", TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "worker_died");
    ck_assert_int_eq(t.outcome->signal, SIGSEGV);
    ck_assert_mem_eq(t.outcome->log, "last words\n", 11);
    task_release(&t);
    t = run("exit 3", TASK_FAILED);
    ck_assert_int_eq(t.outcome->exit_code, 3);
    task_release(&t);
    t = run("garbage", TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "worker_protocol");
    task_release(&t);
    t = run("big 1048577", TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "result_too_large");
    task_release(&t);
    t = run("fine", TASK_SUCCEEDED);
    task_release(&t);
    live_stop();
}
END_TEST

START_TEST(test_worker_timeout_kills_the_deaf)
{
    build(1, 1, ", \"deaf\"]");
    struct task_id id = live_submit("scripted", LANE_CPU, "hold", 50, 0);
    struct task t = live_wait(id, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "timeout");
    task_release(&t);
    t = run("fine", TASK_SUCCEEDED);
    task_release(&t);
    live_stop();
}
END_TEST

static char *text_of(struct task *t)
{
    char *text = xstrndup((const char *)t->outcome->body, t->outcome->body_len);
    task_release(t);
    return text;
}

/* The process that was asked to cancel is the one that serves the next task. */
START_TEST(test_worker_cancel_keeps_the_process)
{
    build(1, 1, ", \"cancel=1\"]");
    struct task t = run("pid", TASK_SUCCEEDED);
    char *before = text_of(&t);
    struct task_id id = live_submit("scripted", LANE_CPU, "hold", 60000, 0);
    live_cancel(id);
    t = run("pid", TASK_SUCCEEDED);
    char *after = text_of(&t);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    live_stop();
}
END_TEST

START_TEST(test_worker_on_the_io_lane_runs_several_at_once)
{
    build(4, 1, ", \"concurrency=3\"], \"lane\": \"io\"");
    struct task_id holding[2];
    for (int i = 0; i < 2; i++) {
        holding[i] = live_submit("scripted", LANE_IO, "hold", 60000, 0);
        struct task t = live_wait(holding[i], TASK_RUNNING);
        task_release(&t);
    }
    struct task t = run_on(LANE_IO, "release", TASK_SUCCEEDED);
    task_release(&t);
    for (int i = 0; i < 2; i++) {
        t = live_wait(holding[i], TASK_SUCCEEDED);
        task_release(&t);
    }
    live_stop();
}
END_TEST

static char *pid_of_worker(void)
{
    struct task t = run_on(LANE_IO, "pid", TASK_SUCCEEDED);
    return text_of(&t);
}

static bool is_served_by_another(void *first)
{
    char *now = pid_of_worker();
    bool is = strcmp(now, first) != 0;
    free(now);
    return is;
}

/* Runs "release" in the process that takes tasks now. */
static bool succeeds_once_released(void *ctx)
{
    struct task t = run_on(LANE_IO, "release", TASK_SUCCEEDED);
    task_release(&t);
    t = live_get(*(struct task_id *)ctx);
    bool is = t.state == TASK_SUCCEEDED;
    task_release(&t);
    return is;
}

/* A process with another task cannot be ended at once: it goes on with the one that was cancelled,
 * whose next life waits for that, also in another process. */
START_TEST(test_worker_next_life_waits_for_abandoned_code)
{
    build(4, 1, ", \"concurrency=3\"], \"lane\": \"io\"");
    struct task_id holding[2];
    char *first = pid_of_worker();
    for (int i = 0; i < 2; i++) {
        holding[i] = live_submit("scripted", LANE_IO, "hold", 60000, 0);
        struct task t = live_wait(holding[i], TASK_RUNNING);
        task_release(&t);
    }
    free(pid_of_worker()); /* begins behind them */
    live_cancel(holding[0]);
    live_revive(holding[0]);
    ck_assert(wait_until(is_served_by_another, first, 20000)); /* it takes no more */
    ck_assert(!succeeds_once_released(&holding[0]));
    ck_assert(!succeeds_once_released(&holding[0]));
    live_cancel(holding[1]);
    ck_assert(wait_until(succeeds_once_released, &holding[0], 20000));
    struct task t = live_get(holding[0]);
    ck_assert_uint_eq(t.attempt, 2);
    task_release(&t);
    free(first);
    live_stop();
}
END_TEST

static bool has_so_many_busy(void *n)
{
    return live_stats().lanes[LANE_IO].busy == *(uint32_t *)n;
}

#define OTHERS 19

/* A cancel and a timeout that the worker does not follow: each ends its task, once; no other task
 * suffers, and no process dies. */
START_TEST(test_worker_soft_cancel_hurts_no_other)
{
    struct task_id others[OTHERS], stuck[2];
    uint32_t n = OTHERS;
    build(21, 1, ", \"concurrency=24\", \"cancel=soft\"], \"lane\": \"io\"");
    char *pid = pid_of_worker();
    for (int i = 0; i < OTHERS; i++)
        others[i] = live_submit("scripted", LANE_IO, "hold", 60000, 0);
    stuck[0] = live_submit("scripted", LANE_IO, "stick", 60000, 0);
    stuck[1] = live_submit("scripted", LANE_IO, "stick", 300, 0);
    live_cancel(stuck[0]);
    struct task t = live_wait(stuck[1], TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "timeout");
    task_release(&t);
    ck_assert(wait_until(has_so_many_busy, &n, 20000)); /* both graces are over */
    t = run_on(LANE_IO, "unstick", TASK_SUCCEEDED);     /* late answers */
    task_release(&t);
    t = run_on(LANE_IO, "release", TASK_SUCCEEDED);
    task_release(&t);
    for (int i = 0; i < OTHERS; i++) {
        t = live_wait(others[i], TASK_SUCCEEDED);
        ck_assert_uint_eq(t.attempt, 1);
        task_release(&t);
    }
    ck_assert(!is_served_by_another(pid));
    ck_assert_uint_eq(live_stats().workers_died, 0);
    t = live_get(stuck[0]);
    ck_assert(t.state == TASK_CANCELLED && t.attempt == 1);
    task_release(&t);
    ck_assert_uint_eq(live_store_stats().finished[TASK_CANCELLED], 1);
    ck_assert_uint_eq(live_store_stats().finished[TASK_FAILED], 1);
    free(pid);
    live_stop();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *tests[] = {
        test_worker_success,
        test_worker_failure_has_kind_and_first_line,
        test_worker_failure_has_data,
        test_worker_death_fails_one_task,
        test_worker_timeout_kills_the_deaf,
        test_worker_cancel_keeps_the_process,
        test_worker_on_the_io_lane_runs_several_at_once,
        test_worker_next_life_waits_for_abandoned_code,
        test_worker_soft_cancel_hurts_no_other,
    };
    scripted_main(argc, argv);
    return suite_run("worker_attempt", tests, FUT_COUNT(tests));
}
