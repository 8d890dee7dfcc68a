/* verbs: the small verbs that write: a task's change, its end as a future, its batch's cancel, and
 * what its attempt reports and stores. The writer thread alone. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/engine/internal.h"

static void prepare_apply(struct store_op *op)
{
    FUT_ASSERT(FUT_CONTAINER(op, struct store_apply, op)->task.spec);
}

static int suspend(struct store *s, struct store_apply *o)
{
    struct task_change c = o->change;
    bool *pending = NULL;
    uint32_t unmet = 0;
    int rc = 0;
    if (o->wakes)
        rc = wakes_check(s, &o->task, o->wakes, c.due_in_ms >= 0, &pending, &unmet);
    if (o->wakes && !unmet)
        c.due_in_ms = 0;
    if (rc == 0)
        rc = txn_change(s, &c, &o->task);
    if (rc == 0)
        rc = wakes_put(s, &o->task, o->wakes, pending, unmet);
    free(pending);
    return rc;
}

static int write_apply(struct store *s, struct store_op *op)
{
    struct store_apply *o = FUT_CONTAINER(op, struct store_apply, op);
    int rc = txn_begin(s);
    if (rc == 0)
        rc = o->change.suspends ? suspend(s, o) : txn_change(s, &o->change, &o->task);
    if (rc == 0 && o->closes)
        limit_verbs_close(s, o->closes, o->closes_for_ms);
    if (rc == 0)
        txn_add_change(s, &(struct store_change){.id = o->change.id,
                                                 .state = o->task.state,
                                                 .stopped_attempt = txn_stopped(&o->change),
                                                 .task = &o->task,
                                                 .batch = o->task.spec->batch});
    return rc;
}

const struct store_verb store_verb_apply = {
    .prepare = prepare_apply, .write = write_apply, .uses_reserve = true, .is_repeatable = true};

static int write_delete(struct store *s, struct store_op *op)
{
    int rc = txn_begin(s);
    return rc != 0 ? rc : txn_remove(s, FUT_CONTAINER(op, struct store_delete, op)->id);
}

const struct store_verb store_verb_delete = {
    .write = write_delete, .is_refusable = true, .is_repeatable = true};

static int write_batch_cancel(struct store *s, struct store_op *op)
{
    const struct store_batch_cancel *o = FUT_CONTAINER(op, struct store_batch_cancel, op);
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->batch_cancel(s->backend, o->id, o->spares_running);
    s->w.cancel_pending = s->w.cancel_pending || rc == 0;
    return rc;
}

const struct store_verb store_verb_batch_cancel = {
    .write = write_batch_cancel, .is_refusable = true, .is_repeatable = true};

static int write_report(struct store *s, struct store_op *op)
{
    struct store_report *o = FUT_CONTAINER(op, struct store_report, op);
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->report(s->backend, o);
    if (rc == 0)
        txn_add_change(
            s, &(struct store_change){.id = o->id,
                                      .state = TASK_RUNNING,
                                      .reported = true,
                                      .progress = o->progress,
                                      .batch = o->spec ? o->spec->batch : (struct task_id){0},
                                      .spec = o->spec ? task_spec_ref(o->spec) : NULL});
    return rc;
}

const struct store_verb store_verb_report = {.write = write_report, .is_repeatable = true};

static void prepare_checkpoint(struct store_op *op)
{
    FUT_ASSERT(FUT_CONTAINER(op, struct store_checkpoint, op)->len <= TASK_CHECKPOINT_MAX);
}

static int write_checkpoint(struct store *s, struct store_op *op)
{
    int rc = txn_begin(s);
    return rc != 0
               ? rc
               : s->ops->put_checkpoint(s->backend, FUT_CONTAINER(op, struct store_checkpoint, op));
}

const struct store_verb store_verb_checkpoint = {
    .prepare = prepare_checkpoint, .write = write_checkpoint, .is_repeatable = true};
