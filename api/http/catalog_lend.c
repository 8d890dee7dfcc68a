#include "api/http/catalog_lend.h"

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
