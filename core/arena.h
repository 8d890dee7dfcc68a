/* arena: everything of one request, freed at once. Zeroed memory, aligned for any type.
 * Not thread-safe: one owner at a time. */
#ifndef FUT_CORE_ARENA_H
#define FUT_CORE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
};

/* Makes an empty arena. */
void arena_init(struct arena *a);
/* Frees everything that was allocated from a. */
void arena_release(struct arena *a);
/* As arena_release, but a block may stay, for what is allocated next. */
void arena_reset(struct arena *a);
/* Zeroed; never NULL; lives until arena_release. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy of n bytes and a NUL; lives until arena_release. */
char *arena_strndup(struct arena *a, const char *s, size_t n);

#endif
