/* Tasks that a worker is given while it runs another one: each runs once, whatever becomes of that
 * one and of the worker. A stopped process (SIGSTOP) is the slowest of workers. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/mem.h"
#include "futured_worker.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"
#include "tests/unit/workers/scripted.h"
#include "workers/process/worker_program.h"
#include "workers/wire/tickets.h"

/* FEW: one that runs and eight behind it, for each worker. */
enum { WORKERS = 2, SHORT = 200, MANY = 600, FEW = 18 };

/* ---- tickets ---- */

enum { ROUNDS = 3000 };
static struct tickets *ours, *theirs;
static pthread_barrier_t turn;
static bool taken[TICKETS_MAX];

static void *take_all(void *arg)
{
    (void)arg;
    for (uint64_t id = 1; id <= ROUNDS * TICKETS_MAX; id++) {
        if (id % TICKETS_MAX == 1)
            (void)pthread_barrier_wait(&turn);
        taken[id % TICKETS_MAX] = tickets_take(theirs, id);
        if (id % TICKETS_MAX == 0)
            (void)pthread_barrier_wait(&turn);
    }
    return NULL;
}

/* The last one first, as the other side begins with the first. */
static void run_round(uint64_t first)
{
    bool withdrawn[TICKETS_MAX];
    for (uint64_t id = first; id < first + TICKETS_MAX; id++)
        tickets_offer(ours, id);
    (void)pthread_barrier_wait(&turn);
    for (uint64_t id = first + TICKETS_MAX - 1; id >= first; id--)
        withdrawn[id % TICKETS_MAX] = tickets_withdraw(ours, id);
    (void)pthread_barrier_wait(&turn);
    for (int i = 0; i < TICKETS_MAX; i++)
        ck_assert(taken[i] != withdrawn[i]);
}

START_TEST(test_tickets_have_one_owner)
{
    pthread_t t;
    int fd;
    theirs = tickets_new(&fd);
    ck_assert(theirs && (ours = tickets_open(fd, false)));
    close(fd);
    ck_assert_int_eq(pthread_barrier_init(&turn, NULL, 2), 0);
    thread_start(&t, "taker", take_all, NULL);
    for (uint64_t i = 0; i < ROUNDS; i++)
        run_round(1 + i * TICKETS_MAX);
    thread_join(t);
    (void)pthread_barrier_destroy(&turn);
    ck_assert(!tickets_withdraw(ours, 1)); /* long gone */
    tickets_close(&ours);
    tickets_close(&theirs);
}
END_TEST

static bool lock(int fd, short type, int how)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    return fcntl(fd, how, &whole) == 0;
}

/* Those of a program: while it takes one the daemon withdraws none. */
START_TEST(test_tickets_may_be_locked)
{
    int fd, ready[2], go[2];
    char c;
    theirs = tickets_new(&fd);
    ck_assert(theirs && (ours = tickets_open(fd, true)));
    ck_assert_int_eq(pipe(ready) | pipe(go), 0);
    tickets_offer(ours, 1);
    tickets_offer(ours, 2);
    if (fork() == 0) { /* such locks are a process's */
        bool ok = lock(fd, F_WRLCK, F_SETLKW) && write(ready[1], "x", 1) == 1 &&
                  read(go[0], &c, 1) == 1 && tickets_take(theirs, 1);
        _exit(!ok);
    }
    ck_assert_int_eq(read(ready[0], &c, 1), 1);
    ck_assert(!tickets_withdraw(ours, 2));
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    int status;
    ck_assert_int_gt(wait(&status), 0);
    ck_assert_int_eq(status, 0);
    ck_assert(!tickets_withdraw(ours, 1));
    ck_assert(tickets_withdraw(ours, 2));
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    close(fd);
    tickets_close(&ours);
    tickets_close(&theirs);
}
END_TEST

/* What might be cut short under the daemon is not looked at. */
START_TEST(test_tickets_must_be_sealed)
{
    int fd = memfd_create("not sealed", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    ck_assert_ptr_null(tickets_open(fd, false));
    close(fd);
}
END_TEST

/* ---- workers ---- */

static struct task_id ids[MANY];
static struct pool_worker *workers;
static size_t n_workers;
static const char *handler, *program; /* what runs the short tasks */
static uint64_t n_short;              /* tasks that setup has run */

static void wait_succeeded(uint64_t n)
{
    wait_for(live_store_stats().finished[TASK_SUCCEEDED] >= n);
}

/* At once, so that they come to the workers together; until these have begun. */
static void submit(int n, const char *input, int64_t timeout_ms)
{
    struct task tasks[MANY];
    struct store_submit o = {.tasks = tasks, .n = (size_t)n};
    uint64_t started = live_stats().lanes[LANE_CPU].started;
    for (int i = 0; i < n; i++) {
        struct task_spec spec = live_spec(handler, LANE_CPU, input, timeout_ms, 0);
        ids[i] = spec.id;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
    }
    ck_assert_int_eq(store_post(live.store, &store_verb_submit, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    for (int i = 0; i < n; i++)
        task_release(&tasks[i]);
    wait_for(live_stats().lanes[LANE_CPU].started >= started + WORKERS);
}

/* Those of the program that have begun, and are idle if that is asked for. */
static bool are_known(bool idle)
{
    free(workers);
    workers = live.view.workers(live.view.ctx, &n_workers);
    size_t n = 0;
    for (size_t i = 0; i < n_workers; i++) {
        if (workers[i].pid > 0 && (!idle || workers[i].state == POOL_WORKER_IDLE) &&
            strcmp(workers[i].program, program) == 0)
            workers[n++] = workers[i];
    }
    return n == WORKERS;
}

/* Until the lane has seen so many short attempts that it claims ahead, and all workers are there.
 */
static void start(void)
{
    live_start(1, WORKERS);
    n_short = 0;
    do {
        submit(SHORT, "1", 100000); /* enough for both */
        n_short += SHORT;
        wait_succeeded(n_short);
    } while (!are_known(false));
    wait_for(are_known(true));
}

static void setup(void)
{
    handler = "echo";
    program = WORKER_BUILTINS_NAME;
    start();
}

static void setup_program(void)
{
    static char file[2 * PATH_MAX];
    (void)snprintf(file, sizeof(file),
                   "{\"scripted\": {\"worker\": [\"%s\", \"worker\", \"ahead\"]}}",
                   scripted_self());
    live_file = file;
    handler = program = "scripted";
    start();
}

static void teardown(void)
{
    free(workers);
    workers = NULL;
    live_stop();
}

static bool is_stopped(pid_t pid)
{
    char path[64], text[512] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY);
    ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
    close(fd);
    return strncmp(strrchr(text, ')'), ") T", 3) == 0;
}

static void stop_workers(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(kill(workers[i].pid, SIGSTOP), 0);
        wait_for(is_stopped(workers[i].pid));
    }
}

static void go_on(size_t i)
{
    ck_assert_int_eq(kill(workers[i].pid, SIGCONT), 0);
}

static void expect(int from, int to, enum task_state state, uint32_t attempt)
{
    for (int i = from; i < to; i++) {
        struct task t = live_wait(ids[i], state);
        ck_assert_uint_eq(t.attempt, attempt);
        task_release(&t);
    }
}

/* More than there are tickets: all but the one that the slow worker has are run by the other. */
START_TEST(test_worker_ahead_is_taken_from_a_slow_worker)
{
    stop_workers(1);
    submit(MANY, "1", 100000);
    wait_succeeded(n_short + MANY - 1);
    ck_assert_uint_eq(live_store_stats().live[LANE_CPU][TASK_QUEUED], 0);
    go_on(0);
    expect(0, MANY, TASK_SUCCEEDED, 1);
    ck_assert_uint_eq(live_stats().workers_died, 0);
}
END_TEST

/* A worker may be slow at any point. */
START_TEST(test_worker_ahead_runs_each_once)
{
    submit(MANY, "1", 100000);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(kill(workers[i % 2].pid, SIGSTOP), 0);
        wait_ms(1); /* any moment will do */
        go_on((size_t)i % 2);
    }
    expect(0, MANY, TASK_SUCCEEDED, 1);
}
END_TEST

START_TEST(test_worker_ahead_comes_back_from_an_ended_worker)
{
    stop_workers(WORKERS);
    submit(FEW, "1", 100000);
    ck_assert_int_eq(kill(workers[0].pid, SIGKILL), 0);
    go_on(1);
    wait_succeeded(n_short + FEW - 1);
    wait_for(live_store_stats().finished[TASK_FAILED] == 1); /* the one that it ran */
    ck_assert_uint_eq(live_store_stats().finished[TASK_SUCCEEDED], n_short + FEW - 1);
    wait_for(live_stats().workers_died == 1);
}
END_TEST

START_TEST(test_worker_ahead_outlives_a_timeout)
{
    struct task_id long_ones[WORKERS];
    uint64_t started = live_stats().lanes[LANE_CPU].started;
    stop_workers(WORKERS);
    for (int i = 0; i < WORKERS; i++) { /* first: later, echo would have its turn */
        long_ones[i] = live_submit("sleep", LANE_CPU, "{\"seconds\":1000}", 30, 0);
        wait_for(live_stats().lanes[LANE_CPU].started > started + (uint64_t)i);
    }
    submit(FEW - WORKERS, "1", 100000);
    for (int i = 0; i < WORKERS; i++) {
        struct task t = live_wait(long_ones[i], TASK_FAILED);
        ck_assert_str_eq(t.outcome->code, "timeout");
        task_release(&t);
    }
    expect(0, FEW - WORKERS, TASK_SUCCEEDED, 1);
}
END_TEST

/* Whether they run, wait in a worker or are with the scheduler: no other task notices. */
START_TEST(test_worker_ahead_may_be_cancelled)
{
    stop_workers(WORKERS);
    submit(FEW, "1", 100000);
    for (int i = FEW - 4; i < FEW; i++)
        live_cancel_any(ids[i]);
    go_on(0);
    go_on(1);
    expect(0, FEW - 4, TASK_SUCCEEDED, 1);
    ck_assert_uint_eq(live_store_stats().finished[TASK_CANCELLED], 4);
    ck_assert_uint_eq(live_stats().workers_died, 0);
}
END_TEST

START_TEST(test_worker_ahead_is_released_by_a_drain)
{
    stop_workers(WORKERS);
    submit(FEW, "1", 100000);
    ck_assert(scheduler_drain(live.s, 10));
    expect(0, FEW, TASK_QUEUED, 0);
}
END_TEST

/* With all that workers and scheduler have in their hands. */
START_TEST(test_worker_ahead_stops_at_any_time)
{
    stop_workers(WORKERS);
    submit(FEW, "1", 100000);
}
END_TEST

/* ---- a worker in C, with the SDK, that writes down what it runs ---- */

static char *runs; /* the directory of the file: an id on each line */
static const char *runs_path;

static void run_in_c(const struct futured_host *host, struct futured_task *task)
{
    char line[80];
    size_t n;
    const void *input = host->input(task, &n);
    int len = snprintf(line, sizeof(line), "%s\n", host->id(task));
    int fd = open(runs_path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd < 0 || write(fd, line, (size_t)len) != len)
        _exit(1);
    close(fd);
    host->done(task, input, n, "application/json");
}

static const struct futured_plugin in_c = {
    .abi = FUTURED_PLUGIN_ABI, .size = sizeof(in_c), .run = run_in_c, .ahead = 1};

static void setup_c(void)
{
    static char file[3 * PATH_MAX];
    runs = dir_new();
    (void)snprintf(file, sizeof(file), "{\"in-c\": {\"worker\": [\"%s\", \"c\", \"%s/runs\"]}}",
                   scripted_self(), runs);
    live_file = file;
    handler = program = "in-c";
    start();
}

static size_t times_run(const char *all, struct task_id id)
{
    char text[ID_TEXT_SIZE];
    id_format(id, text);
    return text_count(all, text);
}

/* Also the answers that nobody waits for are of runs that were not to be. */
static void teardown_c(void)
{
    teardown();
    char *all = dir_read(runs, "runs");
    ck_assert_ptr_nonnull(all);
    for (int i = 0; i < MANY && ids[i].hi; i++)
        ck_assert_uint_le(times_run(all, ids[i]), 1);
    free(all);
    dir_free(&runs);
}

START_TEST(test_worker_ahead_in_c_runs_nothing_cancelled)
{
    struct task_id cancelled[4];
    stop_workers(WORKERS);
    submit(FEW, "1", 100000);
    memcpy(cancelled, ids + FEW - 4, sizeof(cancelled));
    wait_for(live_stats().lanes[LANE_CPU].claimed == FEW);
    for (int i = 0; i < 4; i++)
        live_cancel_any(cancelled[i]);
    wait_for(live_stats().lanes[LANE_CPU].claimed == FEW - 4);
    go_on(0);
    go_on(1);
    expect(0, FEW - 4, TASK_SUCCEEDED, 1);
    submit(SHORT, "1", 100000); /* behind what the workers had */
    expect(0, SHORT, TASK_SUCCEEDED, 1);
    char *all = dir_read(runs, "runs");
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(times_run(all, cancelled[i]), 0);
    ck_assert_uint_eq(text_count(all, "\n"), n_short + FEW - 4 + SHORT);
    free(all);
}
END_TEST

int main(int argc, char **argv)
{
    TCase *t = tcase_create("tickets"), *w = tcase_create("workers"), *p = tcase_create("programs");
    TCase *c = tcase_create("programs in C");
    scripted_main(argc, argv);
    if (argc > 2 && strcmp(argv[1], "c") == 0) {
        runs_path = argv[2];
        return futured_worker_main(&in_c, 0);
    }
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_tickets_have_one_owner);
    tcase_add_test(t, test_tickets_must_be_sealed);
    tcase_add_test(t, test_tickets_may_be_locked);
    tcase_set_timeout(w, 60);
    tcase_add_checked_fixture(w, setup, teardown);
    tcase_add_test(w, test_worker_ahead_is_taken_from_a_slow_worker);
    tcase_add_test(w, test_worker_ahead_runs_each_once);
    tcase_add_test(w, test_worker_ahead_comes_back_from_an_ended_worker);
    tcase_add_test(w, test_worker_ahead_outlives_a_timeout);
    tcase_add_test(w, test_worker_ahead_may_be_cancelled);
    tcase_add_test(w, test_worker_ahead_is_released_by_a_drain);
    tcase_add_test(w, test_worker_ahead_stops_at_any_time);
    tcase_set_timeout(p, 60);
    tcase_add_checked_fixture(p, setup_program, teardown);
    tcase_add_test(p, test_worker_ahead_is_taken_from_a_slow_worker);
    tcase_add_test(p, test_worker_ahead_runs_each_once);
    tcase_add_test(p, test_worker_ahead_comes_back_from_an_ended_worker);
    tcase_add_test(p, test_worker_ahead_may_be_cancelled);
    tcase_add_test(p, test_worker_ahead_is_released_by_a_drain);
    tcase_add_test(p, test_worker_ahead_stops_at_any_time);
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup_c, teardown_c);
    tcase_add_test(c, test_worker_ahead_is_taken_from_a_slow_worker);
    tcase_add_test(c, test_worker_ahead_runs_each_once);
    tcase_add_test(c, test_worker_ahead_comes_back_from_an_ended_worker);
    tcase_add_test(c, test_worker_ahead_in_c_runs_nothing_cancelled);
    tcase_add_test(c, test_worker_ahead_is_released_by_a_drain);
    tcase_add_test(c, test_worker_ahead_stops_at_any_time);
    return suite_run_cases("worker_ahead", t, w, p, c, NULL);
}
