/* writer: group commit. One thread takes everything that arrived during the last commit, runs
 * it as one transaction, then tells the listeners and runs each operation's done. No timer delays a
 * commit: batching comes from arrivals during the previous fsync. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define BATCH_OPS 1024
#define RETRY_US 1000000  /* parked claims after a failed commit */
#define REPEATS_MAX 3     /* of transactions that were cut off, in a row */
#define WALL_LOOK_MS 1000 /* while a task waits for a wall time: how soon a step is seen */
#define RATE_MIN_US 250000
#define RATE_WINDOW_US 10e6

void writer_init(struct store *s, const struct backend_totals *totals)
{
    struct writer *w = &s->w;
    list_init(&w->batch);
    list_init(&w->finished);
    for_each_lane (l) {
        list_init(&w->parked[l]);
    }
    limit_set_init(&w->limits);
    w->limits.labels = s->labels;
    lines_init(&w->lines);
    w->lines.limits = &w->limits;
    pauses_init(&w->pauses);
    w->lines.pauses = &w->pauses;
    w->limits.now_up_ms = totals->up_ms;
    w->now.seq = w->now.saved_seq = totals->seq;
    w->now.saved_up_ms = w->up_base_ms = totals->up_ms;
    w->up_base_mono_us = clock_mono_us();
    spec_cache_init(&w->specs);
    w->next = (struct backend_next){0}; /* look once at start, */
    w->cancel_pending = true;           /* at all */
    w->cascade_pending = true;
    w->has_edges = totals->has_edges;
    w->leads = true;
    w->leases_stale = true;
    w->prune_step = HOUSEKEEPING_PRUNE_STEP;
    w->next_tidy_mono_us = INT64_MAX;
    w->next_prune_mono_us = s->retention_ms ? clock_mono_us() : INT64_MAX;
    w->retry_mono_us = -1;
    w->rate_mono_us = clock_mono_us();
}

/* Where nodes share the store, a batch begins with what the others have done, which stays whatever
 * becomes of the batch, so that all of it sees the same; without that it has no transaction. */
static int begin_shared(struct store *s)
{
    struct writer *w = &s->w;
    w->no_txn_rc = 0;
    int rc = txn_begin(s);
    if (rc == 0) {
        rc = news_hear(s);
        w->saved = w->now;
    }
    if (rc == 0)
        rc = txn_spare_seq(s);
    if (rc != 0 && w->in_txn) {
        s->ops->rollback(s->backend);
        w->in_txn = false;
        w->now = w->saved;
    }
    w->no_txn_rc = rc;
    return rc;
}

/* Where other nodes go on, they save the counters. */
static void save_for_next(struct store *s)
{
    int rc = s->ops->hear ? begin_shared(s) : txn_begin(s);
    if (rc != 0)
        return;
    bool is_last = !s->ops->hear || !s->ops->has_peers(s->backend);
    if ((is_last && txn_save(s, s->w.now.seq) != 0) || s->ops->commit(s->backend) != 0)
        s->ops->rollback(s->backend); /* the next daemon goes on from an earlier saving */
    s->w.in_txn = false;
}

void writer_release(struct store *s)
{
    if (s->w.now.stats.health == 0)
        save_for_next(s);
    spec_cache_release(&s->w.specs);
    queues_committed(s);
    lines_release(&s->w.lines);
    limit_set_release(&s->w.limits);
    pauses_release(&s->w.pauses);
    free(s->w.changes);
    free(s->w.ended.keys);
    free(s->w.ended_sessions.keys);
    sessions_forget_inits(s);
    free(s->w.closed_limits);
}

/* ---- one batch ------------------------------------------------------------------------------ */

static int run_ops(struct store *s)
{
    struct list_node *n;
    while ((n = list_pop_front(&s->w.batch))) {
        struct store_op *op = FUT_CONTAINER(n, struct store_op, link);
        bool refused = trouble_refuses(s, op);
        int rc = !refused           ? op->verb->write(s, op)
                 : op->verb->replay ? op->verb->replay(s, op)
                                    : FUT_ERR_NO_SPACE;
        if (rc != STORE_PARKED) {
            op->rc = rc;
            list_push_back(&s->w.finished, &op->link);
        }
        if (!refused && store_rc_is_fatal(rc))
            return rc;
        s->w.now.stats.ops++;
    }
    return 0;
}

static int run_housekeeping(struct store *s)
{
    if (!s->is_started) /* recovery changes the tasks that it has read, nobody else may */
        return 0;
    bool wait;
    int rc = trouble_mend(s, &wait);
    if (rc != 0 || wait)
        return rc;
    if (s->ops->abandoned)
        rc = housekeeping_give_back(s);
    if (rc == 0)
        rc = housekeeping_promote(s);
    if (rc == 0)
        rc = housekeeping_time_out(s);
    if (rc == 0)
        rc = sessions_end_leases(s);
    if (rc == 0)
        rc = housekeeping_cancel(s);
    if (rc == 0)
        rc = cascades_step(s);
    if (rc == 0)
        rc = bulk_step(s);
    if (rc == 0)
        rc = txn_end_batches(s); /* a claim may wait for what they queue */
    if (rc == 0)
        rc = sessions_end(s);
    if (rc == 0)
        rc = limit_verbs_step(s);
    if (rc == 0)
        rc = claims_serve(s);
    if (rc == 0)
        rc = housekeeping_prune(s);
    if (rc == 0 && lines_are_untidy(&s->w.lines))
        rc = housekeeping_tidy(s);
    return rc;
}

static int commit(struct store *s)
{
    struct writer *w = &s->w;
    if (!w->in_txn)
        return 0;
    int rc = limit_set_save(s);
    if (rc == 0 && s->ops->tell)
        rc = news_tell(s);
    int64_t began_mono_us = clock_mono_us();
    if (rc == 0)
        rc = s->ops->commit(s->backend);
    if (rc != 0)
        return rc;
    histogram_observe(&s->durations.commit, clock_mono_us() - began_mono_us);
    atomic_store_explicit(&s->newest_seq, w->now.seq, memory_order_relaxed);
    w->in_txn = w->has_leased = false;
    lines_committed(&w->lines);
    limit_set_committed(&w->limits);
    queues_committed(s);
    w->now.stats.commits++;
    w->n_repeats = 0;
    if (!w->disk_full)
        w->now.stats.health = 0;
    return 0;
}

static void take_back(struct store *s)
{
    struct writer *w = &s->w;
    if (w->in_txn) {
        s->ops->rollback(s->backend);
        w->in_txn = false;
        w->now = w->saved;
        lines_undo_to(&w->lines, 0);
        queues_undo(s);
        limit_verbs_undo(s);
    }
    txn_forget_changes(s, 0);
    w->ended.n = w->ended_sessions.n = 0;
    w->next = (struct backend_next){0};
    w->cancel_pending = true;
    w->cascade_pending = true;
    w->schedules_moved = false;
    w->n_closed_limits = 0;
    w->bulk_again_mono_us = 0;
    w->leases_stale = true;
    w->has_leased = false;
    claims_undo(s);
    sessions_forget_inits(s);
}

/* Was it only the connection to the database that broke? Then the same is done on another one, for
 * which its begin waits. */
static bool is_repeated(struct store *s, int rc)
{
    struct writer *w = &s->w;
    bool is = rc == FUT_ERR_IO && s->ops->was_cut_off && s->ops->was_cut_off(s->backend) &&
              w->n_repeats < REPEATS_MAX;
    w->n_repeats += is;
    return is;
}

static void end_undone(struct store *s, struct store_op *op, int rc, bool repeats)
{
    struct writer *w = &s->w;
    op->rc = rc;
    if (op->verb == &store_verb_claim && !w->claims_stopped) {
        claims_repark(s, FUT_CONTAINER(op, struct store_claim, op));
    } else if (repeats && op->verb->is_repeatable) {
        if (op->verb->forget)
            op->verb->forget(op);
        if (op->verb->prepare)
            op->verb->prepare(op);
        list_push_back(&w->batch, &op->link);
    } else {
        list_push_back(&w->finished, &op->link);
    }
}

/* Nothing of the batch happened: the same error for each operation, unless it is repeated; claims
 * wait again. */
static void undo(struct store *s, int rc)
{
    struct writer *w = &s->w;
    struct list undone;
    struct list_node *n;
    take_back(s);
    bool repeats = is_repeated(s, rc);
    if (!repeats)
        trouble_set(s, rc);
    w->retry_mono_us = clock_mono_us() + (repeats ? 0 : RETRY_US);
    list_init(&undone);
    list_take_all(&undone, &w->finished);
    list_take_all(&undone, &w->batch);
    while ((n = list_pop_front(&undone)))
        end_undone(s, FUT_CONTAINER(n, struct store_op, link), rc, repeats);
}

static void count_callbacks(struct writer *w)
{
    const struct line_queue *q = line_queue_find(&w->lines, TASK_QUEUE_CALLBACKS);
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        if (!task_state_is_final((enum task_state)i))
            w->now.stats.callbacks[i] = q ? q->parts[LANE_IO].live[i] : 0;
    }
}

static void update_rate(struct store *s)
{
    struct writer *w = &s->w;
    int64_t now = clock_mono_us(), passed = now - w->rate_mono_us;
    if (passed < RATE_MIN_US)
        return;
    const uint64_t *f = w->now.stats.finished;
    uint64_t finished = f[TASK_SUCCEEDED] + f[TASK_FAILED] + f[TASK_CANCELLED];
    double rate = (double)(finished - w->rate_finished) * 1e6 / (double)passed;
    double weight = (double)passed / (double)(RATE_WINDOW_US / 2 + (double)passed);
    s->ops->sizes(s->backend, &w->now.stats.file_bytes, &w->now.stats.log_bytes);
    w->now.stats.drain_per_s += weight * (rate - w->now.stats.drain_per_s);
    w->rate_mono_us = now;
    w->rate_finished = finished;
}

static void publish(struct store *s)
{
    update_rate(s);
    if (s->w.lines.queues.len > 1) /* others than the default one */
        count_callbacks(&s->w);
    mutex_lock(&s->mu);
    s->published = s->w.now.stats;
    mutex_unlock(&s->mu);
}

static void observe_one(struct store_durations *d, const struct task *t)
{
    enum lane lane = t->spec->lane;
    if (t->state == TASK_RUNNING && t->attempt == 1)
        histogram_observe(&d->wait[lane],
                          (t->started_wall_ms - task_spec_could_begin_wall_ms(t->spec)) * 1000);
    else if (task_state_is_final(t->state) && t->started_wall_ms)
        histogram_observe(&d->run[lane], (t->finished_wall_ms - t->started_wall_ms) * 1000);
}

/* How long tasks have waited (for a slot, a limit, their parents) and run, for metrics. */
static void observe_durations(struct store *s)
{
    const struct writer *w = &s->w;
    for (size_t i = 0; i < w->n_changes; i++) {
        if (w->changes[i].task && !w->changes[i].reported)
            observe_one(&s->durations, w->changes[i].task);
    }
}

/* Listeners first: a done may free what a change points to. */
static void tell(struct store *s)
{
    struct writer *w = &s->w;
    struct list_node *n;
    recent_ends_committed(s);
    if (w->n_changes) {
        observe_durations(s);
        for (size_t i = 0; i < s->n_listeners; i++)
            s->listeners[i].fn(s->listeners[i].ctx, w->changes, w->n_changes);
    }
    txn_forget_changes(s, 0);
    if (w->schedules_moved && s->schedules_watch.fn)
        s->schedules_watch.fn(s->schedules_watch.ctx);
    w->schedules_moved = false;
    for (size_t i = 0; i < w->n_closed_limits; i++)
        s->limits_watch.fn(s->limits_watch.ctx, &w->closed_limits[i]);
    w->n_closed_limits = 0;
    while ((n = list_pop_front(&w->finished))) {
        struct store_op *op = FUT_CONTAINER(n, struct store_op, link);
        op->done(op);
    }
}

/* After the answers: nobody waits for it. Its failure takes back nothing. */
static void tidy(struct store *s)
{
    int rc = s->w.broken_rc == 0 ? s->ops->tidy(s->backend, &s->w.next_tidy_mono_us) : 0;
    if (rc == 0)
        return;
    trouble_set(s, rc);
    s->w.retry_mono_us = s->w.next_try_mono_us;
    publish(s);
}

static void take_batch(struct store *s)
{
    if (s->w.batch.len + s->write_queue.len <= BATCH_OPS) {
        list_take_all(&s->w.batch, &s->write_queue);
        return;
    }
    while (s->w.batch.len < BATCH_OPS && !list_is_empty(&s->write_queue)) {
        struct list_node *n = list_front(&s->write_queue);
        list_remove(&s->write_queue, n);
        list_push_back(&s->w.batch, n);
    }
}

/* Other nodes may have kept this one waiting: what has come meanwhile belongs to the batch. */
static void begin_after_others(struct store *s)
{
    (void)begin_shared(s);
    mutex_lock(&s->mu);
    take_batch(s);
    mutex_unlock(&s->mu);
}

static void run_batch(struct store *s)
{
    s->w.retry_mono_us = -1; /* this is the next try */
    if (s->ops->hear)
        begin_after_others(s);
    int rc = run_ops(s);
    if (rc == 0)
        rc = txn_end_batches(s);
    if (rc == 0)
        rc = run_housekeeping(s);
    if (rc == 0)
        rc = commit(s);
    if (rc != 0)
        undo(s, rc);
    publish(s);
    tell(s);
    tidy(s);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void end_parked_claims(struct store *s)
{
    for_each_lane (l) {
        struct list_node *n;
        while ((n = list_pop_front(&s->w.parked[l]))) {
            struct store_op *op = FUT_CONTAINER(n, struct store_op, link);
            op->rc = FUT_ERR_CLOSED;
            list_push_back(&s->w.finished, n);
        }
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the thread must run although nothing arrives; by the monotonic clock, never negative (that
 * would be for ever). After a failure everything waits for the next try. */
static int64_t next_wake_us(const struct store *s)
{
    const struct writer *w = &s->w;
    if (w->retry_mono_us >= 0)
        return w->retry_mono_us;
    bool is_pending = (w->cancel_pending && w->leads) || w->cascade_pending;
    int64_t wake = is_pending ? 0 : w->leads ? w->next_prune_mono_us : INT64_MAX;
    int64_t at_up_ms = earlier(w->next.due_up_ms, w->next.limit_up_ms);
    at_up_ms = earlier(at_up_ms, limit_set_next_up_ms(&w->limits));
    wake = earlier(wake, w->next_tidy_mono_us);
    if (w->leads) {
        wake = earlier(wake, w->bulk_again_mono_us);
        at_up_ms = earlier(at_up_ms, w->next_lease_up_ms);
    }
    if (at_up_ms != INT64_MAX)
        wake = earlier(wake, w->up_base_mono_us + (at_up_ms - w->up_base_ms) * 1000);
    if (w->next.run_at_wall_ms != INT64_MAX) {
        int64_t ms = earlier(w->next.run_at_wall_ms - clock_wall_ms(), WALL_LOOK_MS);
        wake = earlier(wake, clock_mono_us() + ms * 1000);
    }
    return wake > 0 ? wake : 0;
}

/* Sleeps until there is work; false when the store stops and nothing is left. */
static bool wait_for_work(struct store *s)
{
    int64_t wake = next_wake_us(s);
    mutex_lock(&s->mu);
    while (list_is_empty(&s->w.batch) && list_is_empty(&s->write_queue) && !s->stopping &&
           !s->has_news && s->claims_stopped == s->w.claims_stopped) {
        s->writer_asleep = true;
        if (!cond_wait_until(&s->writer_wake, &s->mu, wake))
            break;
    }
    s->writer_asleep = false;
    s->has_news = false;
    take_batch(s);
    bool stop_claims = s->claims_stopped && !s->w.claims_stopped;
    bool go_on = !s->stopping || !list_is_empty(&s->w.batch) || stop_claims;
    mutex_unlock(&s->mu);
    if (stop_claims) {
        s->w.claims_stopped = true;
        end_parked_claims(s);
    }
    return go_on;
}

void *writer_main(void *store)
{
    struct store *s = store;
    while (wait_for_work(s))
        run_batch(s);
    return NULL;
}

/* ---- recovery -------------------------------------------------------------------------------- */

#define RECOVER_STEP 256

static void nothing_done(struct store_op *op)
{
    (void)op; /* recovery reads rc itself */
}

static int lose(struct store *s, const struct task *t)
{
    struct task_outcome *died = task_outcome_error(end_code_text(END_DAEMON_DIED),
                                                   "the daemon ended while this task was running");
    struct store_apply o = {.op = {.verb = &store_verb_apply, .done = nothing_done}};
    task_copy(&o.task, t);
    int rc = task_apply(t, end_code_event(END_DAEMON_DIED), &(struct task_in){.outcome = died},
                        &o.change);
    if (rc == 0) {
        list_push_back(&s->w.batch, &o.op.link);
        while (!list_is_empty(&s->w.batch)) /* again after a cut */
            run_batch(s);
        rc = o.op.rc;
    }
    task_release(&o.task);
    task_outcome_unref(died);
    return rc == FUT_ERR_STALE ? 0 : rc; /* another node was faster */
}

int writer_recover(struct store *s, const struct store_config *cfg, uint64_t *out_n)
{
    struct task tasks[RECOVER_STEP];
    size_t n;
    uint64_t total = 0;
    do {
        int rc = s->ops->in_state(s->backend, TASK_RUNNING, RECOVER_STEP, tasks, &n);
        for (size_t i = 0; i < n; i++) {
            if (rc == 0)
                rc = lose(s, &tasks[i]);
            if (rc == FUT_ERR_NO_SPACE) /* once more, with the reserve that was let go */
                rc = lose(s, &tasks[i]);
            task_release(&tasks[i]);
        }
        if (rc != 0)
            return rc;
        total += n;
        if (cfg->on_step)
            cfg->on_step(cfg->step_ctx);
    } while (n == RECOVER_STEP);
    *out_n = total;
    return 0;
}
