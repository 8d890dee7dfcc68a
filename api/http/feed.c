#include "api/http/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"

#define KEEP_MS 60000 /* after the last reader has left */
/* The numbers of a start begin at its time, so that they grow over restarts; below 2^53, so that
 * JSON readers keep them exact. */
#define NUMBER_SHIFT 22

void feed_init(struct feed *f, struct waiters *waiters)
{
    *f = (struct feed){.waiters = waiters};
    mutex_init(&f->mu);
    list_init(&f->readers);
    f->first = f->next = (uint64_t)(clock_wall_ms() / 1000) << NUMBER_SHIFT;
}

void feed_release(struct feed *f)
{
    FUT_ASSERT(list_is_empty(&f->readers));
    free(f->ring);
    mutex_destroy(&f->mu);
}

/* ---- adding; the mutex is held --------------------------------------------------------------- */

static struct feed_entry *add(struct feed *f, enum feed_kind kind)
{
    struct feed_entry *e = &f->ring[f->next % FEED_ENTRIES];
    *e = (struct feed_entry){
        .number = f->next, .at_wall_ms = clock_wall_ms(), .kind = kind, .progress = -1};
    f->next++;
    if (f->next - f->first > FEED_ENTRIES)
        f->first = f->next - FEED_ENTRIES;
    return e;
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);
    memcpy(out, text, n);
    out[n] = '\0';
}

static void add_of_task(struct feed *f, enum feed_kind kind, const struct store_change *c,
                        const struct task_spec *spec)
{
    const struct task_outcome *outcome = c->task ? c->task->outcome : c->outcome;
    struct feed_entry *e = add(f, kind);
    e->id = c->id;
    e->batch = c->batch;
    e->state = c->state;
    e->lane = spec->lane;
    e->attempt = c->task ? c->task->attempt : 0;
    copy_text(e->name, sizeof(e->name), spec->handler);
    if (kind == FEED_PROGRESS)
        e->progress = c->progress;
    if (kind == FEED_ENDED && outcome && outcome->code)
        copy_text(e->text, sizeof(e->text), outcome->code);
}

static void add_change(struct feed *f, const struct store_change *c)
{
    const struct task_spec *spec = c->task ? c->task->spec : c->spec;
    if (!spec) /* an operation on many futures */
        return;
    if (c->is_new)
        add_of_task(f, FEED_SUBMITTED, c, spec);
    if (c->reported)
        add_of_task(f, FEED_PROGRESS, c, spec);
    else if (task_state_is_final(c->state))
        add_of_task(f, FEED_ENDED, c, spec);
    else if (c->state == TASK_RUNNING)
        add_of_task(f, FEED_STARTED, c, spec);
    else if (!c->is_new)
        add_of_task(f, FEED_WAITING, c, spec);
}

static void call_readers(struct feed *f, struct list *to_wake)
{
    for (struct list_node *n = list_first(&f->readers); n; n = list_next(&f->readers, n)) {
        struct waiter *w = FUT_CONTAINER(n, struct feed_reader, link)->waiter;
        if (waiter_call(f->waiters, w))
            list_push_back(to_wake, &w->to_wake);
    }
}

/* Off once nobody has read for long enough. False: nothing is to be added. */
static bool is_wanted(struct feed *f)
{
    if (f->ring && f->unread_mono_ms && clock_mono_ms() - f->unread_mono_ms > KEEP_MS) {
        free(f->ring);
        f->ring = NULL;
        atomic_store(&f->is_on, false);
    }
    return f->ring != NULL;
}

static void wake_all(struct list *to_wake)
{
    struct list_node *node;
    while ((node = list_pop_front(to_wake))) {
        struct waiter *w = FUT_CONTAINER(node, struct waiter, to_wake);
        w->wish.wake(w); /* from here on w may be gone */
    }
}

/* ---- what happens ---------------------------------------------------------------------------- */

void feed_on_change(void *ctx, const struct store_change *changes, size_t n)
{
    struct feed *f = ctx;
    struct list to_wake;
    if (!atomic_load_explicit(&f->is_on, memory_order_acquire))
        return;
    list_init(&to_wake);
    mutex_lock(&f->mu);
    if (is_wanted(f)) {
        for (size_t i = 0; i < n; i++)
            add_change(f, &changes[i]);
        call_readers(f, &to_wake);
    }
    mutex_unlock(&f->mu);
    wake_all(&to_wake);
}

void feed_add(struct feed *f, enum feed_kind kind, const char *name, const char *text)
{
    struct list to_wake;
    list_init(&to_wake);
    mutex_lock(&f->mu);
    if (is_wanted(f)) {
        struct feed_entry *e = add(f, kind);
        copy_text(e->name, sizeof(e->name), name);
        copy_text(e->text, sizeof(e->text), text);
        call_readers(f, &to_wake);
    }
    mutex_unlock(&f->mu);
    wake_all(&to_wake);
}

void feed_on_limit(void *ctx, const struct task_limit *limit)
{
    feed_add(ctx, FEED_LIMIT, limit->name, "closed");
}

void feed_on_death(void *ctx, const char *program, enum pool_death how, int code)
{
    char text[FEED_TEXT_MAX + 1] = "died";
    if (how != POOL_DEATH_UNKNOWN)
        (void)snprintf(text, sizeof(text), "died: %s %d",
                       how == POOL_DEATH_SIGNAL ? "signal" : "exit", code);
    feed_add(ctx, FEED_WORKER, program, text);
}

/* ---- reading --------------------------------------------------------------------------------- */

void feed_join(struct feed *f, struct feed_reader *r, struct waiter *waiter, uint64_t last)
{
    mutex_lock(&f->mu);
    if (!f->ring) {
        f->ring = xcalloc(FEED_ENTRIES, sizeof(*f->ring));
        f->first = ++f->next; /* the number left out stands for all that nobody has seen */
        atomic_store_explicit(&f->is_on, true, memory_order_release);
    }
    r->waiter = waiter;
    r->next = last ? last + 1 : f->next;
    f->unread_mono_ms = 0;
    list_push_back(&f->readers, &r->link);
    mutex_unlock(&f->mu);
}

void feed_leave(struct feed *f, struct feed_reader *r)
{
    if (!r->waiter)
        return;
    mutex_lock(&f->mu);
    list_remove(&f->readers, &r->link);
    if (list_is_empty(&f->readers))
        f->unread_mono_ms = clock_mono_ms();
    mutex_unlock(&f->mu);
    r->waiter = NULL;
}

size_t feed_read(struct feed *f, struct feed_reader *r, struct feed_entry *out, size_t max,
                 uint64_t *out_missed)
{
    size_t n = 0;
    *out_missed = 0;
    waiter_take_call(f->waiters, r->waiter);
    mutex_lock(&f->mu);
    if (r->next > f->next) /* a number of another clock */
        *out_missed = UINT64_MAX;
    else if (r->next < f->first)
        *out_missed = f->first - r->next > FEED_ENTRIES * 1000ULL ? UINT64_MAX : f->first - r->next;
    if (*out_missed)
        r->next = f->first;
    while (n < max && r->next < f->next)
        out[n++] = f->ring[r->next++ % FEED_ENTRIES];
    mutex_unlock(&f->mu);
    return n;
}
