#include "storage/engine/limit_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"
#include "storage/session.h"

#define ALMOST 1e-9 /* of a token: what sums of fractions may lack */

/* ---- the bucket ------------------------------------------------------------------------------ */

static bool has_rate(const struct limit_key *k)
{
    return k->limit && k->limit->is.rate_tasks > 0;
}

static double per_ms(const struct limit_key *k)
{
    return k->limit->is.rate_tasks / (double)k->limit->is.rate_per_ms;
}

static double tokens_now(const struct limit_set *l, const struct limit_key *k)
{
    double burst = k->limit->is.rate_burst;
    double tokens = k->tokens + (double)(l->now_up_ms - k->tokens_up_ms) * per_ms(k);
    return tokens < burst ? tokens : burst;
}

/* The uptime at which the bucket has so many. */
static int64_t has_tokens_at(const struct limit_key *k, double n)
{
    double missing = n - k->tokens;
    return missing <= 0 ? k->tokens_up_ms : k->tokens_up_ms + (int64_t)ceil(missing / per_ms(k));
}

static bool is_full(const struct limit_set *l, const struct limit_key *k)
{
    return k->closed_until_up_ms <= l->now_up_ms &&
           (!has_rate(k) || tokens_now(l, k) + ALMOST >= k->limit->is.rate_burst);
}

/* Fills the bucket of a key that has none yet. */
static void fill(const struct limit_set *l, struct limit_key *k)
{
    k->tokens = has_rate(k) ? k->limit->is.rate_burst : 0;
    k->tokens_up_ms = l->now_up_ms;
}

/* ---- how many run ---------------------------------------------------------------------------- */

void limit_set_join_lane(struct limit_set *l, struct limit_key *k, enum lane lane)
{
    if (strncmp(k->name, STORE_SESSION_LIMIT, strlen(STORE_SESSION_LIMIT)) == 0)
        k->ahead = &l->ahead[lane];
}

static void count_exceeding(struct limit_key *k)
{
    uint64_t most = k->limit ? k->limit->is.max_running : 0;
    uint64_t exceeding = most && k->running > most ? k->running - most : 0;
    if (!k->ahead)
        return;
    k->ahead->used += exceeding - k->exceeding;
    k->exceeding = exceeding;
}

/* Of max_running, and what may be claimed ahead of it. */
static uint64_t running_space(const struct limit_key *k, uint64_t want)
{
    uint64_t most = k->limit->is.max_running, others = k->ahead ? k->ahead->used - k->exceeding : 0;
    if (!most)
        return want;
    if (k->ahead && k->ahead->most > others)
        most += k->ahead->most - others;
    return most > k->running ? most - k->running : 0;
}

uint64_t limit_set_space(const struct limit_set *l, const struct limit_key *k, uint64_t want)
{
    if (k->is_elsewhere)
        return 0;
    if (!k->limit)
        return want;
    if (k->closed_until_up_ms > l->now_up_ms)
        return 0;
    uint64_t space = running_space(k, want);
    uint64_t tokens = has_rate(k) ? (uint64_t)(tokens_now(l, k) + ALMOST) : want;
    space = tokens < space ? tokens : space;
    return space < want ? space : want;
}

/* ---- open or closed -------------------------------------------------------------------------- */

/* When time alone opens it. */
static int64_t opens_at(const struct limit_set *l, const struct limit_key *k)
{
    int64_t at = k->closed_until_up_ms;
    if (has_rate(k) && tokens_now(l, k) + ALMOST < 1) {
        int64_t token_at = has_tokens_at(k, 1);
        at = token_at > at ? token_at : at;
    }
    return at;
}

bool limit_set_is_needed(const struct limit_key *k)
{
    return k->queue || !list_is_empty(&k->nodes);
}

static void show(struct limit_set *l, const struct limit_key *k, int64_t opens_up_ms)
{
    struct store_limit_closed is = {
        .max_running = k->limit ? k->limit->is.max_running : 0,
        .is_shut = k->closed_until_up_ms > l->now_up_ms,
        .opens_wall_ms =
            opens_up_ms > l->now_up_ms ? clock_wall_ms() + opens_up_ms - l->now_up_ms : 0};
    if (k->is_open) {
        limit_view_open(&l->view, k->name, k->key);
        return;
    }
    is.is_full = is.max_running && k->running >= is.max_running;
    memcpy(is.name, k->name, sizeof(is.name));
    memcpy(is.key, k->key, sizeof(is.key));
    limit_view_close(&l->view, &is);
}

bool limit_set_update(struct limit_set *l, struct limit_key *k)
{
    bool was_open = k->is_open;
    int64_t at = opens_at(l, k);
    count_exceeding(k);
    k->is_open = limit_set_space(l, k, 1) > 0;
    if (at > l->now_up_ms)
        heap_put(&l->timers, &k->timer, at);
    else if (limit_set_is_needed(k))
        heap_remove(&l->timers, &k->timer);
    if ((!k->is_open || !was_open) && !k->is_elsewhere)
        show(l, k, at);
    return was_open != k->is_open;
}

struct limit_key *limit_set_due(const struct limit_set *l)
{
    struct heap_node *first = heap_min(&l->timers);
    return first && first->key <= l->now_up_ms ? FUT_CONTAINER(first, struct limit_key, timer)
                                               : NULL;
}

int64_t limit_set_next_up_ms(const struct limit_set *l)
{
    const struct heap_node *first = heap_min(&l->timers);
    return first ? first->key : INT64_MAX;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static struct limit_key *find_key(const struct limit_set *l, const char *name, const char *key)
{
    for (struct map_node *i = map_get(&l->keys, limit_view_hash(name, key)); i;
         i = map_next_same(i)) {
        struct limit_key *k = FUT_CONTAINER(i, struct limit_key, by_name);
        if (strcmp(k->name, name) == 0 && strcmp(k->key, key) == 0)
            return k;
    }
    return NULL;
}

static void attach(struct limit_set *l, struct limit_key *k, struct limit *limit)
{
    k->limit = limit;
    list_push_back(limit ? &limit->keys : &l->loose, &k->in_limit);
}

static void detach(struct limit_set *l, struct limit_key *k)
{
    list_remove(k->limit ? &k->limit->keys : &l->loose, &k->in_limit);
}

struct limit_key *limit_set_get(struct limit_set *l, const char *name, const char *key)
{
    struct limit_key *k = find_key(l, name, key);
    if (k || l->keys.len >= STORE_LIMIT_KEYS_MAX)
        return k;
    k = xnew(struct limit_key);
    memcpy(k->name, name, strlen(name) + 1);
    memcpy(k->key, key, strlen(key) + 1);
    list_init(&k->nodes);
    k->is_elsewhere = strcmp(name, LIMIT_SET_LABELS) == 0 && !task_needs_has(&l->labels, key);
    k->is_open = !k->is_elsewhere;
    map_put(&l->keys, &k->by_name, limit_view_hash(name, key));
    attach(l, k, limit_set_find(l, name));
    fill(l, k);
    return k;
}

static void free_key(struct limit_set *l, struct limit_key *k)
{
    map_remove(&l->keys, &k->by_name);
    detach(l, k);
    heap_remove(&l->timers, &k->timer);
    if (list_is_linked(&k->dirty))
        list_remove(&l->dirty, &k->dirty);
    if (!k->is_open && !k->is_elsewhere)
        limit_view_open(&l->view, k->name, k->key);
    free(k);
}

void limit_set_let_go(struct limit_set *l, struct limit_key *k)
{
    int64_t at = k->closed_until_up_ms;
    if (has_rate(k)) {
        int64_t full_at = has_tokens_at(k, k->limit->is.rate_burst);
        at = full_at > at ? full_at : at;
    }
    heap_put(&l->timers, &k->timer, at);
}

bool limit_set_forget(struct store *s, struct limit_key *k)
{
    struct limit_set *l = &s->w.limits;
    if (limit_set_is_needed(k) || list_is_linked(&k->dirty) || !is_full(l, k))
        return false;
    if (k->is_stored && s->ops->limit_key_drop(s->backend, k->name, k->key) != 0)
        return false;
    free_key(l, k);
    return true;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void make_dirty(struct limit_set *l, struct limit_key *k)
{
    if (list_is_linked(&k->dirty))
        return;
    k->before.tokens = k->tokens;
    k->before.tokens_up_ms = k->tokens_up_ms;
    k->before.closed_until_up_ms = k->closed_until_up_ms;
    list_push_back(&l->dirty, &k->dirty);
}

void limit_set_take(struct limit_set *l, struct limit_key *k, uint64_t n)
{
    if (!has_rate(k))
        return;
    make_dirty(l, k);
    k->tokens = tokens_now(l, k) - (double)n;
    k->tokens_up_ms = l->now_up_ms;
}

void limit_set_close(struct limit_set *l, struct limit_key *k, int64_t until_up_ms)
{
    make_dirty(l, k);
    k->closed_until_up_ms = until_up_ms;
}

int limit_set_save(struct store *s)
{
    struct list *dirty = &s->w.limits.dirty;
    for (struct list_node *i = list_first(dirty); i; i = list_next(dirty, i)) {
        struct limit_key *k = FUT_CONTAINER(i, struct limit_key, dirty);
        int rc = s->ops->limit_key_put(
            s->backend, &(struct backend_limit_key){k->name, k->key, k->tokens, k->tokens_up_ms,
                                                    k->closed_until_up_ms});
        if (rc != 0)
            return rc;
        k->is_stored = true;
    }
    return 0;
}

static void each_key(struct limit_set *l, void (*fn)(struct store *s, struct limit_key *k),
                     struct store *s)
{
    for (struct list_node *i = list_first(&l->in_order); i; i = list_next(&l->in_order, i)) {
        struct list *keys = &FUT_CONTAINER(i, struct limit, in_order)->keys;
        for (struct list_node *j = list_first(keys); j; j = list_next(keys, j))
            fn(s, FUT_CONTAINER(j, struct limit_key, in_limit));
    }
    for (struct list_node *j = list_first(&l->loose); j; j = list_next(&l->loose, j))
        fn(s, FUT_CONTAINER(j, struct limit_key, in_limit));
}

static void forget_changes(struct limit_set *l)
{
    free(l->changes);
    l->changes = NULL;
    l->n_changes = 0;
}

void limit_set_committed(struct limit_set *l)
{
    while (list_pop_front(&l->dirty))
        ;
    if (l->n_changes)
        forget_changes(l);
}

/* How a definition was before the transaction. */
struct limit_change {
    bool was_there;
    struct store_limit was; /* the name always */
};

void limit_set_remember(struct limit_set *l, const char *name, const struct store_limit *is)
{
    l->changes = xrealloc(l->changes, (l->n_changes + 1) * sizeof(*l->changes));
    struct limit_change *c = &l->changes[l->n_changes++];
    *c = (struct limit_change){.was_there = is != NULL};
    if (is)
        c->was = *is;
    memcpy(c->was.name, name, strlen(name) + 1);
}

static void undo_change(struct limit_set *l, const struct limit_change *c)
{
    struct limit *limit = limit_set_find(l, c->was.name);
    if (c->was_there)
        (void)limit_set_define(l, &c->was);
    else if (limit)
        limit_set_undefine(l, limit);
}

void limit_set_undo(struct limit_set *l, void (*fn)(struct store *s, struct limit_key *k),
                    struct store *s)
{
    struct list_node *n;
    bool has_changed = l->n_changes > 0;
    while (l->n_changes)
        undo_change(l, &l->changes[--l->n_changes]);
    forget_changes(l);
    while ((n = list_pop_front(&l->dirty))) {
        struct limit_key *k = FUT_CONTAINER(n, struct limit_key, dirty);
        k->tokens = k->before.tokens;
        k->tokens_up_ms = k->before.tokens_up_ms;
        k->closed_until_up_ms = k->before.closed_until_up_ms;
        fn(s, k);
    }
    if (has_changed) /* of whatever limit; this is rare */
        each_key(l, fn, s);
}

/* ---- definitions ----------------------------------------------------------------------------- */

struct limit *limit_set_find(const struct limit_set *l, const char *name)
{
    for (struct map_node *i = map_get(&l->by_name, limit_view_hash(name, "")); i;
         i = map_next_same(i)) {
        struct limit *limit = FUT_CONTAINER(i, struct limit, by_name);
        if (strcmp(limit->is.name, name) == 0)
            return limit;
    }
    return NULL;
}

static void link_in_order(struct limit_set *l, struct limit *limit)
{
    struct list_node *at = l->in_order.head.prev;
    while (at != &l->in_order.head &&
           strcmp(FUT_CONTAINER(at, struct limit, in_order)->is.name, limit->is.name) > 0)
        at = at->prev;
    list_insert_after(&l->in_order, at, &limit->in_order);
}

/* What a bucket has of the old rate is cut to the new one; one without a rate begins full. */
static void adopt(struct limit_set *l, struct limit *limit, struct limit_key *k)
{
    bool had_rate = has_rate(k);
    double tokens = had_rate ? tokens_now(l, k) : 0;
    detach(l, k);
    attach(l, k, limit);
    fill(l, k);
    if (had_rate && tokens < k->tokens)
        k->tokens = tokens;
}

static void redefine(struct limit_set *l, struct limit *limit, const struct store_limit *is)
{
    for (struct list_node *n = list_first(&limit->keys); n; n = list_next(&limit->keys, n)) {
        struct limit_key *k = FUT_CONTAINER(n, struct limit_key, in_limit);
        k->tokens = has_rate(k) ? tokens_now(l, k) : is->rate_burst; /* by the old rate until now */
        k->tokens_up_ms = l->now_up_ms;
        k->tokens = k->tokens < is->rate_burst ? k->tokens : is->rate_burst;
    }
    limit->is = *is;
}

struct limit *limit_set_define(struct limit_set *l, const struct store_limit *is)
{
    struct limit *limit = limit_set_find(l, is->name);
    if (!limit) {
        limit = xnew(struct limit);
        limit->is = *is;
        list_init(&limit->keys);
        map_put(&l->by_name, &limit->by_name, limit_view_hash(is->name, ""));
        link_in_order(l, limit);
        for (struct list_node *i = list_first(&l->loose), *next; i; i = next) {
            struct limit_key *k = FUT_CONTAINER(i, struct limit_key, in_limit);
            next = list_next(&l->loose, i);
            if (strcmp(k->name, is->name) == 0)
                adopt(l, limit, k);
        }
        limit_view_name(&l->view, is);
        return limit;
    }
    redefine(l, limit, is);
    limit_view_name(&l->view, is);
    return limit;
}

struct limit_key *limit_set_own(struct limit_set *l, const char *name, const char *key,
                                const struct store_limit *is)
{
    struct limit_key *k = limit_set_get(l, name, key);
    if (k && k->limit) {
        redefine(l, k->limit, is);
    } else if (k) {
        struct limit *limit = xnew(struct limit);
        limit->is = *is;
        list_init(&limit->keys);
        adopt(l, limit, k);
    }
    return k;
}

void limit_set_disown(struct limit_set *l, struct limit_key *k)
{
    struct limit *limit = k->limit;
    detach(l, k);
    attach(l, k, NULL);
    free(limit);
    k->queue = NULL;
    (void)limit_set_update(l, k);
    limit_set_let_go(l, k);
}

void limit_set_undefine(struct limit_set *l, struct limit *limit)
{
    struct list_node *n;
    while ((n = list_first(&limit->keys))) {
        struct limit_key *k = FUT_CONTAINER(n, struct limit_key, in_limit);
        detach(l, k);
        attach(l, k, NULL);
    }
    limit_view_drop_name(&l->view, limit->is.name);
    map_remove(&l->by_name, &limit->by_name);
    list_remove(&l->in_order, &limit->in_order);
    free(limit);
}

/* ---- start and end --------------------------------------------------------------------------- */

void limit_set_init(struct limit_set *l)
{
    *l = (struct limit_set){0};
    map_init(&l->by_name);
    map_init(&l->keys);
    list_init(&l->in_order);
    list_init(&l->loose);
    list_init(&l->dirty);
    heap_init(&l->timers);
    limit_view_init(&l->view);
}

static void load_limit(void *ctx, const struct store_limit *is)
{
    (void)limit_set_define(ctx, is);
}

static void load_key(void *ctx, const struct backend_limit_key *row)
{
    struct limit_set *l = ctx;
    struct limit_key *k = limit_set_get(l, row->name, row->key);
    if (!k)
        return;
    k->tokens = row->tokens;
    k->tokens_up_ms = row->tokens_up_ms < l->now_up_ms ? row->tokens_up_ms : l->now_up_ms;
    k->closed_until_up_ms = row->closed_until_up_ms;
    k->is_stored = true;
    (void)limit_set_update(l, k); /* no line knows it yet */
    limit_set_let_go(l, k);
}

int limit_set_load(struct store *s)
{
    return s->ops->limits(s->backend, load_limit, load_key, &s->w.limits);
}

struct limit_key *limit_set_hear(struct limit_set *l, const struct backend_limit_key *row)
{
    struct limit_key *k = limit_set_get(l, row->name, row->key);
    if (!k)
        return NULL;
    k->tokens = row->tokens;
    k->tokens_up_ms = row->tokens_up_ms;
    k->closed_until_up_ms = row->closed_until_up_ms;
    k->is_stored = true;
    return k;
}

static void reload_limit(void *ctx, const struct store_limit *is)
{
    limit_set_define(ctx, is)->is_listed = true;
}

static void reload_key(void *ctx, const struct backend_limit_key *row)
{
    (void)limit_set_hear(ctx, row);
}

int limit_set_reload(struct store *s, void (*fn)(struct store *s, struct limit_key *k))
{
    struct limit_set *l = &s->w.limits;
    for (struct list_node *i = list_first(&l->in_order); i; i = list_next(&l->in_order, i))
        FUT_CONTAINER(i, struct limit, in_order)->is_listed = false;
    int rc = s->ops->limits(s->backend, reload_limit, reload_key, l);
    if (rc != 0)
        return rc;
    for (struct list_node *i = list_first(&l->in_order), *next; i; i = next) {
        struct limit *limit = FUT_CONTAINER(i, struct limit, in_order);
        next = list_next(&l->in_order, i);
        if (!limit->is_listed)
            limit_set_undefine(l, limit);
    }
    each_key(l, fn, s);
    return 0;
}

static void free_one_key(struct map_node *n)
{
    struct limit_key *k = FUT_CONTAINER(n, struct limit_key, by_name);
    if (k->queue)
        free(k->limit);
    free(k);
}

static void free_one_limit(struct map_node *n)
{
    free(FUT_CONTAINER(n, struct limit, by_name));
}

void limit_set_release(struct limit_set *l)
{
    map_drain(&l->keys, free_one_key);
    map_drain(&l->by_name, free_one_limit);
    heap_release(&l->timers);
    free(l->changes);
    limit_view_release(&l->view);
}
