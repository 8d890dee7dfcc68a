/* Threads that wait for work: each is woken by whoever has taken it, and by nobody else. */
#include "core/idle.h"

#include <check.h>

#include "core/mem.h"
#include "tests/support/suite.h"

#define THREADS 8
#define ROUNDS 2000

static struct mutex mu;
static struct idle idle;
static struct cond changed;
static unsigned jobs, done, ended; /* guarded by mu */
static bool stops;                 /* guarded by mu */

static void *work(void *arg)
{
    struct idle_thread self;
    (void)arg;
    idle_thread_init(&self);
    mutex_lock(&mu);
    for (;;) {
        while (!jobs && !stops)
            idle_wait(&idle, &self, &mu);
        if (!jobs)
            break;
        jobs--;
        done++;
        cond_signal(&changed);
    }
    ended++;
    mutex_unlock(&mu);
    idle_thread_destroy(&self);
    return NULL;
}

static void begin(pthread_t *threads)
{
    mutex_init(&mu);
    cond_init(&changed);
    idle_init(&idle);
    for (int i = 0; i < THREADS; i++)
        thread_start(&threads[i], "idle", work, NULL);
}

static void end(pthread_t *threads)
{
    mutex_lock(&mu);
    stops = true;
    idle_wake_all(&idle);
    mutex_unlock(&mu);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    ck_assert_uint_eq(ended, THREADS);
    cond_destroy(&changed);
    mutex_destroy(&mu);
}

/* A job and a wake-up each time, signalled with the mutex free: none is left waiting. */
START_TEST(test_idle_no_wake_up_is_lost)
{
    pthread_t threads[THREADS];
    begin(threads);
    for (unsigned i = 0; i < ROUNDS; i++) {
        mutex_lock(&mu);
        unsigned before = done;
        jobs += 2;
        struct idle_thread *first = idle_take(&idle), *second = idle_take(&idle);
        mutex_unlock(&mu);
        if (first)
            cond_signal(&first->wake);
        if (second)
            cond_signal(&second->wake);
        mutex_lock(&mu);
        while (done < before + 2)
            cond_wait(&changed, &mu);
        mutex_unlock(&mu);
    }
    end(threads);
}
END_TEST

static bool is_second;

static void *come_second(void *arg)
{
    struct idle_thread *self = arg;
    mutex_lock(&mu);
    idle_wait(&idle, self, &mu);
    is_second = true;
    cond_signal(&changed);
    mutex_unlock(&mu);
    return NULL;
}

/* Until it is taken it waits, whatever it hears; the one that came last is taken first. */
START_TEST(test_idle_takes_who_came_last)
{
    pthread_t thread;
    struct idle_thread first, second;
    mutex_init(&mu);
    cond_init(&changed);
    idle_init(&idle);
    idle_thread_init(&first);
    idle_thread_init(&second);
    mutex_lock(&mu);
    ck_assert_ptr_null(idle_take(&idle));
    list_push_front(&idle.threads, &first.link); /* it waits elsewhere */
    thread_start(&thread, "second", come_second, &second);
    while (idle.threads.len < 2) {
        mutex_unlock(&mu);
        mutex_lock(&mu);
    }
    cond_signal(&second.wake);
    mutex_unlock(&mu);
    mutex_lock(&mu);
    ck_assert(!is_second);
    ck_assert_ptr_eq(idle_take(&idle), &second);
    cond_signal(&second.wake);
    while (!is_second)
        cond_wait(&changed, &mu);
    ck_assert_ptr_eq(idle_take(&idle), &first);
    mutex_unlock(&mu);
    thread_join(thread);
    idle_thread_destroy(&first);
    idle_thread_destroy(&second);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_idle_no_wake_up_is_lost, 0},
        {test_idle_takes_who_came_last, 0},
    };
    return suite_run_rows("idle", 60, NULL, NULL, rows, FUT_COUNT(rows));
}
