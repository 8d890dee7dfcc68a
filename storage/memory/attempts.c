/* attempts: attempts that have ended, and another life, in the memory backend. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

static void drop_oldest(struct record *r)
{
    task_outcome_unref(r->attempts[0].outcome);
    memmove(r->attempts, r->attempts + 1, --r->n_attempts * sizeof(*r->attempts));
}

int memory_add_attempt(struct backend *b, uint64_t key, const struct store_attempt *a)
{
    struct record *r = memory_find(b, key);
    if (!r)
        return FUT_ERR_NOT_FOUND;
    if (r->n_attempts && r->attempts[r->n_attempts - 1].attempt >= a->attempt)
        return 0;
    r->attempts = xrealloc(r->attempts, (r->n_attempts + 1) * sizeof(*r->attempts));
    r->attempts[r->n_attempts++] = backend_keep_attempt(a);
    memory_remember(b, UNDO_ATTEMPT, r);
    while (r->attempts[0].attempt + STORE_ATTEMPTS_MAX <= a->attempt)
        drop_oldest(r); /* for good, also when this is undone */
    return 0;
}

int memory_put_checkpoint(struct backend *b, const struct store_checkpoint *o)
{
    struct record *r = memory_find(b, o->id.hi);
    if (!r || r->task.state != TASK_RUNNING || r->task.attempt != o->attempt)
        return FUT_ERR_STALE;
    memory_set_checkpoint(
        b, r,
        task_checkpoint_new(&(struct task_checkpoint){.attempt = o->attempt,
                                                      .stored_wall_ms = b->now.wall_ms,
                                                      .type = o->type,
                                                      .body = o->len ? o->body : (const void *)"",
                                                      .len = o->len}));
    return 0;
}

int memory_drop_checkpoint(struct backend *b, uint64_t key)
{
    struct record *r = memory_find(b, key);
    if (r && r->task.checkpoint)
        memory_set_checkpoint(b, r, NULL);
    return 0;
}

int memory_load_checkpoint(struct backend *b, uint64_t key, struct task_checkpoint **out)
{
    struct record *r = memory_find(b, key);
    *out = r ? task_checkpoint_ref(r->task.checkpoint) : NULL;
    return 0;
}

int memory_set_callback(struct backend *b, uint64_t key, struct task_id callback)
{
    struct record *r = memory_find(b, key);
    if (!r)
        return FUT_ERR_NOT_FOUND;
    struct task_spec spec = *r->task.spec;
    spec.callback = callback;
    memory_set_spec(b, r, task_spec_new(&spec));
    return 0;
}

int memory_attempts(struct backend_reader *reader, struct store_attempts *o)
{
    mutex_lock(&reader->b->mu);
    const struct record *r = memory_find(reader->b, o->id.hi);
    if (r && r->n_attempts) {
        o->attempts = xcalloc(r->n_attempts, sizeof(*o->attempts));
        for (; o->n < r->n_attempts; o->n++) {
            o->attempts[o->n] = r->attempts[o->n];
            if (o->attempts[o->n].outcome)
                (void)task_outcome_ref(o->attempts[o->n].outcome);
        }
    }
    mutex_unlock(&reader->b->mu);
    return 0;
}
