#include "core/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/sanitizers.h"

#define FIRST_BYTES 120 /* what a request that only waits needs */
#define BLOCK_BYTES 2048

struct arena_block {
    struct arena_block *next;
    uint32_t used, cap;
    alignas(max_align_t) unsigned char mem[];
};

void arena_init(struct arena *a)
{
    a->blocks = NULL;
}

void arena_release(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->blocks = NULL;
}

/* A sanitizer is to see what is used too long. */
void arena_reset(struct arena *a)
{
    struct arena_block *kept = FUT_ASAN ? NULL : a->blocks;
    if (!kept || kept->cap > BLOCK_BYTES) {
        arena_release(a);
        return;
    }
    a->blocks = kept->next;
    arena_release(a);
    *kept = (struct arena_block){.cap = kept->cap};
    a->blocks = kept;
}

static struct arena_block *add_block(struct arena *a, size_t n)
{
    size_t least = a->blocks ? BLOCK_BYTES : FIRST_BYTES;
    size_t cap = n > least ? n : least;
    FUT_ASSERT(cap <= UINT32_MAX);
    struct arena_block *b = xmalloc(sizeof(*b) + cap);
    *b = (struct arena_block){.next = a->blocks, .cap = (uint32_t)cap};
    a->blocks = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t align = alignof(max_align_t);
    n = (n + align - 1) / align * align;
    struct arena_block *b = a->blocks;
    if (!b || b->cap - b->used < n)
        b = add_block(a, n);
    void *p = b->mem + b->used;
    b->used += (uint32_t)n;
    return memset(p, 0, n);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    memcpy(copy, s, n);
    return copy;
}
