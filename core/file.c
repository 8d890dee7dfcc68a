#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/mem.h"

#ifndef ZFS_SUPER_MAGIC
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#endif

/* Up to cap bytes, fewer at the end of the file; -1 with errno. */
static ssize_t read_up_to(int fd, char *out, size_t cap)
{
    size_t n = 0;
    while (n < cap) {
        ssize_t got = read(fd, out + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

ssize_t file_read_text(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read_up_to(fd, out, cap - 1) : -1;
    fd_close(&fd);
    out[n > 0 ? n : 0] = '\0';
    return n >= 0 ? n : FUT_ERR_IO;
}

static int refuse(const char *path, struct fut_errbuf *err)
{
    int rc = errno == ENOENT ? FUT_ERR_NOT_FOUND : FUT_ERR_IO;
    return fut_fail(err, rc, "cannot read %.300s: %s", path, strerror(errno));
}

static int read_open(int fd, const char *path, size_t max_bytes, struct buf *out,
                     struct fut_errbuf *err)
{
    struct stat st;
    size_t want = max_bytes + 1; /* of what has no size, a pipe: one allocation all the same */
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size < max_bytes)
        want = (size_t)st.st_size + 1;
    buf_reserve(out, want);
    ssize_t n = read_up_to(fd, out->data + out->len, want);
    if (n < 0)
        return refuse(path, err);
    if ((size_t)n == want) /* more than max_bytes, or it grows while we read */
        return fut_fail(err, FUT_ERR_TOO_BIG, "%.300s is larger than %zu bytes", path,
                        want - 1 < max_bytes ? want - 1 : max_bytes);
    out->len += (size_t)n;
    out->data[out->len] = '\0';
    return 0;
}

int file_read(const char *path, size_t max_bytes, struct buf *out, struct fut_errbuf *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return refuse(path, err);
    int rc = read_open(fd, path, max_bytes, out, err);
    fd_close(&fd);
    return rc;
}

int file_read_regular(const char *path, size_t max_bytes, struct buf *out, struct fut_errbuf *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return refuse(path, err);
    if (!S_ISREG(st.st_mode))
        return fut_fail(err, FUT_ERR_INVAL, "%.300s is not a regular file", path);
    return file_read(path, max_bytes, out, err);
}

/* What is not known to be local is not taken for it. */
bool file_is_local(const char *path)
{
    static const unsigned long local[] = {
        BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC,      EROFS_SUPER_MAGIC_V1, F2FS_SUPER_MAGIC,
        MSDOS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC,       TMPFS_MAGIC,
        XFS_SUPER_MAGIC,   ZFS_SUPER_MAGIC,
    };
    struct statfs fs;
    bool is = false;
    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < FUT_COUNT(local); i++)
        is = is || (unsigned long)fs.f_type == local[i];
    return is;
}
