/* revive: another life for a task that failed or was cancelled. The writer thread alone. */
#include "core/mem.h"
#include "storage/engine/internal.h"

/* How the earlier life ended becomes one of its attempts; a task that was cancelled between two
 * attempts has no new one to show. */
static int keep_end(struct store *s, const struct task *t)
{
    if (!t->attempt)
        return 0;
    return s->ops->add_attempt(s->backend, t->spec->id.hi,
                               &(struct store_attempt){.attempt = t->attempt,
                                                       .state = t->state,
                                                       .started_wall_ms = t->started_wall_ms,
                                                       .finished_wall_ms = t->finished_wall_ms,
                                                       .outcome = t->outcome});
}

/* A receiver knows a delivery by its id and takes the second of one id for the first: the next end
 * is told by a task of its own. */
static int replace_callback(struct store *s, struct store_revive *o)
{
    struct task_id id = o->callback->spec->id;
    int rc = s->ops->insert(s->backend, o->callback);
    if (rc == 0)
        rc = s->ops->set_callback(s->backend, o->change.id.hi, id);
    if (rc != 0)
        return rc;
    (*txn_live(s, o->callback->spec->lane, o->callback->state))++;
    s->w.now.stats.submitted++;
    struct task_spec spec = *o->task.spec;
    spec.callback = id;
    struct task_spec *fresh = task_spec_new(&spec); /* refers to the old one until then */
    task_spec_unref(o->task.spec);
    o->task.spec = fresh;
    return 0;
}

static int revive(struct store *s, struct store_revive *o)
{
    int rc = txn_check_unique(s, o->task.spec);
    if (rc == 0)
        rc = keep_end(s, &o->task);
    if (rc == 0)
        rc = txn_change(s, &o->change, &o->task);
    return rc == 0 && o->callback ? replace_callback(s, o) : rc;
}

static void prepare_revive(struct store_op *op)
{
    FUT_ASSERT(FUT_CONTAINER(op, struct store_revive, op)->task.spec);
}

static int write_revive(struct store *s, struct store_op *op)
{
    struct store_revive *o = FUT_CONTAINER(op, struct store_revive, op);
    struct writer_numbers before = s->w.now;
    if (txn_is_full(s, 1))
        return FUT_ERR_FULL;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->mark(s->backend);
    if (rc != 0)
        return rc;
    rc = revive(s, o);
    if (rc != 0) {
        s->w.now = before;
        return s->ops->back(s->backend) == 0 ? rc : FUT_ERR_IO;
    }
    task_spec_unref(spec_cache_take(&s->w.specs, o->change.id.hi)); /* of before it was cancelled */
    txn_add_change(s, &(struct store_change){.id = o->change.id,
                                             .state = o->task.state,
                                             .task = &o->task,
                                             .batch = o->task.spec->batch});
    return s->ops->unmark(s->backend);
}

const struct store_verb store_verb_revive = {
    .prepare = prepare_revive, .write = write_revive, .is_refusable = true};
