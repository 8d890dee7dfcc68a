/* Cancels that race with ends, and workers that are killed at random while they work. Whatever
 * happens, each task has exactly one end, nobody else's task suffers, and no process is left.
 * FUT_CANCELS and FUT_KILLS say how many (`make chaos`). */
#include <fcntl.h>
#include <limits.h>

#include "core/log.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/live.h"
#include "tests/unit/workers/scripted.h"

#define ROUND 500 /* tasks of one live, of which half are cancelled by each of two tests */
#define KILLS 50
#define WORKERS 3

static int how_many(const char *name, int usual)
{
    const char *text = getenv(name);
    return text ? (int)strtol(text, NULL, 10) : usual;
}

static void build(const char *key)
{
    static char file[2 * PATH_MAX];
    (void)snprintf(file, sizeof(file), "{\"scripted\": {\"worker\": [\"%s\", \"worker\"%s]}}",
                   scripted_self(), key);
    live_file = file;
    live_start(1, WORKERS);
    struct task_id id = live_submit("scripted", LANE_CPU, "up", 60000, 0);
    struct task t = live_wait(id, TASK_SUCCEEDED);
    task_release(&t);
}

/* The fork server's children now; out holds 64. */
static size_t children_of(pid_t parent, int out[64])
{
    char path[64], text[4096];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    char *at = text, *end;
    for (long pid; n < 64 && (pid = strtol(at, &end, 10)) > 0 && end != at; at = end)
        out[n++] = (int)pid;
    return n;
}

static struct task wait_final(struct task_id id)
{
    struct task copy;
    mutex_lock(&live.mu);
    while (!task_state_is_final(live_slot(id)->state))
        cond_wait(&live.changed, &live.mu);
    task_copy(&copy, live_slot(id));
    mutex_unlock(&live.mu);
    return copy;
}

/* WORKERS processes of the program, and one of the built-ins. One that was killed before its
 * greeting comes again after two seconds only. */
static void wait_pool_at_its_size(void)
{
    while (live_stats().workers_alive < WORKERS + 1) {
        struct task_id id = live_submit("sleep", LANE_IO, "{\"ms\":20}", 60000, 0);
        struct task t = wait_final(id);
        task_release(&t);
    }
    ck_assert_uint_eq(live_stats().workers_alive, WORKERS + 1);
}

static void stop_and_look_for_strays(void)
{
    int remaining[64];
    pid_t fork_server = fork_server_pid(live.fs);
    live_stop();
    ck_assert_uint_eq(children_of(fork_server, remaining), 0);
}

/* ---- cancels --------------------------------------------------------------------------------- */

struct cancel {
    struct store_apply op;
    struct task_outcome *why;
};

static atomic_int cancels_open, cancels_true;
static int cancels_sent, cancels_in_time;

static void on_cancelled(struct store_op *op)
{
    struct cancel *c = FUT_CONTAINER(op, struct cancel, op.op);
    ck_assert(op->rc == 0 || op->rc == FUT_ERR_STALE);
    if (op->rc == 0)
        atomic_fetch_add(&cancels_true, 1);
    task_release(&c->op.task);
    task_outcome_unref(c->why);
    free(c);
    atomic_fetch_sub(&cancels_open, 1);
}

/* From the snapshot that a client has read; the task may have ended since. Takes c. */
static void cancel(struct cancel *c)
{
    struct task_in in = {.outcome = c->why};
    if (task_apply(&c->op.task, EVENT_CANCEL, &in, &c->op.change) != 0) {
        task_release(&c->op.task); /* it was over then */
        task_outcome_unref(c->why);
        free(c);
        return;
    }
    atomic_fetch_add(&cancels_open, 1);
    cancels_sent++;
    ck_assert_int_eq(store_post(live.store, &store_verb_apply, &c->op.op, on_cancelled), 0);
}

static struct cancel *read_for_cancel(struct task_id id)
{
    struct cancel *c = xnew(struct cancel);
    c->why = task_outcome_error("cancelled", "cancelled by its client");
    mutex_lock(&live.mu);
    task_copy(&c->op.task, live_slot(id));
    mutex_unlock(&live.mu);
    return c;
}

static void wait_begun(struct task_id id)
{
    mutex_lock(&live.mu);
    while (live_slot(id)->state == TASK_QUEUED)
        cond_wait(&live.changed, &live.mu);
    mutex_unlock(&live.mu);
}

/* The snapshot is read when the task begins or before; the cancel comes then, or when its neighbour
 * has ended, which is as near to its own end as can be. */
static void cancel_about_its_end(const struct task_id *ids, int i)
{
    if (i % 8)
        wait_begun(ids[i]);
    struct cancel *c = read_for_cancel(ids[i]);
    if (i % 8 >= 4) {
        struct task t = wait_final(ids[i - 1]);
        task_release(&t);
    }
    cancel(c);
}

/* Every second task is cancelled. The others must not be hit. */
static void race(int n)
{
    struct task_id ids[ROUND];
    int cancelled = 0;
    atomic_store(&cancels_true, 0);
    for (int i = 0; i < n; i++) {
        ids[i] = live_submit(i % 4 < 2 ? "scripted" : "sha256", LANE_CPU, "x", 60000, 0);
        if (i % 2 == 0)
            cancel_about_its_end(ids, i);
    }
    for (int i = 0; i < n; i++) {
        struct task t = wait_final(ids[i]);
        ck_assert_msg(i % 2 == 0 || t.state == TASK_SUCCEEDED, "%s", t.outcome->message);
        ck_assert(t.state != TASK_FAILED);
        cancelled += t.state == TASK_CANCELLED;
        task_release(&t);
    }
    struct task_id last = live_submit("scripted", LANE_CPU, "x", 60000, 0);
    struct task t = wait_final(last); /* every cancel was answered before */
    task_release(&t);
    ck_assert_int_eq(atomic_load(&cancels_open), 0);
    ck_assert_int_eq(atomic_load(&cancels_true), cancelled);
    cancels_in_time += cancelled;
}

static void race_in_a_live_one(const char *key)
{
    build(key);
    race(ROUND);
    wait_pool_at_its_size();
    stop_and_look_for_strays();
    printf("%d cancels sent, %d of them in time\n", cancels_sent, cancels_in_time);
}

START_TEST(test_chaos_cancels_that_kill)
{
    race_in_a_live_one("");
}
END_TEST

START_TEST(test_chaos_cancels_that_ask)
{
    race_in_a_live_one(", \"cancel=1\"");
}
END_TEST

/* ---- kills ----------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* kill -9 of a random process, again and again, under load. */
static int kill_some(int n, uint32_t *random)
{
    int pids[64], failed = 0;
    struct task_id ids[ROUND];
    for (int i = 0; i < n; i++) {
        ids[i] = live_submit(i % 2 ? "scripted" : "sha256", LANE_CPU, "x", 60000, 0);
        size_t found = i % 4 ? 0 : children_of(fork_server_pid(live.fs), pids);
        if (found)
            (void)kill(pids[next_random(random) % found], SIGKILL);
        if (i >= 8) { /* a load, and not all at once */
            struct task t = wait_final(ids[i - 8]);
            task_release(&t);
        }
    }
    for (int i = 0; i < n; i++) {
        struct task t = wait_final(ids[i]);
        ck_assert(t.state == TASK_SUCCEEDED || t.state == TASK_FAILED);
        if (t.state == TASK_FAILED) {
            failed++;
            ck_assert_str_eq(t.outcome->code, "worker_died");
            ck_assert_int_eq(t.outcome->signal, SIGKILL);
        }
        ck_assert_uint_eq(t.attempt, 1);
        task_release(&t);
    }
    return failed;
}

START_TEST(test_chaos_kills)
{
    uint32_t random = (uint32_t)_i + 1;
    build("");
    int failed = kill_some(KILLS * 4, &random);
    wait_pool_at_its_size();
    stop_and_look_for_strays();
    printf("%d kills, of which %d ended a task\n", KILLS, failed);
}
END_TEST

/* Each round is a process of its own. */
static int rounds(const char *name, int usual, int per_round)
{
    return (how_many(name, usual) + per_round - 1) / per_round;
}

int main(int argc, char **argv)
{
    scripted_main(argc, argv);
    log_set_level(LOG_LEVEL_ERROR);
    TCase *t = suite_case("chaos", 120, NULL, NULL);
    int cancel_rounds = rounds("FUT_CANCELS", ROUND, ROUND);
    tcase_add_loop_test(t, test_chaos_cancels_that_kill, 0, cancel_rounds);
    tcase_add_loop_test(t, test_chaos_cancels_that_ask, 0, cancel_rounds);
    tcase_add_loop_test(t, test_chaos_kills, 0, rounds("FUT_KILLS", KILLS, KILLS));
    return suite_run_cases("worker_chaos", t, NULL);
}
