#include "workers/fork/ahead.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/fd.h"
#include "core/mem.h"

/* The generation while it is on offer, else 0. */
struct fork_ahead {
    _Atomic uint64_t offered[FORK_AHEAD_MAX];
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

struct fork_kept *fork_kept_new(uint64_t generation, const char *message, size_t n, int *fds)
{
    struct fork_kept *h = xnew(struct fork_kept);
    *h = (struct fork_kept){.generation = generation, .message = xmalloc(n), .n = n};
    memcpy(h->message, message, n);
    for (int i = 0; i < FORK_EXEC_FDS; i++) {
        h->fds[i] = fds[i];
        fds[i] = -1;
    }
    return h;
}

void fork_kept_free(struct fork_kept **hp)
{
    struct fork_kept *h = *hp;
    if (!h)
        return;
    for (int i = 0; i < FORK_EXEC_FDS; i++)
        fd_close(&h->fds[i]);
    free(h->message);
    free(h);
    *hp = NULL;
}
