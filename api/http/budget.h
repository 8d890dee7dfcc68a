/* budget: how many bytes of large request bodies and large answers may be in memory at once, for
 * all requests together. What a connection holds anyway, up to BUDGET_FREE_BYTES of each request,
 * is bounded by the number of connections and not counted. Any thread, no lock, blocks for nothing.
 */
#ifndef FUT_API_HTTP_BUDGET_H
#define FUT_API_HTTP_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define BUDGET_FREE_BYTES 16384u

struct budget {
    atomic_size_t used;
    size_t max;
};

/* One request's part of it; zeroed at first, one thread at a time. */
struct budget_share {
    size_t bytes;
};

static inline size_t budget_used(const struct budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}

/* The share is to be so large at least. False when others hold so much that it does not fit: then
 * it stays as it was. A share that is alone always fits; else what is larger than
 * the maximum would never pass. */
bool budget_grow(struct budget *b, struct budget_share *s, size_t bytes);
/* Grows the share whatever others hold: for what cannot be refused any more. */
void budget_force(struct budget *b, struct budget_share *s, size_t bytes);
/* Gives the share back; nothing when there is none. */
void budget_return(struct budget *b, struct budget_share *s);

#endif
