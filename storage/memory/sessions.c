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

/* ---- leases ----------------------------------------------------------------------------------
 */

static struct memory_batch *batch_at(struct list_node *i)
{
    return FUT_CONTAINER(i, struct memory_batch, in_order);
}

static bool has_lease(const struct memory_batch *m)
{
    return m->session.id.hi && m->session.lease_up_ms != STORE_NO_LEASE;
}

static void renew(struct backend *b, struct memory_batch *m)
{
    int64_t grace_ms = m->session.grace_ms;
    memory_remember_session(b, m);
    m->session.lease_up_ms = b->now.up_ms + grace_ms + grace_ms / 3;
}

int memory_session_renew(struct backend *b, uint64_t key)
{
    struct memory_batch *m = memory_find_batch(b, key);
    if (m && has_lease(m))
        renew(b, m);
    return 0;
}

int memory_session_renew_all(struct backend *b)
{
    for (struct list_node *i = list_first(&b->batches); i; i = list_next(&b->batches, i)) {
        if (has_lease(batch_at(i)))
            renew(b, batch_at(i));
    }
    return 0;
}

/* The lease that ends first of those behind (up_ms, key), or NULL. */
static struct memory_batch *next_lease(const struct backend *b, int64_t up_ms, uint64_t key)
{
    struct memory_batch *found = NULL;
    for (struct list_node *i = list_first(&b->batches); i; i = list_next(&b->batches, i)) {
        struct memory_batch *m = batch_at(i);
        int64_t at = m->session.lease_up_ms;
        bool is_behind = at > up_ms || (at == up_ms && m->session.id.hi > key);
        if (has_lease(m) && is_behind && (!found || at < found->session.lease_up_ms))
            found = m;
    }
    return found;
}

int memory_session_leases(struct backend *b, size_t max, struct store_session *out, size_t *out_n)
{
    const struct memory_batch *m = next_lease(b, INT64_MIN, 0);
    for (*out_n = 0; m && *out_n < max; (*out_n)++) {
        out[*out_n] = row_of(m);
        m = next_lease(b, m->session.lease_up_ms, m->session.id.hi);
    }
    return 0;
}

int memory_session_end_lease(struct backend *b, uint64_t key, int64_t wall_ms)
{
    struct memory_batch *m = memory_find_batch(b, key);
    memory_remember_session(b, m);
    m->session.lease_up_ms = STORE_NO_LEASE;
    m->session.disconnected_wall_ms = wall_ms;
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
    while (m && !o->page.is_full && (t = find_next(reader->b, o->id, after))) {
        after = t->seq;
        task_copy(&o->page.tasks[o->page.n], t);
        backend_page_add(&o->page);
    }
    o->is_finished = m && m->session.closed_wall_ms && !m->unfinished && !o->page.is_full;
    mutex_unlock(&reader->b->mu);
    return m ? 0 : FUT_ERR_NOT_FOUND;
}
