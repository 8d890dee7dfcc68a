/* store_mem: the reference backend: everything in memory, nothing kept. For tests, and for
 * `--store=memory`. A transaction holds the lock from begin to commit, so readers see commits only;
 * an undo log takes back what a rolled-back transaction did. */
#include <stdlib.h>

#include "core/heap.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/sync.h"
#include "storage/backend.h"

struct record {
    struct map_node by_key;
    struct list_node in_order; /* of ascending keys */
    struct heap_node queued;   /* by key, in its lane's queue */
    struct heap_node due;      /* by due time */
    struct heap_node done;     /* by seq */
    struct task task;
};

enum undo_kind { UNDO_INSERT, UNDO_CHANGE, UNDO_REMOVE };

struct undo {
    enum undo_kind kind;
    struct record *rec;
    struct task before;
};

struct backend {
    struct mutex mu; /* guards all below; held by the writer from begin to commit or rollback */
    struct map by_key;
    struct list in_order;
    struct heap queue[LANE_COUNT], due, done;
    struct undo *undo;
    size_t n_undo, cap_undo, mark;
};

struct backend_reader {
    struct backend *b;
};

/* ---- indexes --------------------------------------------------------------------------------- */

static void index_record(struct backend *b, struct record *r)
{
    const struct task *t = &r->task;
    if (backend_is_claimable(t->state))
        heap_put(&b->queue[t->spec->lane], &r->queued, (int64_t)t->spec->id.hi);
    if (t->due_wall_ms)
        heap_put(&b->due, &r->due, t->due_wall_ms);
    if (task_state_is_final(t->state))
        heap_put(&b->done, &r->done, (int64_t)t->seq);
}

static void unindex_record(struct backend *b, struct record *r)
{
    heap_remove(&b->queue[r->task.spec->lane], &r->queued);
    heap_remove(&b->due, &r->due);
    heap_remove(&b->done, &r->done);
}

static void link_in_order(struct backend *b, struct record *r)
{
    struct list_node *at = b->in_order.head.prev;
    while (at != &b->in_order.head &&
           FUT_CONTAINER(at, struct record, in_order)->task.spec->id.hi > r->task.spec->id.hi)
        at = at->prev;
    r->in_order.prev = at;
    r->in_order.next = at->next;
    at->next->prev = &r->in_order;
    at->next = &r->in_order;
    b->in_order.len++;
}

static void attach(struct backend *b, struct record *r)
{
    map_put(&b->by_key, &r->by_key, r->task.spec->id.hi);
    link_in_order(b, r);
    index_record(b, r);
}

static void detach(struct backend *b, struct record *r)
{
    unindex_record(b, r);
    list_remove(&b->in_order, &r->in_order);
    map_remove(&b->by_key, &r->by_key);
}

static void record_free(struct record *r)
{
    task_release(&r->task);
    free(r);
}

static struct record *find(const struct backend *b, uint64_t key)
{
    struct map_node *n = map_get(&b->by_key, key);
    return n ? FUT_CONTAINER(n, struct record, by_key) : NULL;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void remember(struct backend *b, enum undo_kind kind, struct record *r)
{
    if (b->n_undo == b->cap_undo) {
        b->cap_undo = b->cap_undo ? b->cap_undo * 2 : 64;
        b->undo = xrealloc(b->undo, b->cap_undo * sizeof(*b->undo));
    }
    struct undo *u = &b->undo[b->n_undo++];
    *u = (struct undo){.kind = kind, .rec = r};
    if (kind == UNDO_CHANGE)
        task_copy(&u->before, &r->task);
}

static void undo_one(struct backend *b, struct undo *u)
{
    if (u->kind == UNDO_REMOVE) {
        attach(b, u->rec);
        return;
    }
    if (u->kind == UNDO_INSERT) {
        detach(b, u->rec);
        record_free(u->rec);
        return;
    }
    unindex_record(b, u->rec);
    task_release(&u->rec->task);
    u->rec->task = u->before;
    index_record(b, u->rec);
}

static void undo_to(struct backend *b, size_t mark)
{
    while (b->n_undo > mark)
        undo_one(b, &b->undo[--b->n_undo]);
}

static int mem_begin(struct backend *b)
{
    mutex_lock(&b->mu);
    b->n_undo = 0;
    return 0;
}

static int mem_commit(struct backend *b)
{
    for (size_t i = 0; i < b->n_undo; i++) {
        task_release(&b->undo[i].before);
        if (b->undo[i].kind == UNDO_REMOVE)
            record_free(b->undo[i].rec);
    }
    b->n_undo = 0;
    mutex_unlock(&b->mu);
    return 0;
}

static void mem_rollback(struct backend *b)
{
    undo_to(b, 0);
    mutex_unlock(&b->mu);
}

static int mem_mark(struct backend *b)
{
    b->mark = b->n_undo;
    return 0;
}

static int mem_unmark(struct backend *b)
{
    (void)b;
    return 0;
}

static int mem_back(struct backend *b)
{
    undo_to(b, b->mark);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void set_task(struct backend *b, struct record *r, const struct task *after)
{
    struct task kept;
    remember(b, UNDO_CHANGE, r);
    unindex_record(b, r);
    task_copy(&kept, after);
    /* The stored spec has the input, the caller's may lack it. */
    task_spec_unref(kept.spec);
    kept.spec = task_spec_ref(r->task.spec);
    task_release(&r->task);
    r->task = kept;
    index_record(b, r);
}

static int mem_insert(struct backend *b, const struct task *t)
{
    if (find(b, t->spec->id.hi))
        return FUT_ERR_EXISTS;
    struct record *r = xnew(struct record);
    task_copy(&r->task, t);
    attach(b, r);
    remember(b, UNDO_INSERT, r);
    return 0;
}

static int mem_change(struct backend *b, const struct task_change *c, const struct task *after)
{
    struct record *r = find(b, c->id.hi);
    if (!r || r->task.state != c->from_state || r->task.attempt != c->from_attempt)
        return FUT_ERR_STALE;
    set_task(b, r, after);
    return 0;
}

static int mem_take(struct backend *b, enum lane lane, const struct task_move *move,
                    int64_t now_wall_ms, size_t max, struct backend_row *rows, size_t *out_n)
{
    size_t n = 0;
    struct heap_node *first;
    while (n < max && (first = heap_min(&b->queue[lane]))) {
        struct record *r = FUT_CONTAINER(first, struct record, queued);
        struct task after = r->task;
        after.state = move->to;
        after.attempt = (uint32_t)((int64_t)after.attempt + move->attempt_delta);
        after.started_wall_ms = now_wall_ms;
        set_task(b, r, &after);
        rows[n++] = (struct backend_row){after.spec->id.hi, after.attempt, after.lost, now_wall_ms};
    }
    *out_n = n;
    return 0;
}

static int mem_load(struct backend *b, uint64_t key, struct task_spec **out)
{
    struct record *r = find(b, key);
    if (!r)
        return FUT_ERR_NOT_FOUND;
    *out = task_spec_ref(r->task.spec);
    return 0;
}

static int mem_promote(struct backend *b, const struct task_move *move, int64_t now_wall_ms,
                       size_t max, size_t out_lanes[LANE_COUNT])
{
    struct heap_node *first;
    for (size_t n = 0; n < max && (first = heap_min(&b->due)) && first->key <= now_wall_ms; n++) {
        struct record *r = FUT_CONTAINER(first, struct record, due);
        struct task after = r->task;
        after.state = move->to;
        after.due_wall_ms = 0;
        set_task(b, r, &after);
        out_lanes[after.spec->lane]++;
    }
    return 0;
}

static int mem_next_due(struct backend *b, int64_t *out_wall_ms)
{
    struct heap_node *first = heap_min(&b->due);
    *out_wall_ms = first ? first->key : -1;
    return 0;
}

static int mem_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                        size_t *out_n)
{
    size_t n = 0;
    for (struct list_node *i = list_first(&b->in_order); i && n < max;
         i = list_next(&b->in_order, i)) {
        const struct record *r = FUT_CONTAINER(i, struct record, in_order);
        if (r->task.state == state)
            task_copy(&tasks[n++], &r->task);
    }
    *out_n = n;
    return 0;
}

static void remove_record(struct backend *b, struct record *r)
{
    detach(b, r);
    remember(b, UNDO_REMOVE, r);
}

static int mem_remove(struct backend *b, struct task_id id)
{
    struct record *r = find(b, id.hi);
    if (!r || r->task.spec->id.lo != id.lo)
        return FUT_ERR_NOT_FOUND;
    if (!task_state_is_final(r->task.state))
        return FUT_ERR_STATE;
    remove_record(b, r);
    return 0;
}

static int mem_prune(struct backend *b, int64_t cutoff_wall_ms, size_t max, size_t *out_n)
{
    size_t n = 0;
    struct heap_node *first;
    while (n < max && (first = heap_min(&b->done))) {
        struct record *r = FUT_CONTAINER(first, struct record, done);
        if (r->task.finished_wall_ms > cutoff_wall_ms)
            break;
        remove_record(b, r);
        n++;
    }
    *out_n = n;
    return 0;
}

static int mem_totals(struct backend *b, struct backend_totals *out)
{
    (void)b; /* always new */
    *out = (struct backend_totals){0};
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int mem_reader_open(struct backend *b, struct backend_reader **out)
{
    *out = xnew(struct backend_reader);
    (*out)->b = b;
    return 0;
}

static void mem_reader_close(struct backend_reader *r)
{
    free(r);
}

static int mem_get(struct backend_reader *r, struct task_id id, struct task *out)
{
    int rc = FUT_ERR_NOT_FOUND;
    mutex_lock(&r->b->mu);
    struct record *rec = find(r->b, id.hi);
    if (rec && rec->task.spec->id.lo == id.lo) {
        task_copy(out, &rec->task);
        rc = 0;
    }
    mutex_unlock(&r->b->mu);
    return rc;
}

static int mem_list(struct backend_reader *reader, struct store_list *o)
{
    struct backend *b = reader->b;
    size_t seen = 0;
    uint64_t last = 0;
    mutex_lock(&b->mu);
    struct list_node *i = b->in_order.head.prev;
    for (; i != &b->in_order.head && o->n < o->limit && seen < BACKEND_SCAN_MAX; i = i->prev) {
        const struct record *r = FUT_CONTAINER(i, struct record, in_order);
        if (o->before && r->task.spec->id.hi >= o->before)
            continue;
        seen++;
        last = r->task.spec->id.hi;
        if (backend_list_wants(o, &r->task))
            task_copy(&o->tasks[o->n++], &r->task);
    }
    o->next = o->n == o->limit || seen == BACKEND_SCAN_MAX ? last : 0;
    mutex_unlock(&b->mu);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int mem_open(const struct store_config *cfg, struct backend **out, struct fut_errbuf *err)
{
    (void)cfg;
    (void)err;
    struct backend *b = xnew(struct backend);
    mutex_init(&b->mu);
    map_init(&b->by_key);
    list_init(&b->in_order);
    *out = b;
    return 0;
}

static void mem_close(struct backend *b)
{
    struct list_node *i;
    while ((i = list_first(&b->in_order))) {
        struct record *r = FUT_CONTAINER(i, struct record, in_order);
        detach(b, r);
        record_free(r);
    }
    map_release(&b->by_key);
    for (int l = 0; l < LANE_COUNT; l++)
        heap_release(&b->queue[l]);
    heap_release(&b->due);
    heap_release(&b->done);
    mutex_destroy(&b->mu);
    free(b->undo);
    free(b);
}

const struct backend_ops backend_mem = {
    .name = "memory",
    .open = mem_open,
    .close = mem_close,
    .begin = mem_begin,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .mark = mem_mark,
    .unmark = mem_unmark,
    .back = mem_back,
    .insert = mem_insert,
    .change = mem_change,
    .take = mem_take,
    .load = mem_load,
    .promote = mem_promote,
    .next_due = mem_next_due,
    .in_state = mem_in_state,
    .remove = mem_remove,
    .prune = mem_prune,
    .totals = mem_totals,
    .reader_open = mem_reader_open,
    .reader_close = mem_reader_close,
    .get = mem_get,
    .list = mem_list,
};
