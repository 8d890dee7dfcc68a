/* limit_verbs: what is asked about limits, and what time does to them. The writer thread alone. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"
#include "storage/engine/lines.h"

#define LOOK_AGAIN_MS 1000

void limit_verbs_follow(struct store *s, struct limit_key *k)
{
    turns_update_limit(&s->w.lines, k);
}

static void follow_all(struct store *s, struct list *keys)
{
    for (struct list_node *i = list_first(keys); i; i = list_next(keys, i))
        limit_verbs_follow(s, FUT_CONTAINER(i, struct limit_key, in_limit));
}

/* ---- time, and what is taken back -------------------------------------------------------------
 */

/* Forgets a key that no line needs, or looks at it again later. */
static int let_go(struct store *s, struct limit_key *k)
{
    struct limit_set *l = &s->w.limits;
    int rc = k->is_stored ? txn_begin(s) : 0;
    if (rc != 0 || limit_set_forget(s, k))
        return rc;
    limit_set_let_go(l, k);
    if (k->timer.key <= l->now_up_ms)
        heap_put(&l->timers, &k->timer, l->now_up_ms + LOOK_AGAIN_MS);
    return 0;
}

int limit_verbs_step(struct store *s)
{
    struct limit_set *l = &s->w.limits;
    struct limit_key *k;
    l->now_up_ms = txn_up_ms(s);
    while ((k = limit_set_due(l))) {
        /* Takes its timer, or sets it to a later time, while lines need it. */
        limit_verbs_follow(s, k);
        int rc = limit_set_is_needed(k) ? 0 : let_go(s, k);
        if (rc != 0)
            return rc;
    }
    return 0;
}

void limit_verbs_undo(struct store *s)
{
    limit_set_undo(&s->w.limits, limit_verbs_follow, s);
}

/* ---- definitions ------------------------------------------------------------------------------
 */

int limit_verbs_define(struct store *s, const struct store_limit *limit, bool *out_is_new)
{
    struct limit_set *l = &s->w.limits;
    const struct limit *known = limit_set_find(l, limit->name);
    *out_is_new = known == NULL;
    if (!known && l->by_name.len >= STORE_LIMITS_MAX)
        return FUT_ERR_FULL;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->limit_put(s->backend, limit);
    if (rc != 0)
        return rc;
    limit_set_remember(l, limit->name, known ? &known->is : NULL);
    follow_all(s, &limit_set_define(l, limit)->keys);
    return 0;
}

static int write_put(struct store *s, struct store_op *op)
{
    struct store_limit_put *o = FUT_CONTAINER(op, struct store_limit_put, op);
    return limit_verbs_define(s, &o->limit, &o->is_new);
}

const struct store_verb store_verb_limit_put = {
    .write = write_put, .is_refusable = true, .is_repeatable = true};

int limit_verbs_drop(struct store *s, const char *name)
{
    struct limit_set *l = &s->w.limits;
    struct limit *limit = limit_set_find(l, name);
    if (!limit)
        return FUT_ERR_NOT_FOUND;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->limit_drop(s->backend, name);
    if (rc != 0)
        return rc;
    limit_set_remember(l, limit->is.name, &limit->is);
    limit_set_undefine(l, limit);
    follow_all(s, &l->loose);
    return 0;
}

static int write_drop(struct store *s, struct store_op *op)
{
    return limit_verbs_drop(s, FUT_CONTAINER(op, struct store_limit_drop, op)->name);
}

const struct store_verb store_verb_limit_drop = {
    .write = write_drop, .is_refusable = true, .is_repeatable = true};

static void remember_closed(struct store *s, const struct limit_key *k)
{
    struct writer *w = &s->w;
    struct task_limit *to;
    if (!s->limits_watch.fn)
        return;
    if (w->n_closed_limits == w->cap_closed_limits) {
        w->cap_closed_limits = w->cap_closed_limits ? 2 * w->cap_closed_limits : 16;
        w->closed_limits =
            xrealloc(w->closed_limits, w->cap_closed_limits * sizeof(*w->closed_limits));
    }
    to = &w->closed_limits[w->n_closed_limits++];
    memcpy(to->name, k->name, sizeof(to->name));
    memcpy(to->key, k->key, sizeof(to->key));
}

static void close_until(struct store *s, struct limit_key *k, int64_t until_up_ms)
{
    struct limit_set *l = &s->w.limits;
    if (until_up_ms > l->now_up_ms)
        remember_closed(s, k);
    limit_set_close(l, k, until_up_ms);
    limit_verbs_follow(s, k);
    if (!limit_set_is_needed(k))
        limit_set_let_go(l, k);
}

void limit_verbs_close(struct store *s, const struct task_limit *key, int64_t for_ms)
{
    struct limit_set *l = &s->w.limits;
    int64_t until_up_ms = l->now_up_ms + for_ms;
    struct limit_key *k =
        limit_set_find(l, key->name) ? limit_set_get(l, key->name, key->key) : NULL;
    if (k && k->closed_until_up_ms < until_up_ms)
        close_until(s, k, until_up_ms);
}

static int write_close(struct store *s, struct store_op *op)
{
    struct store_limit_close *o = FUT_CONTAINER(op, struct store_limit_close, op);
    struct limit_set *l = &s->w.limits;
    if (!limit_set_find(l, o->key.name))
        return FUT_ERR_NOT_FOUND;
    int rc = txn_begin(s);
    struct limit_key *k = rc == 0 ? limit_set_get(l, o->key.name, o->key.key) : NULL;
    if (!k)
        return rc == 0 ? FUT_ERR_AGAIN : rc;
    close_until(s, k, o->for_ms ? l->now_up_ms + o->for_ms : 0);
    return 0;
}

const struct store_verb store_verb_limit_close = {.write = write_close, .is_repeatable = true};

/* ---- what is shown ----------------------------------------------------------------------------
 */

static struct store_limit_use use_of(const struct limit_set *l, const struct limit_key *k)
{
    struct store_limit_use u = {.waiting = k->waiting + k->exceeding,
                                .running = k->running - k->exceeding,
                                .is_closed = !k->is_open};
    memcpy(u.key, k->key, sizeof(u.key));
    if (heap_is_linked(&k->timer) && !k->is_open && k->timer.key > l->now_up_ms)
        u.opens_wall_ms = clock_wall_ms() + k->timer.key - l->now_up_ms;
    return u;
}

static struct store_limit_status status_of(const struct limit_set *l, const struct limit *limit)
{
    struct store_limit_status st = {.limit = limit->is};
    for (struct list_node *i = list_first(&limit->keys); i; i = list_next(&limit->keys, i)) {
        struct store_limit_use u = use_of(l, FUT_CONTAINER(i, struct limit_key, in_limit));
        st.use.waiting += u.waiting;
        st.use.running += u.running;
        st.keys++;
        if (!limit->is.per_key && !*u.key) {
            st.use.is_closed = u.is_closed;
            st.use.opens_wall_ms = u.opens_wall_ms;
        }
    }
    return st;
}

static int by_waiting(const void *a_, const void *b_)
{
    const struct store_limit_use *a = a_, *b = b_;
    if (a->waiting != b->waiting)
        return a->waiting < b->waiting ? 1 : -1;
    return a->running != b->running ? (a->running < b->running ? 1 : -1) : strcmp(a->key, b->key);
}

static void list_keys(const struct limit_set *l, const struct limit *limit,
                      struct store_limit_list *o)
{
    if (!limit->is.per_key)
        return;
    o->keys = xcalloc(limit->keys.len + 1, sizeof(*o->keys));
    for (struct list_node *i = list_first(&limit->keys); i; i = list_next(&limit->keys, i))
        o->keys[o->n_keys++] = use_of(l, FUT_CONTAINER(i, struct limit_key, in_limit));
    qsort(o->keys, o->n_keys, sizeof(*o->keys), by_waiting);
    if (o->n_keys > STORE_LIMIT_KEYS_SHOWN)
        o->n_keys = STORE_LIMIT_KEYS_SHOWN;
}

static void prepare_list(struct store_op *op)
{
    struct store_limit_list *o = FUT_CONTAINER(op, struct store_limit_list, op);
    o->limits = NULL;
    o->keys = NULL;
    o->n = o->n_keys = 0;
}

/* The writer knows how they stand, so it is asked although nothing is written. */
static int write_list(struct store *s, struct store_op *op)
{
    struct store_limit_list *o = FUT_CONTAINER(op, struct store_limit_list, op);
    struct limit_set *l = &s->w.limits;
    const struct limit *one = o->name ? limit_set_find(l, o->name) : NULL;
    if (o->name && !one)
        return FUT_ERR_NOT_FOUND;
    l->now_up_ms = txn_up_ms(s);
    o->limits = xcalloc(one ? 1 : l->in_order.len + 1, sizeof(*o->limits));
    if (one) {
        o->limits[o->n++] = status_of(l, one);
        list_keys(l, one, o);
        return 0;
    }
    for (struct list_node *i = list_first(&l->in_order); i; i = list_next(&l->in_order, i))
        o->limits[o->n++] = status_of(l, FUT_CONTAINER(i, struct limit, in_order));
    return 0;
}

static void forget_list(struct store_op *op)
{
    struct store_limit_list *o = FUT_CONTAINER(op, struct store_limit_list, op);
    free(o->limits);
    free(o->keys);
}

const struct store_verb store_verb_limit_list = {.prepare = prepare_list,
                                                 .forget = forget_list,
                                                 .write = write_list,
                                                 .uses_reserve = true,
                                                 .is_refusable = true,
                                                 .is_repeatable = true};
