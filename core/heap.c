#include "core/heap.h"

#include <stdlib.h>

#include "core/mem.h"

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_release(struct heap *h)
{
    free(h->nodes);
    heap_init(h);
}

static void place(struct heap *h, size_t slot, struct heap_node *n)
{
    h->nodes[slot - 1] = n;
    n->slot = slot;
}

static void sift_up(struct heap *h, struct heap_node *n)
{
    size_t slot = n->slot;
    while (slot > 1 && h->nodes[slot / 2 - 1]->key > n->key) {
        place(h, slot, h->nodes[slot / 2 - 1]);
        slot /= 2;
    }
    place(h, slot, n);
}

static void sift_down(struct heap *h, struct heap_node *n)
{
    size_t slot = n->slot;
    for (;;) {
        size_t child = slot * 2;
        if (child > h->len)
            break;
        if (child < h->len && h->nodes[child]->key < h->nodes[child - 1]->key)
            child++;
        if (h->nodes[child - 1]->key >= n->key)
            break;
        place(h, slot, h->nodes[child - 1]);
        slot = child;
    }
    place(h, slot, n);
}

void heap_put(struct heap *h, struct heap_node *n, int64_t key)
{
    n->key = key;
    if (!n->slot) {
        if (h->len == h->cap) {
            h->cap = h->cap ? h->cap * 2 : 16;
            h->nodes = xrealloc(h->nodes, h->cap * sizeof(*h->nodes));
        }
        place(h, ++h->len, n);
    }
    sift_up(h, n);
    sift_down(h, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (!n->slot)
        return;
    struct heap_node *last = h->nodes[h->len - 1];
    size_t slot = n->slot;
    h->len--;
    n->slot = 0;
    if (last == n)
        return;
    place(h, slot, last);
    sift_up(h, last);
    sift_down(h, last);
}

struct heap_node *heap_min(const struct heap *h)
{
    return h->len ? h->nodes[0] : NULL;
}

/* No child is smaller than its parent, so whole branches are left out. As deep as the heap. */
static void count_below(const struct heap *h, size_t slot, int64_t key, size_t max, size_t *n)
{
    if (*n >= max || slot > h->len || h->nodes[slot - 1]->key >= key)
        return;
    ++*n;
    count_below(h, 2 * slot, key, max, n);
    count_below(h, 2 * slot + 1, key, max, n);
}

size_t heap_count_below(const struct heap *h, int64_t key, size_t max)
{
    size_t n = 0;
    count_below(h, 1, key, max, &n);
    return n;
}
