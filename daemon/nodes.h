/* nodes: what this daemon says of itself to those that share its store, and what it knows of them:
 * which handlers they have, so that tasks may name these here, too, and which of them could run a
 * task. The texts are JSON objects, whose members are never renamed: nodes of other versions read
 * them, and skip what they do not know. */
#ifndef FUT_DAEMON_NODES_H
#define FUT_DAEMON_NODES_H

#include "core/catalog.h"
#include "core/node_view.h"
#include "core/pool_view.h"
#include "storage/node.h"

struct nodes;

struct nodes_config {
    struct store *store;
    const struct catalog *catalog; /* at first; a reference is taken */
    struct pool_view pools;        /* until nodes_free */
    const char *version;           /* a literal */
    const char *labels;            /* "gpu,big"; "": none */
    bool takes_code; /* tokens are in use, so tasks for programs of clients may come */
    /* The handlers of all nodes have changed; a reference may be taken. Any thread; must not block.
     */
    void (*on_catalog)(void *ctx, const struct catalog *all);
    void *ctx;
};

/* Publishes at once. */
struct nodes *nodes_new(const struct nodes_config *cfg);
/* Begins to look at the other nodes; behind store_start, before tasks are claimed. */
void nodes_start(struct nodes *n);
/* This daemon has these handlers in place of those before. Main thread. */
void nodes_set_catalog(struct nodes *n, const struct catalog *c);
/* Until nodes_free. */
struct node_view nodes_view(struct nodes *n);
/* Looks at no node any more; before the store stops. NULL ok. */
void nodes_stop(struct nodes *n);
/* Behind store_stop, before the pools end. NULL ok. */
void nodes_free(struct nodes **n);

#endif
