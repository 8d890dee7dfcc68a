/* See forks.h. Calls of any thread. */
#include "tests/preload/forks.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic int none;
static _Atomic int *error = &none;
static pid_t (*real_fork)(void);
static int (*real_clone)(int (*fn)(void *), void *stack, int flags, void *ctx, ...);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(FORKS_ERROR_ENV);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    *(void **)&real_fork = dlsym(RTLD_NEXT, "fork");
    *(void **)&real_clone = dlsym(RTLD_NEXT, "clone");
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(*error), PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        error = at;
    (void)close(fd);
}

pid_t fork(void)
{
    int e = atomic_load(error);
    if (!e)
        return real_fork();
    errno = e;
    return -1;
}

/* Nobody here passes more than these. */
int clone(int (*fn)(void *), void *stack, int flags, void *ctx, ...)
{
    int e = atomic_load(error);
    if (!e)
        return real_clone(fn, stack, flags, ctx);
    errno = e;
    return -1;
}
