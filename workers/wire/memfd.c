#include "workers/wire/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"

int memfd_from(const void *bytes, size_t n, int *out_fd)
{
    int fd = memfd_create("futured-payload", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return FUT_ERR_IO;
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (fd_write_all(fd, bytes, n) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0) {
        fd_close(&fd);
        return FUT_ERR_IO;
    }
    *out_fd = fd;
    return 0;
}

static bool keeps_its_length(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && ((seals & F_SEAL_SHRINK) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
}

static int read_at_start(int fd, size_t n, struct buf *copy)
{
    copy->len = 0;
    buf_reserve(copy, n);
    while (copy->len < n) {
        ssize_t got = pread(fd, copy->data + copy->len, n - copy->len, (off_t)copy->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return FUT_ERR_INVAL;
        copy->len += (size_t)got;
    }
    return 0;
}

int memfd_open(int fd, size_t n, void **out_map, struct buf *copy)
{
    struct stat st;
    *out_map = NULL;
    bool sealed = keeps_its_length(fd); /* before its length is looked at */
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < n)
        return FUT_ERR_INVAL;
    if (!sealed || n == 0)
        return read_at_start(fd, n, copy);
    void *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return read_at_start(fd, n, copy);
    *out_map = map;
    return 0;
}
