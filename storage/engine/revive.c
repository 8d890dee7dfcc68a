/* revive: another life for a task that failed or was cancelled. The writer thread alone. */
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
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

/* A new copy of the callback task of the earlier end. The store had appended that end to its
 * input, behind a newline. */
static struct task renew(const struct task_spec *old)
{
    struct task_spec spec = *old;
    spec.id = id_new();
    spec.created_wall_ms = clock_wall_ms();
    const void *end = memchr(spec.input, '\n', spec.input_len);
    if (end)
        spec.input_len = (size_t)((const unsigned char *)end - spec.input);
    return (struct task){.spec = task_spec_new(&spec), .state = TASK_SCHEDULED};
}

static void set_callback(struct task *t, struct task_id callback)
{
    struct task_spec spec = *t->spec;
    spec.callback = callback;
    struct task_spec *fresh = task_spec_new(&spec); /* refers to the old one until then */
    task_spec_unref(t->spec);
    t->spec = fresh;
}

/* A receiver knows a delivery by its id and ignores the second one with an id: the next end gets a
 * callback task of its own. A callback that was deleted is not called again. */
static int insert_renewed(struct store *s, struct task_id old_id, struct task_id *out_id)
{
    struct task_spec *old = NULL;
    struct line *line;
    int rc = s->ops->load(s->backend, old_id.hi, &old);
    if (rc != 0)
        return rc;
    struct task callback = renew(old);
    task_spec_unref(old);
    rc = lines_get(s, callback.spec, &line);
    if (rc == 0)
        rc = txn_insert(s, &callback, line);
    if (rc == 0)
        *out_id = callback.spec->id;
    task_release(&callback);
    return rc;
}

static int replace_callback(struct store *s, struct task *t)
{
    struct task_id id;
    int rc = insert_renewed(s, t->spec->callback, &id);
    if (rc == 0)
        rc = s->ops->set_callback(s->backend, t->spec->id.hi, id);
    if (rc == 0)
        set_callback(t, id);
    return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
}

/* A batch that was done will end once more, and its callback will be called once more. The delivery
 * of its first end goes on: what it says stays true. */
static int reopen_batch(struct store *s, uint64_t key)
{
    struct store_batch batch;
    struct task_id id;
    uint64_t unfinished;
    int rc = s->ops->batch_ends(s->backend, key, &batch, &unfinished);
    if (rc == 0 && !unfinished && batch.callback.hi) {
        rc = insert_renewed(s, batch.callback, &id);
        if (rc == 0)
            rc = s->ops->batch_set_callback(s->backend, key, id);
    }
    return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
}

int revive_task(struct store *s, const struct task_change *c, struct task *t, bool stays)
{
    struct txn_mark before;
    struct task_change change = *c;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = txn_end_batches(s); /* those that ended before this */
    if (rc == 0)
        rc = txn_mark(s, &before);
    if (rc != 0)
        return rc;
    rc = txn_check_unique(s, t->spec);
    if (rc == 0)
        rc = keep_end(s, t);
    if (rc == 0)
        rc = edges_renew(s, t);
    if (rc == 0 && t->unmet)
        FUT_MUST(task_apply(t, EVENT_REVIVE, NULL, &change) == 0);
    if (rc == 0 && t->spec->batch.hi)
        rc = reopen_batch(s, t->spec->batch.hi);
    if (rc == 0)
        rc = txn_change(s, &change, t);
    if (rc == 0 && t->unmet)
        rc = s->ops->set_unmet(s->backend, t->spec->id.hi, t->unmet);
    if (rc == 0 && t->spec->callback.hi)
        rc = replace_callback(s, t);
    if (rc != 0)
        return txn_back(s, &before) == 0 ? rc : FUT_ERR_IO;
    task_spec_unref(spec_cache_take(&s->w.specs, c->id.hi)); /* of before it was cancelled */
    if (stays)
        txn_add_change(s, &(struct store_change){
                              .id = c->id, .state = t->state, .task = t, .batch = t->spec->batch});
    else
        txn_add_change_of(s, t, 0);
    return txn_unmark(s);
}

static void prepare_revive(struct store_op *op)
{
    FUT_ASSERT(FUT_CONTAINER(op, struct store_revive, op)->task.spec);
}

static int drop_checkpoint(struct store *s, struct task *t)
{
    task_checkpoint_unref(t->checkpoint);
    t->checkpoint = NULL;
    return s->ops->drop_checkpoint(s->backend, t->spec->id.hi);
}

static int write_revive(struct store *s, struct store_op *op)
{
    struct store_revive *o = FUT_CONTAINER(op, struct store_revive, op);
    int rc = txn_is_full(s, 1) ? FUT_ERR_FULL : revive_task(s, &o->change, &o->task, true);
    return rc == 0 && o->is_fresh ? drop_checkpoint(s, &o->task) : rc;
}

const struct store_verb store_verb_revive = {
    .prepare = prepare_revive, .write = write_revive, .is_refusable = true};
