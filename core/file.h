/* file: reads a small file whole. Any thread; blocks for the file. */
#ifndef FUT_CORE_FILE_H
#define FUT_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/err.h"

struct buf;

/* For files of /proc and /sys: the first cap - 1 bytes into out, which ends with a NUL also on
 * failure. Returns how many there were, or FUT_ERR_IO. */
ssize_t file_read_text(const char *path, char *out, size_t cap);
/* For files that people write: appends the file to out, which is NUL-terminated then. What was read
 * lies in one allocation (nothing is moved), so that a caller can wipe a secret. err: a sentence
 * with the path and the cause. FUT_ERR_NOT_FOUND (no such file), FUT_ERR_TOO_BIG (more than
 * max_bytes) or FUT_ERR_IO; out may hold a part then. */
FUT_MUST_CHECK int file_read(const char *path, size_t max_bytes, struct buf *out,
                             struct fut_errbuf *err);
/* Like file_read for what must be a regular file: FUT_ERR_INVAL for anything else, before opening
 * it (opening a FIFO may block for ever). */
FUT_MUST_CHECK int file_read_regular(const char *path, size_t max_bytes, struct buf *out,
                                     struct fut_errbuf *err);
/* True where the path lies on a file system of this machine. Those of other machines (NFS, SMB) and
 * of user processes (FUSE) may not answer for as long as they like, and so may this call. */
bool file_is_local(const char *path);

#endif
