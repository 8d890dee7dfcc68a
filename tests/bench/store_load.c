/* store_load: what enqueueing, claiming and handing over cost a store on which much waits. The
 * tasks are spread over so many fairness keys, each a waiting line of its own; with --limit they
 * all name one limit, and the time is taken from the end of a task to the start of the next one.
 *   store_load --queued 1000000 --keys 100000
 *   store_load --queued 100000 --limit 10
 * Prints one line of JSON. CPU times are of the whole process: the writer and whoever posts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/sync.h"
#include "storage/limit.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "tests/support/samples.h"

#define FILL_STEP 1000 /* tasks of one submission while the store is filled */
#define GROUP 100      /* operations at once, or tasks of one claim */

static struct {
    struct mutex mu;
    struct cond cond;
    size_t pending; /* guarded by mu */
} posted = {{PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_COND_INITIALIZER}, 0};

static struct store *store;
static char dir[] = "/tmp/futured-bench-XXXXXX";

static void on_done(struct store_op *op)
{
    if (op->rc != 0)
        fail("store_load: an operation failed: %s", fut_err_name(op->rc));
    mutex_lock(&posted.mu);
    posted.pending--;
    cond_signal(&posted.cond);
    mutex_unlock(&posted.mu);
}

static void post(const struct store_verb *verb, struct store_op *op)
{
    mutex_lock(&posted.mu);
    posted.pending++;
    mutex_unlock(&posted.mu);
    if (store_post(store, verb, op, on_done) != 0)
        fail("store_load: an operation was refused");
}

static void wait_all(void)
{
    mutex_lock(&posted.mu);
    while (posted.pending)
        cond_wait(&posted.cond, &posted.mu);
    mutex_unlock(&posted.mu);
}

static struct task make_task(size_t i, size_t keys, const char *limits)
{
    char key[32];
    (void)snprintf(key, sizeof(key), "tenant-%zu", keys ? i % keys : 0);
    return (struct task){.state = TASK_QUEUED,
                         .spec = task_spec_new(&(struct task_spec){
                             .id = id_new(),
                             .lane = LANE_IO,
                             .timeout_ms = 60000,
                             .created_wall_ms = clock_wall_ms(),
                             .handler = "echo",
                             .input_type = CONTENT_TEXT,
                             .input = (const unsigned char *)"x",
                             .input_len = 1,
                             .fair_key = keys ? key : NULL,
                             .limits = limits,
                         })};
}

static void submit(size_t n, size_t keys, const char *limits)
{
    static struct task tasks[FILL_STEP];
    for (size_t at = 0; at < n;) {
        size_t step = n - at < FILL_STEP ? n - at : FILL_STEP;
        for (size_t i = 0; i < step; i++)
            tasks[i] = make_task(at + i, keys, limits);
        struct store_submit o = {.tasks = tasks, .n = step};
        post(&store_verb_submit, &o.op);
        wait_all();
        for (size_t i = 0; i < step; i++)
            task_release(&tasks[i]);
        at += step;
    }
}

static double cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* So many groups of single submissions that arrive together. */
static double enqueue_cpu_us(size_t groups, size_t keys)
{
    static struct task tasks[GROUP];
    static struct store_submit ops[GROUP];
    double used = 0;
    for (size_t g = 0; g < groups; g++) {
        for (size_t i = 0; i < GROUP; i++) {
            tasks[i] = make_task(g * 7919 + i, keys, NULL);
            ops[i] = (struct store_submit){.tasks = &tasks[i], .n = 1};
        }
        double from = cpu_us();
        for (size_t i = 0; i < GROUP; i++)
            post(&store_verb_submit, &ops[i].op);
        wait_all();
        used += cpu_us() - from;
        for (size_t i = 0; i < GROUP; i++)
            task_release(&tasks[i]);
    }
    return used / (double)(groups * GROUP);
}

static double claim_cpu_us(size_t groups)
{
    static struct task tasks[GROUP];
    double used = 0;
    size_t n = 0;
    for (size_t g = 0; g < groups; g++) {
        struct store_claim o = {.lane = LANE_IO, .max = GROUP, .tasks = tasks};
        double from = cpu_us();
        post(&store_verb_claim, &o.op);
        wait_all();
        used += cpu_us() - from;
        n += o.n;
        for (size_t i = 0; i < o.n; i++)
            task_release(&tasks[i]);
    }
    return used / (double)n;
}

/* From the end of a task to the start of the next one, while `running` of them run. */
static void measure_starts(size_t rounds, size_t running, struct samples *took)
{
    struct task *tasks = xcalloc(running, sizeof(*tasks));
    struct store_claim first = {.lane = LANE_IO, .max = running, .tasks = tasks};
    post(&store_verb_claim, &first.op);
    wait_all();
    if (first.n != running)
        fail("store_load: %zu tasks run, not %zu", first.n, running);
    for (size_t i = 0; i < rounds; i++) {
        struct task *ends = &tasks[i % running], next;
        struct task_outcome *o =
            task_outcome_new(&(struct task_outcome){.type = CONTENT_TEXT,
                                                    .body = (const unsigned char *)"x",
                                                    .body_len = 1,
                                                    .exit_code = -1});
        struct store_apply end = {.task = *ends};
        struct store_claim claim = {.lane = LANE_IO, .max = 1, .tasks = &next};
        FUT_MUST(task_apply(ends, EVENT_SUCCEED, &(struct task_in){.outcome = o}, &end.change) ==
                 0);
        int64_t from_us = clock_mono_us();
        post(&store_verb_apply, &end.op);
        post(&store_verb_claim, &claim.op);
        wait_all();
        samples_add(took, clock_mono_us() - from_us);
        task_outcome_unref(o);
        task_release(&end.task);
        *ends = next;
    }
    for (size_t i = 0; i < running; i++)
        task_release(&tasks[i]);
    free(tasks);
}

static void open_store(char *path, size_t size)
{
    struct fut_errbuf err = {""};
    if (!mkdtemp(dir))
        fail("store_load: no directory can be made in /tmp");
    (void)snprintf(path, size, "%s/q.db", dir);
    struct store_config cfg = {
        .backend = "sqlite", .path = path, .readers = 1, .max_queued = 10000000};
    if (store_open(&cfg, &store, &err) != 0)
        fail("store_load: %s", err.text);
    store_start(store);
}

static void close_store(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".reserve"};
    char file[128];
    store_stop_claims(store);
    store_stop(store);
    store_close(&store);
    for (size_t i = 0; i < FUT_COUNT(ends); i++) {
        (void)snprintf(file, sizeof(file), "%s%s", path, ends[i]);
        (void)unlink(file);
    }
    (void)rmdir(dir);
}

int main(int argc, char **argv)
{
    double queued = 100000, keys = 0, rounds = 100, limit = 0, running = 10;
    const struct option_row rows[] = {
        {"queued", NULL, &queued, "tasks that wait"},
        {"keys", NULL, &keys, "fairness keys that they are of; 0: none"},
        {"rounds", NULL, &rounds,
         "groups of 100 that are enqueued and claimed; or hand-overs / 10"},
        {"running", NULL, &running, "tasks that run while they are handed over"},
        {"limit", NULL, &limit, "1: hand over under a limit of so many as run; 2: without one"},
    };
    char path[64];
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    open_store(path, sizeof(path));
    if (limit > 0) {
        struct store_limit_put o = {.limit = {.name = "api",
                                              .max_running = (uint32_t)running,
                                              .rate_per_ms = 1000,
                                              .rate_burst = 1}};
        struct samples took = {0};
        post(&store_verb_limit_put, &o.op);
        wait_all();
        submit((size_t)queued, 0, limit < 2 ? "api" : NULL);
        measure_starts((size_t)rounds * 10, (size_t)running, &took);
        printf("{\"queued\":%.0f,\"limited\":%s,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n", queued,
               limit < 2 ? "true" : "false", samples_ms(&took, 0.5), samples_ms(&took, 0.99));
        samples_release(&took);
    } else {
        submit((size_t)queued, (size_t)keys, NULL);
        double enqueue_us = enqueue_cpu_us((size_t)rounds, (size_t)keys);
        printf("{\"queued\":%.0f,\"keys\":%.0f,\"enqueue_cpu_us\":%.1f,\"claim_cpu_us\":%.1f}\n",
               queued, keys, enqueue_us, claim_cpu_us((size_t)rounds));
    }
    close_store(path);
    return 0;
}
