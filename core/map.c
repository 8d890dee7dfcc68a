#include "core/map.h"

#include <stdlib.h>

#include "core/mem.h"

#define FIRST_BUCKETS 64

static size_t bucket_of(const struct map *m, uint64_t key)
{
    key ^= key >> 33;
    key *= 0xff51afd7ed558ccdULL;
    key ^= key >> 33;
    return (size_t)key & m->mask;
}

void map_init(struct map *m)
{
    *m = (struct map){.buckets = xcalloc(FIRST_BUCKETS, sizeof(*m->buckets)),
                      .mask = FIRST_BUCKETS - 1};
}

void map_release(struct map *m)
{
    free(m->buckets);
    *m = (struct map){0};
}

void map_drain(struct map *m, void (*end)(struct map_node *n))
{
    for (size_t i = 0; m->buckets && i <= m->mask; i++) {
        for (struct map_node *n = m->buckets[i], *next; n; n = next) {
            next = n->next;
            end(n);
        }
    }
    map_release(m);
}

static void prepend(struct map *m, struct map_node *n)
{
    struct map_node **at = &m->buckets[bucket_of(m, n->key)];
    n->next = *at;
    n->at = at;
    if (n->next)
        n->next->at = &n->next;
    *at = n;
}

static void grow(struct map *m)
{
    struct map_node **old = m->buckets;
    size_t n_old = m->mask + 1;
    m->mask = n_old * 2 - 1;
    m->buckets = xcalloc(n_old * 2, sizeof(*m->buckets));
    for (size_t i = 0; i < n_old; i++) {
        for (struct map_node *n = old[i], *next; n; n = next) {
            next = n->next;
            prepend(m, n);
        }
    }
    free(old);
}

void map_put(struct map *m, struct map_node *n, uint64_t key)
{
    if (m->len > m->mask)
        grow(m);
    n->key = key;
    prepend(m, n);
    m->len++;
}

void map_remove(struct map *m, struct map_node *n)
{
    if (!n->at)
        return;
    *n->at = n->next;
    if (n->next)
        n->next->at = n->at;
    n->next = NULL;
    n->at = NULL;
    m->len--;
}

struct map_node *map_get(const struct map *m, uint64_t key)
{
    struct map_node *n = m->buckets[bucket_of(m, key)];
    while (n && n->key != key)
        n = n->next;
    return n;
}

struct map_node *map_next_same(struct map_node *n)
{
    uint64_t key = n->key;
    do
        n = n->next;
    while (n && n->key != key);
    return n;
}
