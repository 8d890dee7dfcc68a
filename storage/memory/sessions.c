/* sessions: sessions of the memory backend. */
#include <stdio.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

int memory_session_put(struct backend *b, const struct store_session *s,
                       const struct task_init *init)
{
    int rc = memory_batch_put(
        b, &(struct store_batch){.id = s->id, .created_wall_ms = s->created_wall_ms});
    if (rc != 0)
        return rc;
    struct memory_batch *m = memory_find_batch(b, s->id.hi);
    m->session = *s;
    m->init = init ? task_init_new(init) : NULL;
    m->up_ms = b->now.up_ms;
    return 0;
}

static struct store_session row_of(const struct memory_batch *m)
{
    struct store_session s = m->session;
    s.total = m->batch.total;
    s.unfinished = m->unfinished;
    return s;
}

int memory_session_find(struct backend *b, uint64_t key, struct store_session *out)
{
    const struct memory_batch *m = memory_find_batch(b, key);
    if (!m || !m->session.id.hi)
        return FUT_ERR_NOT_FOUND;
    *out = row_of(m);
    return 0;
}

int memory_session_init(struct backend *b, uint64_t key, struct task_init **out)
{
    const struct memory_batch *m = memory_find_batch(b, key);
    struct task_init now;
    *out = NULL;
    if (!m || !m->init)
        return 0;
    now = *m->init;
    now.session = m->session.id;
    now.broken = m->session.broken[0] ? m->session.broken : NULL;
    *out = task_init_new(&now);
    return 0;
}

int memory_session_break(struct backend *b, uint64_t key, const char *why)
{
    struct memory_batch *m = memory_find_batch(b, key);
    memory_remember_session(b, m);
    if (!m->session.broken[0])
        (void)snprintf(m->session.broken, sizeof(m->session.broken), "%s", why);
    return 0;
}

int memory_session_add(struct backend *b, uint64_t key, uint32_t n)
{
    struct memory_batch *m = memory_find_batch(b, key);
    memory_remember_session(b, m);
    m->batch.total += n;
    return 0;
}

int memory_session_close(struct backend *b, uint64_t key, int64_t now_wall_ms)
{
    struct memory_batch *m = memory_find_batch(b, key);
    memory_remember_session(b, m);
    if (!m->session.closed_wall_ms)
        m->session.closed_wall_ms = now_wall_ms;
    return 0;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static const struct memory_batch *find_exactly(const struct backend *b, struct task_id id)
{
    const struct memory_batch *m = memory_find_batch(b, id.hi);
    return m && id_equal(m->session.id, id) ? m : NULL;
}

int memory_session_get(struct backend_reader *reader, struct store_session_get *o)
{
    mutex_lock(&reader->b->mu);
    const struct memory_batch *m = find_exactly(reader->b, o->id);
    if (m)
        o->session = row_of(m);
    mutex_unlock(&reader->b->mu);
    return m ? 0 : FUT_ERR_NOT_FOUND;
}

static bool is_session(const struct memory_batch *m, const void *ctx)
{
    (void)ctx;
    return m->session.id.hi != 0;
}

int memory_session_list(struct backend_reader *reader, struct store_session_list *o)
{
    const struct memory_batch *m;
    uint64_t before = o->before ? o->before : UINT64_MAX;
    mutex_lock(&reader->b->mu);
    while ((m = memory_find_older(reader->b, is_session, NULL, before)) && o->n < o->limit) {
        o->sessions[o->n++] = row_of(m);
        before = m->session.id.hi;
    }
    if (m)
        o->next = before;
    mutex_unlock(&reader->b->mu);
    return 0;
}

/* The member that has ended next after `after`, or NULL. */
static const struct task *find_next(const struct backend *b, struct task_id session, uint64_t after)
{
    const struct task *found = NULL;
    for (struct list_node *i = list_first(&b->in_order); i; i = list_next(&b->in_order, i)) {
        const struct task *t = &FUT_CONTAINER(i, struct record, in_order)->task;
        if (id_equal(t->spec->batch, session) && task_state_is_final(t->state) && t->seq > after &&
            (!found || t->seq < found->seq))
            found = t;
    }
    return found;
}

int memory_session_ends(struct backend_reader *reader, struct store_session_ends *o)
{
    const struct task *t;
    uint64_t after = o->after;
    mutex_lock(&reader->b->mu);
    const struct memory_batch *m = find_exactly(reader->b, o->id);
    while (m && o->n < o->limit && (t = find_next(reader->b, o->id, after))) {
        after = t->seq;
        task_copy(&o->tasks[o->n++], t);
    }
    o->is_finished = m && m->session.closed_wall_ms && !m->unfinished && o->n < o->limit;
    mutex_unlock(&reader->b->mu);
    return m ? 0 : FUT_ERR_NOT_FOUND;
}
