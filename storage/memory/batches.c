/* batches: batches, keys and reports of the memory backend. It looks through everything each
 * time: what it does must be plain to see, not fast. A rolled-back flag or report stays: no promise
 * of the store rests on either. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

static struct record *next_record(const struct backend *b, const struct record *after)
{
    struct list_node *i =
        after ? list_next(&b->in_order, &after->in_order) : list_first(&b->in_order);
    return i ? FUT_CONTAINER(i, struct record, in_order) : NULL;
}

int memory_find_unique(struct backend *b, const char *unique, struct task_id *out)
{
    for (struct record *r = next_record(b, NULL); r; r = next_record(b, r)) {
        const struct task_spec *spec = r->task.spec;
        if (spec->unique && !task_state_is_final(r->task.state) &&
            strcmp(spec->unique, unique) == 0) {
            *out = spec->id;
            return 0;
        }
    }
    return FUT_ERR_NOT_FOUND;
}

/* ---- keys ------------------------------------------------------------------------------------ */

int memory_find_key(struct backend *b, const char *key, struct backend_key *out)
{
    for (struct list_node *i = list_first(&b->keys); i; i = list_next(&b->keys, i)) {
        const struct memory_key *k = FUT_CONTAINER(i, struct memory_key, in_order);
        uint64_t id = k->value.id.hi;
        if (strcmp(k->key, key) == 0 && (memory_find(b, id) || memory_find_batch(b, id))) {
            *out = k->value;
            return 0;
        }
    }
    return FUT_ERR_NOT_FOUND;
}

int memory_put_key(struct backend *b, const struct store_key *key, struct task_id id)
{
    struct memory_key *k = xnew(struct memory_key);
    k->key = xstrdup(key->key);
    k->value.id = id;
    memcpy(k->value.fingerprint, key->fingerprint, sizeof(k->value.fingerprint));
    list_push_back(&b->keys, &k->in_order);
    memory_remember(b, UNDO_KEY, NULL);
    return 0;
}

/* ---- batches --------------------------------------------------------------------------------- */

int memory_batch_put(struct backend *b, const struct store_batch *batch)
{
    if (memory_find_batch(b, batch->id.hi))
        return FUT_ERR_EXISTS;
    struct memory_batch *m = xnew(struct memory_batch);
    m->batch = *batch;
    list_push_back(&b->batches, &m->in_order);
    map_put(&b->batch_by_key, &m->by_key, batch->id.hi);
    memory_remember(b, UNDO_BATCH, NULL);
    return 0;
}

int memory_batch_failed(struct backend *b, uint64_t key, bool *out_cancel)
{
    struct memory_batch *m = memory_find_batch(b, key);
    *out_cancel = m && m->batch.fail_fast;
    if (*out_cancel) {
        m->batch.cancelling = true;
        m->spares_running = false;
    }
    return 0;
}

int memory_batch_cancel(struct backend *b, struct task_id id, bool spares_running)
{
    struct memory_batch *m = memory_find_batch(b, id.hi);
    if (!m || !id_equal(m->batch.id, id))
        return FUT_ERR_NOT_FOUND;
    m->spares_running = spares_running && (m->spares_running || !m->batch.cancelling);
    m->batch.cancelling = true;
    return 0;
}

int memory_batch_ends(struct backend *b, uint64_t key, struct store_batch *out,
                      uint64_t *out_unfinished)
{
    const struct memory_batch *m = memory_find_batch(b, key);
    if (!m)
        return FUT_ERR_NOT_FOUND;
    *out = m->batch;
    memcpy(out->counts, m->ended, sizeof(out->counts));
    *out_unfinished = m->unfinished;
    return 0;
}

int memory_batch_set_callback(struct backend *b, uint64_t key, struct task_id callback)
{
    struct memory_batch *m = memory_find_batch(b, key);
    if (m)
        m->batch.callback = callback;
    return m ? 0 : FUT_ERR_NOT_FOUND;
}

static bool is_being_cancelled(const struct backend *b, const struct task *t)
{
    const struct memory_batch *m =
        t->spec->batch.hi ? memory_find_batch(b, t->spec->batch.hi) : NULL;
    return m && m->batch.cancelling && !task_state_is_final(t->state) &&
           !(m->spares_running && t->state == TASK_RUNNING);
}

int memory_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n,
                            bool *out_more)
{
    size_t n = 0;
    for (struct record *r = next_record(b, NULL); r && n < max; r = next_record(b, r)) {
        if (is_being_cancelled(b, &r->task))
            task_copy(&tasks[n++], &r->task);
    }
    /* The last ones: what is given another life from now on is not cancelled again. */
    *out_more = n == max;
    for (struct list_node *i = *out_more ? NULL : list_first(&b->batches); i;
         i = list_next(&b->batches, i))
        FUT_CONTAINER(i, struct memory_batch, in_order)->batch.cancelling = false;
    *out_n = n;
    return 0;
}

/* ---- reports --------------------------------------------------------------------------------- */

static void add_log(struct memory_reported *reported, const char *log, size_t len)
{
    buf_put(&reported->log, log, len);
    reported->log_end += len;
    if (reported->log.len > STORE_LOG_MAX)
        buf_consume(&reported->log, reported->log.len - STORE_LOG_MAX);
}

int memory_report(struct backend *b, const struct store_report *o)
{
    struct record *r = memory_find(b, o->id.hi);
    if (!r || r->task.state != TASK_RUNNING || r->task.attempt != o->attempt)
        return FUT_ERR_STALE;
    if (!r->reported) {
        r->reported = xnew(struct memory_reported);
        r->reported->progress = -1;
    }
    if (o->progress >= 0)
        r->reported->progress = o->progress;
    if (o->message) {
        free(r->reported->message);
        r->reported->message = xstrdup(o->message);
    }
    add_log(r->reported, o->log, o->log_len);
    return 0;
}
