#include "api/http/waiters.h"

#include <stdlib.h>

#include "core/mem.h"

#define LOT 512 /* links put in or taken out at a time: the store's writer waits for no more */

void waiters_init(struct waiters *ws, size_t max)
{
    mutex_init(&ws->mu);
    map_init(&ws->map);
    atomic_init(&ws->len, 0);
    atomic_init(&ws->links, 0);
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

/* ---- what happens; the mutex is held --------------------------------------------------------- */

static bool has_enough(const struct waiter *w)
{
    if (w->wish.wants_news)
        return !list_is_empty(&w->news) || w->is_called || (w->wish.members && w->wish.members->n);
    return w->seen >= w->wish.need || (w->wish.stops_at_failure && w->has_failed);
}

static void wake_if_enough(struct waiter *w, struct list *to_wake)
{
    if (!w->armed || !has_enough(w))
        return;
    w->armed = false;
    list_push_back(to_wake, &w->to_wake);
}

static bool is_later(struct list_node *n, uint64_t seq)
{
    const struct waiter_link *l = FUT_CONTAINER(n, struct waiter_link, news);
    return !l->is_done || l->seq > seq;
}

/* At its place by seq, which is nearly always the end. */
static void put_news(struct waiter *w, struct waiter_link *l)
{
    if (list_is_linked(&l->news))
        list_remove(&w->news, &l->news);
    if (!l->is_done || !l->seq || list_is_empty(&w->news) || !is_later(w->news.head.prev, l->seq)) {
        list_push_back(&w->news, &l->news);
        return;
    }
    struct list_node *at = w->news.head.prev;
    for (; at != &w->news.head && is_later(at, l->seq); at = at->prev)
        ;
    list_insert_after(&w->news, at, &l->news);
}

static void mark_done(struct waiters *ws, struct waiter_link *l, enum task_state state,
                      uint64_t seq)
{
    struct waiter *w = l->waiter;
    map_remove(&ws->map, &l->node);
    l->is_done = true;
    l->has_failed = state == TASK_FAILED;
    l->seq = seq;
    w->has_failed |= l->has_failed;
    w->seen++;
}

static void link_done(struct waiters *ws, struct waiter_link *l, const struct store_change *c,
                      struct list *to_wake)
{
    struct waiter *w = l->waiter;
    mark_done(ws, l, c->state, c->task ? c->task->seq : 0);
    if (w->wish.wants_news)
        put_news(w, l);
    else if (c->task && w->n_links == 1)
        task_copy(&w->task, c->task);
    wake_if_enough(w, to_wake);
}

static void link_reported(struct waiter_link *l, const struct store_change *c, struct list *to_wake)
{
    struct waiter *w = l->waiter;
    l->is_finished |= c->session_ended;
    if (!w->wish.wants_news || list_is_linked(&l->news))
        return;
    put_news(w, l);
    wake_if_enough(w, to_wake);
}

static void future_changed(struct waiters *ws, const struct store_change *c, struct list *to_wake)
{
    bool is_final = task_state_is_final(c->state);
    struct map_node *next;
    for (struct map_node *n = map_get(&ws->map, c->id.hi); n; n = next) {
        struct waiter_link *l = FUT_CONTAINER(n, struct waiter_link, node);
        next = map_next_same(n);
        if (!id_equal(l->id, c->id))
            continue;
        if (is_final)
            link_done(ws, l, c, to_wake);
        else
            link_reported(l, c, to_wake);
    }
}

/* ---- what happens beside ends; the mutex is held --------------------------------------------- */

/* False: it is nothing that anybody may want. */
static bool member_event(const struct store_change *c, enum waiter_event *out)
{
    if (task_state_is_final(c->state))
        return false;
    *out = c->reported                ? WAITER_REPORTED
           : c->state == TASK_RUNNING ? WAITER_STARTED
                                      : WAITER_WAITING;
    return *out != WAITER_WAITING || !c->is_new;
}

/* Text for a log that was not looked at yet is one with the text before it. */
static bool is_there(const struct waiter_members *m, const struct waiter_member *e)
{
    if (e->event != WAITER_REPORTED)
        return false;
    for (size_t i = 0; i < m->n; i++) {
        const struct waiter_member *other = &m->ring[(m->first + i) % WAITER_MEMBERS_MAX];
        if (other->event == e->event && id_equal(other->id, e->id))
            return true;
    }
    return false;
}

static void put_member(struct waiter_members *m, const struct waiter_member *e)
{
    if (!(m->events & 1u << e->event) || is_there(m, e))
        return;
    if (m->n == WAITER_MEMBERS_MAX) {
        m->first = (m->first + 1) % WAITER_MEMBERS_MAX;
        m->n--;
        m->missed++;
    }
    m->ring[(m->first + m->n++) % WAITER_MEMBERS_MAX] = *e;
}

/* Tells those who follow what is linked by this id. */
static void tell_followers(struct waiters *ws, struct task_id id, bool of_links,
                           const struct waiter_member *e, struct list *to_wake)
{
    for (struct map_node *n = map_get(&ws->map, id.hi); n; n = map_next_same(n)) {
        const struct waiter_link *l = FUT_CONTAINER(n, struct waiter_link, node);
        struct waiter_members *m = l->waiter->wish.members;
        if (!m || m->of_links != of_links || !id_equal(l->id, id))
            continue;
        put_member(m, e);
        wake_if_enough(l->waiter, to_wake);
    }
}

static void member_changed(struct waiters *ws, const struct store_change *c, struct list *to_wake)
{
    struct waiter_member e = {.id = c->id, .state = c->state};
    if (!member_event(c, &e.event))
        return;
    if (c->task && !c->reported) {
        e.attempt = c->task->attempt;
        e.started_wall_ms = c->task->started_wall_ms;
    }
    tell_followers(ws, c->id, true, &e, to_wake);
    if (c->batch.hi)
        tell_followers(ws, c->batch, false, &e, to_wake);
}

void waiters_on_change(void *ctx, const struct store_change *changes, size_t n)
{
    struct waiters *ws = ctx;
    struct list to_wake;
    struct list_node *node;
    list_init(&to_wake);
    mutex_lock(&ws->mu);
    for (size_t i = 0; i < n && ws->map.len; i++) {
        if (changes[i].reported || task_state_is_final(changes[i].state))
            future_changed(ws, &changes[i], &to_wake);
        if (ws->followers)
            member_changed(ws, &changes[i], &to_wake);
    }
    mutex_unlock(&ws->mu);
    while ((node = list_pop_front(&to_wake))) {
        struct waiter *w = FUT_CONTAINER(node, struct waiter, to_wake);
        w->wish.wake(w); /* from here on w may be gone */
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

static bool take(atomic_size_t *counter, size_t n, size_t max)
{
    if (atomic_fetch_add_explicit(counter, n, memory_order_relaxed) + n <= max)
        return true;
    (void)atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
    return false;
}

static bool reserve(struct waiters *ws, size_t links)
{
    if (!take(&ws->len, 1, ws->max))
        return false;
    if (take(&ws->links, links, WAITERS_LINKS_MAX))
        return true;
    (void)atomic_fetch_sub_explicit(&ws->len, 1, memory_order_relaxed);
    return false;
}

static size_t lot_end(size_t from, size_t n)
{
    return n - from > LOT ? from + LOT : n;
}

/* by: 1 or -1. */
static void follow(struct waiters *ws, const struct waiter *w, int by)
{
    if (!w->wish.members)
        return;
    mutex_lock(&ws->mu);
    ws->followers += (size_t)by;
    mutex_unlock(&ws->mu);
}

bool waiter_open(struct waiters *ws, struct waiter *w, struct waiter_link *links, size_t n,
                 const struct waiter_wish *wish)
{
    if (!reserve(ws, n))
        return false;
    *w = (struct waiter){.wish = *wish, .links = links, .n_links = n, .is_open = true};
    list_init(&w->news);
    for (size_t i = 0; i < n; i++)
        links[i].waiter = w;
    follow(ws, w, 1);
    for (size_t i = 0; i < n;) {
        mutex_lock(&ws->mu);
        for (size_t end = lot_end(i, n); i < end; i++)
            map_put(&ws->map, &links[i].node, links[i].id.hi);
        mutex_unlock(&ws->mu);
    }
    return true;
}

void waiter_unlink(struct waiters *ws, struct waiter *w)
{
    if (!w->is_open)
        return;
    for (size_t i = 0; i < w->n_links;) {
        mutex_lock(&ws->mu);
        FUT_ASSERT(!w->armed);
        for (size_t end = lot_end(i, w->n_links); i < end; i++)
            map_remove(&ws->map, &w->links[i].node);
        mutex_unlock(&ws->mu);
    }
}

void waiter_close(struct waiters *ws, struct waiter *w)
{
    if (!w->is_open)
        return;
    waiter_unlink(ws, w);
    follow(ws, w, -1);
    task_release(&w->task);
    w->is_open = false;
    (void)atomic_fetch_sub_explicit(&ws->links, w->n_links, memory_order_relaxed);
    (void)atomic_fetch_sub_explicit(&ws->len, 1, memory_order_relaxed);
}

/* ---- the first read -------------------------------------------------------------------------- */

struct updated {
    struct waiter_link *link;
    uint64_t seq;
    size_t place; /* keeps the order of those whose seq is not known */
};

static int by_seq(const void *a, const void *b)
{
    const struct updated *x = a, *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* The mutex is held. */
static void update_link(struct waiters *ws, struct waiter_link *l, const struct store_brief *b)
{
    bool is_new = !l->is_done && (!b->found || task_state_is_final(b->state));
    if (is_new)
        mark_done(ws, l, b->state, b->seq);
    else if (l->is_done && !l->seq)
        l->seq = b->seq;
    l->is_gone = is_new && !b->found;
    if (is_new && b->found && l->waiter->wish.wants_news)
        put_news(l->waiter, l);
}

/* The mutex is held. What happened between the link and the read came in front of older ends; what
 * only reported, and ends that are later than the read, go behind. */
static void sort_news(struct waiter *w, struct updated *all)
{
    struct list_node *node;
    size_t n = 0;
    while ((node = list_pop_front(&w->news))) {
        struct waiter_link *l = FUT_CONTAINER(node, struct waiter_link, news);
        all[n] = (struct updated){l, l->seq ? l->seq : UINT64_MAX, n};
        n++;
    }
    qsort(all, n, sizeof(*all), by_seq);
    for (size_t i = 0; i < n; i++)
        list_push_back(&w->news, &all[i].link->news);
}

void waiter_update(struct waiters *ws, struct waiter *w, const struct store_brief *briefs)
{
    struct updated *all = w->wish.wants_news ? xcalloc(w->n_links + 1, sizeof(*all)) : NULL;
    mutex_lock(&ws->mu);
    for (size_t i = 0; i < w->n_links; i++)
        update_link(ws, &w->links[i], &briefs[i]);
    if (all)
        sort_news(w, all);
    mutex_unlock(&ws->mu);
    free(all);
}

void waiter_update_one(struct waiters *ws, struct waiter_link *l, const struct store_brief *brief)
{
    mutex_lock(&ws->mu);
    update_link(ws, l, brief);
    mutex_unlock(&ws->mu);
}

void waiter_reopen(struct waiters *ws, struct waiter_link *l)
{
    mutex_lock(&ws->mu);
    FUT_ASSERT(l->is_done && !list_is_linked(&l->news));
    l->is_done = l->has_failed = false;
    l->seq = 0;
    l->waiter->seen--;
    map_put(&ws->map, &l->node, l->id.hi);
    mutex_unlock(&ws->mu);
}

/* ---- sleeping -------------------------------------------------------------------------------- */

size_t waiter_pending(struct waiters *ws, const struct waiter *w, struct task_id *ids)
{
    size_t n = 0;
    mutex_lock(&ws->mu);
    for (size_t i = 0; i < w->n_links; i++) {
        if (!w->links[i].is_done)
            ids[n++] = w->links[i].id;
    }
    mutex_unlock(&ws->mu);
    return n;
}

bool waiter_arm(struct waiters *ws, struct waiter *w)
{
    mutex_lock(&ws->mu);
    bool armed = w->armed = !has_enough(w);
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

bool waiter_call(struct waiters *ws, struct waiter *w)
{
    mutex_lock(&ws->mu);
    bool was_armed = w->armed;
    w->is_called = true;
    w->armed = false;
    mutex_unlock(&ws->mu);
    return was_armed;
}

void waiter_take_call(struct waiters *ws, struct waiter *w)
{
    mutex_lock(&ws->mu);
    w->is_called = false;
    mutex_unlock(&ws->mu);
}

struct waiter_link *waiter_take_news(struct waiters *ws, struct waiter *w, bool *out_done)
{
    struct waiter_link *l = NULL;
    mutex_lock(&ws->mu);
    struct list_node *node = list_pop_front(&w->news);
    if (node) {
        l = FUT_CONTAINER(node, struct waiter_link, news);
        *out_done = l->is_done;
    }
    mutex_unlock(&ws->mu);
    return l;
}

bool waiter_take_member(struct waiters *ws, struct waiter *w, struct waiter_member *out)
{
    struct waiter_members *m = w->wish.members;
    mutex_lock(&ws->mu);
    bool has = m && m->n;
    if (has) {
        *out = m->ring[m->first];
        m->first = (m->first + 1) % WAITER_MEMBERS_MAX;
        m->n--;
    }
    mutex_unlock(&ws->mu);
    return has;
}

uint64_t waiter_take_missed(struct waiters *ws, struct waiter *w)
{
    struct waiter_members *m = w->wish.members;
    mutex_lock(&ws->mu);
    uint64_t n = m ? m->missed : 0;
    if (m)
        m->missed = 0;
    mutex_unlock(&ws->mu);
    return n;
}

bool waiter_is_finished(struct waiters *ws, const struct waiter *w)
{
    mutex_lock(&ws->mu);
    bool is_finished = w->links[0].is_finished;
    mutex_unlock(&ws->mu);
    return is_finished;
}
