/* `worker` handlers over a reload: what is as it was keeps its processes, what has changed or is
 * gone lets its tasks end first. */
#include <limits.h>

#include "tests/support/suite.h"
#include "tests/unit/workers/live.h"
#include "tests/unit/workers/scripted.h"

/* Two handlers, each with the arguments behind "worker" that are given; NULL leaves one out. */
static const char *file_of(const char *a, const char *b)
{
    static char file[4 * PATH_MAX];
    int n = snprintf(file, sizeof(file), "{\"a\": {\"worker\": [\"%s\", \"worker\"%s]}",
                     scripted_self(), a);
    if (b)
        n += snprintf(file + n, sizeof(file) - (size_t)n,
                      ", \"b\": {\"worker\": [\"%s\", \"worker\"%s]}", scripted_self(), b);
    (void)snprintf(file + n, sizeof(file) - (size_t)n, "}");
    return file;
}

static void build(const char *a, const char *b)
{
    live_file = file_of(a, b);
    live_start(1, 2);
}

static void reload(const char *json)
{
    struct scheduler_plan plan = {.max_threads = 1, .max_workers = 2};
    struct handlers *h = live_handlers_from(json);
    plan.handlers = h;
    scheduler_reload(live.s, &plan);
    handlers_free(&h);
}

static long pid_of(const char *handler)
{
    struct task t = live_wait(live_submit(handler, LANE_CPU, "pid", 60000, 0), TASK_SUCCEEDED);
    char *text = xstrndup((const char *)t.outcome->body, t.outcome->body_len);
    long pid = strtol(text, NULL, 10);
    ck_assert_int_gt(pid, 0);
    free(text);
    task_release(&t);
    return pid;
}

static void expect_state(struct task_id id, enum task_state state)
{
    struct task t = live_wait(id, state);
    ck_assert_uint_eq(t.attempt, 1);
    task_release(&t);
}

START_TEST(test_reload_keeps_what_is_as_it_was)
{
    build("", "");
    long a = pid_of("a"), b = pid_of("b");
    for (int i = 0; i < 5; i++) {
        reload(file_of("", i % 2 ? ", \"concurrency=1\"" : ""));
        ck_assert_int_eq(pid_of("a"), a);
        (void)pid_of("b");
    }
    reload(file_of("", ", \"cancel=1\""));
    ck_assert_int_ne(pid_of("b"), b); /* its arguments are others now */
    ck_assert_uint_eq(live_stats().workers_died, 0);
    live_stop();
}
END_TEST

START_TEST(test_reload_lets_the_tasks_of_a_changed_program_end)
{
    build("", NULL);
    (void)pid_of("a");
    struct task_id holding = live_submit("a", LANE_CPU, "hold", 1000, 0);
    struct task t = live_wait(holding, TASK_RUNNING);
    task_release(&t);
    reload(file_of(", \"cancel=1\"", NULL));
    (void)pid_of("a");                  /* by a new process, beside the old one */
    expect_state(holding, TASK_FAILED); /* its timeout, nothing earlier */
    live_stop();
}
END_TEST

START_TEST(test_reload_without_a_program)
{
    build("", "");
    (void)pid_of("b");
    reload(file_of("", NULL));
    struct task_id gone = live_submit("b", LANE_CPU, "pid", 60000, 0);
    struct task t = live_wait(gone, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "unknown_handler");
    task_release(&t);
    reload(file_of("", ""));
    (void)pid_of("b");
    live_stop();
}
END_TEST

/* Programs that change under load: each task ends once. */
START_TEST(test_reload_of_programs_under_load)
{
    enum { MANY = 120 };
    static struct task_id ids[MANY];
    static const char *const variants[] = {"", ", \"concurrency=1\"", ", \"cancel=1\""};
    build("", "");
    for (int i = 0; i < MANY; i++) {
        ids[i] = live_submit(i % 2 ? "a" : "b", LANE_CPU, "x", 60000, 0);
        if (i % 8 == 0)
            reload(file_of(variants[i / 8 % 3], variants[i / 16 % 3]));
    }
    for (int i = 0; i < MANY; i++)
        expect_state(ids[i], TASK_SUCCEEDED);
    live_stop();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *tests[] = {
        test_reload_keeps_what_is_as_it_was,
        test_reload_lets_the_tasks_of_a_changed_program_end,
        test_reload_without_a_program,
        test_reload_of_programs_under_load,
    };
    scripted_main(argc, argv);
    return suite_run("worker_reload", tests, FUT_COUNT(tests));
}
