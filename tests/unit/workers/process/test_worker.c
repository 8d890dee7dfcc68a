/* The worker's own loop over a socket, and the daemon's side of real worker processes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/sync.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/process/jobs.h"
#include "workers/handlers/worker_main.h"

/* ---- worker_main as a plain function on a thread ---- */

static int pair[2];
static int worker_rc;
static struct wire_stream stream;

static void *worker(void *arg)
{
    (void)arg;
    worker_rc = worker_main(pair[1]);
    close(pair[1]);
    return NULL;
}

static pthread_t start_worker(void)
{
    pthread_t t;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wire_stream_init(&stream, pair[0], WIRE_PAYLOAD_MAX);
    thread_start(&t, "worker", worker, NULL);
    return t;
}

static void end_worker(pthread_t t)
{
    wire_stream_release(&stream);
    close(pair[0]);
    thread_join(t);
}

static struct wire_message next(void)
{
    struct wire_message m;
    int rc;
    while ((rc = wire_stream_next(&stream, &m)) == FUT_ERR_AGAIN)
        ck_assert_int_eq(wire_stream_read(&stream, 0), 0);
    ck_assert_int_eq(rc, 0);
    return m;
}

static void send_run(uint64_t id, const char *handler, const void *input, size_t n)
{
    struct wire_head h = WIRE_HEAD(WIRE_RUN);
    h.id = id;
    h.bytes = n;
    h.handler = handler;
    h.max_result = 8 << 20;
    h.type = CONTENT_BYTES;
    ck_assert_int_eq(wire_stream_put(&stream, &h, input), 0);
    ck_assert_int_eq(wire_stream_flush(&stream, 0), 0);
}

START_TEST(test_worker_main_serves)
{
    pthread_t t = start_worker();
    struct wire_message m = next();
    ck_assert(m.head.verb == WIRE_HELLO && m.head.id == WIRE_VERSION && m.head.memfd);
    send_run(5, "sha256", "hello", 5);
    m = next();
    ck_assert(m.head.verb == WIRE_DONE && m.head.id == 5);
    ck_assert_str_eq(m.head.type, CONTENT_JSON);
    ck_assert_ptr_nonnull(memmem(m.payload, m.head.bytes, "2cf24dba", 8));
    send_run(6, "nope", "", 0);
    m = next();
    ck_assert(m.head.verb == WIRE_FAIL && m.head.retry == -1);
    ck_assert_str_eq(m.head.kind, "unknown_handler");
    end_worker(t);
    ck_assert_int_eq(worker_rc, 0);
}
END_TEST

/* Both ways: with descriptors, and through the socket. */
START_TEST(test_worker_main_large_input_and_result)
{
    pthread_t t = start_worker();
    size_t n = 4 << 20;
    char *input = xcalloc(1, n);
    input[n - 1] = 9;
    (void)next();
    close(wire_stream_take_fd(&stream)); /* came with the greeting */
    for (int by_fd = 0; by_fd < 2; by_fd++) {
        stream.peer_takes_fds = by_fd;
        send_run(1, "echo", input, n);
        struct wire_message m = next();
        ck_assert(m.head.bytes == n && m.head.fd);
        ck_assert_int_eq(memcmp(m.payload, input, n), 0);
    }
    end_worker(t);
    free(input);
}
END_TEST

START_TEST(test_worker_main_refuses_garbage)
{
    pthread_t t = start_worker();
    ck_assert_int_eq(fd_write_all(pair[0], "RUN what\n", 9), 0);
    thread_join(t);
    ck_assert_int_eq(worker_rc, FUT_ERR_INVAL);
    wire_stream_release(&stream);
    close(pair[0]);
}
END_TEST

/* ---- real processes ---- */

START_TEST(test_worker_set_runs_and_waits_for_a_worker)
{
    struct job jobs[10];
    for (int i = 0; i < 10; i++)
        jobs_submit(&jobs[i], "primes", "{\"below\":1000}"); /* before any worker said hello */
    for (int i = 0; i < 10; i++) {
        jobs_wait(&jobs[i]);
        ck_assert_int_eq(jobs[i].how, WORKER_ENDED_DONE);
        jobs_drop(&jobs[i]);
    }
    jobs_wait_alive(2);
}
END_TEST

START_TEST(test_worker_set_kill_ends_one_and_respawns)
{
    struct job a, b, c;
    jobs_submit(&a, "sleep", "{\"seconds\":1000}");
    jobs_submit(&b, "sleep", "{\"seconds\":1000}");
    jobs_wait_alive(2);
    jobs_submit(&c, "primes", "{\"below\":10}"); /* waits: both are busy */
    worker_program_stop_job(&a.job, SIGTERM);
    jobs_wait(&a);
    ck_assert_int_eq(a.how, WORKER_ENDED_DIED);
    ck_assert_int_eq(WTERMSIG(a.status), SIGTERM);
    ck_assert(!b.done);
    jobs_wait(&c); /* by the next generation of a's slot */
    ck_assert_int_eq(c.how, WORKER_ENDED_DONE);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died,
                      0); /* we killed it ourselves */
    worker_program_stop_job(&b.job, SIGKILL);
    jobs_wait(&b);
    jobs_wait_alive(2);
    jobs_drop(&a);
    jobs_drop(&b);
    jobs_drop(&c);
}
END_TEST

START_TEST(test_worker_set_takes_a_waiting_job_back)
{
    struct job a, b, c;
    jobs_wait_alive(2);
    jobs_submit(&a, "sleep", "{\"seconds\":1000}");
    jobs_submit(&b, "sleep", "{\"seconds\":1000}");
    jobs_submit(&c, "sleep", "{\"seconds\":1000}");
    worker_program_stop_job(&c.job, SIGTERM);
    ck_assert(c.done && c.how == WORKER_ENDED_RETURNED);
    worker_program_abandon_job(&a.job);
    worker_program_abandon_job(&b.job);
    jobs_wait_alive(2);
    ck_assert(!a.done && !b.done);
    jobs_drop(&a);
    jobs_drop(&b);
    jobs_drop(&c);
}
END_TEST

START_TEST(test_worker_set_reports_progress)
{
    struct job a;
    jobs_submit(&a, "sleep", "{\"ms\":1400}"); /* a report each half second */
    jobs_wait(&a);
    ck_assert(a.fraction > 0.6 && a.fraction < 1);
    ck_assert_int_eq(a.how, WORKER_ENDED_DONE);
    jobs_drop(&a);
}
END_TEST

/* Nobody asked for it: counted, and the future learns the signal. */
START_TEST(test_worker_set_crash)
{
    struct job a;
    jobs_wait_alive(2);
    jobs_submit(&a, "sleep", "{\"seconds\":1000}");
    struct worker_process *w = a.job.worker;
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(fork_server_kill(jobs_fs, w->slot, w->child.generation, SIGSEGV), 0);
    jobs_wait(&a);
    ck_assert_int_eq(a.how, WORKER_ENDED_DIED);
    ck_assert_int_eq(WTERMSIG(a.status), SIGSEGV);
    ck_assert_uint_eq(worker_view_counts(worker_set_view(jobs_set)).died, 1);
    jobs_wait_alive(2);
    jobs_drop(&a);
}
END_TEST

START_TEST(test_worker_set_refuses_what_does_not_fit)
{
    struct job a, b;
    jobs_wait_alive(2);
    struct task_spec spec = {.handler = "echo", .input_type = CONTENT_BYTES};
    a = (struct job){.task = {.spec = &spec}};
    a.job = (struct worker_job){.task = &a.task, .done = jobs_on_done};
    spec.input = (const unsigned char *)"";
    spec.input_len = WIRE_PAYLOAD_MAX + 1;
    worker_set_submit(jobs_set, &jobs_builtin, &a.job);
    ck_assert(a.done && a.how == WORKER_ENDED_REFUSED);
    jobs_submit(&b, "echo", "1"); /* the worker is still good */
    jobs_wait(&b);
    jobs_drop(&b);
}
END_TEST

int main(void)
{
    TCase *plain = suite_case("worker_main", 30, NULL, NULL);
    tcase_add_test(plain, test_worker_main_serves);
    tcase_add_test(plain, test_worker_main_large_input_and_result);
    tcase_add_test(plain, test_worker_main_refuses_garbage);
    TCase *t = suite_case("worker_set", 30, jobs_start, jobs_stop);
    tcase_add_test(t, test_worker_set_runs_and_waits_for_a_worker);
    tcase_add_test(t, test_worker_set_kill_ends_one_and_respawns);
    tcase_add_test(t, test_worker_set_takes_a_waiting_job_back);
    tcase_add_test(t, test_worker_set_reports_progress);
    tcase_add_test(t, test_worker_set_crash);
    tcase_add_test(t, test_worker_set_refuses_what_does_not_fit);
    return suite_run_cases("worker", plain, t, NULL);
}
