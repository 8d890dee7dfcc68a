/* heap: an intrusive binary min-heap of deadlines. A node lives in its owner and knows its place,
 * so a deadline moves or leaves in O(log n). Not thread-safe: the owner's lock guards it. */
#ifndef FUT_CORE_HEAP_H
#define FUT_CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key; /* set by heap_put; smallest first */
    size_t slot; /* 1-based place in the heap; 0 while in none */
};

struct heap {
    struct heap_node **nodes;
    size_t len, cap;
};

/* Makes an empty heap. */
void heap_init(struct heap *h);
/* Frees the array; the nodes stay their owners'. */
void heap_release(struct heap *h);
/* Adds n with this key, or moves it when it is in the heap already. */
void heap_put(struct heap *h, struct heap_node *n, int64_t key);
/* Takes n out; nothing happens when it is in no heap. */
void heap_remove(struct heap *h, struct heap_node *n);
/* Smallest node, or NULL. */
struct heap_node *heap_min(const struct heap *h);

/* How many nodes have a smaller key, or max when there are more; looks at no more than about twice
 * that many. */
size_t heap_count_below(const struct heap *h, int64_t key, size_t max);

static inline bool heap_is_linked(const struct heap_node *n)
{
    return n->slot != 0;
}

#endif
