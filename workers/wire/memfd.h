/* memfd: payloads in anonymous files, to be passed by descriptor instead of through a socket. Any
 * thread; nothing here blocks but for copying memory. */
#ifndef FUT_WORKERS_WIRE_MEMFD_H
#define FUT_WORKERS_WIRE_MEMFD_H

#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"

/* An anonymous file with these bytes, sealed: nobody can change it any more. The caller's.
 * FUT_ERR_IO. */
FUT_MUST_CHECK int memfd_from(const void *bytes, size_t n, int *out_fd);

/* The first n bytes of a file from another process. Mapped (*out_map, munmap it) when it can be
 * sealed against getting shorter, for otherwise the other side could make us stumble over its end;
 * else read into *copy, *out_map is NULL. FUT_ERR_INVAL: shorter than that, or no such file.
 * fd stays the caller's. */
FUT_MUST_CHECK int memfd_open(int fd, size_t n, void **out_map, struct buf *copy);

#endif
