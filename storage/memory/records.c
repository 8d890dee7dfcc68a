/* records: records, indexes and transactions of the memory backend. A transaction holds the
 * lock from begin to commit, so readers see commits only; an undo log takes back what a rolled-back
 * one did. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

/* ---- what hangs on a record or beside it ------------------------------------------------------
 */

static void free_reported(struct memory_reported *reported)
{
    if (!reported)
        return;
    free(reported->message);
    buf_release(&reported->log);
    free(reported);
}

static void drop_key(struct backend *b, struct memory_key *k)
{
    list_remove(&b->keys, &k->in_order);
    free(k->key);
    free(k);
}

void memory_drop_last_key(struct backend *b)
{
    drop_key(b, FUT_CONTAINER(b->keys.head.prev, struct memory_key, in_order));
}

/* Of a task or batch that is gone. */
static void drop_keys_of(struct backend *b, struct task_id id)
{
    for (struct list_node *i = list_first(&b->keys), *next; i; i = next) {
        struct memory_key *k = FUT_CONTAINER(i, struct memory_key, in_order);
        next = list_next(&b->keys, i);
        if (id_equal(k->value.id, id))
            drop_key(b, k);
    }
}

void memory_drop_batch(struct backend *b, struct memory_batch *m)
{
    map_remove(&b->batch_by_key, &m->by_key);
    list_remove(&b->batches, &m->in_order);
    task_init_unref(m->init);
    free(m);
}

void memory_drop_last_batch(struct backend *b)
{
    memory_drop_batch(b, FUT_CONTAINER(b->batches.head.prev, struct memory_batch, in_order));
}

/* ---- indexes --------------------------------------------------------------------------------- */

static struct memory_batch *batch_of(const struct backend *b, const struct record *r)
{
    return r->task.spec->batch.hi ? memory_find_batch(b, r->task.spec->batch.hi) : NULL;
}

/* An attempt that has begun is no expiry's any more, and its again when it is given back. */
static void index_times(struct backend *b, struct record *r)
{
    const struct task *t = &r->task;
    const struct task_times *times = &t->spec->times;
    if (backend_waits_for_wall(t))
        heap_put(&b->timers[BACKEND_RUN_AT], &r->timers[BACKEND_RUN_AT], times->run_at_wall_ms);
    else if (t->due_wall_ms)
        heap_put(&b->due, &r->due, r->due_up_ms);
    if (task_state_is_final(t->state))
        return;
    if (times->expires_in_ms && !task_has_begun(t) && !r->has_suspended)
        heap_put(&b->timers[BACKEND_EXPIRY], &r->timers[BACKEND_EXPIRY],
                 r->born_up_ms + times->expires_in_ms);
    if (times->deadline_ms)
        heap_put(&b->timers[BACKEND_DEADLINE], &r->timers[BACKEND_DEADLINE],
                 r->born_up_ms + times->deadline_ms);
}

static void index_record(struct backend *b, struct record *r)
{
    const struct task *t = &r->task;
    struct memory_batch *m = batch_of(b, r);
    if (backend_is_claimable(t->state))
        heap_put(&r->line->queued, &r->queued, r->place);
    index_times(b, r);
    if (task_state_is_final(t->state) && !m)
        heap_put(t->keep_ms ? &b->kept : &b->done, &r->done, r->up_ms + t->keep_ms);
    if (m && task_state_is_final(t->state))
        m->ended[t->state]++;
    else if (m)
        m->unfinished++;
}

static void unindex_record(struct backend *b, struct record *r)
{
    struct memory_batch *m = batch_of(b, r);
    if (r->line)
        heap_remove(&r->line->queued, &r->queued);
    heap_remove(&b->due, &r->due);
    for (int i = 0; i < BACKEND_TIMER_COUNT; i++)
        heap_remove(&b->timers[i], &r->timers[i]);
    heap_remove(r->task.keep_ms ? &b->kept : &b->done, &r->done);
    if (m && task_state_is_final(r->task.state))
        m->ended[r->task.state]--;
    else if (m)
        m->unfinished--;
}

/* Ids ascend, so the place is nearly always at the end. */
static void link_in_order(struct backend *b, struct record *r)
{
    struct list_node *at = b->in_order.head.prev;
    while (at != &b->in_order.head &&
           FUT_CONTAINER(at, struct record, in_order)->task.spec->id.hi > r->task.spec->id.hi)
        at = at->prev;
    list_insert_after(&b->in_order, at, &r->in_order);
}

static void attach(struct backend *b, struct record *r)
{
    map_put(&b->by_key, &r->by_key, r->task.spec->id.hi);
    link_in_order(b, r);
    index_record(b, r);
    struct memory_batch *m = batch_of(b, r);
    if (m)
        m->members++;
}

static void detach(struct backend *b, struct record *r)
{
    unindex_record(b, r);
    struct memory_batch *m = batch_of(b, r);
    if (m)
        m->members--;
    if (m && task_state_is_final(r->task.state))
        m->ended[r->task.state]++; /* stays counted */
    list_remove(&b->in_order, &r->in_order);
    map_remove(&b->by_key, &r->by_key);
}

static void record_free(struct record *r)
{
    task_release(&r->task);
    free_reported(r->reported);
    store_attempts_free(r->attempts, r->n_attempts);
    free(r);
}

struct memory_batch *memory_find_batch(const struct backend *b, uint64_t key)
{
    struct map_node *n = map_get(&b->batch_by_key, key);
    return n ? FUT_CONTAINER(n, struct memory_batch, by_key) : NULL;
}

struct record *memory_find(const struct backend *b, uint64_t key)
{
    struct map_node *n = map_get(&b->by_key, key);
    return n ? FUT_CONTAINER(n, struct record, by_key) : NULL;
}

/* ---- transactions ---------------------------------------------------------------------------- */

void memory_remember(struct backend *b, enum undo_kind kind, struct record *r)
{
    if (b->n_undo == b->cap_undo) {
        b->cap_undo = b->cap_undo ? b->cap_undo * 2 : 64;
        b->undo = xrealloc(b->undo, b->cap_undo * sizeof(*b->undo));
    }
    struct undo *u = &b->undo[b->n_undo++];
    *u = (struct undo){.kind = kind, .rec = r};
    if (kind == UNDO_CHANGE) {
        task_copy(&u->before, &r->task);
        u->line = r->line;
        u->place = r->place;
        const struct memory_batch *m = batch_of(b, r);
        u->keep_ms = m ? m->keep_ms : 0;
        u->keeps_default = m && m->keeps_default;
    }
}

static void undo_insert(struct backend *b, struct undo *u)
{
    detach(b, u->rec);
    record_free(u->rec);
}

static void undo_change(struct backend *b, struct undo *u)
{
    struct memory_batch *m = batch_of(b, u->rec);
    if (m) {
        m->keep_ms = u->keep_ms;
        m->keeps_default = u->keeps_default;
    }
    unindex_record(b, u->rec);
    task_release(&u->rec->task);
    u->rec->task = u->before;
    u->rec->line = u->line;
    u->rec->place = u->place;
    index_record(b, u->rec);
}

static void undo_remove(struct backend *b, struct undo *u)
{
    struct memory_batch *m = batch_of(b, u->rec);
    if (m)
        m->ended[u->rec->task.state]--; /* attach counts it again */
    attach(b, u->rec);
}

static void undo_attempt(struct backend *b, struct undo *u)
{
    struct record *r = u->rec;
    (void)b;
    task_outcome_unref(r->attempts[--r->n_attempts].outcome);
}

static void undo_batch(struct backend *b, struct undo *u)
{
    (void)u;
    memory_drop_last_batch(b);
}

void memory_remember_session(struct backend *b, struct memory_batch *m)
{
    memory_remember(b, UNDO_SESSION, NULL);
    struct undo *u = &b->undo[b->n_undo - 1];
    u->batch = m;
    u->total = m->batch.total;
    u->closed_wall_ms = m->session.closed_wall_ms;
    u->lease_up_ms = m->session.lease_up_ms;
    u->disconnected_wall_ms = m->session.disconnected_wall_ms;
    u->was_broken = m->session.broken[0] != '\0';
}

static void undo_session(struct backend *b, struct undo *u)
{
    (void)b;
    u->batch->batch.total = u->total;
    u->batch->session.closed_wall_ms = u->closed_wall_ms;
    u->batch->session.lease_up_ms = u->lease_up_ms;
    u->batch->session.disconnected_wall_ms = u->disconnected_wall_ms;
    if (!u->was_broken)
        u->batch->session.broken[0] = '\0';
}

static void undo_key(struct backend *b, struct undo *u)
{
    (void)u;
    memory_drop_last_key(b);
}

static void undo_add_line(struct backend *b, struct undo *u)
{
    memory_hide_line(b, u->line);
    memory_free_line(u->line);
}

static void undo_drop_line(struct backend *b, struct undo *u)
{
    memory_keep_line(b, u->line);
}

static void (*const undoers[])(struct backend *b, struct undo *u) = {
    [UNDO_INSERT] = undo_insert,     [UNDO_CHANGE] = undo_change,
    [UNDO_REMOVE] = undo_remove,     [UNDO_BATCH] = undo_batch,
    [UNDO_ATTEMPT] = undo_attempt,   [UNDO_KEY] = undo_key,
    [UNDO_ADD_LINE] = undo_add_line, [UNDO_DROP_LINE] = undo_drop_line,
    [UNDO_SESSION] = undo_session,
};

static void undo_to(struct backend *b, size_t mark)
{
    while (b->n_undo > mark) {
        struct undo *u = &b->undo[--b->n_undo];
        undoers[u->kind](b, u);
    }
}

static void free_schedules(struct memory_schedule *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_schedule_release(&all[i].row);
    free(all);
}

/* Schedules are kept as they were before the transaction. */
static void keep_schedules(struct backend *b, bool is_committed)
{
    if (!b->schedules_before)
        return;
    if (is_committed) {
        free_schedules(b->schedules_before, b->n_schedules_before);
    } else {
        free_schedules(b->schedules, b->n_schedules);
        b->schedules = b->schedules_before;
        b->n_schedules = b->n_schedules_before;
        b->cap_schedules = b->n_schedules_before + 1; /* as keep_before made it */
    }
    b->schedules_before = NULL;
}

void memory_free_schedules(struct backend *b)
{
    free_schedules(b->schedules, b->n_schedules);
}

int memory_begin(struct backend *b, struct backend_time now)
{
    mutex_lock(&b->mu);
    b->now = now;
    b->n_undo = 0;
    return 0;
}

/* For good, with its keys, and with its batch when it was the last member. */
static void forget(struct backend *b, struct record *r)
{
    struct memory_batch *m = batch_of(b, r);
    drop_keys_of(b, r->task.spec->id);
    memory_graph_forget(b, r->task.spec->id.hi);
    if (m && m->members == 0 && !m->session.id.hi) {
        drop_keys_of(b, m->batch.id);
        memory_drop_batch(b, m);
    }
    record_free(r);
}

int memory_commit(struct backend *b)
{
    for (size_t i = 0; i < b->n_undo; i++) {
        task_release(&b->undo[i].before);
        if (b->undo[i].kind == UNDO_REMOVE)
            forget(b, b->undo[i].rec);
        else if (b->undo[i].kind == UNDO_DROP_LINE)
            memory_free_line(b->undo[i].line);
    }
    b->n_undo = 0;
    memory_keep_bulks(b, true);
    memory_graph_end(b, true);
    keep_schedules(b, true);
    mutex_unlock(&b->mu);
    return 0;
}

void memory_rollback(struct backend *b)
{
    undo_to(b, 0);
    memory_keep_bulks(b, false);
    memory_graph_end(b, false);
    keep_schedules(b, false);
    mutex_unlock(&b->mu);
}

int memory_mark(struct backend *b)
{
    b->mark = b->n_undo;
    memory_graph_mark(b);
    return 0;
}

int memory_unmark(struct backend *b)
{
    memory_graph_unmark(b);
    return 0;
}

int memory_back(struct backend *b)
{
    undo_to(b, b->mark);
    memory_graph_back(b);
    return 0;
}

/* ---- changes that can be undone -------------------------------------------------------------- */

static void keep_batch(struct memory_batch *m, const struct task *member)
{
    m->keep_ms = member->keep_ms > m->keep_ms ? member->keep_ms : m->keep_ms;
    m->keeps_default = m->keeps_default || !member->keep_ms;
}

void memory_set(struct backend *b, struct record *r, const struct task *after,
                struct memory_line *line, int64_t place)
{
    struct task kept, before = r->task;
    struct memory_batch *m = batch_of(b, r);
    memory_remember(b, UNDO_CHANGE, r);
    unindex_record(b, r);
    task_copy(&kept, after);
    /* The stored spec has the input, the caller's may lack it. */
    task_spec_unref(kept.spec);
    kept.spec = task_spec_ref(r->task.spec);
    /* So has the stored record the checkpoint, which goes with a success. */
    task_checkpoint_unref(kept.checkpoint);
    kept.checkpoint = kept.state == TASK_SUCCEEDED ? NULL : task_checkpoint_ref(r->task.checkpoint);
    r->task = kept;
    r->has_suspended =
        kept.is_suspended || (r->has_suspended && !task_state_is_final(before.state));
    r->line = task_state_is_final(kept.state) ? NULL : line;
    if (place != BACKEND_PLACE_KEPT)
        r->place = place;
    r->due_up_ms = b->now.up_ms + kept.due_wall_ms - b->now.wall_ms;
    if (task_state_is_final(kept.state))
        r->up_ms = b->now.up_ms;
    else if (task_state_is_final(before.state))
        r->born_up_ms = b->now.up_ms;
    index_record(b, r);
    if (m && task_state_is_final(kept.state))
        keep_batch(m, &kept);
    if (m && m->unfinished == 0)
        m->up_ms = b->now.up_ms;
    task_release(&before);
}

void memory_set_checkpoint(struct backend *b, struct record *r, struct task_checkpoint *c)
{
    memory_remember(b, UNDO_CHANGE, r);
    task_checkpoint_unref(r->task.checkpoint);
    r->task.checkpoint = c;
}

void memory_set_spec(struct backend *b, struct record *r, struct task_spec *spec)
{
    memory_remember(b, UNDO_CHANGE, r);
    task_spec_unref(r->task.spec);
    r->task.spec = spec;
}

void memory_add(struct backend *b, const struct task *t, struct memory_line *line, int64_t place)
{
    struct record *r = xnew(struct record);
    task_copy(&r->task, t);
    r->line = line;
    r->place = place;
    r->born_up_ms = b->now.up_ms;
    r->due_up_ms = b->now.up_ms + t->due_wall_ms - b->now.wall_ms;
    attach(b, r);
    memory_remember(b, UNDO_INSERT, r);
}

void memory_drop(struct backend *b, struct record *r)
{
    detach(b, r);
    memory_remember(b, UNDO_REMOVE, r);
}

void memory_clear(struct backend *b)
{
    struct list_node *i;
    while ((i = list_first(&b->in_order))) {
        struct record *r = FUT_CONTAINER(i, struct record, in_order);
        detach(b, r);
        record_free(r);
    }
    while ((i = list_first(&b->lines))) {
        struct memory_line *line = FUT_CONTAINER(i, struct memory_line, in_order);
        memory_hide_line(b, line);
        memory_free_line(line);
    }
}
