/* housekeeping: what the writer does although no operation asks for it, in small steps, within the
 * transaction of its batch: due times, cancelled batches, retention. The writer thread alone. */
#include "core/clock.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define PROMOTE_STEP 1000
#define PRUNE_STEP HOUSEKEEPING_PRUNE_STEP
#define PRUNE_LATE_MS 1000
#define SAVE_MS 600000
#define CANCEL_STEP 200
#define PRUNE_IDLE_US 1000000
#define PRUNE_BUSY_US 5000 /* between steps while there is more to delete */

int housekeeping_promote(struct store *s)
{
    struct writer *w = &s->w;
    size_t by_lane[LANE_COUNT] = {0};
    struct task_move move;
    if (w->next_due_up_ms > txn_up_ms(s))
        return 0;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->promote(s->backend, &move, PROMOTE_STEP, by_lane);
    for (int l = 0; rc == 0 && l < LANE_COUNT; l++)
        txn_count_moved(s, (enum lane)l, &move, by_lane[l]);
    return rc != 0 ? rc : s->ops->next_due(s->backend, &w->next_due_up_ms);
}

static int cancel_one(struct store *s, struct task *t, struct task_outcome *why)
{
    struct task_change c;
    FUT_MUST(task_apply(t, EVENT_CANCEL, &(struct task_in){.outcome = why}, &c) == 0);
    int rc = txn_change(s, &c, t);
    if (rc == 0)
        txn_add_change(s, &(struct store_change){.id = c.id,
                                                 .state = t->state,
                                                 .stopped_attempt = txn_stopped(&c),
                                                 .batch = t->spec->batch});
    return rc;
}

int housekeeping_cancel(struct store *s)
{
    struct task tasks[CANCEL_STEP];
    size_t n = 0;
    if (!s->w.cancel_pending)
        return 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->batch_unfinished(s->backend, CANCEL_STEP, tasks, &n, &s->w.cancel_pending);
    struct task_outcome *why =
        n ? task_outcome_error(end_code_text(END_CANCELLED), "cancelled with the rest of its batch")
          : NULL;
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = cancel_one(s, &tasks[i], why);
        task_release(&tasks[i]);
    }
    task_outcome_unref(why);
    return rc;
}

/* Larger steps while more falls due than is deleted, so that any rate of submission is kept up
 * with. */
static void plan_prune(struct writer *w, const struct backend_prune *p)
{
    bool is_full = p->n == p->max;
    if (is_full && p->until_up_ms - p->oldest_up_ms > PRUNE_LATE_MS)
        w->prune_step = p->max * 2 < BACKEND_PRUNE_MAX ? p->max * 2 : BACKEND_PRUNE_MAX;
    else
        w->prune_step = PRUNE_STEP;
    w->next_prune_mono_us = clock_mono_us() + (is_full ? PRUNE_BUSY_US : PRUNE_IDLE_US);
}

/* The uptime is saved now and then as long as something is kept that it is to measure. */
int housekeeping_prune(struct store *s)
{
    struct writer *w = &s->w;
    int64_t up_ms = txn_up_ms(s);
    struct backend_prune p = {.until_up_ms = up_ms - s->retention_ms, .max = w->prune_step};
    if (clock_mono_us() < w->next_prune_mono_us)
        return 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->prune(s->backend, &p);
    if (rc != 0)
        return rc;
    w->now.stats.pruned += p.n;
    plan_prune(w, &p);
    return p.oldest_up_ms >= 0 && up_ms - w->now.saved_up_ms >= SAVE_MS
               ? txn_save(s, w->now.saved_seq)
               : 0;
}
