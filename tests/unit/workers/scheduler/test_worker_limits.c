/* Limits of `worker` handlers that count per task: CPU time and output, with real programs
 * (scripted_worker.h). CPU time is a process's own, so nothing here depends on how loaded the
 * machine is.
 */
#include <limits.h>

#include "tests/support/suite.h"
#include "tests/unit/workers/live.h"
#include "tests/unit/workers/scripted.h"

/* rest: after "SELF", "worker". */
static void build(uint32_t workers, const char *rest)
{
    static char file[3 * PATH_MAX];
    (void)snprintf(file, sizeof(file),
                   "{\"scripted\": {\"worker\": [\"%s\", \"worker\"%s},"
                   " \"other\": {\"worker\": [\"%s\", \"worker\"]}}",
                   scripted_self(), rest, scripted_self());
    live_file = file;
    live_start(4, workers);
}

static struct task end_of(struct task_id id)
{
    mutex_lock(&live.mu);
    struct task *t = live_slot(id), copy;
    while (!t->spec || !task_state_is_final(t->state)) {
        if (!t->spec)
            live.n_seen--; /* an empty slot that live_slot has just made */
        cond_wait(&live.changed, &live.mu);
        t = live_slot(id);
    }
    task_copy(&copy, t);
    mutex_unlock(&live.mu);
    return copy;
}

static struct task_id submit(const char *input)
{
    return live_submit("scripted", LANE_CPU, input, 60000, 0);
}

static void succeeds(struct task_id id)
{
    struct task t = end_of(id);
    ck_assert_msg(t.state == TASK_SUCCEEDED, "%s: %s", t.outcome->code, t.outcome->message);
    task_release(&t);
}

static void fails(struct task_id id, const char *code, const char *says)
{
    struct task t = end_of(id);
    ck_assert_int_eq(t.state, TASK_FAILED);
    ck_assert_msg(strcmp(t.outcome->code, code) == 0, "%s: %s", t.outcome->code,
                  t.outcome->message);
    ck_assert_msg(strstr(t.outcome->message, says) != NULL, "%s", t.outcome->message);
    task_release(&t);
}

static int pid_now(void)
{
    struct task t = end_of(submit("pid"));
    ck_assert_int_eq(t.state, TASK_SUCCEEDED);
    int pid = (int)strtol((const char *)t.outcome->body, NULL, 10);
    task_release(&t);
    return pid;
}

/* ---- CPU time ---- */

#define CPU(ms) "], \"limits\": {\"cpu\": " ms "}"

START_TEST(test_worker_limits_cpu_of_one_task)
{
    build(2, CPU("0.3"));
    int before = pid_now();
    struct task_id other = live_submit("other", LANE_CPU, "spin 450", 60000, 0);
    struct task t = end_of(submit("spin 1000000"));
    ck_assert_str_eq(t.outcome->code, "cpu_limit");
    ck_assert_str_eq(t.outcome->message, "it used more than its 0.3 s of CPU time");
    ck_assert_uint_gt(t.outcome->cpu_ms, 300);
    ck_assert_uint_gt(t.outcome->max_rss_kib, 0);
    task_release(&t);
    succeeds(other);
    ck_assert_int_ne(pid_now(), before);
    live_stop();
}
END_TEST

/* In all they use more than twice the limit, in one process. */
START_TEST(test_worker_limits_cpu_starts_anew_with_each_task)
{
    build(1, CPU("0.5"));
    int pid = pid_now();
    for (int i = 0; i < 4; i++)
        succeeds(submit("spin 300"));
    ck_assert_int_eq(pid_now(), pid);
    fails(submit("spin 1000000"), "cpu_limit", "0.5 s");
    live_stop();
}
END_TEST

/* One that does not hear TERM is killed after the grace. */
START_TEST(test_worker_limits_cpu_of_a_deaf_one)
{
    build(1, ", \"deaf\"" CPU("0.2"));
    fails(submit("spin 1000000"), "cpu_limit", "0.2 s");
    (void)pid_now();
    live_stop();
}
END_TEST

/* What a child of the worker uses is the task's; a worker that understands CANCEL lives on. */
START_TEST(test_worker_limits_cpu_of_its_children)
{
    build(1, ", \"cancel=1\"" CPU("0.3"));
    int pid = pid_now();
    fails(submit("help 1000000"), "cpu_limit", "0.3 s");
    ck_assert_int_eq(pid_now(), pid);
    live_stop();
}
END_TEST

START_TEST(test_worker_limits_cpu_is_tried_again_by_policy)
{
    build(1, CPU("0.2") ", \"retry_on\": [\"limit\"]");
    struct task_id id = live_submit("scripted", LANE_CPU, "spin 1000000", 60000, 1);
    struct task t = live_wait(id, TASK_SCHEDULED);
    task_release(&t);
    live_stop();
}
END_TEST

/* ---- output ---- */

#define OUTPUT "], \"limits\": {\"output\": 300000}"

static const struct {
    const char *input;
    bool is_above, lives;
} outputs[] = {
    {"big 300000", false, true},     {"big 300001", true, true}, {"logs 300000", false, true},
    {"logs 100000000", true, false}, {"yes 200", false, true},   {"yes 1000000", true, false},
    {"big 1100000", true, true}, /* no result may have so much, and this handler's less */
};

static void check_outputs(const char *rest)
{
    build(1, rest);
    for (size_t i = 0; i < FUT_COUNT(outputs); i++) {
        int pid = pid_now();
        if (outputs[i].is_above)
            fails(submit(outputs[i].input), "output_limit", "the 300000 bytes");
        else
            succeeds(submit(outputs[i].input));
        ck_assert_msg((pid_now() == pid) == outputs[i].lives, "%s", outputs[i].input);
    }
    live_stop();
}

START_TEST(test_worker_limits_output)
{
    check_outputs(OUTPUT);
}
END_TEST

START_TEST(test_worker_limits_output_by_descriptor)
{
    check_outputs(", \"memfd=1\"" OUTPUT);
}
END_TEST

/* Where it has several tasks, only the one that writes too much ends. */
START_TEST(test_worker_limits_output_of_one_among_several)
{
    build(1, ", \"concurrency=2\"" OUTPUT ", \"lane\": \"io\"");
    struct task_id holding = live_submit("scripted", LANE_IO, "hold", 60000, 0);
    struct task t = live_wait(holding, TASK_RUNNING);
    task_release(&t);
    fails(live_submit("scripted", LANE_IO, "logs 400000", 60000, 0), "output_limit", "300000");
    t = end_of(holding); /* released by the other, after what was too much */
    ck_assert_int_eq(t.state, TASK_SUCCEEDED);
    ck_assert_mem_eq(t.outcome->body, "held", 4);
    task_release(&t);
    live_stop();
}
END_TEST

int main(int argc, char **argv)
{
    scripted_main(argc, argv);
    const TTest *tests[] = {
        test_worker_limits_cpu_of_one_task,
        test_worker_limits_cpu_starts_anew_with_each_task,
        test_worker_limits_cpu_of_a_deaf_one,
        test_worker_limits_cpu_of_its_children,
        test_worker_limits_cpu_is_tried_again_by_policy,
        test_worker_limits_output,
        test_worker_limits_output_by_descriptor,
        test_worker_limits_output_of_one_among_several,
    };
    return suite_run("worker_limits", tests, FUT_COUNT(tests));
}
