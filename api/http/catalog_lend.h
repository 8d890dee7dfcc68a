/* catalog_lend: the catalog of now, lent to requests. A reload puts another catalog in its place
 * while requests go on using the one they were lent. Any thread; holds its lock for a few
 * instructions only. */
#ifndef FUT_API_HTTP_CATALOG_LEND_H
#define FUT_API_HTTP_CATALOG_LEND_H

#include "core/catalog.h"
#include "core/sync.h"

struct catalog_lend {
    struct mutex mu;
    const struct catalog *now; /* guarded by mu; one reference */
};

/* first: a reference is taken. */
void catalog_lend_init(struct catalog_lend *l, const struct catalog *first);
/* Drops the own reference; what was lent lives on. */
void catalog_lend_release(struct catalog_lend *l);
/* Requests that begin from now on are lent next, of which a reference is taken. */
void catalog_lend_set(struct catalog_lend *l, const struct catalog *next);
/* Returns *kept after setting it to the catalog of now, unless an earlier call has set it: one
 * request sees one catalog, and what it found there stays valid. The reference in *kept is the
 * caller's, for catalog_unref. */
const struct catalog *catalog_lend_to(struct catalog_lend *l, const struct catalog **kept);

#endif
