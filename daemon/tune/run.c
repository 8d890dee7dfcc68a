#include "daemon/tune/run.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/proc.h"
#include "core/sync.h"
#include "storage/store.h"
#include "workers/fork/server.h"
#include "workers/scheduler/scheduler.h"

#define SHORT_MS 50 /* tasks below this wait in a queue, so that no slot waits for them */
#define QUEUE 64

struct tune_run {
    struct tune_task task;
    struct fork_server *fork_server;
    struct store *store;
    struct scheduler *scheduler;
    struct pool_view pools;
    uint64_t submitted;
    uint64_t rss_bytes; /* of this step */
    struct mutex mu;
    struct cond changed;
    uint64_t ended;    /* guarded by mu, as all below */
    int64_t ended_us;  /* when the latest did */
    uint64_t peak_kib; /* the largest program of this step */
    bool has_failed;
    struct fut_errbuf why;
};

/* ---- what becomes of the tasks ----------------------------------------------------------------
 */

/* mu held. */
static void take_end(struct tune_run *t, const struct store_change *c)
{
    const struct task_outcome *o = c->task ? c->task->outcome : NULL;
    t->ended++;
    t->ended_us = clock_mono_us();
    if (o && o->max_rss_kib > t->peak_kib)
        t->peak_kib = o->max_rss_kib;
    if (c->state == TASK_SUCCEEDED || t->has_failed)
        return;
    t->has_failed = true;
    (void)fut_fail(&t->why, FUT_ERR_STATE, "a task failed: %s: %.300s",
                   o && o->code ? o->code : "unknown", o && o->message ? o->message : "");
}

/* The store's writer thread. */
static void on_change(void *ctx, const struct store_change *changes, size_t n)
{
    struct tune_run *t = ctx;
    mutex_lock(&t->mu);
    for (size_t i = 0; i < n; i++) {
        if (task_state_is_final(changes[i].state))
            take_end(t, &changes[i]);
    }
    cond_signal(&t->changed);
    mutex_unlock(&t->mu);
}

struct post {
    struct store_submit op;
    struct task task;
};

static void posted(struct store_op *op)
{
    struct post *p = FUT_CONTAINER(op, struct post, op.op);
    task_release(&p->task);
    free(p);
}

static void submit(struct tune_run *t)
{
    const struct handler_info *h = &t->task.handler->info;
    struct post *p = xnew(struct post);
    p->task.state = TASK_QUEUED;
    p->task.spec = task_spec_new(&(struct task_spec){.id = id_new(),
                                                     .lane = t->task.lane,
                                                     .timeout_ms = h->timeout_ms,
                                                     .created_wall_ms = clock_wall_ms(),
                                                     .handler = h->name,
                                                     .input_type = t->task.input_type,
                                                     .input = t->task.input,
                                                     .input_len = t->task.input_len});
    p->op.tasks = &p->task;
    p->op.n = 1;
    FUT_MUST(store_post(t->store, &store_verb_submit, &p->op.op, posted) ==
             0); /* some hundred wait at most */
    t->submitted++;
}

/* Waits for an end beyond `seen`; false when a task has failed. */
static bool wait_end(struct tune_run *t, uint64_t seen, uint64_t *out_ended, int64_t *out_us)
{
    mutex_lock(&t->mu);
    while (t->ended <= seen && !t->has_failed)
        cond_wait(&t->changed, &t->mu);
    *out_ended = t->ended;
    *out_us = t->ended_us;
    bool well = !t->has_failed;
    mutex_unlock(&t->mu);
    return well;
}

/* ---- a step -----------------------------------------------------------------------------------
 */

static void look_at_workers(struct tune_run *t)
{
    const char *program = t->task.handler->fn ? "futured" : t->task.handler->info.name;
    struct proc_stat usage;
    size_t n;
    struct pool_worker *all = t->pools.workers(t->pools.ctx, &n);
    for (size_t i = 0; i < n; i++) {
        if (all[i].lane == t->task.lane && strcmp(all[i].program, program) == 0 &&
            proc_stat_read(all[i].pid, &usage) && usage.rss_bytes > t->rss_bytes)
            t->rss_bytes = usage.rss_bytes;
    }
    free(all);
}

/* A program that lasts for one task has told when it ended. */
static void look_at_memory(struct tune_run *t)
{
    look_at_workers(t);
    mutex_lock(&t->mu);
    if (t->peak_kib * 1024 > t->rss_bytes)
        t->rss_bytes = t->peak_kib * 1024;
    mutex_unlock(&t->mu);
}

/* Lets everything end that is on its way. */
static bool wait_all(struct tune_run *t, uint64_t *out_ended)
{
    int64_t us;
    mutex_lock(&t->mu);
    *out_ended = t->ended;
    bool well = !t->has_failed;
    mutex_unlock(&t->mu);
    while (well && *out_ended < t->submitted)
        well = wait_end(t, *out_ended, out_ended, &us);
    return well;
}

/* A wave that does not count: the slots are there afterwards, and their processes are warm. */
static bool warm_up(struct tune_run *t, uint32_t slots, uint64_t *out_ended, int64_t *out_ms)
{
    int64_t begin = clock_mono_ms();
    t->pools.change(t->pools.ctx, t->task.lane,
                    &(struct pool_wish){.sets_capacity = true, .capacity = slots});
    for (uint32_t i = 0; i < slots; i++)
        submit(t);
    bool well = wait_all(t, out_ended);
    *out_ms = clock_mono_ms() - begin;
    return well;
}

static bool measure(struct tune_run *t, uint32_t slots, int64_t min_us, uint64_t queue,
                    struct tune_step *out)
{
    uint64_t begin_n, n;
    int64_t begin_us = clock_mono_us(), now_us = begin_us;
    bool well = wait_all(t, &begin_n);
    for (n = begin_n; well && (n == begin_n || now_us - begin_us < min_us ||
                               (!queue && (n - begin_n) % slots != 0));) {
        while (t->submitted < n + slots + queue)
            submit(t);
        well = wait_end(t, n, &n, &now_us);
    }
    look_at_memory(t);
    *out = (struct tune_step){.slots = slots,
                              .tasks = n - begin_n,
                              .seconds = (double)(now_us - begin_us) / 1e6,
                              .rss_bytes = t->rss_bytes};
    return well;
}

int tune_run_step(struct tune_run *t, uint32_t slots, double min_seconds, struct tune_step *out,
                  struct fut_errbuf *err)
{
    uint64_t ended = 0;
    int64_t wave_ms = 0;
    mutex_lock(&t->mu);
    t->peak_kib = 0;
    mutex_unlock(&t->mu);
    t->rss_bytes = 0;
    bool well = warm_up(t, slots, &ended, &wave_ms) && warm_up(t, slots, &ended, &wave_ms);
    if (well)
        well = measure(t, slots, (int64_t)(min_seconds * 1e6), wave_ms < SHORT_MS ? QUEUE : 0, out);
    if (well)
        well = wait_all(t, &ended);
    if (well)
        return 0;
    mutex_lock(&t->mu);
    *err = t->why;
    mutex_unlock(&t->mu);
    return FUT_ERR_STATE;
}

/* ---- the daemon around it ----------------------------------------------------------------------
 */

static int build(struct tune_run *t, const struct config *cfg, const struct handlers *handlers,
                 struct fut_errbuf *err)
{
    const struct scheduler_config config = {
        .store = t->store,
        .handlers = handlers,
        .fs = t->fork_server,
        .max_threads = 1,
        .max_workers = 1,
        .kill_grace_ms = cfg->kill_grace_ms,
        .max_input_bytes = (size_t)cfg->max_body_bytes,
        .max_result_bytes = (size_t)cfg->max_result_bytes,
    };
    int rc = scheduler_new(&config, &t->scheduler, err);
    if (rc != 0)
        return rc;
    t->pools = scheduler_view(t->scheduler);
    store_listen(t->store, on_change, t);
    store_start(t->store);
    scheduler_start(t->scheduler);
    return 0;
}

int tune_run_open(const struct config *cfg, const struct handlers *handlers,
                  const struct tune_task *task, struct tune_run **out, struct fut_errbuf *err)
{
    struct tune_run *t = xnew(struct tune_run);
    struct store_config store = {
        .backend = "memory", .readers = 1, .max_queued = 1000000, .retention_ms = 1000};
    t->task = *task;
    mutex_init(&t->mu);
    cond_init(&t->changed);
    int rc = fork_server_start(&t->fork_server, err);
    if (rc == 0)
        rc = store_open(&store, &t->store, err);
    if (rc == 0)
        rc = build(t, cfg, handlers, err);
    if (rc != 0)
        tune_run_close(&t);
    *out = t;
    return rc;
}

void tune_run_close(struct tune_run **tp)
{
    struct tune_run *t = *tp;
    if (!t)
        return;
    if (t->scheduler) {
        scheduler_stop(t->scheduler);
        store_stop(t->store);
        scheduler_free(&t->scheduler);
    }
    store_close(&t->store);
    fork_server_stop(&t->fork_server);
    cond_destroy(&t->changed);
    mutex_destroy(&t->mu);
    free(t);
    *tp = NULL;
}
