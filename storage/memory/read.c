/* read: what readers ask the memory backend. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

int memory_reader_open(struct backend *b, struct backend_reader **out)
{
    *out = xnew(struct backend_reader);
    (*out)->b = b;
    return 0;
}

void memory_reader_close(struct backend_reader *r)
{
    free(r);
}

static const struct record *find_exactly(const struct backend *b, struct task_id id)
{
    const struct record *r = memory_find(b, id.hi);
    return r && r->task.spec->id.lo == id.lo ? r : NULL;
}

static struct store_reported copy_reported(const struct memory_reported *reported)
{
    if (!reported)
        return (struct store_reported){.progress = -1};
    return (struct store_reported){.progress = reported->progress,
                                   .message = reported->message ? xstrdup(reported->message) : NULL,
                                   .log_end = reported->log_end};
}

int memory_get(struct backend_reader *reader, struct store_get *o)
{
    int rc = FUT_ERR_NOT_FOUND;
    mutex_lock(&reader->b->mu);
    const struct record *r = find_exactly(reader->b, o->id);
    if (r) {
        task_copy(&o->task, &r->task);
        o->reported = copy_reported(r->reported);
        o->reported.place = memory_place_of(reader->b, r);
        memory_read_wakes(reader->b, &r->task, &o->reported);
        rc = 0;
    }
    mutex_unlock(&reader->b->mu);
    return rc;
}

int memory_list(struct backend_reader *reader, struct store_list *o)
{
    struct backend *b = reader->b;
    size_t seen = 0;
    uint64_t last = 0;
    mutex_lock(&b->mu);
    struct list_node *i = b->in_order.head.prev;
    for (; i != &b->in_order.head && o->n < o->limit && seen < BACKEND_SCAN_MAX; i = i->prev) {
        const struct record *r = FUT_CONTAINER(i, struct record, in_order);
        if (r->task.spec->id.hi < task_filter_lowest(&o->filter))
            break;
        if (o->before && r->task.spec->id.hi >= o->before)
            continue;
        seen++;
        last = r->task.spec->id.hi;
        if (task_filter_wants(&o->filter, &r->task))
            task_copy(&o->tasks[o->n++], &r->task);
    }
    o->next = o->n == o->limit || seen == BACKEND_SCAN_MAX ? last : 0;
    mutex_unlock(&b->mu);
    return 0;
}

int memory_get_many(struct backend_reader *reader, struct store_get_many *o)
{
    mutex_lock(&reader->b->mu);
    for (size_t i = 0; i < o->n; i++) {
        const struct record *r = find_exactly(reader->b, o->ids[i]);
        o->briefs[i] = (struct store_brief){.found = r != NULL};
        if (r) {
            o->briefs[i].state = r->task.state;
            o->briefs[i].seq = r->task.seq;
        }
    }
    mutex_unlock(&reader->b->mu);
    return 0;
}

static void count_member(struct store_batch *batch, const struct task *t, uint64_t *n)
{
    if (t->spec->batch.hi != batch->id.hi)
        return;
    batch->counts[t->state]++;
    if (t->finished_wall_ms > batch->finished_wall_ms)
        batch->finished_wall_ms = t->finished_wall_ms;
    (*n)++;
}

int memory_batch_get(struct backend_reader *reader, struct store_batch_get *o)
{
    struct backend *b = reader->b;
    uint64_t n = 0;
    mutex_lock(&b->mu);
    const struct memory_batch *m = memory_find_batch(b, o->id.hi);
    if (m && id_equal(m->batch.id, o->id)) {
        o->batch = m->batch;
        for (struct list_node *i = list_first(&b->in_order); i; i = list_next(&b->in_order, i))
            count_member(&o->batch, &FUT_CONTAINER(i, struct record, in_order)->task, &n);
    }
    mutex_unlock(&b->mu);
    bool is_session = n == 0 && m && id_equal(m->session.id, o->id);
    return n || is_session ? 0 : FUT_ERR_NOT_FOUND;
}

const struct memory_batch *memory_find_older(const struct backend *b, memory_is_listed *is_listed,
                                             const void *ctx, uint64_t before)
{
    const struct memory_batch *found = NULL;
    for (struct list_node *i = list_first(&b->batches); i; i = list_next(&b->batches, i)) {
        const struct memory_batch *m = FUT_CONTAINER(i, struct memory_batch, in_order);
        if (m->batch.id.hi < before && (!found || m->batch.id.hi > found->batch.id.hi) &&
            is_listed(m, ctx))
            found = m;
    }
    return found;
}

static bool is_batch(const struct memory_batch *m, const void *list)
{
    const struct store_batch_list *o = list;
    bool is_wanted =
        o->which == STORE_BATCHES_ALL || (m->unfinished == 0) == (o->which == STORE_BATCHES_DONE);
    return is_wanted && !m->session.id.hi;
}

int memory_batch_list(struct backend_reader *reader, struct store_batch_list *o)
{
    const struct memory_batch *m;
    uint64_t before = o->before ? o->before : UINT64_MAX;
    mutex_lock(&reader->b->mu);
    while ((m = memory_find_older(reader->b, is_batch, o, before)) && o->n < o->limit) {
        struct store_batch_row *row = &o->rows[o->n++];
        *row = (struct store_batch_row){.batch = m->batch, .unfinished = m->unfinished};
        memset(row->batch.counts, 0, sizeof(row->batch.counts));
        backend_count_batch(row, m->ended[TASK_FAILED], m->ended[TASK_CANCELLED]);
        before = m->batch.id.hi;
    }
    if (m)
        o->next = before;
    mutex_unlock(&reader->b->mu);
    return 0;
}

/* Members have ascending ids, so the order of ids is that of submission. */
int memory_members(struct backend_reader *reader, struct store_members *o)
{
    struct backend *b = reader->b;
    mutex_lock(&b->mu);
    for (struct list_node *i = list_first(&b->in_order); i && !o->page.is_full;
         i = list_next(&b->in_order, i)) {
        const struct task *t = &FUT_CONTAINER(i, struct record, in_order)->task;
        if (!id_equal(t->spec->batch, o->id) || !t->spec->batch.hi || t->spec->batch_pos < o->from)
            continue;
        task_copy(&o->page.tasks[o->page.n], t);
        backend_page_add(&o->page);
    }
    mutex_unlock(&b->mu);
    return 0;
}

int memory_log(struct backend_reader *reader, struct store_log *o)
{
    int rc = FUT_ERR_NOT_FOUND;
    mutex_lock(&reader->b->mu);
    const struct record *r = find_exactly(reader->b, o->id);
    if (r) {
        o->state = r->task.state;
        o->reported = copy_reported(r->reported);
        if (r->reported)
            backend_copy_log(o, r->reported->log.data, r->reported->log.len);
        rc = 0;
    }
    mutex_unlock(&reader->b->mu);
    return rc;
}
