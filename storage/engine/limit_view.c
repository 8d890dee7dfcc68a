#include "storage/engine/limit_view.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/engine/internal.h"

struct limit_closed {
    struct map_node by_name;
    struct store_limit_closed is;
};

struct limit_name {
    struct map_node by_name;
    bool per_key;
    uint32_t max_running; /* 0: any number */
    char name[TASK_LIMIT_NAME_MAX + 1];
};

static struct limit_closed *find_closed(const struct limit_view *v, const char *name,
                                        const char *key)
{
    for (struct map_node *i = map_get(&v->closed, limit_view_hash(name, key)); i;
         i = map_next_same(i)) {
        struct limit_closed *c = FUT_CONTAINER(i, struct limit_closed, by_name);
        if (strcmp(c->is.name, name) == 0 && strcmp(c->is.key, key) == 0)
            return c;
    }
    return NULL;
}

static struct limit_name *find_name(const struct limit_view *v, const char *name)
{
    for (struct map_node *i = map_get(&v->names, limit_view_hash(name, "")); i;
         i = map_next_same(i)) {
        struct limit_name *n = FUT_CONTAINER(i, struct limit_name, by_name);
        if (strcmp(n->name, name) == 0)
            return n;
    }
    return NULL;
}

static bool is_host(const char *name)
{
    return strncmp(name, TASK_LIMIT_HOST, strlen(TASK_LIMIT_HOST)) == 0;
}

void limit_view_name(struct limit_view *v, const struct store_limit *is)
{
    mutex_lock(&v->mu);
    struct limit_name *n = find_name(v, is->name);
    if (!n) {
        n = xnew(struct limit_name);
        memcpy(n->name, is->name, sizeof(n->name));
        map_put(&v->names, &n->by_name, limit_view_hash(is->name, ""));
        v->hosts += is_host(is->name);
    }
    n->per_key = is->per_key;
    n->max_running = is->max_running;
    mutex_unlock(&v->mu);
}

void limit_view_drop_name(struct limit_view *v, const char *name)
{
    mutex_lock(&v->mu);
    struct limit_name *n = find_name(v, name);
    if (n) {
        map_remove(&v->names, &n->by_name);
        v->hosts -= is_host(name);
        free(n);
    }
    mutex_unlock(&v->mu);
}

void limit_view_close(struct limit_view *v, const struct store_limit_closed *is)
{
    mutex_lock(&v->mu);
    struct limit_closed *c = find_closed(v, is->name, is->key);
    if (!c) {
        c = xnew(struct limit_closed);
        map_put(&v->closed, &c->by_name, limit_view_hash(is->name, is->key));
    }
    c->is = *is;
    atomic_store(&v->n_closed, v->closed.len);
    mutex_unlock(&v->mu);
}

void limit_view_open(struct limit_view *v, const char *name, const char *key)
{
    mutex_lock(&v->mu);
    struct limit_closed *c = find_closed(v, name, key);
    if (c) {
        map_remove(&v->closed, &c->by_name);
        free(c);
    }
    atomic_store(&v->n_closed, v->closed.len);
    mutex_unlock(&v->mu);
}

bool store_limit_find(struct store *s, const char *name, bool *out_per_key)
{
    struct limit_view *v = &s->w.limits.view;
    mutex_lock(&v->mu);
    const struct limit_name *n = find_name(v, name);
    if (n)
        *out_per_key = n->per_key;
    mutex_unlock(&v->mu);
    return n != NULL;
}

uint32_t store_limit_max_running(struct store *s, const char *name)
{
    struct limit_view *v = &s->w.limits.view;
    mutex_lock(&v->mu);
    const struct limit_name *n = find_name(v, name);
    uint32_t max = n ? n->max_running : 0;
    mutex_unlock(&v->mu);
    return max;
}

bool store_limit_has_hosts(struct store *s)
{
    struct limit_view *v = &s->w.limits.view;
    mutex_lock(&v->mu);
    bool has = v->hosts > 0;
    mutex_unlock(&v->mu);
    return has;
}

bool store_limit_closed(struct store *s, const char *limits, struct store_limit_closed *out)
{
    struct limit_view *v = &s->w.limits.view;
    const struct limit_closed *c = NULL;
    struct task_limits named;
    if (task_limits_read(limits, &named) != 0)
        return false;
    mutex_lock(&v->mu);
    for (size_t i = 0; i < named.n && !(c && c->is.is_shut); i++) {
        const struct limit_closed *one = find_closed(v, named.items[i].name, named.items[i].key);
        if (one && (!c || one->is.is_shut))
            c = one;
    }
    if (c)
        *out = c->is;
    mutex_unlock(&v->mu);
    return c != NULL;
}

bool store_queue_closed(struct store *s, const char *name, struct store_limit_closed *out)
{
    struct limit_view *v = &s->w.limits.view;
    if (atomic_load(&v->n_closed) == 0)
        return false;
    mutex_lock(&v->mu);
    const struct limit_closed *c = find_closed(v, LIMIT_VIEW_QUEUES, name);
    if (c)
        *out = c->is;
    mutex_unlock(&v->mu);
    return c != NULL;
}

static void free_one_closed(struct map_node *n)
{
    free(FUT_CONTAINER(n, struct limit_closed, by_name));
}

static void free_one_name(struct map_node *n)
{
    free(FUT_CONTAINER(n, struct limit_name, by_name));
}

void limit_view_init(struct limit_view *v)
{
    mutex_init(&v->mu);
    map_init(&v->closed);
    atomic_init(&v->n_closed, 0);
    map_init(&v->names);
}

void limit_view_release(struct limit_view *v)
{
    map_drain(&v->closed, free_one_closed);
    map_drain(&v->names, free_one_name);
    mutex_destroy(&v->mu);
}
