#include "workers/wire/tickets.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"

/* The id while it is on offer, else 0. An id that is gone from its place, for another one is there,
 * was taken or withdrawn before. */
struct page {
    _Atomic uint64_t offered[TICKETS_MAX];
};

struct tickets {
    struct page *page;
    int lock; /* the file of a page that is locked; else -1 */
};

static struct tickets *map(int fd)
{
    void *at = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    struct tickets *t = xnew(struct tickets);
    *t = (struct tickets){.page = at, .lock = -1};
    return t;
}

struct tickets *tickets_new(int *out_fd)
{
    int fd = memfd_create("futured-tickets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct tickets *t = NULL;
    if (fd >= 0 && ftruncate(fd, sizeof(struct page)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        t = map(fd);
    if (!t)
        fd_close(&fd);
    *out_fd = fd;
    return t;
}

/* Sealed, or reading it might be the daemon's end. */
struct tickets *tickets_open(int fd, bool locked)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) != 0 ||
        st.st_size < (off_t)sizeof(struct page))
        return NULL;
    struct tickets *t = map(fd);
    if (t && locked)
        t->lock = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (t && locked && t->lock < 0)
        tickets_close(&t);
    return t;
}

void tickets_close(struct tickets **t)
{
    if (!*t)
        return;
    (void)munmap((*t)->page, sizeof(*(*t)->page));
    fd_close(&(*t)->lock);
    free(*t);
    *t = NULL;
}

void tickets_offer(struct tickets *t, uint64_t id)
{
    atomic_store(&t->page->offered[id % TICKETS_MAX], id);
}

static bool remove_offer(struct tickets *t, uint64_t id)
{
    return atomic_compare_exchange_strong(&t->page->offered[id % TICKETS_MAX], &id, 0);
}

bool tickets_take(struct tickets *t, uint64_t id)
{
    return remove_offer(t, id);
}

static bool set_lock(const struct tickets *t, short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    return t->lock < 0 || fcntl(t->lock, F_SETLK, &whole) == 0;
}

bool tickets_withdraw(struct tickets *t, uint64_t id)
{
    if (!set_lock(t, F_WRLCK)) /* the worker takes one right now: maybe this one */
        return false;
    bool is_ours = remove_offer(t, id);
    if (!set_lock(t, F_UNLCK))
        FUT_BUG("a lock that cannot be given up");
    return is_ours;
}
