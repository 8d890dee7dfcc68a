/* See clock.h. Calls of any thread. */
#include "tests/preload/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t none;
static _Atomic int64_t *offset_ms = &none;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(CLOCK_OFFSET_ENV);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        offset_ms = at;
    (void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    long rc = syscall(SYS_clock_gettime, id, out);
    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ms = atomic_load_explicit(offset_ms, memory_order_relaxed);
        out->tv_sec += (time_t)(ms / 1000);
        out->tv_nsec += (long)(ms % 1000) * 1000000;
        if (out->tv_nsec < 0 || out->tv_nsec >= 1000000000) {
            out->tv_sec += out->tv_nsec < 0 ? -1 : 1;
            out->tv_nsec += out->tv_nsec < 0 ? 1000000000 : -1000000000;
        }
    }
    return (int)rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
