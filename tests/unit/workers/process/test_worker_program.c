/* `worker` handlers on the daemon's side: what becomes of their tasks. */
#include <sys/wait.h>

#include "tests/support/suite.h"
#include "tests/unit/workers/process/jobs.h"

#define ONE "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"]}}"

START_TEST(test_program_serves_one_task_after_the_other)
{
    struct job j;
    jobs_build(1, ONE);
    ck_assert_str_eq(jobs_answer(&j, "scripted", "hello"), "hello");
    int pid = jobs_pid_of("scripted");
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(jobs_pid_of("scripted"), pid); /* it stays */
    jobs_raze();
}
END_TEST

/* What it prints is the task's log and cannot be mistaken for the protocol. */
START_TEST(test_program_prints_and_reports)
{
    struct job j;
    jobs_build(1, ONE);
    ck_assert_str_eq(jobs_answer(&j, "scripted", "print"), "printed");
    ck_assert_ptr_nonnull(strstr(j.log, "RUN 1 0 stray\n"));
    ck_assert_ptr_nonnull(strstr(j.log, "to stderr\n"));
    (void)jobs_answer(&j, "scripted", "report");
    ck_assert(j.fraction > 0.49 && j.fraction < 0.51);
    ck_assert_str_eq(j.log, "said\n"); /* nothing of the task before */
    ck_assert_str_eq(j.end_log, j.log);
    jobs_raze();
}
END_TEST

START_TEST(test_program_fails_a_task_and_goes_on)
{
    struct job j;
    jobs_build(1, ONE);
    int pid = jobs_pid_of("scripted");
    jobs_ask(&j, "scripted", "fail");
    jobs_wait(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_FAILED);
    ck_assert_str_eq(j.kind, "ValueError");
    ck_assert_str_eq(j.text, "first line\nsecond line\n");
    ck_assert_str_eq(j.log, "second line\n");
    ck_assert_str_eq(j.end_log, j.log);
    jobs_drop(&j);
    ck_assert_int_eq(jobs_pid_of("scripted"), pid);
    jobs_raze();
}
END_TEST

/* The fork server's word may come when the task it is about has ended: the next one must not
 * suffer for that. */
START_TEST(test_program_hears_of_a_limit_too_late)
{
    struct job j;
    jobs_build(1,
               "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"], \"limits\": {\"cpu\": 60}}}");
    (void)jobs_pid_of("scripted");
    jobs_ask(&j, "scripted", "hold");
    ck_assert_ptr_nonnull(j.job.worker);
    struct child *child = &j.job.worker->child;
    struct fork_event late = {.verb = FORK_CPU_EXCEEDED, .task = j.job.id - 1, .met = LIMIT_CPU};
    child->on_event(child, &late);
    ck_assert_int_eq(j.exceeded, LIMIT_NONE);
    late.task = j.job.id;
    child->on_event(child, &late);
    ck_assert_int_eq(j.exceeded, LIMIT_CPU);
    worker_program_stop_job(&j.job, SIGKILL);
    jobs_wait(&j);
    jobs_drop(&j);
    jobs_raze();
}
END_TEST

START_TEST(test_program_dies_in_a_task)
{
    struct job j;
    jobs_build(1, ONE);
    int pid = jobs_pid_of("scripted");
    jobs_ask(&j, "scripted", "kill 11");
    jobs_wait(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_DIED);
    ck_assert_int_eq(WTERMSIG(j.status), SIGSEGV);
    ck_assert_str_eq(j.log, "last words\n");
    jobs_drop(&j);
    ck_assert_int_ne(jobs_pid_of("scripted"), pid);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died, 1);
    jobs_raze();
}
END_TEST

START_TEST(test_program_breaks_the_protocol)
{
    struct job j;
    jobs_build(1, ONE);
    jobs_ask(&j, "scripted", "garbage");
    jobs_wait(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_PROTOCOL);
    jobs_drop(&j);
    ck_assert_str_eq(jobs_answer(&j, "scripted", "next"), "next");
    jobs_raze();
}
END_TEST

/* The task fails, the process is as good as before. */
/* The second answer of a task comes while the next one runs, which is innocent. */
START_TEST(test_program_answers_twice)
{
    struct job first, next;
    jobs_build(1, ONE);
    int pid = jobs_pid_of("scripted");
    for (int i = 0; i < 20; i++) {
        jobs_ask(&first, "scripted", "twice");
        jobs_ask(&next, "scripted", "next");
        jobs_wait(&next);
        ck_assert_str_eq(first.text, "first");
        ck_assert_int_eq(next.how, WORKER_ENDED_DONE);
        ck_assert_str_eq(next.text, "next");
        jobs_drop(&first);
        jobs_drop(&next);
    }
    ck_assert_int_eq(jobs_pid_of("scripted"), pid);
    jobs_raze();
}
END_TEST

START_TEST(test_program_closes_its_channel)
{
    struct job j;
    jobs_build(1, ONE);
    jobs_ask(&j, "scripted", "close");
    jobs_wait(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_DIED);
    ck_assert(j.closed_channel);
    jobs_drop(&j);
    jobs_ask(&j, "scripted", "exit 3"); /* the channel ends, too, but that is not the reason */
    jobs_wait(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_DIED);
    ck_assert(!j.closed_channel);
    ck_assert_int_eq(WEXITSTATUS(j.status), 3);
    jobs_drop(&j);
    jobs_ask(&j, "scripted", "kill 9");
    jobs_wait(&j);
    ck_assert(!j.closed_channel && WTERMSIG(j.status) == SIGKILL);
    jobs_drop(&j);
    jobs_raze();
}
END_TEST

START_TEST(test_program_result_over_the_limit)
{
    struct job j;
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\"]},"
                  " \"byfd\": {\"worker\": [\"SELF\", \"worker\", \"memfd=1\"]}}");
    static const char *const names[] = {"scripted", "byfd"};
    for (int i = 0; i < 2; i++) {
        int pid = jobs_pid_of(names[i]);
        jobs_ask(&j, names[i], "big 1048577");
        jobs_wait(&j);
        ck_assert_int_eq(j.how, WORKER_ENDED_TOO_LARGE);
        jobs_drop(&j);
        (void)jobs_answer(&j, names[i], "big 1048576");
        ck_assert_int_eq(jobs_pid_of(names[i]), pid);
    }
    jobs_raze();
}
END_TEST

/* 16 MB there and back: counted bytes that went through the socket, as a bound. By descriptor it is
 * but the headers; the rest is what the same two payloads cost without. */
START_TEST(test_program_large_payloads_by_descriptor)
{
    size_t n = 16 << 20, copied[2];
    char *input = xmalloc(n + 1);
    memset(input, 'x', n);
    input[n] = '\0';
    jobs_max_result = n;
    jobs_build(1, "{\"plain\": {\"worker\": [\"SELF\", \"worker\"]},"
                  " \"memfd\": {\"worker\": [\"SELF\", \"worker\", \"memfd=1\"]}}");
    static const char *const names[] = {"plain", "memfd"};
    for (int i = 0; i < 2; i++) {
        struct job j;
        (void)jobs_pid_of(names[i]);
        jobs_ask(&j, names[i], input);
        struct worker_process *w = j.job.worker;
        size_t before = w->stream.bytes_copied;
        jobs_wait(&j);
        ck_assert_int_eq(j.how, WORKER_ENDED_DONE);
        ck_assert_uint_eq(j.bytes, n);
        copied[i] = w->stream.bytes_copied - before;
        jobs_drop(&j);
    }
    ck_assert_uint_ge(copied[0], n);
    ck_assert_uint_lt(copied[1], 1000);
    free(input);
    jobs_raze();
}
END_TEST

/* No second task goes to a busy process: with one process, they run one by one, in order. */
START_TEST(test_program_gets_one_task_at_a_time)
{
    struct job holding, next;
    jobs_build(2, ONE);
    (void)jobs_pid_of("scripted");
    jobs_ask(&holding, "scripted", "hold");
    jobs_ask(&next, "scripted", "hold");
    while (!holding.job.worker || !next.job.worker)
        loop_turn(jobs_loop, -1);
    ck_assert_ptr_ne(holding.job.worker, next.job.worker);
    worker_program_stop_job(&holding.job, SIGKILL);
    worker_program_stop_job(&next.job, SIGKILL);
    jobs_wait(&holding);
    jobs_wait(&next);
    jobs_drop(&holding);
    jobs_drop(&next);
    jobs_raze();
}
END_TEST

START_TEST(test_program_stop_hits_that_task_alone)
{
    struct job a, b;
    jobs_build(2, ONE);
    jobs_ask(&a, "scripted", "hold");
    jobs_ask(&b, "scripted", "hold");
    while (!a.job.worker || !b.job.worker)
        loop_turn(jobs_loop, -1);
    worker_program_stop_job(&a.job, SIGTERM);
    jobs_wait(&a);
    ck_assert_int_eq(a.how, WORKER_ENDED_DIED);
    ck_assert_int_eq(WTERMSIG(a.status), SIGTERM);
    ck_assert(!b.done);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died,
                      0); /* that was our wish */
    worker_program_stop_job(&b.job, SIGKILL);
    jobs_wait(&b);
    jobs_drop(&a);
    jobs_drop(&b);
    jobs_raze();
}
END_TEST

/* One that understands CANCEL lives on. */
START_TEST(test_program_is_asked_before_it_is_killed)
{
    struct job j;
    jobs_build(1, "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"cancel=1\"]}}");
    int pid = jobs_pid_of("scripted");
    jobs_ask(&j, "scripted", "hold");
    worker_program_stop_job(&j.job, SIGTERM);
    jobs_wait(&j);
    ck_assert_int_eq(j.how, WORKER_ENDED_FAILED);
    ck_assert_str_eq(j.kind, "Cancelled");
    jobs_drop(&j);
    ck_assert_int_eq(jobs_pid_of("scripted"), pid);
    jobs_raze();
}
END_TEST

/* ---- several tasks in one process ---- */

#define WIDE(keys)                                                                                 \
    "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"concurrency=3\"" keys                    \
    "], \"lane\": \"io\"}}"

START_TEST(test_program_runs_several_at_once_on_the_io_lane)
{
    struct job holding[3], more;
    jobs_build(1, WIDE(""));
    for (int i = 0; i < 3; i++)
        jobs_ask(&holding[i], "scripted", "hold");
    while (!holding[2].job.worker)
        loop_turn(jobs_loop, -1);
    ck_assert_ptr_eq(holding[0].job.worker, holding[2].job.worker);
    jobs_ask(&more, "scripted", "release"); /* it takes three */
    ck_assert_ptr_null(more.job.worker);
    worker_program_stop_job(&holding[0].job, SIGTERM); /* nobody to ask */
    ck_assert(!holding[0].done);
    worker_program_stop_job(&holding[0].job, SIGKILL); /* left to itself */
    ck_assert(holding[0].done && holding[0].how == WORKER_ENDED_ABANDONED);
    ck_assert(!holding[1].done && !holding[2].done);
    jobs_wait(&more); /* by another process: that one gets no more */
    ck_assert_int_eq(more.how, WORKER_ENDED_DONE);
    ck_assert(!holding[1].done && !holding[2].done); /* and has not suffered */
    worker_program_stop_job(&holding[1].job, SIGKILL);
    worker_program_stop_job(&holding[2].job, SIGKILL);
    for (int i = 0; i < 3; i++) {
        jobs_wait(&holding[i]);
        jobs_drop(&holding[i]);
    }
    jobs_drop(&more);
    jobs_raze();
}
END_TEST

START_TEST(test_program_cancels_one_of_several)
{
    struct job holding[2], more;
    jobs_build(1, WIDE(", \"cancel=1\""));
    int pid = jobs_pid_of("scripted");
    jobs_ask(&holding[0], "scripted", "hold");
    jobs_ask(&holding[1], "scripted", "hold");
    worker_program_stop_job(&holding[0].job, SIGTERM);
    jobs_wait(&holding[0]);
    ck_assert_str_eq(holding[0].kind, "Cancelled");
    ck_assert(!holding[1].done);
    jobs_ask(&more, "scripted", "release");
    jobs_wait(&holding[1]);
    ck_assert_str_eq(holding[1].text, "held");
    jobs_wait(&more);
    ck_assert_int_eq(jobs_pid_of("scripted"), pid);
    jobs_drop(&holding[0]);
    jobs_drop(&holding[1]);
    jobs_drop(&more);
    jobs_raze();
}
END_TEST

#define SOFT(n)                                                                                    \
    "{\"scripted\": {\"worker\": [\"SELF\", \"worker\", \"concurrency=" n "\", \"cancel=soft\"],"  \
    " \"lane\": \"io\"}}"
#define OTHERS 19

/* Told, not heard, and left to itself: the others go on, and so does the process. */
START_TEST(test_program_soft_cancel_hurts_no_other)
{
    struct job stuck, others[OTHERS], next, waiting;
    jobs_build(1, SOFT("21"));
    int pid = jobs_pid_of("scripted");
    jobs_ask(&stuck, "scripted", "stick");
    for (int i = 0; i < OTHERS; i++)
        jobs_ask(&others[i], "scripted", "hold");
    struct worker_process *w = stuck.job.worker;
    worker_program_stop_job(&stuck.job, SIGTERM);
    ck_assert(!stuck.done);
    worker_program_stop_job(&stuck.job, SIGKILL);
    ck_assert(stuck.done && stuck.how == WORKER_ENDED_ABANDONED);
    ck_assert_int_eq(jobs_pid_of("scripted"), pid); /* it takes others */
    jobs_ask(&next, "scripted", "hold");
    jobs_ask(&waiting, "scripted", "x");
    ck_assert_ptr_eq(next.job.worker, w);
    ck_assert_ptr_null(waiting.job.worker); /* the place is taken */
    worker_program_stop_job(&next.job, SIGTERM);
    jobs_wait(&next);
    jobs_wait(&waiting);
    jobs_drop(&next);
    jobs_ask(&next, "scripted", "unstick");
    jobs_wait(&next); /* the answer of the one that was stuck comes before, and is left out */
    ck_assert_uint_eq(w->n_abandoned, 0);
    for (int i = 0; i < OTHERS; i++)
        ck_assert(!others[i].done);
    jobs_drop(&next);
    jobs_ask(&next, "scripted", "release");
    for (int i = 0; i < OTHERS; i++) {
        jobs_wait(&others[i]);
        ck_assert_str_eq(others[i].text, "held");
        jobs_drop(&others[i]);
    }
    jobs_wait(&next);
    ck_assert_int_eq(jobs_pid_of("scripted"), pid);
    jobs_drop(&next);
    jobs_drop(&waiting);
    jobs_drop(&stuck);
    jobs_raze();
}
END_TEST

/* Also where it is alone; until such tasks have all places. */
START_TEST(test_program_soft_cancel_may_take_all_places)
{
    struct job stuck[2];
    jobs_build(1, SOFT("2"));
    int pid = jobs_pid_of("scripted");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(jobs_pid_of("scripted"), pid);
        jobs_ask(&stuck[i], "scripted", "stick");
        worker_program_stop_job(&stuck[i].job, SIGKILL);
        ck_assert(stuck[i].done && stuck[i].how == WORKER_ENDED_ABANDONED);
        jobs_drop(&stuck[i]);
    }
    ck_assert_int_ne(jobs_pid_of("scripted"), pid);
    jobs_raze();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *tests[] = {
        test_program_serves_one_task_after_the_other,
        test_program_prints_and_reports,
        test_program_fails_a_task_and_goes_on,
        test_program_hears_of_a_limit_too_late,
        test_program_dies_in_a_task,
        test_program_breaks_the_protocol,
        test_program_answers_twice,
        test_program_closes_its_channel,
        test_program_result_over_the_limit,
        test_program_large_payloads_by_descriptor,
        test_program_gets_one_task_at_a_time,
        test_program_stop_hits_that_task_alone,
        test_program_is_asked_before_it_is_killed,
        test_program_runs_several_at_once_on_the_io_lane,
        test_program_cancels_one_of_several,
        test_program_soft_cancel_hurts_no_other,
        test_program_soft_cancel_may_take_all_places,
    };
    scripted_main(argc, argv);
    return suite_run("worker_program", tests, FUT_COUNT(tests));
}
