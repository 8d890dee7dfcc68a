/* node: the daemons that share a store, each a node; a daemon alone is the only one. Part of
 * store.h's contract. */
#ifndef FUT_STORAGE_NODE_H
#define FUT_STORAGE_NODE_H

#include "core/buf.h"
#include "storage/store.h"

#define STORE_NODE_NAME_MAX 255
#define STORE_NODE_GONE_MS 86400000 /* for so long one that is no more is listed */

struct store_node {
    char name[STORE_NODE_NAME_MAX + 1];
    int64_t number;        /* another one at each start; 0: a daemon alone */
    bool is_self;          /* this daemon */
    bool is_live;          /* false: it has ended, or was given up; then the latest of its name */
    bool is_draining;      /* it claims nothing */
    bool is_busy;          /* tasks run on it; of one that drains, as of the answer */
    int64_t seen_wall_ms;  /* when it last said that it lives */
    int64_t until_wall_ms; /* when the others give it up, unless it says so again; 0: never */
    char *info;            /* the JSON text that it has published; NULL: none. free() */
    char *load;            /* likewise, with each sign of life */
};

/* All nodes by name. rc as any verb's. */
struct store_node_list {
    struct store_op op;
    struct store_node *nodes; /* out; store_node_list_release frees */
    size_t n;                 /* out */
};
extern const struct store_verb store_verb_node_list;
void store_node_list_release(struct store_node_list *o);

/* From its commit on the live node of that name claims nothing, or claims again; what it has
 * claimed goes on. Ends with the node: its next start claims. rc FUT_ERR_NOT_FOUND: there is no
 * such live node. */
struct store_node_drain {
    struct store_op op;
    const char *name; /* borrowed until done */
    bool drains;
};
extern const struct store_verb store_verb_node_drain;

/* From its commit on this node claims only tasks of these handlers, so that those of others stay
 * for nodes that have them. Until the first one it claims all. */
struct store_node_handlers {
    struct store_op op;
    char **names; /* sorted, of the heap; the store's from store_post on, with the texts: its write
                     takes them over and sets NULL */
    size_t n;
};
extern const struct store_verb store_verb_node_handlers;

/* May other daemons be nodes of this store? Constant. */
bool store_is_shared(const struct store *s);
/* Is this node draining? Any thread; as of some moment ago. */
bool store_is_draining(const struct store *s);
/* This daemon's JSON text for the others (store_node.info), in place of the one before; copied. Any
 * thread. */
void store_publish(struct store *s, const char *info);
/* fn writes this daemon's JSON text of its load, on a thread of the store's, about once a second,
 * and must not block. NULL: none from now on; when that call returns, fn does not run any more. Any
 * thread. */
void store_watch_load(struct store *s, void (*fn)(void *ctx, struct buf *out), void *ctx);

/* fn is told, on a thread of the store's, that store_verb_node_list may give something else than
 * before; it must not block. NULL: no more; when that call returns, fn does not run any more. Where
 * nobody shares the store it is never called. Any thread. */
void store_watch_nodes(struct store *s, void (*fn)(void *ctx), void *ctx);

#endif
