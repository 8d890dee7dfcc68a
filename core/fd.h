/* fd: small truths about descriptors. Everything here is close-on-exec. Any thread. */
#ifndef FUT_CORE_FD_H
#define FUT_CORE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/err.h"

/* Closes *fd when >= 0 and sets it to -1. */
void fd_close(int *fd);
FUT_MUST_CHECK int fd_set_nonblock(int fd);
/* Writes everything, going on after EINTR; blocks on a blocking fd. 0 or FUT_ERR_IO. */
FUT_MUST_CHECK int fd_write_all(int fd, const void *bytes, size_t n);
/* Reads exactly n bytes. 0, FUT_ERR_CLOSED at a clean end before the first byte, or FUT_ERR_IO. */
FUT_MUST_CHECK int fd_read_all(int fd, void *bytes, size_t n);

/* Raises this process's limit of open descriptors to the highest it may have. Returns the limit
 * before, or FUT_ERR_IO. */
int64_t fd_limit_raise(void);
/* Sets the limit (the soft one; the highest stays). FUT_ERR_IO. */
int fd_limit_set(int64_t files);

/* An eventfd that wakes one event loop, the caller's to close; FUT_ERR_IO when there is none to be
 * had. */
FUT_MUST_CHECK int fd_wake_new(void);
/* Makes fd readable; never blocks. */
void fd_wake(int fd);
/* Makes fd unreadable until the next fd_wake; never blocks. */
void fd_wake_clear(int fd);

#define FD_MAX_PASSED 4
/* One message of a SOCK_SEQPACKET/unix socket with up to FD_MAX_PASSED descriptors.
 * send: descriptors stay the caller's. Blocks as the socket does. 0 or FUT_ERR_IO. */
FUT_MUST_CHECK int fd_send_msg(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds);
/* recv: out_fds holds FD_MAX_PASSED, close-on-exec, the caller's. Returns the byte count
 * (0 = peer gone), FUT_ERR_AGAIN on an empty nonblocking socket, or FUT_ERR_IO. */
ssize_t fd_recv_msg(int sock, void *bytes, size_t cap, int *out_fds, size_t *out_n_fds);

#endif
