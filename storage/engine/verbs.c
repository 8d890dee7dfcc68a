/* store_verbs: what each write operation does inside the transaction. The writer thread alone. */
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define PROMOTE_STEP 1000
#define PRUNE_STEP 200
#define CANCEL_STEP 200
#define PRUNE_IDLE_US 1000000
#define PRUNE_BUSY_US 5000 /* between steps while there is more to delete */

uint64_t *verb_live_count(struct store *s, enum lane lane, enum task_state state)
{
    return &s->w.now.stats.live[lane][state];
}

void verb_advance(struct store *s, struct task *t, const struct task_change *c)
{
    int64_t now = clock_wall_ms();
    t->state = c->to_state;
    t->attempt = c->attempt;
    t->past = c->past;
    t->lost = c->lost;
    t->due_wall_ms = c->to_state == TASK_SCHEDULED ? now + c->due_in_ms : 0;
    if (c->to_state == TASK_RUNNING)
        t->started_wall_ms = now;
    if (task_state_is_final(c->to_state)) {
        t->finished_wall_ms = now;
        t->seq = ++s->w.now.seq;
        task_outcome_unref(t->outcome);
        t->outcome = c->outcome ? task_outcome_ref(c->outcome) : NULL;
    } else {
        t->finished_wall_ms = 0;
        t->seq = 0;
        task_outcome_unref(t->outcome);
        t->outcome = NULL;
    }
}

/* ---- apply, delete --------------------------------------------------------------------------- */

/* n tasks of the lane, whichever they are. */
static void count_queued(struct store *s, enum lane lane, const struct task_move *move, size_t n)
{
    *verb_live_count(s, lane, move->from) -= n;
    *verb_live_count(s, lane, move->to) += n;
    if (n && backend_is_claimable(move->to))
        claims_note_queued(s, lane, 0);
}

/* The end of a task may concern others: those that wait for it, the rest of its batch. */
static int settle(struct store *s, const struct task *t)
{
    size_t by_lane[LANE_COUNT] = {0};
    struct task_move move;
    bool cancel = false;
    int rc = 0;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    if (t->spec->callback.hi)
        rc = s->ops->wake_after(s->backend, t->spec->id.hi, &move, by_lane);
    for (int l = 0; rc == 0 && l < LANE_COUNT; l++)
        count_queued(s, (enum lane)l, &move, by_lane[l]);
    if (rc == 0 && t->spec->batch.hi && t->state == TASK_FAILED)
        rc = s->ops->batch_failed(s->backend, t->spec->batch.hi, &cancel);
    s->w.cancel_pending = s->w.cancel_pending || cancel;
    return rc;
}

static void count_change(struct store *s, enum task_state from, const struct task *after)
{
    struct writer *w = &s->w;
    if (!task_state_is_final(from))
        (*verb_live_count(s, after->spec->lane, from))--;
    if (task_state_is_final(after->state))
        w->now.stats.finished[after->state]++;
    else
        (*verb_live_count(s, after->spec->lane, after->state))++;
    if (backend_is_claimable(after->state))
        claims_note_queued(s, after->spec->lane, after->spec->id.hi);
    if (after->due_wall_ms && (w->next_due_wall_ms < 0 || after->due_wall_ms < w->next_due_wall_ms))
        w->next_due_wall_ms = after->due_wall_ms;
}

/* An attempt that ended, and not the task with it: its end is kept beside. */
static int keep_attempt(struct store *s, const struct task_change *c, const struct task *after)
{
    if (task_state_is_final(c->to_state) || !c->outcome)
        return 0;
    return s->ops->add_attempt(s->backend, c->id.hi,
                               &(struct store_attempt){.attempt = c->from_attempt,
                                                       .state = TASK_FAILED,
                                                       .started_wall_ms = after->started_wall_ms,
                                                       .finished_wall_ms = clock_wall_ms(),
                                                       .outcome = c->outcome});
}

int verb_change(struct store *s, const struct task_change *c, struct task *t)
{
    struct task after;
    uint64_t seq = s->w.now.seq;
    task_copy(&after, t);
    verb_advance(s, &after, c);
    int rc = s->ops->change(s->backend, c, &after);
    if (rc == 0)
        rc = keep_attempt(s, c, &after);
    if (rc == 0 && task_state_is_final(after.state))
        rc = settle(s, &after);
    if (rc != 0) {
        s->w.now.seq = seq;
        task_release(&after);
        return rc;
    }
    count_change(s, c->from_state, &after);
    task_release(t);
    *t = after;
    return 0;
}

/* Listeners stop exactly this attempt: a later one of the same task is not concerned. */
static uint32_t stopped_attempt(const struct task_change *c)
{
    bool stops = c->from_state == TASK_RUNNING && c->to_state == TASK_CANCELLED;
    return stops ? c->from_attempt : 0;
}

static int run_apply(struct store *s, struct store_op *op, bool *out_park)
{
    struct store_apply *o = FUT_CONTAINER(op, struct store_apply, op);
    (void)out_park;
    int rc = store_txn_begin(s);
    if (rc == 0)
        rc = verb_change(s, &o->change, &o->task);
    if (rc == 0)
        store_txn_note(s, &(struct store_change){.id = o->change.id,
                                                 .state = o->task.state,
                                                 .stopped_attempt = stopped_attempt(&o->change),
                                                 .task = &o->task,
                                                 .batch = o->task.spec->batch});
    return rc;
}

static int run_delete(struct store *s, struct store_op *op, bool *out_park)
{
    (void)out_park;
    int rc = store_txn_begin(s);
    return rc != 0 ? rc
                   : s->ops->remove(s->backend, FUT_CONTAINER(op, struct store_delete, op)->id);
}

/* ---- batches, reports ------------------------------------------------------------------------ */

static int run_batch_cancel(struct store *s, struct store_op *op, bool *out_park)
{
    (void)out_park;
    int rc = store_txn_begin(s);
    if (rc == 0)
        rc = s->ops->batch_cancel(s->backend, FUT_CONTAINER(op, struct store_batch_cancel, op)->id);
    s->w.cancel_pending = s->w.cancel_pending || rc == 0;
    return rc;
}

static int run_report(struct store *s, struct store_op *op, bool *out_park)
{
    struct store_report *o = FUT_CONTAINER(op, struct store_report, op);
    (void)out_park;
    int rc = store_txn_begin(s);
    if (rc == 0)
        rc = s->ops->report(s->backend, o, &o->note);
    if (rc == 0)
        store_txn_note(
            s, &(struct store_change){.id = o->id, .state = TASK_RUNNING, .note = &o->note});
    return rc;
}

static int cancel_one(struct store *s, struct task *t, struct task_outcome *why)
{
    struct task_change c;
    FUT_MUST(task_apply(t, EVENT_CANCEL, &(struct task_in){.outcome = why}, &c) == 0);
    int rc = verb_change(s, &c, t);
    if (rc == 0)
        store_txn_note(s, &(struct store_change){.id = c.id,
                                                 .state = t->state,
                                                 .stopped_attempt = stopped_attempt(&c),
                                                 .batch = t->spec->batch});
    return rc;
}

int verb_cancel_step(struct store *s)
{
    struct task tasks[CANCEL_STEP];
    size_t n = 0;
    if (!s->w.cancel_pending)
        return 0;
    int rc = store_txn_begin(s);
    if (rc == 0)
        rc = s->ops->batch_unfinished(s->backend, CANCEL_STEP, tasks, &n);
    s->w.cancel_pending = n > 0;
    struct task_outcome *why =
        n ? task_outcome_error("cancelled", "cancelled with the rest of its batch") : NULL;
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = cancel_one(s, &tasks[i], why);
        task_release(&tasks[i]);
    }
    task_outcome_unref(why);
    return rc;
}

/* ---- housekeeping ---------------------------------------------------------------------------- */

int verb_promote(struct store *s)
{
    struct writer *w = &s->w;
    int64_t now = clock_wall_ms();
    size_t by_lane[LANE_COUNT] = {0};
    struct task_move move;
    if (w->next_due_wall_ms < 0 || w->next_due_wall_ms > now)
        return 0;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    int rc = store_txn_begin(s);
    if (rc == 0)
        rc = s->ops->promote(s->backend, &move, now, PROMOTE_STEP, by_lane);
    for (int l = 0; rc == 0 && l < LANE_COUNT; l++)
        count_queued(s, (enum lane)l, &move, by_lane[l]);
    return rc != 0 ? rc : s->ops->next_due(s->backend, &w->next_due_wall_ms);
}

int verb_prune(struct store *s)
{
    struct writer *w = &s->w;
    int64_t now = clock_mono_us();
    size_t n = 0;
    if (now < w->next_prune_mono_us)
        return 0;
    int rc = store_txn_begin(s);
    if (rc == 0)
        rc = s->ops->prune(s->backend, clock_wall_ms() - s->retention_ms, PRUNE_STEP, &n);
    w->now.stats.pruned += n;
    w->next_prune_mono_us = now + (n == PRUNE_STEP ? PRUNE_BUSY_US : PRUNE_IDLE_US);
    return rc;
}

static int run_ping(struct store *s, struct store_op *op, bool *out_park)
{
    (void)s;
    (void)op;
    (void)out_park;
    return 0;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static const struct {
    const struct store_verb *verb;
    int (*run)(struct store *s, struct store_op *op, bool *out_park);
} table[] = {
    {&verb_submit, store_submit_run}, {&verb_apply, run_apply},
    {&verb_claim, store_claim_run},   {&verb_recall, store_recall_run},
    {&verb_delete, run_delete},       {&verb_batch_cancel, run_batch_cancel},
    {&verb_report, run_report},       {&verb_ping, run_ping},
    {&verb_revive, store_revive_run},
};

int verb_run(struct store *s, struct store_op *op, bool *out_park)
{
    for (size_t i = 0; i < FUT_COUNT(table); i++) {
        if (table[i].verb == op->verb)
            return table[i].run(s, op, out_park);
    }
    FUT_BUG("not a write verb");
}
