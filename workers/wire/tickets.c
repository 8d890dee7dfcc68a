#include "workers/wire/tickets.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"

/* The id while it is on offer, else 0. An id that is gone from its place, for another one is there,
 * was taken or withdrawn before. */
struct tickets {
    _Atomic uint64_t offered[TICKETS_MAX];
};

static struct tickets *map(int fd)
{
    void *at = mmap(NULL, sizeof(struct tickets), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

struct tickets *tickets_new(int *out_fd)
{
    int fd = memfd_create("futured-tickets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct tickets *t = NULL;
    if (fd >= 0 && ftruncate(fd, sizeof(*t)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        t = map(fd);
    if (!t)
        fd_close(&fd);
    *out_fd = fd;
    return t;
}

/* Sealed, or reading it might be the daemon's end. */
struct tickets *tickets_open(int fd)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) != 0 ||
        st.st_size < (off_t)sizeof(struct tickets))
        return NULL;
    return map(fd);
}

void tickets_close(struct tickets **t)
{
    if (*t)
        (void)munmap(*t, sizeof(**t));
    *t = NULL;
}

void tickets_offer(struct tickets *t, uint64_t id)
{
    atomic_store(&t->offered[id % TICKETS_MAX], id);
}

static bool remove_offer(struct tickets *t, uint64_t id)
{
    return atomic_compare_exchange_strong(&t->offered[id % TICKETS_MAX], &id, 0);
}

bool tickets_take(struct tickets *t, uint64_t id)
{
    return remove_offer(t, id);
}

bool tickets_withdraw(struct tickets *t, uint64_t id)
{
    return remove_offer(t, id);
}
