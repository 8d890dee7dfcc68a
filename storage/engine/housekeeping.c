/* housekeeping: what the writer does although no operation asks for it, in small steps, within the
 * transaction of its batch: due times, cancelled batches, retention. The writer thread alone. */
#include <stdio.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define PROMOTE_STEP 1000
#define PRUNE_STEP HOUSEKEEPING_PRUNE_STEP
#define PRUNE_LATE_MS 1000
#define SAVE_MS 600000
#define CANCEL_STEP 200
#define TIME_OUT_STEP 500 /* expiries, and deadlines, in one transaction */
#define PRUNE_IDLE_US 1000000
#define PRUNE_BUSY_US 5000 /* between steps while there is more to delete */

int housekeeping_promote(struct store *s)
{
    struct writer *w = &s->w;
    struct backend_moved rows[PROMOTE_STEP];
    size_t n = 0;
    struct task_move move;
    if (w->next.due_up_ms > txn_up_ms(s) &&
        (w->next.run_at_wall_ms == INT64_MAX || w->next.run_at_wall_ms > clock_wall_ms()))
        return 0;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->due(s->backend, PROMOTE_STEP, rows, &n);
    if (rc == 0)
        rc = txn_queue(s, rows, n, &move);
    return rc != 0 ? rc : s->ops->next_times(s->backend, &w->next);
}

/* ---- expiries and deadlines ------------------------------------------------------------------ */

static struct task_outcome *why_expired(const struct task *t)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "No attempt had begun within %.6g s (expires_in).",
                   (double)t->spec->times.expires_in_ms / 1000);
    return task_outcome_error(end_code_text(END_EXPIRED), text);
}

static struct task_outcome *why_overdue(const struct task *t)
{
    double seconds = (double)t->spec->times.deadline_ms / 1000;
    char text[128];
    if (t->spec->is_promise)
        (void)snprintf(text, sizeof(text), "Nobody completed the promise within %.6g s (timeout).",
                       seconds);
    else
        (void)snprintf(
            text, sizeof(text),
            "The task had not ended within %.6g s (deadline); it was %s after %u attempts.",
            seconds, task_state_name(t->state), (unsigned)(t->attempt - t->earlier_attempts));
    return task_outcome_error(end_code_text(t->spec->is_promise ? END_TIMEOUT : END_DEADLINE),
                              text);
}

static int time_out_one(struct store *s, struct task *t, enum backend_timer which)
{
    if (which == BACKEND_EXPIRY && task_has_begun(t))
        return s->ops->drop_expiry(s->backend, t->spec->id.hi);
    struct task_outcome *why = which == BACKEND_EXPIRY ? why_expired(t) : why_overdue(t);
    int rc = txn_end(s, t, which == BACKEND_EXPIRY ? EVENT_EXPIRE : EVENT_OVERDUE, why);
    task_outcome_unref(why);
    return rc;
}

static int time_out(struct store *s, enum backend_timer which)
{
    struct task tasks[TIME_OUT_STEP];
    size_t n = 0;
    int rc = s->ops->timed_out(s->backend, which, TIME_OUT_STEP, tasks, &n);
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = time_out_one(s, &tasks[i], which);
        task_release(&tasks[i]);
    }
    return rc;
}

int housekeeping_time_out(struct store *s)
{
    if (s->w.next.limit_up_ms > txn_up_ms(s))
        return 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = time_out(s, BACKEND_DEADLINE);
    if (rc == 0)
        rc = time_out(s, BACKEND_EXPIRY);
    return rc != 0 ? rc : s->ops->next_times(s->backend, &s->w.next);
}

/* ---- batches that are being cancelled -------------------------------------------------------- */

int housekeeping_cancel(struct store *s)
{
    struct task tasks[CANCEL_STEP];
    size_t n = 0;
    if (!s->w.cancel_pending || !s->w.leads)
        return 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->batch_unfinished(s->backend, CANCEL_STEP, tasks, &n, &s->w.cancel_pending);
    struct task_outcome *why =
        n ? task_outcome_error(end_code_text(END_CANCELLED), "cancelled with the rest of its batch")
          : NULL;
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = txn_end(s, &tasks[i], EVENT_CANCEL, why);
        task_release(&tasks[i]);
    }
    task_outcome_unref(why);
    return rc;
}

/* ---- retention ------------------------------------------------------------------------------- */

/* Larger steps while more falls due than is deleted, so that any rate of submission is kept up
 * with. */
static void plan_prune(struct writer *w, const struct backend_prune *p)
{
    bool is_full = p->n + p->n_kept == p->max;
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
    if (clock_mono_us() < w->next_prune_mono_us || !w->leads)
        return 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->prune(s->backend, &p);
    if (rc == 0 && p.session.hi)
        rc = sessions_drop_limit(s, p.session);
    if (rc != 0)
        return rc;
    w->now.stats.pruned += p.n;
    plan_prune(w, &p);
    return p.oldest_up_ms >= 0 && up_ms - w->now.saved_up_ms >= SAVE_MS
               ? txn_save(s, w->now.saved_seq)
               : 0;
}

/* ---- nodes that are no more ------------------------------------------------------------------ */

#define GIVE_BACK_STEP 256

int housekeeping_give_back(struct store *s)
{
    struct task tasks[GIVE_BACK_STEP];
    size_t n = 0;
    if (!s->w.in_txn)
        return 0;
    int rc = s->ops->abandoned(s->backend, GIVE_BACK_STEP, tasks, &n);
    struct task_outcome *why = n ? task_outcome_error(end_code_text(END_DAEMON_DIED),
                                                      "the node that ran this task is gone")
                                 : NULL;
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = txn_end(s, &tasks[i], end_code_event(END_DAEMON_DIED), why);
        task_release(&tasks[i]);
    }
    task_outcome_unref(why);
    if (rc == 0)
        s->w.now.stats.recovered += n;
    return rc;
}

int housekeeping_tidy(struct store *s)
{
    int rc = txn_begin(s);
    return rc == 0 ? lines_tidy(s) : rc;
}
