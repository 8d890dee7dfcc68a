/* bulk: operations on many futures, and failures in groups, in the memory backend. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

static struct store_bulk *find(struct backend *b, struct task_id id)
{
    for (size_t i = 0; i < b->n_bulks; i++) {
        if (id_equal(b->bulks[i].id, id))
            return &b->bulks[i];
    }
    return NULL;
}

static void trim(struct backend *b)
{
    size_t finished = 0;
    for (size_t i = b->n_bulks; i-- > 0;) {
        finished += b->bulks[i].finished_wall_ms != 0;
        if (!b->bulks[i].finished_wall_ms || finished <= STORE_BULKS_KEPT)
            continue;
        memmove(&b->bulks[i], &b->bulks[i + 1], (b->n_bulks - i - 1) * sizeof(*b->bulks));
        b->n_bulks--;
    }
}

int memory_bulk_put(struct backend *b, const struct store_bulk *bulk)
{
    if (!b->bulks_before) {
        b->n_bulks_before = b->n_bulks;
        b->bulks_before = xcalloc(b->n_bulks + 1, sizeof(*b->bulks));
        if (b->n_bulks)
            memcpy(b->bulks_before, b->bulks, b->n_bulks * sizeof(*b->bulks));
    }
    struct store_bulk *known = find(b, bulk->id);
    if (!known) {
        b->bulks = xrealloc(b->bulks, (b->n_bulks + 1) * sizeof(*b->bulks));
        known = &b->bulks[b->n_bulks++];
    }
    *known = *bulk;
    trim(b);
    return 0;
}

void memory_keep_bulks(struct backend *b, bool is_committed)
{
    if (!b->bulks_before)
        return;
    if (is_committed) {
        free(b->bulks_before);
    } else {
        free(b->bulks);
        b->bulks = b->bulks_before;
        b->n_bulks = b->n_bulks_before;
    }
    b->bulks_before = NULL;
}

int memory_bulk_next(struct backend *b, uint64_t after, struct store_bulk *out, size_t *out_n)
{
    const struct store_bulk *first = NULL;
    *out_n = 0;
    for (size_t i = 0; i < b->n_bulks; i++) {
        *out_n += !b->bulks[i].finished_wall_ms;
        if (!first && !b->bulks[i].finished_wall_ms && b->bulks[i].id.hi > after)
            first = &b->bulks[i];
    }
    if (!first)
        return FUT_ERR_NOT_FOUND;
    *out = *first;
    return 0;
}

int memory_bulk_find(struct backend *b, struct task_id id, struct store_bulk *out)
{
    const struct store_bulk *known = find(b, id);
    if (!known)
        return FUT_ERR_NOT_FOUND;
    *out = *known;
    return 0;
}

int memory_bulk_scan(struct backend *b, struct backend_scan *scan)
{
    uint64_t lowest = task_filter_lowest(&scan->bulk->filter);
    scan->next = 0;
    for (struct list_node *i = b->in_order.head.prev; i != &b->in_order.head; i = i->prev) {
        const struct task *t = &FUT_CONTAINER(i, struct record, in_order)->task;
        if (t->spec->id.hi >= scan->before)
            continue;
        if (t->spec->id.hi < lowest)
            return 0;
        if (scan->bulk->filter.parent.hi && !id_equal(scan->bulk->filter.parent, t->spec->parent))
            continue; /* others have an index of these */
        if (scan->seen == scan->look || scan->n == scan->max) {
            scan->next = t->spec->id.hi + 1;
            return 0;
        }
        scan->seen++;
        if (backend_bulk_wants(scan->bulk, t))
            task_copy(&scan->tasks[scan->n++], t);
    }
    return 0;
}

/* ---- readers ----------------------------------------------------------------------------------
 */

int memory_failures(struct backend_reader *r, struct store_failures *o)
{
    struct backend *b = r->b;
    uint64_t lowest = task_filter_lowest(&o->filter);
    mutex_lock(&b->mu);
    for (struct list_node *i = b->in_order.head.prev; i != &b->in_order.head; i = i->prev) {
        const struct task *t = &FUT_CONTAINER(i, struct record, in_order)->task;
        if (t->spec->id.hi < lowest)
            break;
        if (!t->outcome || !t->outcome->code)
            continue;
        if (o->seen == STORE_FAILURES_SCAN) {
            o->is_all = false;
            break;
        }
        backend_add_failure(o, t);
    }
    mutex_unlock(&b->mu);
    return 0;
}

int memory_bulk_get(struct backend_reader *r, struct store_bulk_get *o)
{
    mutex_lock(&r->b->mu);
    int rc = memory_bulk_find(r->b, o->id, &o->bulk);
    mutex_unlock(&r->b->mu);
    return rc;
}

int memory_bulk_list(struct backend_reader *r, struct store_bulk_list *o)
{
    struct backend *b = r->b;
    mutex_lock(&b->mu);
    o->bulks = xcalloc(b->n_bulks + 1, sizeof(*o->bulks));
    while (o->n < b->n_bulks) {
        o->bulks[o->n] = b->bulks[b->n_bulks - 1 - o->n];
        o->n++;
    }
    mutex_unlock(&b->mu);
    return 0;
}
