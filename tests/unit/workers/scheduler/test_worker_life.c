/* Processes of `worker` handlers: how many of which, when they are replaced, when they do not
 * start. */
#include <fcntl.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/process/jobs.h"

/* ---- how many of which ---- */

/* Two slots, two programs: whoever needs both gets both, in place of the other's idle one. */
START_TEST(test_programs_give_way_to_each_other)
{
    jobs_build(2, "{\"a\": {\"worker\": [\"SELF\", \"worker\"]}, \"b\": {\"worker\": [\"SELF\", "
                  "\"worker\"]}}");
    static const char *const names[] = {"a", "b", "a"};
    for (int i = 0; i < 3; i++) {
        struct job j[2];
        jobs_ask(&j[0], names[i], "hold");
        jobs_ask(&j[1], names[i], "hold");
        while (!j[0].job.worker || !j[1].job.worker)
            loop_turn(jobs_loop, -1);
        ck_assert_uint_le(worker_view_counts(worker_set_view(jobs_set)).ready, 2 + 3 - 1);
        for (int k = 0; k < 2; k++) {
            worker_program_stop_job(&j[k].job, SIGKILL);
            jobs_wait(&j[k]);
            jobs_drop(&j[k]);
        }
    }
    jobs_raze();
}
END_TEST

/* ---- replaced in time ---- */

START_TEST(test_program_is_replaced_after_max_tasks)
{
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_tasks\": 3}}");
    int last = 0, served = 0, processes = 0;
    for (int i = 0; i < 12; i++) {
        int pid = jobs_pid_of("scripted");
        if (pid != last)
            processes++, served = 0;
        last = pid;
        ck_assert_int_le(++served, 3);
    }
    ck_assert_int_eq(processes, 4);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died, 0);
    jobs_raze();
}
END_TEST

START_TEST(test_program_is_replaced_when_it_has_grown)
{
    struct job j;
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_rss\": 3000000000}}");
    int pid = jobs_pid_of("scripted");
    (void)jobs_answer(&j, "scripted", "grow 64");
    ck_assert_int_eq(jobs_pid_of("scripted"), pid);
    jobs_raze();
    /* Under a sanitizer a process is large from its start: then each task is its last. */
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_rss\": 60000000}}");
    pid = jobs_pid_of("scripted");
    (void)jobs_answer(&j, "scripted", "grow 64");
    ck_assert_int_ne(jobs_pid_of("scripted"), pid);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died, 0);
    jobs_raze();
}
END_TEST

START_TEST(test_program_is_replaced_when_old)
{
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_age\": 0.001}}");
    int pid = jobs_pid_of("scripted");
    int64_t until_ms = clock_mono_ms() + 1;
    while (clock_mono_ms() <= until_ms)
        loop_turn(jobs_loop, 1);
    (void)jobs_pid_of("scripted"); /* its last one */
    ck_assert_int_ne(jobs_pid_of("scripted"), pid);
    jobs_raze();
}
END_TEST

/* ---- programs that do not start ---- */

static const struct worker_program *program_named(const char *name)
{
    return worker_set_program(jobs_set, handlers_find(jobs_handlers, name));
}

/* What others are shown of it. */
static bool is_shown_broken(const char *name, struct pool_broken *out)
{
    bool yes = worker_view_find_fault(worker_set_view(jobs_set), name, out);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).faults, yes);
    return yes;
}

static const struct worker_program *wait_broken(const char *name)
{
    const struct worker_program *p = program_named(name);
    while (!p->broken_wall_ms)
        loop_turn(jobs_loop, -1);
    return p;
}

START_TEST(test_program_that_does_not_start_is_broken_and_gives_its_tasks_back)
{
    struct job j;
    jobs_build(2, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"die\"]}}");
    const struct worker_program *p = program_named("scripted");
    jobs_ask(&j, "scripted", "hello");
    jobs_wait(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_RETURNED);
    ck_assert(p->broken_wall_ms);
    ck_assert_str_eq(p->last_words, "it exited with 3: no model here");
    struct pool_broken shown;
    ck_assert(is_shown_broken("scripted", &shown));
    ck_assert_str_eq(shown.words, p->last_words);
    ck_assert_int_eq(shown.since_wall_ms, p->broken_wall_ms);
    ck_assert(!worker_view_find_fault(worker_set_view(jobs_set), "other", &shown));
    ck_assert_int_eq(p->retry_ms, 2000);
    jobs_drop(&j);
    jobs_ask(&j, "scripted", "hello");
    ck_assert(j.done && j.how == WORKER_ENDED_RETURNED); /* at once */
    jobs_drop(&j);
    while (p->retry_ms < 4000)
        loop_turn(jobs_loop, -1); /* it was tried again */
    struct job k;                 /* the built-ins do not suffer */
    jobs_submit(&k, "sha256", "x");
    jobs_wait(&k);
    ck_assert_int_eq(k.how, WORKER_ENDED_DONE);
    jobs_drop(&k);
    jobs_raze();
}
END_TEST

START_TEST(test_program_heals_by_itself)
{
    struct job j;
    char path[] = "/tmp/test_worker_heals_XXXXXX", json[256];
    int fd = mkstemp(path);
    close(fd);
    unlink(path);
    (void)snprintf(json, sizeof(json),
                   "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"once=%s\"]}}", path);
    jobs_build(2, json);
    const struct worker_program *p = wait_broken("scripted");
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    struct pool_broken shown;
    ck_assert(is_shown_broken("scripted", &shown));
    while (p->broken_wall_ms)
        loop_turn(jobs_loop, -1);
    ck_assert(!is_shown_broken("scripted", &shown));
    ck_assert_str_eq(jobs_answer(&j, "scripted", "hello"), "hello");
    unlink(path);
    jobs_raze();
}
END_TEST

START_TEST(test_program_that_never_greets_is_killed)
{
    jobs_build(
        1,
        "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"mute\"], \"start_timeout\": 0.05}}");
    const struct worker_program *p = wait_broken("scripted");
    ck_assert_ptr_nonnull(strstr(p->last_words, "did not say HELLO"));
    jobs_raze();
}
END_TEST

START_TEST(test_program_that_greets_wrongly_is_broken)
{
    static const char *const greetings[] = {"HELLO 2 0", "HELLO 1 0 concurrency=1001", "DONE 1 0"};
    char json[256];
    (void)snprintf(
        json, sizeof(json),
        "{\"scripted\": {\"worker\": [\"/bin/sh\", \"-c\", \"echo '%s' >&3; exec cat <&3\"]}}",
        greetings[_i]);
    jobs_build(1, json);
    const struct worker_program *p = wait_broken("scripted");
    ck_assert_ptr_nonnull(strstr(p->last_words, "as the worker protocol asks"));
    jobs_raze();
}
END_TEST

START_TEST(test_program_that_cannot_be_executed_says_so)
{
    char path[] = "/tmp/test_worker_gone_XXXXXX", json[256];
    int fd = mkstemp(path);
    ck_assert_int_eq(fchmod(fd, 0700), 0);
    ck_assert_int_eq(fd_write_all(fd, "#!/no/such/interpreter\n", 23), 0);
    close(fd);
    (void)snprintf(json, sizeof(json), "{\"scripted\": {\"worker\": [\"%s\"]}}", path);
    jobs_build(1, json);
    const struct worker_program *p = wait_broken("scripted");
    ck_assert_ptr_nonnull(strstr(p->last_words, "cannot run"));
    unlink(path);
    jobs_raze();
}
END_TEST

int main(int argc, char **argv)
{
    scripted_main(argc, argv);
    TCase *t = suite_case("program", 60, NULL, NULL);
    tcase_add_test(t, test_programs_give_way_to_each_other);
    tcase_add_test(t, test_program_is_replaced_after_max_tasks);
    tcase_add_test(t, test_program_is_replaced_when_it_has_grown);
    tcase_add_test(t, test_program_is_replaced_when_old);
    tcase_add_test(t, test_program_that_does_not_start_is_broken_and_gives_its_tasks_back);
    tcase_add_test(t, test_program_heals_by_itself);
    tcase_add_test(t, test_program_that_never_greets_is_killed);
    tcase_add_loop_test(t, test_program_that_greets_wrongly_is_broken, 0, 3);
    tcase_add_test(t, test_program_that_cannot_be_executed_says_so);
    return suite_run_cases("worker_life", t, NULL);
}
