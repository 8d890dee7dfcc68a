/* recent_ends: the ends of a moment ago in a ring, each one's seq one above that of the one before
 * it. The writer puts them in behind their commit and before anybody hears of them. Whatever might
 * leave a gap, or something that is not so any more, empties the ring. */
#include "storage/ends.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define RING 4096               /* ends that are kept, */
#define AGE_MS 500              /* for so long: less than any retention, */
#define BYTES_MAX (4u << 20)    /* with so many bytes of inputs and results, */
#define END_BYTES_MAX (1 << 16) /* of one no more than this */

struct recent_end {
    struct task task;
    size_t bytes;
    int64_t at_mono_ms;
};

void recent_ends_init(struct recent_ends *e)
{
    mutex_init(&e->mu);
    atomic_init(&e->wanted, 0);
}

/* ---- the ring; the mutex is held ------------------------------------------------------------- */

static struct recent_end *at(const struct recent_ends *e, size_t i)
{
    return &e->ring[(e->first + i) % RING];
}

static void drop_first(struct recent_ends *e)
{
    struct recent_end *r = at(e, 0);
    e->bytes -= r->bytes;
    task_release(&r->task);
    e->first = (e->first + 1) % RING;
    e->n--;
}

/* All ends up to this seq are forgotten; the next one that is put in follows it. */
static void clear(struct recent_ends *e, uint64_t newest)
{
    while (e->n)
        drop_first(e);
    e->newest = newest;
}

static bool is_old(const struct recent_end *r, int64_t now_mono_ms)
{
    return now_mono_ms - r->at_mono_ms > AGE_MS;
}

static size_t size_of(const struct task *t)
{
    return t->spec->input_len + (t->outcome ? t->outcome->body_len + t->outcome->log_len : 0);
}

/* False: it does not follow the one before it, or is too large. */
static bool put(struct recent_ends *e, const struct task *t, int64_t now_mono_ms)
{
    size_t bytes = size_of(t);
    if (t->seq != e->newest + 1 || bytes > END_BYTES_MAX)
        return false;
    while (e->n && (e->n == RING || e->bytes + bytes > BYTES_MAX || is_old(at(e, 0), now_mono_ms)))
        drop_first(e);
    struct recent_end *r = at(e, e->n++);
    *r = (struct recent_end){.bytes = bytes, .at_mono_ms = now_mono_ms};
    task_copy(&r->task, t);
    e->bytes += bytes;
    e->newest = t->seq;
    return true;
}

static void put_all(struct recent_ends *e, const struct writer *w)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < w->n_changes; i++) {
        const struct store_change *c = &w->changes[i];
        if (task_state_is_final(c->state) && !(c->task && put(e, c->task, now)))
            clear(e, w->now.seq);
    }
    if (w->ends_undone || e->newest != w->now.seq)
        clear(e, w->now.seq);
}

/* ---- the writer ------------------------------------------------------------------------------ */

void recent_ends_committed(struct store *s)
{
    struct recent_ends *e = &s->ends;
    bool is_wanted = !s->ops->hear && atomic_load_explicit(&e->wanted, memory_order_acquire);
    if (!is_wanted && !e->ring)
        return;
    mutex_lock(&e->mu);
    if (!is_wanted) {
        clear(e, 0);
        free(e->ring);
        e->ring = NULL;
    } else if (!e->ring) {
        e->ring = xcalloc(RING, sizeof(*e->ring));
        e->newest = s->w.now.seq;
    } else {
        put_all(e, &s->w);
    }
    mutex_unlock(&e->mu);
    s->w.ends_undone = false;
}

void recent_ends_release(struct recent_ends *e)
{
    if (e->ring)
        clear(e, 0);
    free(e->ring);
    mutex_destroy(&e->mu);
}

/* ---- any thread ------------------------------------------------------------------------------ */

void store_want_ends(struct store *s, bool wants)
{
    if (wants)
        (void)atomic_fetch_add_explicit(&s->ends.wanted, 1, memory_order_release);
    else
        (void)atomic_fetch_sub_explicit(&s->ends.wanted, 1, memory_order_release);
}

/* Where the ends behind this seq begin; the mutex is held. False: some of them are not here. */
static bool find_after(const struct recent_ends *e, uint64_t seq, size_t *out)
{
    uint64_t before = e->newest - e->n; /* the seq of the end before the first that is here */
    if (!e->ring || seq < before || seq > e->newest)
        return false;
    *out = (size_t)(seq - before);
    return true;
}

/* What did not succeed may have reported, and stored, what its end does not tell. */
static bool is_told(const struct recent_end *r, bool is_whole, int64_t now_mono_ms)
{
    return !is_old(r, now_mono_ms) && (!is_whole || r->task.state == TASK_SUCCEEDED);
}

/* The mutex is held. */
static bool copy_ends(const struct recent_ends *e, struct store_session_ends *o, bool is_whole)
{
    int64_t now = clock_mono_ms();
    size_t i;
    if (!find_after(e, o->after, &i))
        return false;
    for (; i < e->n && !o->page.is_full; i++) {
        const struct recent_end *r = at(e, i);
        if (!id_equal(r->task.spec->batch, o->id))
            continue;
        if (!is_told(r, is_whole, now))
            return false;
        task_copy(&o->page.tasks[o->page.n], &r->task);
        backend_page_add(&o->page);
    }
    return true;
}

bool store_recent_session_ends(struct store *s, struct store_session_ends *o, bool is_whole)
{
    backend_page_begin(&o->page);
    o->is_finished = false;
    mutex_lock(&s->ends.mu);
    bool is_known = copy_ends(&s->ends, o, is_whole);
    mutex_unlock(&s->ends.mu);
    if (!is_known)
        store_page_release(&o->page);
    return is_known;
}

bool store_recent_end(struct store *s, struct task_id id, uint64_t seq, bool is_whole,
                      struct task *out)
{
    const struct recent_ends *e = &s->ends;
    size_t i;
    mutex_lock(&s->ends.mu);
    bool is_known = seq && find_after(e, seq - 1, &i) && i < e->n &&
                    id_equal(at(e, i)->task.spec->id, id) &&
                    is_told(at(e, i), is_whole, clock_mono_ms());
    if (is_known)
        task_copy(out, &at(e, i)->task);
    mutex_unlock(&s->ends.mu);
    return is_known;
}
