#include "workers/fork/ahead.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

struct fork_ahead {
    _Atomic uint64_t offered[FORK_AHEAD_MAX]; /* the generation while it is on offer, else 0 */
    _Atomic uint64_t joined[FORK_LINES];
};

struct fork_ahead *fork_ahead_new(void)
{
    void *page = mmap(NULL, sizeof(struct fork_ahead), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

void fork_ahead_free(struct fork_ahead **a)
{
    if (*a)
        (void)munmap(*a, sizeof(**a));
    *a = NULL;
}

/* Generations are used once, so nobody else's is taken for this one. */
bool fork_ahead_offer(struct fork_ahead *a, uint64_t generation)
{
    uint64_t nobody = 0;
    return a && atomic_compare_exchange_strong(&a->offered[generation % FORK_AHEAD_MAX], &nobody,
                                               generation);
}

bool fork_ahead_take(struct fork_ahead *a, uint64_t generation)
{
    return a &&
           atomic_compare_exchange_strong(&a->offered[generation % FORK_AHEAD_MAX], &generation, 0);
}

void fork_ahead_count(struct fork_ahead *a, uint32_t line)
{
    atomic_fetch_add(&a->joined[line - 1], 1);
}

uint64_t fork_ahead_counted(struct fork_ahead *a, uint32_t line)
{
    return a ? atomic_load(&a->joined[line - 1]) : 0;
}
