/* Programs that fork their workers themselves: the daemon's side of it, with the C SDK at the other
 * end, and with programs that do it wrong. */
#include <stdint.h>
#include <sys/wait.h>

#include "tests/support/suite.h"
#include "tests/unit/workers/process/jobs.h"
#include "workers/sdk/futured_worker.h"

/* ---- the program: this one, with the argument "template" ------------------------------------- */

static int loader; /* the pid of the process that ran init */

static int scripted_load(const struct futured_host *host, char *error, size_t error_size)
{
    (void)host;
    (void)error;
    (void)error_size;
    loader = (int)getpid();
    return 0;
}

static void scripted_task(const struct futured_host *host, struct futured_task *task)
{
    char text[64];
    size_t n;
    const char *input = host->input(task, &n);
    if (n > 5 && strncmp(input, "kill ", 5) == 0)
        scripted_die(input[5] == '9' ? SIGKILL : SIGSEGV);
    if (n == 4 && strncmp(input, "spin", 4) == 0)
        scripted_burn(1000000);
    if (n == 5 && strncmp(input, "print", 5) == 0)
        (void)puts("from a forked one");
    (void)snprintf(text, sizeof(text), "%d %d", (int)getpid(), loader);
    host->done(task, text, strlen(text), "text/plain");
}

static const struct futured_plugin scripted_plugin = {.abi = FUTURED_PLUGIN_ABI,
                                                      .size = sizeof(scripted_plugin),
                                                      .init = scripted_load,
                                                      .run = scripted_task};

static void say(const char *text)
{
    if (write(3, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(9);
}

/* Templates that get it wrong: what each says when it is asked for a worker. */
static const struct {
    const char *name, *answer;
} wrong[] = {
    {"dies", NULL},
    {"mute", ""},
    {"refuses", "FAIL 1 9\nno memory"},
    {"lies", "FORKED 1 0 pid=2\n"},
    {"raves", "FORKED 1 0 pid=0\n"},
};

static void wrong_main(const char *name)
{
    char bytes[256];
    say("HELLO 1 0 fork=1\n");
    for (ssize_t n; (n = read(3, bytes, sizeof(bytes))) > 0;) {
        for (size_t i = 0; i < FUT_COUNT(wrong); i++) {
            if (strcmp(wrong[i].name, name) != 0)
                continue;
            if (!wrong[i].answer)
                _exit(5);
            say(wrong[i].answer);
        }
    }
    _exit(0);
}

/* ---- what the daemon makes of it ------------------------------------------------------------- */

#define TEMPLATE "{\"scripted\": {\"worker\": [\"SELF\", \"template\"]}}"

struct pids {
    int worker, loader;
};

static struct pids pids_of(struct job *j)
{
    struct pids p;
    char *end;
    jobs_wait(j);
    jobs_drop(j);
    ck_assert_msg(j->how == WORKER_ENDED_DONE, "%d %s", (int)j->how, j->text);
    p.worker = (int)strtol(j->text, &end, 10);
    p.loader = (int)strtol(end, NULL, 10);
    return p;
}

static struct pids ask_pids(void)
{
    struct job j;
    jobs_ask(&j, "scripted", "");
    return pids_of(&j);
}

static const struct worker_program *scripted_program(void)
{
    return worker_set_program(jobs_set, handlers_find(jobs_handlers, "scripted"));
}

START_TEST(test_template_forks_the_workers)
{
    struct job jobs[2];
    jobs_build(2, TEMPLATE);
    while (worker_program_ready(scripted_program()) < 2)
        loop_turn(jobs_loop, -1);
    jobs_ask(&jobs[0], "scripted", "");
    jobs_ask(&jobs[1], "scripted", "print");
    struct pids a = pids_of(&jobs[0]), b = pids_of(&jobs[1]);
    ck_assert_int_ne(a.worker, b.worker);
    ck_assert_int_ne(a.worker, a.loader);
    ck_assert_int_eq(a.loader, b.loader); /* loaded once */
    ck_assert_str_eq(jobs[1].log, "from a forked one\n");
    ck_assert_int_eq(getsid(a.worker), a.worker);
    jobs_raze();
}
END_TEST

/* A crash fails one task; the next worker comes from the same template. */
START_TEST(test_forked_worker_dies_in_a_task)
{
    static const char *const inputs[] = {"kill 9", "kill 11"};
    jobs_build(1, TEMPLATE);
    struct pids before = ask_pids();
    for (int i = 0; i < 2; i++) {
        struct job j;
        jobs_ask(&j, "scripted", inputs[i]);
        jobs_wait(&j);
        jobs_drop(&j);
        ck_assert_int_eq(j.how, WORKER_ENDED_DIED);
        ck_assert_int_eq(WTERMSIG(j.status), i ? SIGSEGV : SIGKILL);
        struct pids after = ask_pids();
        ck_assert_int_ne(after.worker, before.worker);
        ck_assert_int_eq(after.loader, before.loader);
        before = after;
    }
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died, 2);
    jobs_raze();
}
END_TEST

/* They do without it; the next one that is needed comes from a new one. */
START_TEST(test_template_dies_and_its_workers_live)
{
    struct job j;
    jobs_build(1, TEMPLATE);
    struct pids before = ask_pids();
    ck_assert_int_eq(kill(before.loader, SIGKILL), 0);
    while (worker_view_counts(worker_set_view(jobs_set)).died == 0)
        loop_turn(jobs_loop, -1);
    struct pids after = ask_pids();
    ck_assert_int_eq(after.worker, before.worker);
    jobs_ask(&j, "scripted", "kill 9");
    jobs_wait(&j);
    jobs_drop(&j);
    after = ask_pids();
    ck_assert_int_ne(after.loader, before.loader);
    jobs_raze();
}
END_TEST

START_TEST(test_forked_worker_is_stopped_and_only_that_one)
{
    struct job j, other;
    jobs_build(2, TEMPLATE);
    jobs_ask(&j, "scripted", "");
    struct pids a = pids_of(&j);
    jobs_ask(&j, "scripted", "");
    jobs_ask(&other, "scripted", "");
    worker_program_stop_job(&j.job, SIGKILL); /* while it starts, or runs */
    jobs_wait(&j);
    (void)pids_of(&other);
    jobs_drop(&j);
    ck_assert_int_eq(ask_pids().loader, a.loader);
    jobs_raze();
}
END_TEST

START_TEST(test_forked_worker_meets_its_cpu_limit)
{
    struct job j;
    jobs_build(
        1, "{\"scripted\": {\"worker\": [\"SELF\", \"template\"], \"limits\": {\"cpu\": 0.2}}}");
    struct pids before = ask_pids();
    jobs_ask(&j, "scripted", "spin");
    while (!j.exceeded)
        loop_turn(jobs_loop, -1);
    ck_assert_int_eq(j.exceeded, LIMIT_CPU);
    worker_program_stop_job(&j.job, SIGKILL);
    jobs_wait(&j);
    jobs_drop(&j);
    ck_assert_int_eq(ask_pids().loader, before.loader);
    jobs_raze();
}
END_TEST

/* The handler is taken out of the file: its template goes with its workers. */
START_TEST(test_template_leaves_with_its_handler)
{
    struct handlers *without = NULL;
    jobs_build(1, TEMPLATE);
    struct pids p = ask_pids();
    ck_assert_int_eq(handlers_load(NULL, &without, NULL), 0);
    worker_set_reload(jobs_set, without);
    while (kill(p.loader, 0) == 0 || kill(p.worker, 0) == 0)
        loop_turn(jobs_loop, 100);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died, 0); /* it was our wish */
    jobs_raze();
    handlers_free(&without);
}
END_TEST

static const char *const words[] = {
    "the process that forks its workers has died", /* dies */
    "the process that forks its workers has died", /* mute: it was killed */
    "no memory",                                   /* refuses */
    "adopt: No child processes",                   /* lies */
    "the process that forks its workers has died", /* raves: it was killed */
};

START_TEST(test_template_that_does_not_fork_is_broken)
{
    struct job j;
    char json[256];
    (void)snprintf(
        json, sizeof(json),
        "{\"scripted\": {\"worker\": [\"SELF\", \"wrong\", \"%s\"], \"start_timeout\": %d}}",
        wrong[_i].name, strstr(words[_i], "has died") ? 3 : 20); /* some use up all of it */
    jobs_build(1, json);
    const struct worker_program *p = scripted_program();
    jobs_ask(&j, "scripted", "");
    jobs_wait(&j);
    jobs_drop(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_RETURNED);
    ck_assert(p->broken_wall_ms);
    ck_assert_msg(strstr(p->last_words, words[_i]) != NULL, "%s", p->last_words);
    jobs_raze();
}
END_TEST

/* Nothing of a worker that is still to come is left behind, or waited for. */
START_TEST(test_end_while_a_worker_is_forked)
{
    jobs_build(2, "{\"scripted\": {\"worker\": [\"SELF\", \"wrong\", \"mute\"]}}");
    const struct worker_program *p = scripted_program();
    while (!p->template)
        loop_turn(jobs_loop, -1);
    ck_assert_uint_gt(p->template->forks.len, 0);
    jobs_raze();
}
END_TEST

int main(int argc, char **argv)
{
    scripted_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "template") == 0)
        return futured_worker_main(&scripted_plugin, FUTURED_WORKER_FORK);
    if (argc > 2 && strcmp(argv[1], "wrong") == 0)
        wrong_main(argv[2]);
    TCase *t = suite_case("template", 60, NULL, NULL);
    tcase_add_test(t, test_template_forks_the_workers);
    tcase_add_test(t, test_forked_worker_dies_in_a_task);
    tcase_add_test(t, test_template_dies_and_its_workers_live);
    tcase_add_test(t, test_forked_worker_is_stopped_and_only_that_one);
    tcase_add_test(t, test_forked_worker_meets_its_cpu_limit);
    tcase_add_test(t, test_template_leaves_with_its_handler);
    tcase_add_loop_test(t, test_template_that_does_not_fork_is_broken, 0, (int)FUT_COUNT(wrong));
    tcase_add_test(t, test_end_while_a_worker_is_forked);
    return suite_run_cases("worker_template", t, NULL);
}
