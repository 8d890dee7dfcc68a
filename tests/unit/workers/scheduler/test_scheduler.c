/* The scheduler over the real memory store: every way a task can go, as a client would see it. */
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

/* It is the lowest one. */
static bool is_free(void *fd)
{
    int lowest = dup(STDIN_FILENO);
    (void)close(lowest);
    return lowest == *(int *)fd;
}

/* Makes a scheduler while so many descriptors more than now can be had, and frees it again. */
static int make_with(rlim_t spare, struct store *store, struct fut_errbuf *err)
{
    struct scheduler_config cfg = {.store = store,
                                   .handlers = live.handlers,
                                   .fs = live.fs,
                                   .max_threads = 1,
                                   .max_workers = 1};
    struct scheduler *s = NULL;
    struct rlimit before, low;
    int next = dup(STDIN_FILENO); /* the lowest that is free */
    ck_assert_int_ge(next, 0);
    ck_assert_int_eq(close(next), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){(rlim_t)next + spare, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    int rc = scheduler_new(&cfg, &s, err);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert(!s == (rc != 0));
    scheduler_free(&s);
    ck_assert(wait_until(is_free, &next, WAIT_LONG_MS)); /* other threads have one for a moment */
    return rc;
}

START_TEST(test_scheduler_without_descriptors_says_so)
{
    struct store_config sc = {.backend = "memory", .readers = 1, .max_queued = 10};
    struct store *store;
    struct fut_errbuf err;
    rlim_t spare = 0;
    ck_assert_int_eq(store_open(&sc, &store, &err), 0);
    for (; make_with(spare, store, &err) != 0 && spare < 100; spare++)
        ck_assert_str_eq(err.text, "the scheduler: Too many open files");
    ck_assert_uint_ge(spare, 4);
    ck_assert_uint_lt(spare, 100);
    store_close(&store);
}
END_TEST

static void setup(void)
{
    live_start(4, 2);
}

static void teardown(void)
{
    live_stop();
}

static const struct {
    const char *handler;
    enum lane lane;
    const char *input, *body;
} successes[] = {
    {"echo", LANE_IO, "{\"a\":1}", "{\"a\":1}"},
    {"echo", LANE_CPU, "{\"a\":1}", "{\"a\":1}"},
    {"primes", LANE_CPU, "{\"below\":100}", "{\"below\":100,\"count\":25,\"largest\":97}"},
    {"primes", LANE_IO, "{\"below\":100}", "{\"below\":100,\"count\":25,\"largest\":97}"},
    {"upper", LANE_CPU, "hello", "HELLO"},
    {"upper", LANE_IO, "hello", "HELLO"},
};

START_TEST(test_scheduler_success)
{
    struct task_id id =
        live_submit(successes[_i].handler, successes[_i].lane, successes[_i].input, 10000, 0);
    struct task t = live_wait(id, TASK_SUCCEEDED);
    ck_assert_str_eq((const char *)t.outcome->body, successes[_i].body);
    ck_assert_uint_eq(t.attempt, 1);
    task_release(&t);
}
END_TEST

static const struct {
    const char *handler;
    enum lane lane;
    const char *input, *code;
    int exit_code;
} failures[] = {
    {"fails", LANE_CPU, "", "exit", 4},
    {"later", LANE_IO, "", "exit", 75}, /* no retries left: final */
    {"primes", LANE_CPU, "{\"below\":\"x\"}", "bad_input", -1},
    {"primes", LANE_IO, "{\"below\":\"x\"}", "bad_input", -1},
    {"vanished", LANE_IO, "", "unknown_handler", -1},
    {"vanished", LANE_CPU, "", "unknown_handler", -1},
};

START_TEST(test_scheduler_failure)
{
    struct task_id id =
        live_submit(failures[_i].handler, failures[_i].lane, failures[_i].input, 10000, 0);
    struct task t = live_wait(id, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, failures[_i].code);
    ck_assert_int_eq(t.outcome->exit_code, failures[_i].exit_code);
    if (strcmp(failures[_i].handler, "fails") == 0)
        ck_assert_str_eq(t.outcome->log, "because\n");
    task_release(&t);
}
END_TEST

START_TEST(test_scheduler_retries_later)
{
    struct task_id id = live_submit("later", LANE_CPU, "", 10000, 1);
    struct task t = live_wait(id, TASK_SCHEDULED);
    ck_assert_uint_eq(t.attempt, 1);
    ck_assert_int_ge(t.due_wall_ms, t.started_wall_ms + 1000);
    task_release(&t);
    t = live_wait(id, TASK_FAILED); /* the second attempt was the last */
    ck_assert_uint_eq(t.attempt, 2);
    ck_assert_int_eq(t.outcome->exit_code, 75);
    task_release(&t);
}
END_TEST

static const struct {
    const char *handler;
    enum lane lane;
    const char *input;
} endless[] = {
    {"sleep", LANE_IO, "{\"seconds\":1000}"},
    {"sleep", LANE_CPU, "{\"seconds\":1000}"},
    {"long", LANE_IO, ""},
    {"stubborn", LANE_CPU, ""}, /* ends by KILL only */
};

START_TEST(test_scheduler_timeout)
{
    struct task_id id =
        live_submit(endless[_i].handler, endless[_i].lane, endless[_i].input, 100, 3);
    struct task t = live_wait(id, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "timeout");
    ck_assert_ptr_nonnull(strstr(t.outcome->message, "0.1 s"));
    ck_assert_uint_eq(t.attempt, 1);
    task_release(&t);
}
END_TEST

/* Until so many attempts run: the store says "running" a moment before they do. */
static void wait_busy(uint32_t n)
{
    wait_for(live_stats().lanes[LANE_IO].busy + live_stats().lanes[LANE_CPU].busy == n);
}

START_TEST(test_scheduler_cancel_frees_the_slot)
{
    struct task_id ids[4], next;
    for (int i = 0; i < 4; i++)
        ids[i] = live_submit(endless[_i].handler, endless[_i].lane, endless[_i].input, 1000000, 0);
    next = live_submit("echo", endless[_i].lane, "1", 10000, 0);
    for (int i = 0; i < 4; i++)
        live_cancel(ids[i]); /* waits for each to run: two by two on the cpu lane */
    struct task t = live_wait(next, TASK_SUCCEEDED);
    task_release(&t);
    wait_busy(0);
    for (int i = 0; i < 4; i++) {
        t = live_wait(ids[i], TASK_CANCELLED);
        ck_assert_str_eq(t.outcome->code, "cancelled");
        task_release(&t);
    }
    ck_assert_uint_eq(live_stats().workers_died, 0);
}
END_TEST

START_TEST(test_scheduler_never_runs_more_than_the_slots)
{
    enum { MANY = 12 };
    struct task_id ids[MANY];
    for (int i = 0; i < MANY; i++)
        ids[i] = live_submit("sleep", LANE_IO, "{\"ms\":20}", 10000, 0);
    for (int i = 0; i < MANY; i++) {
        struct task t = live_wait(ids[i], TASK_SUCCEEDED);
        ck_assert_uint_le(live_stats().lanes[LANE_IO].busy, 4);
        task_release(&t);
    }
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].started, MANY);
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].capacity, 4);
    ck_assert_uint_eq(live_stats().lanes[LANE_CPU].capacity, 2);
}
END_TEST

START_TEST(test_scheduler_many_on_both_lanes)
{
    enum { MANY = 400 };
    struct task_id ids[MANY];
    for (int i = 0; i < MANY; i++)
        ids[i] = live_submit("echo", i % 2 ? LANE_IO : LANE_CPU, "\"x\"", 10000, 0);
    for (int i = 0; i < MANY; i++) {
        struct task t = live_wait(ids[i], TASK_SUCCEEDED);
        ck_assert_uint_eq(t.attempt, 1);
        task_release(&t);
    }
}
END_TEST

/* The fork server's children, found as an operator would. */
static pid_t some_worker(void)
{
    char path[64], list[4096], *end;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)fork_server_pid(live.fs),
                   (int)fork_server_pid(live.fs));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t n = read(fd, list, sizeof(list) - 1);
    ck_assert_int_gt(n, 0);
    list[n] = '\0';
    close(fd);
    return (pid_t)strtol(list, &end, 10);
}

START_TEST(test_scheduler_worker_crash_fails_one_task)
{
    (void)live_submit("sleep", LANE_CPU, "{\"ms\":300}", 10000, 0);
    (void)live_submit("sleep", LANE_CPU, "{\"ms\":300}", 10000, 0);
    wait_busy(2);
    wait_for(live_stats().workers_alive >= 2);
    ck_assert_int_eq(kill(some_worker(), SIGSEGV), 0);
    wait_for(live_stats().workers_died >= 1);
    struct task_id c = live_submit("echo", LANE_CPU, "1", 10000, 0);
    struct task t = live_wait(c, TASK_SUCCEEDED);
    task_release(&t);
    wait_busy(0);
    wait_for(live_store_stats().finished[TASK_SUCCEEDED] +
                 live_store_stats().finished[TASK_FAILED] >=
             3);
    struct store_stats st = live_store_stats();
    ck_assert_uint_eq(st.finished[TASK_FAILED], 1);
    ck_assert_uint_eq(st.finished[TASK_SUCCEEDED], 2);
}
END_TEST

/* What `retries` without `retry_on` covers. */
START_TEST(test_scheduler_worker_crash_is_tried_again)
{
    struct task_id ids[2];
    for (int i = 0; i < 2; i++)
        ids[i] = live_submit("sleep", LANE_CPU, "{\"ms\":300}", 10000, 1);
    wait_busy(2);
    wait_for(live_stats().workers_alive >= 2);
    ck_assert_int_eq(kill(some_worker(), SIGSEGV), 0);
    uint32_t attempts = 0;
    for (int i = 0; i < 2; i++) {
        struct task t = live_wait(ids[i], TASK_SUCCEEDED);
        attempts += t.attempt;
        task_release(&t);
    }
    ck_assert_uint_eq(attempts, 3);
}
END_TEST

/* ---- draining ---- */

START_TEST(test_scheduler_drain_waits_for_what_ends_in_time)
{
    struct task_id id = live_submit("sleep", LANE_IO, "{\"ms\":100}", 10000, 0);
    wait_busy(1);
    ck_assert(scheduler_drain(live.s, 5000));
    struct task t = live_wait(id, TASK_SUCCEEDED);
    task_release(&t);
}
END_TEST

START_TEST(test_scheduler_drain_gives_back_uncharged)
{
    struct task_id ids[4];
    for (size_t i = 0; i < 4; i++)
        ids[i] = live_submit(endless[i].handler, i % 2 ? LANE_CPU : LANE_IO, endless[i].input,
                             1000000, 0);
    wait_busy(4);
    ck_assert(scheduler_drain(live.s, 10));
    for (int i = 0; i < 4; i++) {
        struct task t = live_wait(ids[i], TASK_QUEUED);
        ck_assert_uint_eq(t.attempt, 0);
        task_release(&t);
    }
}
END_TEST

START_TEST(test_scheduler_takes_nothing_after_stop_claiming)
{
    struct task_id before = live_submit("echo", LANE_IO, "1", 10000, 0);
    struct task t = live_wait(before, TASK_SUCCEEDED);
    task_release(&t);
    scheduler_stop_claiming(live.s);
    ck_assert(scheduler_drain(live.s, 1000)); /* now every claim has come back */
    struct task_id after = live_submit("echo", LANE_IO, "1", 10000, 0);
    t = live_wait(after, TASK_QUEUED);
    ck_assert_uint_eq(live_stats().lanes[LANE_IO].started, 1);
    task_release(&t);
}
END_TEST

START_TEST(test_scheduler_fork_server_death_is_told)
{
    struct pollfd p = {.fd = scheduler_broken_fd(live.s), .events = POLLIN};
    struct task_id a = live_submit("sleep", LANE_CPU, "{\"seconds\":1000}", 1000000, 0);
    struct task_id b = live_submit("long", LANE_IO, "", 1000000, 0);
    wait_busy(2);
    ck_assert(!scheduler_broken(live.s));
    ck_assert_int_eq(kill(fork_server_pid(live.fs), SIGKILL), 0);
    ck_assert_int_eq(poll(&p, 1, -1), 1);
    ck_assert(scheduler_broken(live.s));
    ck_assert(scheduler_drain(live.s, 1000));
    struct task t = live_wait(a, TASK_QUEUED); /* no fault of the tasks */
    task_release(&t);
    t = live_wait(b, TASK_QUEUED);
    task_release(&t);
}
END_TEST

/* No drain: what runs is killed, nothing leaks, nothing hangs. */
START_TEST(test_scheduler_stop_without_drain)
{
    for (size_t i = 0; i < 4; i++)
        (void)live_submit(endless[i].handler, i % 2 ? LANE_CPU : LANE_IO, endless[i].input, 1000000,
                          0);
    wait_busy(4);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_scheduler_success, FUT_COUNT(successes)},
        {test_scheduler_failure, FUT_COUNT(failures)},
        {test_scheduler_retries_later, 0},
        {test_scheduler_timeout, FUT_COUNT(endless)},
        {test_scheduler_cancel_frees_the_slot, FUT_COUNT(endless)},
        {test_scheduler_never_runs_more_than_the_slots, 0},
        {test_scheduler_many_on_both_lanes, 0},
        {test_scheduler_worker_crash_fails_one_task, 0},
        {test_scheduler_worker_crash_is_tried_again, 0},
        {test_scheduler_drain_waits_for_what_ends_in_time, 0},
        {test_scheduler_drain_gives_back_uncharged, 0},
        {test_scheduler_takes_nothing_after_stop_claiming, 0},
        {test_scheduler_fork_server_death_is_told, 0},
        {test_scheduler_stop_without_drain, 0},
        {test_scheduler_without_descriptors_says_so, 0},
    };
    return suite_run_rows("scheduler", 60, setup, teardown, rows, FUT_COUNT(rows));
}
