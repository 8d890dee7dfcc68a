/* Built-in handlers of the cpu lane while no worker process can be had: their tasks stay in the
 * queue, whatever their timeout, and run when there is one again. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

#define LIMIT_MS 60000

enum { MANY = 20, FILES = 256 };

static int filling[FILES];
static size_t n_filling;

static void limit_descriptors(void)
{
    struct rlimit low;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &low), 0);
    low.rlim_cur = FILES;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
}

static void take_all_descriptors(void)
{
    int fd;
    while (n_filling < FILES && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        filling[n_filling++] = fd;
}

static void give_descriptors_back(void)
{
    while (n_filling)
        (void)close(filling[--n_filling]);
}

static bool all_are_ready(void *arg)
{
    size_t n, ready = 0;
    struct pool_worker *workers = live.view.workers(live.view.ctx, &n);
    (void)arg;
    for (size_t i = 0; i < n; i++)
        ready += workers[i].pid > 0 && workers[i].state == POOL_WORKER_IDLE;
    free(workers);
    return ready == 2;
}

static void kill_workers(void)
{
    size_t n;
    struct pool_worker *workers = live.view.workers(live.view.ctx, &n);
    for (size_t i = 0; i < n; i++)
        if (workers[i].pid > 0)
            (void)kill(workers[i].pid, SIGKILL);
    free(workers);
}

/* No process lives or is being started (workers_alive does not count the latter). */
static bool none_can_be_had(void)
{
    size_t n;
    struct pool_broken b;
    free(live.view.workers(live.view.ctx, &n));
    return n == 0 && live.view.broken(live.view.ctx, "sha256", &b);
}

/* The end of a process sets its descriptors free, with which another one may be started before they
 * are taken here: so both are looked at again when no descriptor is free. */
static bool all_are_ended(void *arg)
{
    (void)arg;
    bool was = none_can_be_had();
    take_all_descriptors();
    if (was && none_can_be_had())
        return true;
    kill_workers();
    return false;
}

static bool is_broken(void *out)
{
    return live.view.broken(live.view.ctx, "sha256", out);
}

START_TEST(test_builtins_wait_for_a_process)
{
    struct task_id ids[MANY];
    struct pool_broken b;
    live_start(1, 2);
    ck_assert(wait_until(all_are_ready, NULL, LIMIT_MS));
    limit_descriptors();
    ck_assert(wait_until(all_are_ended, NULL, LIMIT_MS));
    for (int i = 0; i < MANY; i++)
        ids[i] = live_submit("sha256", LANE_CPU, "x", 500, 0);
    ck_assert(wait_until(is_broken, &b, LIMIT_MS));
    ck_assert(b.of_builtins);
    struct task_id echo = live_submit("echo", LANE_IO, "1", 10000, 0); /* needs no process */
    struct task t = live_wait(echo, TASK_SUCCEEDED);
    task_release(&t);
    give_descriptors_back();
    for (int i = 0; i < MANY; i++) {
        t = live_wait(ids[i], TASK_SUCCEEDED);
        ck_assert_uint_eq(t.attempt, 1);
        task_release(&t);
    }
    ck_assert_uint_eq(live_store_stats().finished[TASK_FAILED], 0);
    ck_assert(!is_broken(&b));
    live_stop();
}
END_TEST

int main(void)
{
    TCase *t = suite_case("builtins", 60, NULL, NULL);
    tcase_add_test(t, test_builtins_wait_for_a_process);
    return suite_run_cases("builtins_wait", t, NULL);
}
