/* nodes: what this daemon says of itself to those that share its store, and to who lists them. The
 * texts are JSON objects, whose members are never renamed: nodes of other versions read them, and
 * skip what they do not know. */
#ifndef FUT_DAEMON_NODES_H
#define FUT_DAEMON_NODES_H

#include "core/catalog.h"
#include "core/pool_view.h"
#include "storage/node.h"

struct nodes;

struct nodes_config {
    struct store *store;
    const struct catalog *catalog; /* read by nodes_new only */
    struct pool_view pools;        /* until nodes_free */
    const char *version;           /* a literal */
};

/* Publishes at once. Main thread, as all here. */
struct nodes *nodes_new(const struct nodes_config *cfg);
/* Publishes these handlers in place of those before. */
void nodes_set_catalog(struct nodes *n, const struct catalog *c);
/* Before the pools and the store end. NULL ok. */
void nodes_free(struct nodes **n);

#endif
