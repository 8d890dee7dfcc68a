/* A task whose session may run so many at once is given ahead behind tasks of that session alone:
 * it takes the slot of one of them. */
#include <signal.h>

#include "core/id.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/process/jobs.h"
#include "workers/process/worker_program.h"

static struct worker_program *program;
static pid_t pid;
static struct job jobs[4]; /* that the worker has, and one that it refuses */
static int n_jobs, n_begun;

/* A worker that runs a task of this session, and is stopped so that it goes on doing so. */
static void start(struct task_id session)
{
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"ahead\"]}}");
    const struct handler *h = handlers_find(jobs_handlers, "scripted");
    program = worker_set_program(jobs_set, h);
    pid = jobs_pid_of("scripted");
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    jobs_make(&jobs[0], "scripted", "1", session);
    worker_set_submit(jobs_set, h, &jobs[0].job);
    ck_assert_ptr_nonnull(jobs[0].job.worker);
    n_jobs = 1;
    n_begun = 0;
}

static void end(void)
{
    ck_assert_int_eq(kill(pid, SIGCONT), 0);
    for (int i = 0; i < n_jobs; i++) {
        jobs_wait(&jobs[i]);
        ck_assert_int_eq(jobs[i].how, WORKER_ENDED_DONE);
        jobs_drop(&jobs[i]);
    }
    ck_assert_int_eq(n_begun, n_jobs - 1);
    jobs_raze();
}

static void on_begun(struct worker_job *job)
{
    (void)job;
    n_begun++;
}

static bool is_given(struct task_id session, bool has_limit)
{
    struct job *j = &jobs[n_jobs];
    jobs_make(j, "scripted", "2", session);
    j->job.begun = on_begun;
    j->job.has_limit = has_limit;
    if (worker_program_submit_ahead(program, &j->job)) {
        n_jobs++;
        return true;
    }
    jobs_drop(j);
    return false;
}

START_TEST(test_slots_of_a_session_behind_tasks_of_others)
{
    struct task_id session = id_new();
    start(_i ? id_new() : (struct task_id){0});
    ck_assert(!is_given(session, true));
    ck_assert(is_given(id_new(), false)); /* there is space */
    ck_assert(!is_given(session, true));
    end();
}
END_TEST

START_TEST(test_slots_of_a_session_behind_its_own)
{
    struct task_id session = id_new();
    start(session);
    ck_assert(is_given(session, true));
    ck_assert(is_given(id_new(), false));
    ck_assert(!is_given(session, true)); /* when it begins, the slot may be another one's */
    end();
}
END_TEST

int main(int argc, char **argv)
{
    scripted_main(argc, argv);
    TCase *t = suite_case("slots", 60, NULL, NULL);
    tcase_add_loop_test(t, test_slots_of_a_session_behind_tasks_of_others, 0, 2);
    tcase_add_test(t, test_slots_of_a_session_behind_its_own);
    return suite_run_cases("worker_slots", t, NULL);
}
