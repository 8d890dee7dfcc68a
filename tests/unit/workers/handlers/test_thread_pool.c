/* The pool and the inbox. Concurrency is shown by saturation: every thread parked on a semaphore.
 */
#include <check.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mailbox.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "workers/base/loop.h"
#include "workers/handlers/thread_pool.h"

#define THREADS 8
#define JOBS 1000

static sem_t arrived, go;
static atomic_int ran;

static void park(struct pool_job *job)
{
    (void)job;
    sem_post(&arrived);
    sem_wait(&go);
    atomic_fetch_add(&ran, 1);
}

static void count(struct pool_job *job)
{
    (void)job;
    atomic_fetch_add(&ran, 1);
}

static void submit(struct thread_pool *p, struct pool_job *jobs, int n,
                   void (*fn)(struct pool_job *))
{
    struct list list;
    list_init(&list);
    for (int i = 0; i < n; i++) {
        jobs[i].fn = fn;
        list_push_back(&list, &jobs[i].link);
    }
    thread_pool_submit(p, &list);
    ck_assert(list_is_empty(&list));
}

START_TEST(test_thread_pool_runs_all_threads_at_once)
{
    struct pool_job jobs[THREADS] = {0};
    struct thread_pool *p = thread_pool_start(THREADS);
    sem_init(&arrived, 0, 0);
    sem_init(&go, 0, 0);
    submit(p, jobs, THREADS, park);
    for (int i = 0; i < THREADS; i++)
        sem_wait(&arrived); /* hangs unless all of them run at the same time */
    ck_assert_uint_eq(thread_pool_idle(p), 0);
    for (int i = 0; i < THREADS; i++)
        sem_post(&go);
    thread_pool_stop(&p);
    ck_assert_int_eq(atomic_load(&ran), THREADS);
}
END_TEST

START_TEST(test_thread_pool_stop_runs_what_is_queued)
{
    static struct pool_job jobs[JOBS];
    struct thread_pool *p = thread_pool_start(2);
    submit(p, jobs, JOBS, count);
    thread_pool_stop(&p);
    ck_assert_int_eq(atomic_load(&ran), JOBS);
    ck_assert_ptr_null(p);
    thread_pool_stop(&p);
}
END_TEST

START_TEST(test_thread_pool_one_by_one)
{
    struct pool_job job = {0};
    struct thread_pool *p = thread_pool_start(3);
    sem_init(&arrived, 0, 0);
    sem_init(&go, 0, 0);
    for (int i = 0; i < 500; i++) {
        sem_post(&go);
        submit(p, &job, 1, park);
        sem_wait(&arrived);
        while (atomic_load(&ran) <= i)
            sched_yield();
    }
    thread_pool_stop(&p);
}
END_TEST

static void wait_size(struct thread_pool *p, uint32_t n)
{
    while (thread_pool_size(p) != n)
        sched_yield();
}

START_TEST(test_thread_pool_grows_while_busy)
{
    struct pool_job jobs[THREADS] = {0};
    struct thread_pool *p = thread_pool_start(1);
    sem_init(&arrived, 0, 0);
    sem_init(&go, 0, 0);
    submit(p, jobs, THREADS, park);
    sem_wait(&arrived);
    thread_pool_resize(p, THREADS);
    for (int i = 1; i < THREADS; i++)
        sem_wait(&arrived); /* hangs unless the new threads take what was queued before them */
    for (int i = 0; i < THREADS; i++)
        sem_post(&go);
    thread_pool_stop(&p);
    ck_assert_int_eq(atomic_load(&ran), THREADS);
}
END_TEST

START_TEST(test_thread_pool_shrinks_without_cutting_short)
{
    static struct pool_job jobs[THREADS + JOBS];
    struct thread_pool *p = thread_pool_start(THREADS);
    sem_init(&arrived, 0, 0);
    sem_init(&go, 0, 0);
    submit(p, jobs, THREADS, park);
    for (int i = 0; i < THREADS; i++)
        sem_wait(&arrived);
    thread_pool_resize(p, 2);
    ck_assert_uint_eq(thread_pool_size(p), THREADS); /* all of them are at work */
    submit(p, jobs + THREADS, JOBS, count);
    for (int i = 0; i < THREADS; i++)
        sem_post(&go);
    wait_size(p, 2);
    while (atomic_load(&ran) < THREADS + JOBS)
        sched_yield();
    thread_pool_resize(p, 1); /* an idle one goes at once */
    wait_size(p, 1);
    thread_pool_stop(&p);
}
END_TEST

/* Resized at random under load: nothing is lost, nothing hangs. */
START_TEST(test_thread_pool_resized_at_random_loses_nothing)
{
    static struct pool_job jobs[20][JOBS];
    struct thread_pool *p = thread_pool_start(4);
    srand(1);
    for (int i = 0; i < 20; i++) {
        submit(p, jobs[i], JOBS, count);
        thread_pool_resize(p, 1 + (uint32_t)rand() % THREADS);
    }
    while (atomic_load(&ran) < 20 * JOBS)
        sched_yield();
    thread_pool_stop(&p);
}
END_TEST

/* ---- inbox ---- */

struct push_job {
    struct pool_job job;
    struct mailbox_call item;
    struct mailbox *inbox;
};

static int taken; /* the loop's thread alone */

static void take(struct mailbox_call *item)
{
    (void)item;
    taken++;
}

static void push(struct pool_job *job)
{
    struct push_job *n = FUT_CONTAINER(job, struct push_job, job);
    n->item.fn = take;
    mailbox_push(n->inbox, &n->item.link);
}

static void on_wake(struct loop_source *src, uint32_t events)
{
    (void)src;
    (void)events;
}

/* The scheduler's own pattern: run the inbox, sleep only when it was empty. */
START_TEST(test_inbox_loses_nothing)
{
    static struct push_job pushes[JOBS];
    struct mailbox in;
    struct loop_source wake;
    struct loop *l = loop_new();
    struct thread_pool *p = thread_pool_start(4);
    ck_assert_int_eq(mailbox_init(&in), 0);
    ck_assert_int_eq(loop_open(l, &wake, dup(in.wake_fd), EPOLLIN | EPOLLET, on_wake), 0);
    for (int i = 0; i < JOBS; i++) {
        struct list one;
        list_init(&one);
        pushes[i] = (struct push_job){.job.fn = push, .inbox = &in};
        list_push_back(&one, &pushes[i].job.link);
        thread_pool_submit(p, &one);
    }
    while (taken < JOBS)
        loop_turn(l, mailbox_run(&in) ? 0 : -1);
    thread_pool_stop(&p);
    loop_close(l, &wake);
    loop_free(&l);
    mailbox_release(&in);
}
END_TEST

START_TEST(test_inbox_may_be_filled_quietly)
{
    struct mailbox in;
    struct mailbox_call items[2] = {{.fn = take}, {.fn = take}};
    struct pollfd p;
    ck_assert_int_eq(mailbox_init(&in), 0);
    p = (struct pollfd){.fd = in.wake_fd, .events = POLLIN};
    mailbox_push_quietly(&in, &items[0].link);
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    mailbox_push(&in, &items[1].link); /* wakes for both */
    ck_assert_int_eq(poll(&p, 1, 0), 1);
    ck_assert(mailbox_run(&in));
    ck_assert_int_eq(taken, 2);
    mailbox_release(&in);
}
END_TEST

START_TEST(test_inbox_writes_once_per_batch)
{
    struct mailbox in;
    struct mailbox_call items[3] = {{.fn = take}, {.fn = take}, {.fn = take}};
    uint64_t writes = 0;
    ck_assert_int_eq(mailbox_init(&in), 0);
    for (int i = 0; i < 3; i++)
        mailbox_push(&in, &items[i].link);
    ck_assert_int_eq(fd_read_all(in.wake_fd, &writes, sizeof(writes)), 0);
    ck_assert_uint_eq(writes, 1);
    ck_assert(mailbox_run(&in));
    ck_assert_int_eq(taken, 3);
    ck_assert(!mailbox_run(&in));
    mailbox_push(&in, &items[0].link);
    ck_assert_int_eq(fd_read_all(in.wake_fd, &writes, sizeof(writes)), 0);
    ck_assert(mailbox_run(&in));
    mailbox_release(&in);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("pool", 30, NULL, NULL);
    tcase_add_test(t, test_thread_pool_runs_all_threads_at_once);
    tcase_add_test(t, test_thread_pool_stop_runs_what_is_queued);
    tcase_add_test(t, test_thread_pool_one_by_one);
    tcase_add_test(t, test_thread_pool_grows_while_busy);
    tcase_add_test(t, test_thread_pool_shrinks_without_cutting_short);
    tcase_add_test(t, test_thread_pool_resized_at_random_loses_nothing);
    tcase_add_test(t, test_inbox_loses_nothing);
    tcase_add_test(t, test_inbox_writes_once_per_batch);
    tcase_add_test(t, test_inbox_may_be_filled_quietly);
    return suite_run_cases("thread_pool", t, NULL);
}
