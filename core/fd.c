#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int fd_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : FUT_ERR_IO;
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return FUT_ERR_IO;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

int fd_read_all(int fd, void *bytes, size_t n)
{
    char *p = bytes;
    size_t got = 0;
    while (got < n) {
        ssize_t done = read(fd, p + got, n - got);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0 && got == 0)
            return FUT_ERR_CLOSED;
        if (done <= 0)
            return FUT_ERR_IO;
        got += (size_t)done;
    }
    return 0;
}

int fd_limit_set(int64_t files)
{
    struct rlimit lim;
    if (files < 0 || getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return FUT_ERR_IO;
    lim.rlim_cur = (rlim_t)files < lim.rlim_max ? (rlim_t)files : lim.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &lim) == 0 ? 0 : FUT_ERR_IO;
}

int64_t fd_limit_raise(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return FUT_ERR_IO;
    int64_t before = lim.rlim_cur < INT64_MAX ? (int64_t)lim.rlim_cur : INT64_MAX;
    lim.rlim_cur = lim.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &lim) == 0 ? before : FUT_ERR_IO;
}

int fd_wake_new(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd >= 0 ? fd : FUT_ERR_IO;
}

void fd_wake(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));
    (void)n; /* EAGAIN means that it is awake already */
}

void fd_wake_clear(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n;
}

int fd_send_msg(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char mem[CMSG_SPACE(FD_MAX_PASSED * sizeof(int))];
    } ctl = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    FUT_ASSERT(n_fds <= FD_MAX_PASSED);
    if (n_fds) {
        msg.msg_control = ctl.mem;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        FUT_ASSERT(c != NULL); /* its buffer has the space */
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    ssize_t done;
    do
        done = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    return done == (ssize_t)n ? 0 : FUT_ERR_IO;
}

static void take_fds(struct msghdr *msg, int *out_fds, size_t *out_n)
{
    *out_n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(out_fds, CMSG_DATA(c), n * sizeof(int));
        *out_n = n;
    }
}

ssize_t fd_recv_msg(int sock, void *bytes, size_t cap, int *out_fds, size_t *out_n_fds)
{
    union {
        struct cmsghdr align;
        char mem[CMSG_SPACE(FD_MAX_PASSED * sizeof(int))];
    } ctl = {0};
    struct iovec iov = {bytes, cap};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = ctl.mem,
                         .msg_controllen = sizeof(ctl.mem)};
    ssize_t got;
    do
        got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? FUT_ERR_AGAIN : FUT_ERR_IO;
    take_fds(&msg, out_fds, out_n_fds);
    return got;
}
