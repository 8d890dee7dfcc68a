/* prune: the retention of the memory backend. */
#include "core/mem.h"
#include "storage/memory/internal.h"

/* From when on it would be kept if it were kept as others are. */
static int64_t kept_since(const struct backend *b, const struct memory_batch *m,
                          const struct backend_prune *p)
{
    int64_t as_if_ms = m->up_ms + m->keep_ms - (b->now.up_ms - p->until_up_ms);
    bool is_longer = m->keep_ms && (!m->keeps_default || as_if_ms > m->up_ms);
    return is_longer ? as_if_ms : m->up_ms;
}

/* The first batch that is old enough, or NULL. */
static struct memory_batch *find_old_batch(struct backend *b, struct backend_prune *p)
{
    for (struct list_node *i = list_first(&b->batches); i; i = list_next(&b->batches, i)) {
        struct memory_batch *m = FUT_CONTAINER(i, struct memory_batch, in_order);
        if (m->unfinished || (!m->members && !m->session.id.hi))
            continue;
        int64_t up_ms = kept_since(b, m, p);
        backend_keep_oldest(p, up_ms);
        if (up_ms <= p->until_up_ms)
            return m;
    }
    return NULL;
}

/* A session goes at once when it has no members, whatever becomes of the transaction. */
static void prune_batch(struct backend *b, struct memory_batch *m, struct backend_prune *p)
{
    struct list_node *i = list_first(&b->in_order), *next;
    for (; i && p->n + p->n_kept < p->max && m->members; i = next) {
        struct record *r = FUT_CONTAINER(i, struct record, in_order);
        next = list_next(&b->in_order, i);
        if (r->task.spec->batch.hi != m->batch.id.hi)
            continue;
        memory_drop(b, r);
        p->n++;
    }
    if (m->session.id.hi && !m->members) {
        p->session = m->session.id;
        memory_drop_batch(b, m);
    }
}

/* Is it the callback of a future or a batch that is kept? */
static bool is_needed(const struct backend *b, const struct task_spec *spec)
{
    if (!spec->after.hi)
        return false;
    const struct record *told_of = memory_find(b, spec->after.hi);
    if (told_of)
        return told_of->task.spec->callback.hi == spec->id.hi;
    const struct memory_batch *m = memory_find_batch(b, spec->after.hi);
    return m && m->batch.callback.hi == spec->id.hi;
}

static void keep_longer(struct backend *b, struct record *r)
{
    heap_remove(&b->done, &r->done);
    r->up_ms = b->now.up_ms;
    heap_put(&b->done, &r->done, r->up_ms);
}

static void prune_kept(struct backend *b, struct backend_prune *p)
{
    struct heap_node *first;
    while (p->n < p->max && (first = heap_min(&b->kept))) {
        backend_keep_oldest(p, p->until_up_ms + first->key - b->now.up_ms);
        if (first->key > b->now.up_ms)
            return;
        memory_drop(b, FUT_CONTAINER(first, struct record, done));
        p->n++;
    }
}

int memory_prune(struct backend *b, struct backend_prune *p)
{
    struct heap_node *first;
    struct memory_batch *m;
    p->n = p->n_kept = 0;
    p->oldest_up_ms = -1;
    prune_kept(b, p);
    p->session = (struct task_id){0};
    while (p->n + p->n_kept < p->max && (first = heap_min(&b->done))) {
        struct record *r = FUT_CONTAINER(first, struct record, done);
        backend_keep_oldest(p, r->up_ms);
        if (r->up_ms > p->until_up_ms)
            break;
        if (is_needed(b, r->task.spec)) {
            keep_longer(b, r);
            p->n_kept++;
        } else {
            memory_drop(b, r);
            p->n++;
        }
    }
    while (!p->session.hi && p->n + p->n_kept < p->max && (m = find_old_batch(b, p)))
        prune_batch(b, m, p);
    return 0;
}
