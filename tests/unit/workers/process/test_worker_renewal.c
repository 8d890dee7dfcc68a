/* When the processes of a program are replaced by new ones: max_tasks, max_age. */
#include "tests/support/suite.h"
#include "tests/unit/workers/process/jobs.h"

enum { TASKS = 24 };

static struct job jobs[TASKS];

/* All at once; then no process may have served more than `most` of them. */
static void check_maximum(int most)
{
    for (int i = 0; i < TASKS; i++)
        jobs_ask(&jobs[i], "scripted", "pid");
    for (int i = 0; i < TASKS; i++)
        jobs_wait(&jobs[i]);
    for (int i = 0; i < TASKS; i++) {
        int served = 0;
        ck_assert_int_eq(jobs[i].how, WORKER_ENDED_DONE);
        for (int k = 0; k < TASKS; k++)
            served += strcmp(jobs[i].text, jobs[k].text) == 0;
        ck_assert_int_le(served, most);
        jobs_drop(&jobs[i]);
    }
}

START_TEST(test_renewal_max_tasks_is_a_maximum)
{
    static const struct {
        int most;
        const char *file;
    } cases[] = {
        {1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_tasks\": 1}}"},
        {5, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_tasks\": 5}}"},
        {4, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"concurrency=3\"],"
            " \"lane\": \"io\", \"max_tasks\": 4}}"},
    };
    jobs_build(2, cases[_i].file);
    check_maximum(cases[_i].most);
    jobs_raze();
}
END_TEST

static const struct worker_program *scripted_program(void)
{
    return worker_set_program(jobs_set, handlers_find(jobs_handlers, "scripted"));
}

/* With a tenth of its tasks to come, another process is started; it takes over. */
START_TEST(test_renewal_starts_the_next_process_ahead)
{
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_tasks\": 20}}");
    int first = jobs_pid_of("scripted");
    for (int i = 1; i < 17; i++)
        ck_assert_int_eq(jobs_pid_of("scripted"), first);
    ck_assert_uint_eq(scripted_program()->workers.len, 1);
    (void)jobs_pid_of("scripted"); /* the 18th */
    ck_assert_uint_eq(scripted_program()->workers.len, 2);
    while (scripted_program()->workers.len > 1) /* when the next is ready, the first leaves */
        loop_turn(jobs_loop, -1);
    ck_assert_uint_eq(worker_program_ready(scripted_program()), 1);
    ck_assert_int_ne(jobs_pid_of("scripted"), first);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died, 0);
    jobs_raze();
}
END_TEST

/* Also one that has nothing to do. */
START_TEST(test_renewal_by_age)
{
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"max_age\": 1}}");
    int first = jobs_pid_of("scripted");
    while (scripted_program()->workers.len < 2)
        loop_turn(jobs_loop, -1);
    while (jobs_pid_of("scripted") == first) /* until the next is ready, which may age as well */
        loop_turn(jobs_loop, -1);
    jobs_raze();
}
END_TEST

/* A process that is told to leave a task running gets no more and ends when its others have. */
START_TEST(test_renewal_after_an_abandoned_task)
{
    struct job kept, abandoned;
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"concurrency=3\"],"
                  " \"lane\": \"io\"}}");
    int first = jobs_pid_of("scripted");
    jobs_ask(&abandoned, "scripted", "hold");
    jobs_ask(&kept, "scripted", "pause 100");
    worker_program_stop_job(&abandoned.job, SIGKILL);
    ck_assert(abandoned.done);
    jobs_wait(&kept);
    ck_assert_int_eq(kept.how, WORKER_ENDED_DONE);
    while (worker_program_ready(scripted_program()) != 1 || scripted_program()->workers.len != 1)
        loop_turn(jobs_loop, -1);
    ck_assert_int_ne(jobs_pid_of("scripted"), first);
    jobs_drop(&kept);
    jobs_drop(&abandoned);
    jobs_raze();
}
END_TEST

int main(int argc, char **argv)
{
    scripted_main(argc, argv);
    TCase *t = suite_case("renewal", 60, NULL, NULL);
    tcase_add_loop_test(t, test_renewal_max_tasks_is_a_maximum, 0, 3);
    tcase_add_test(t, test_renewal_starts_the_next_process_ahead);
    tcase_add_test(t, test_renewal_by_age);
    tcase_add_test(t, test_renewal_after_an_abandoned_task);
    return suite_run_cases("worker_renewal", t, NULL);
}
