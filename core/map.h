/* map: an intrusive hash map from a 64-bit key to nodes. Several nodes may share a key (the waiters
 * of one future), in no promised order; any of them leaves in constant time. Grows by doubling.
 * Not thread-safe: the owner's lock guards it. */
#ifndef FUT_CORE_MAP_H
#define FUT_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_node {
    uint64_t key;
    struct map_node *next;
    struct map_node *
        *at; /* the pointer to this node: a bucket, or another's next; NULL: in no map */
};

struct map {
    struct map_node **buckets;
    size_t mask; /* buckets - 1 */
    size_t len;
};

/* Makes an empty map. */
void map_init(struct map *m);
/* Frees the buckets; the nodes stay their owners'. */
void map_release(struct map *m);
/* Calls end, which may free it, for each node; then as map_release. */
void map_drain(struct map *m, void (*end)(struct map_node *n));
/* Adds n, which is in no map, under this key. */
void map_put(struct map *m, struct map_node *n, uint64_t key);
/* Nothing happens when n is in no map. */
void map_remove(struct map *m, struct map_node *n);
/* First node with this key, or NULL. */
struct map_node *map_get(const struct map *m, uint64_t key);
/* Next node with n's key, or NULL. */
struct map_node *map_next_same(struct map_node *n);

static inline bool map_is_linked(const struct map_node *n)
{
    return n->at != NULL;
}

#endif
