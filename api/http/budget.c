#include "api/http/budget.h"

void budget_force(struct budget *b, struct budget_share *s, size_t bytes)
{
    if (bytes <= BUDGET_FREE_BYTES || bytes <= s->bytes)
        return;
    (void)atomic_fetch_add_explicit(&b->used, bytes - s->bytes, memory_order_relaxed);
    s->bytes = bytes;
}

bool budget_grow(struct budget *b, struct budget_share *s, size_t bytes)
{
    size_t more = bytes > s->bytes ? bytes - s->bytes : 0;
    if (bytes <= BUDGET_FREE_BYTES || !more)
        return true;
    size_t used = atomic_fetch_add_explicit(&b->used, more, memory_order_relaxed);
    if (used > s->bytes && used + more > b->max) {
        (void)atomic_fetch_sub_explicit(&b->used, more, memory_order_relaxed);
        return false;
    }
    s->bytes = bytes;
    return true;
}

void budget_return(struct budget *b, struct budget_share *s)
{
    if (!s->bytes)
        return;
    (void)atomic_fetch_sub_explicit(&b->used, s->bytes, memory_order_relaxed);
    s->bytes = 0;
}
