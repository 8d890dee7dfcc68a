#include "api/waiters.h"

#include "core/mem.h"

void waiters_init(struct waiters *ws, size_t max)
{
    mutex_init(&ws->mu);
    map_init(&ws->map);
    atomic_init(&ws->len, 0);
    ws->max = max;
}

void waiters_release(struct waiters *ws)
{
    FUT_ASSERT(ws->map.len == 0);
    map_release(&ws->map);
    mutex_destroy(&ws->mu);
}

size_t waiters_count(const struct waiters *ws)
{
    return atomic_load_explicit(&ws->len, memory_order_relaxed);
}

/* The mutex is held. */
static void link_done(struct waiters *ws, struct waiter_link *l, const struct task *task,
                      struct list *to_wake)
{
    struct waiter *w = l->waiter;
    map_remove(&ws->map, &l->node);
    l->is_done = true;
    if (task)
        task_copy(&l->task, task);
    w->seen++;
    if (w->armed && w->seen >= w->need) {
        w->armed = false;
        list_push_back(to_wake, &w->to_wake);
    }
}

/* The mutex is held. */
static void future_done(struct waiters *ws, const struct store_change *c, struct list *to_wake)
{
    struct map_node *next;
    for (struct map_node *n = map_get(&ws->map, c->id.hi); n; n = next) {
        struct waiter_link *l = FUT_CONTAINER(n, struct waiter_link, node);
        next = map_next_same(n);
        if (id_equal(l->id, c->id))
            link_done(ws, l, c->task, to_wake);
    }
}

void waiters_on_change(void *ctx, const struct store_change *changes, size_t n)
{
    struct waiters *ws = ctx;
    struct list to_wake;
    struct list_node *node;
    list_init(&to_wake);
    mutex_lock(&ws->mu);
    for (size_t i = 0; i < n && ws->map.len; i++) {
        if (task_state_is_final(changes[i].state))
            future_done(ws, &changes[i], &to_wake);
    }
    mutex_unlock(&ws->mu);
    while ((node = list_pop_front(&to_wake))) {
        struct waiter *w = FUT_CONTAINER(node, struct waiter, to_wake);
        w->wake(w); /* from here on w may be gone */
    }
}

static bool reserve(struct waiters *ws)
{
    if (atomic_fetch_add_explicit(&ws->len, 1, memory_order_relaxed) < ws->max)
        return true;
    (void)atomic_fetch_sub_explicit(&ws->len, 1, memory_order_relaxed);
    return false;
}

bool waiter_open(struct waiters *ws, struct waiter *w, struct waiter_link *links, size_t n,
                 size_t need, void (*wake)(struct waiter *w))
{
    if (!reserve(ws))
        return false;
    *w = (struct waiter){.wake = wake, .links = links, .n_links = n, .need = need, .is_open = true};
    for (size_t i = 0; i < n; i++)
        links[i].waiter = w;
    mutex_lock(&ws->mu);
    for (size_t i = 0; i < n; i++)
        map_put(&ws->map, &links[i].node, links[i].id.hi);
    mutex_unlock(&ws->mu);
    return true;
}

bool waiter_arm(struct waiters *ws, struct waiter *w)
{
    mutex_lock(&ws->mu);
    bool armed = w->armed = w->seen < w->need;
    mutex_unlock(&ws->mu);
    return armed;
}

bool waiter_disarm(struct waiters *ws, struct waiter *w)
{
    mutex_lock(&ws->mu);
    bool was_armed = w->armed;
    w->armed = false;
    mutex_unlock(&ws->mu);
    return was_armed;
}

void waiter_unlink(struct waiters *ws, struct waiter *w)
{
    if (!w->is_open)
        return;
    mutex_lock(&ws->mu);
    FUT_ASSERT(!w->armed);
    for (size_t i = 0; i < w->n_links; i++)
        map_remove(&ws->map, &w->links[i].node);
    mutex_unlock(&ws->mu);
}

void waiter_close(struct waiters *ws, struct waiter *w)
{
    if (!w->is_open)
        return;
    waiter_unlink(ws, w);
    for (size_t i = 0; i < w->n_links; i++)
        task_release(&w->links[i].task);
    w->is_open = false;
    (void)atomic_fetch_sub_explicit(&ws->len, 1, memory_order_relaxed);
}
