#include "core/catalog.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *name, const void *item)
{
    return strcmp(name, ((const struct handler_info *)item)->name);
}

const struct handler_info *catalog_find(const struct catalog *c, const char *name)
{
    return c->n ? bsearch(name, c->items, c->n, sizeof(*c->items), by_name) : NULL;
}

bool catalog_takes_code(const struct catalog *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->items[i].takes_code)
            return true;
    }
    return false;
}

const struct handler_info *catalog_find_public(const struct catalog *c, const char *name)
{
    const struct handler_info *h = catalog_find(c, name);
    return h && !h->is_internal ? h : NULL;
}

const struct catalog *catalog_ref(const struct catalog *c)
{
    if (c && c->life)
        (void)atomic_fetch_add_explicit(&c->life->refs, 1, memory_order_relaxed);
    return c;
}

void catalog_unref(const struct catalog **c)
{
    struct catalog_life *life = *c ? (*c)->life : NULL;
    *c = NULL;
    if (life && atomic_fetch_sub_explicit(&life->refs, 1, memory_order_acq_rel) == 1)
        life->end(life);
}

void catalog_lend_init(struct catalog_lend *l, const struct catalog *first)
{
    mutex_init(&l->mu);
    l->now = catalog_ref(first);
}

void catalog_lend_release(struct catalog_lend *l)
{
    catalog_unref(&l->now);
    mutex_destroy(&l->mu);
}

void catalog_lend_set(struct catalog_lend *l, const struct catalog *next)
{
    mutex_lock(&l->mu);
    const struct catalog *before = l->now;
    l->now = catalog_ref(next);
    mutex_unlock(&l->mu);
    catalog_unref(&before);
}

const struct catalog *catalog_lend_to(struct catalog_lend *l, const struct catalog **kept)
{
    if (!*kept) {
        mutex_lock(&l->mu);
        *kept = catalog_ref(l->now);
        mutex_unlock(&l->mu);
    }
    return *kept;
}
