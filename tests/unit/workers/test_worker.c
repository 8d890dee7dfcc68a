/* The worker's own loop over a socket, and the daemon's side of real worker processes. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "core/sync.h"
#include "workers/worker_main.h"
#include "workers/worker_set.h"

/* ---- worker_main as a plain function on a thread ---- */

static int pair[2];
static int worker_rc;

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
    thread_start(&t, "worker", worker, NULL);
    return t;
}

/* Reads one frame into *b and decodes it there. */
static struct wire_frame read_frame(struct buf *b)
{
    struct wire_frame f;
    size_t used;
    int rc;
    while ((rc = wire_decode(b->data, b->len, WIRE_FRAME_MAX, &f, &used)) == FUT_ERR_AGAIN) {
        buf_reserve(b, 65536);
        ssize_t n = recv(pair[0], b->data + b->len, 65536, 0);
        ck_assert_int_gt(n, 0);
        b->len += (size_t)n;
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(used, b->len);
    return f;
}

static void send_run(uint64_t seq, const char *handler, const void *input, size_t n)
{
    struct buf out = BUF_INIT;
    struct wire_run run = {.seq = seq,
                           .max_result_bytes = 8 << 20,
                           .handler = handler,
                           .input_type = CONTENT_BYTES,
                           .input = input,
                           .input_len = n};
    ck_assert_int_eq(wire_put_run(&out, &run), 0);
    ck_assert_int_eq(fd_write_all(pair[0], out.data, out.len), 0);
    buf_release(&out);
}

START_TEST(test_worker_main_serves)
{
    pthread_t t = start_worker();
    struct buf b = BUF_INIT;
    ck_assert_int_eq(read_frame(&b).type, WIRE_HELLO);
    b.len = 0;
    send_run(5, "sha256", "hello", 5);
    struct wire_frame f = read_frame(&b);
    ck_assert_int_eq(f.as.result.class, RUN_SUCCESS);
    ck_assert(f.as.result.seq == 5);
    ck_assert_ptr_nonnull(memmem(f.as.result.body, f.as.result.body_len, "2cf24dba", 8));
    b.len = 0;
    send_run(6, "nope", "", 0);
    f = read_frame(&b);
    ck_assert_str_eq(f.as.result.code, "unknown_handler");
    close(pair[0]);
    thread_join(t);
    ck_assert_int_eq(worker_rc, 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_worker_main_large_input_and_result)
{
    pthread_t t = start_worker();
    struct buf b = BUF_INIT;
    size_t n = 4 << 20;
    char *input = xcalloc(1, n);
    ck_assert_int_eq(read_frame(&b).type, WIRE_HELLO);
    b.len = 0;
    send_run(1, "echo", input, n);
    struct wire_frame f = read_frame(&b);
    ck_assert_uint_eq(f.as.result.body_len, n);
    close(pair[0]);
    thread_join(t);
    buf_release(&b);
    free(input);
}
END_TEST

START_TEST(test_worker_main_refuses_garbage)
{
    pthread_t t = start_worker();
    ck_assert_int_eq(fd_write_all(pair[0], "\x01\x00\x00\x00\x09", 5), 0);
    thread_join(t);
    ck_assert_int_eq(worker_rc, FUT_ERR_INVAL);
    close(pair[0]);
}
END_TEST

/* ---- real processes ---- */

static struct fork_server *fs;
static struct loop *loop;
static struct children *children;
static struct worker_set *set;

struct job {
    struct worker_job job;
    bool done, died, taken_back;
    int status;
    double fraction;
    char code[32];
};

static void on_broken(void *ctx)
{
    (void)ctx;
}

static void setup(void)
{
    ck_assert_int_eq(fork_server_start(&fs, NULL), 0);
    loop = loop_new();
    children = children_new(loop, fs, on_broken, NULL);
    set = worker_set_new(loop, children, 2, 1 << 20);
    worker_set_start(set);
}

static void teardown(void)
{
    worker_set_free(&set);
    children_free(&children);
    loop_free(&loop);
    fork_server_stop(&fs);
}

static void on_done(struct worker_job *job, const struct worker_end *end)
{
    struct job *j = FUT_CONTAINER(job, struct job, job);
    ck_assert(!j->done);
    j->done = true;
    j->taken_back = !end;
    j->died = end && !end->result;
    if (j->died && end->known)
        j->status = end->status;
    if (end && end->result)
        (void)snprintf(j->code, sizeof(j->code), "%s", end->result->code);
}

static void on_report(struct worker_job *job, const struct wire_frame *f)
{
    struct job *j = FUT_CONTAINER(job, struct job, job);
    ck_assert(!j->done);
    if (f->type == WIRE_PROGRESS)
        j->fraction = f->as.progress.fraction;
}

static void submit(struct job *j, const char *handler, const char *input)
{
    struct task_spec spec = {.id = id_new(),
                             .handler = handler,
                             .input_type = CONTENT_JSON,
                             .input = (const unsigned char *)input,
                             .input_len = strlen(input)};
    *j = (struct job){.job = {.spec = task_spec_new(&spec), .done = on_done, .report = on_report}};
    worker_set_submit(set, &j->job);
}

static void drop(struct job *j)
{
    task_spec_unref((struct task_spec *)(uintptr_t)j->job.spec);
}

static void wait_for(const struct job *j)
{
    while (!j->done)
        loop_turn(loop, -1);
}

static void wait_alive(uint32_t n)
{
    while (worker_set_alive(set) != n)
        loop_turn(loop, -1);
}

START_TEST(test_worker_set_runs_and_waits_for_a_worker)
{
    struct job jobs[10];
    for (int i = 0; i < 10; i++)
        submit(&jobs[i], "primes", "{\"below\":1000}"); /* before any worker said hello */
    for (int i = 0; i < 10; i++) {
        wait_for(&jobs[i]);
        ck_assert(!jobs[i].died);
        ck_assert_str_eq(jobs[i].code, "");
        drop(&jobs[i]);
    }
    wait_alive(2);
}
END_TEST

START_TEST(test_worker_set_kill_ends_one_and_respawns)
{
    struct job a, b, c;
    submit(&a, "sleep", "{\"seconds\":1000}");
    submit(&b, "sleep", "{\"seconds\":1000}");
    wait_alive(2);
    submit(&c, "primes", "{\"below\":10}"); /* waits: both are busy */
    worker_set_kill(set, &a.job, SIGTERM);
    wait_for(&a);
    ck_assert(a.died);
    ck_assert_int_eq(WTERMSIG(a.status), SIGTERM);
    ck_assert(!b.done);
    wait_for(&c); /* by the next generation of a's slot */
    ck_assert(!c.died);
    ck_assert_uint_eq(worker_set_died(set), 0); /* we killed it ourselves */
    worker_set_kill(set, &b.job, SIGKILL);
    wait_for(&b);
    wait_alive(2);
    drop(&a);
    drop(&b);
    drop(&c);
}
END_TEST

START_TEST(test_worker_set_takes_a_waiting_job_back)
{
    struct job a, b, c;
    wait_alive(2);
    submit(&a, "sleep", "{\"seconds\":1000}");
    submit(&b, "sleep", "{\"seconds\":1000}");
    submit(&c, "sleep", "{\"seconds\":1000}");
    worker_set_kill(set, &c.job, SIGTERM);
    ck_assert(c.done && c.taken_back);
    worker_set_abandon(set, &a.job);
    worker_set_abandon(set, &b.job);
    wait_alive(2);
    ck_assert(!a.done && !b.done);
    drop(&a);
    drop(&b);
    drop(&c);
}
END_TEST

START_TEST(test_worker_set_reports_progress)
{
    struct job a;
    submit(&a, "sleep", "{\"ms\":1400}"); /* a report each half second */
    wait_for(&a);
    ck_assert(a.fraction > 0.6 && a.fraction < 1);
    ck_assert_str_eq(a.code, "");
    drop(&a);
}
END_TEST

/* Nobody asked for it: counted, and the future learns the signal. */
START_TEST(test_worker_set_crash)
{
    struct job a;
    wait_alive(2);
    submit(&a, "sleep", "{\"seconds\":1000}");
    struct worker_process *w = a.job.worker;
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(fork_server_kill(fs, w->slot, w->child.generation, SIGSEGV), 0);
    wait_for(&a);
    ck_assert(a.died);
    ck_assert_int_eq(WTERMSIG(a.status), SIGSEGV);
    ck_assert_uint_eq(worker_set_died(set), 1);
    wait_alive(2);
    drop(&a);
}
END_TEST

static void refused(struct worker_job *job)
{
    FUT_CONTAINER(job, struct job, job)->taken_back = true;
}

START_TEST(test_worker_set_refuses_what_does_not_fit)
{
    struct job a;
    wait_alive(2);
    struct task_spec spec = {.handler = "echo", .input_type = CONTENT_BYTES};
    a = (struct job){.job = {.spec = &spec, .done = on_done, .refused = refused}};
    spec.input = (const unsigned char *)"";
    spec.input_len = WIRE_FRAME_MAX;
    worker_set_submit(set, &a.job);
    ck_assert(a.taken_back && !a.done);
    submit(&a, "echo", "1"); /* the worker is still good */
    wait_for(&a);
    drop(&a);
}
END_TEST

int main(void)
{
    TCase *plain = tcase_create("worker_main");
    tcase_set_timeout(plain, 30);
    tcase_add_test(plain, test_worker_main_serves);
    tcase_add_test(plain, test_worker_main_large_input_and_result);
    tcase_add_test(plain, test_worker_main_refuses_garbage);
    TCase *t = tcase_create("worker_set");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_worker_set_runs_and_waits_for_a_worker);
    tcase_add_test(t, test_worker_set_kill_ends_one_and_respawns);
    tcase_add_test(t, test_worker_set_takes_a_waiting_job_back);
    tcase_add_test(t, test_worker_set_reports_progress);
    tcase_add_test(t, test_worker_set_crash);
    tcase_add_test(t, test_worker_set_refuses_what_does_not_fit);
    Suite *s = suite_create("worker");
    suite_add_tcase(s, plain);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
