#include "workers/wire/wire_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"

#define READ_BYTES 65536
#define KEEP_BYTES ((size_t)1 << 20) /* a larger buffer is given back after the message */

void wire_stream_init(struct wire_stream *s, int sock, size_t max_payload)
{
    *s = (struct wire_stream){.sock = sock, .max_payload = max_payload};
}

static void drop_map(struct wire_stream *s)
{
    if (s->map)
        (void)munmap(s->map, s->map_len);
    s->map = NULL;
    buf_release(&s->copy);
}

void wire_stream_release(struct wire_stream *s)
{
    drop_map(s);
    for (size_t i = 0; i < s->n_fds; i++)
        fd_close(&s->fds[i]);
    for (size_t i = 0; i < s->n_passes; i++) {
        for (size_t k = 0; k < s->passes[i].n; k++)
            fd_close(&s->passes[i].fds[k]);
    }
    s->n_fds = s->n_passes = 0;
    free(s->passes);
    s->passes = NULL;
    buf_release(&s->in);
    buf_release(&s->out);
    s->at = s->sent = s->to_release = 0;
    s->has_head = false;
}

/* ---- payloads that come and go as files ---- */

/* An anonymous file with these bytes, sealed: nobody can change it any more. FUT_ERR_IO. */
static int memfd_from(const void *bytes, size_t n, int *out_fd)
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

/* The first n bytes of a file from another process. Mapped (*out_map, munmap it) when it can be
 * sealed against getting shorter, for otherwise the other side could make us stumble over its end;
 * else read into *copy, *out_map is NULL. FUT_ERR_INVAL: shorter than that, or no such file.
 * fd stays the caller's. */
static int memfd_open(int fd, size_t n, void **out_map, struct buf *copy)
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

/* ---- reading ---- */

static size_t waiting(const struct wire_stream *s)
{
    return s->in.len - s->at;
}

bool wire_stream_is_clean(const struct wire_stream *s)
{
    return !s->has_head && !s->skip && waiting(s) == s->to_release;
}

/* Room for the next bytes: what was taken goes, and a payload that is on its way is given its place
 * at once. */
static void make_space(struct wire_stream *s)
{
    size_t need = READ_BYTES;
    if (s->at == s->in.len) {
        s->at = s->in.len = 0;
        if (s->in.cap > KEEP_BYTES)
            buf_release(&s->in);
    } else if (s->at >= READ_BYTES || s->in.cap - s->in.len < READ_BYTES) {
        buf_consume(&s->in, s->at);
        s->at = 0;
    }
    if (s->has_head && !s->head.fd && s->head.bytes <= s->max_payload &&
        s->head.bytes > waiting(s) + need)
        need = (size_t)s->head.bytes - waiting(s);
    buf_reserve(&s->in, need);
}

static bool keep_fds(struct wire_stream *s, struct msghdr *msg)
{
    bool fit = !(msg->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            fit = fit && s->n_fds < WIRE_FDS_MAX;
            if (fit)
                s->fds[s->n_fds++] = fd;
            else
                fd_close(&fd);
        }
    }
    return fit;
}

int wire_stream_read(struct wire_stream *s, int flags)
{
    union {
        struct cmsghdr align;
        char mem[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
    } ctl;
    FUT_ASSERT(s->to_release == 0);
    make_space(s);
    struct iovec iov = {s->in.data + s->in.len, s->in.cap - s->in.len - 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = ctl.mem,
                         .msg_controllen = sizeof(ctl.mem)};
    ssize_t n;
    do
        n = recvmsg(s->sock, &msg, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? FUT_ERR_AGAIN : FUT_ERR_IO;
    if (msg.msg_controllen && !keep_fds(s, &msg))
        return FUT_ERR_IO;
    s->in.len += (size_t)n;
    s->bytes_copied += (size_t)n;
    s->filled = (size_t)n == iov.iov_len || msg.msg_controllen;
    return n == 0 ? FUT_ERR_CLOSED : 0;
}

/* What the last message was made of is not needed any more. */
static void let_go(struct wire_stream *s)
{
    drop_map(s);
    s->at += s->to_release;
    s->to_release = 0;
    size_t n = s->skip < waiting(s) ? (size_t)s->skip : waiting(s);
    s->at += n;
    s->skip -= n;
}

static int take_head(struct wire_stream *s)
{
    size_t most = waiting(s) < WIRE_LINE_MAX ? waiting(s) : WIRE_LINE_MAX;
    const char *from = s->in.data + s->at;
    const char *end = most ? memchr(from, '\n', most) : NULL;
    if (!end)
        return most == WIRE_LINE_MAX ? FUT_ERR_INVAL : FUT_ERR_AGAIN;
    size_t n = (size_t)(end - from);
    memcpy(s->line, from, n);
    s->line[n] = '\0';
    s->at += n + 1;
    int rc = wire_parse(s->line, n, &s->head);
    s->has_head = rc == 0;
    return rc;
}

int wire_stream_take_fd(struct wire_stream *s)
{
    if (s->n_fds == 0)
        return -1;
    int fd = s->fds[0];
    s->n_fds--;
    memmove(s->fds, s->fds + 1, s->n_fds * sizeof(s->fds[0]));
    return fd;
}

static int take_by_fd(struct wire_stream *s, struct wire_message *out)
{
    int fd = wire_stream_take_fd(s), rc = 0;
    if (fd < 0)
        return FUT_ERR_INVAL;
    if (!out->too_long) {
        s->map_len = (size_t)out->head.bytes;
        rc = memfd_open(fd, s->map_len, &s->map, &s->copy);
        out->payload = s->map ? s->map : (const unsigned char *)s->copy.data;
    }
    fd_close(&fd);
    return rc;
}

static int take_payload(struct wire_stream *s, struct wire_message *out)
{
    if (out->too_long) {
        s->skip = s->head.bytes;
        return 0;
    }
    if (waiting(s) < s->head.bytes)
        return FUT_ERR_AGAIN;
    out->payload = (const unsigned char *)s->in.data + s->at;
    s->to_release = (size_t)s->head.bytes;
    return 0;
}

int wire_stream_next(struct wire_stream *s, struct wire_message *out)
{
    let_go(s);
    int rc = s->skip ? FUT_ERR_AGAIN : 0;
    if (rc == 0 && !s->has_head)
        rc = take_head(s);
    if (rc != 0)
        return rc;
    *out = (struct wire_message){.head = s->head, .too_long = s->head.bytes > s->max_payload};
    if (out->too_long && out->head.bytes > WIRE_PAYLOAD_MAX)
        return FUT_ERR_INVAL;
    rc = s->head.fd ? take_by_fd(s, out) : take_payload(s, out);
    if (rc == 0)
        s->has_head = false;
    return rc;
}

/* ---- writing ---- */

static void pass(struct wire_stream *s, size_t at, const int *fds, size_t n)
{
    s->passes = xrealloc(s->passes, (s->n_passes + 1) * sizeof(*s->passes));
    struct wire_pass *p = &s->passes[s->n_passes++];
    *p = (struct wire_pass){.at = at, .n = n};
    memcpy(p->fds, fds, n * sizeof(*fds));
}

int wire_stream_put_fds(struct wire_stream *s, const struct wire_head *head, const int *fds,
                        size_t n)
{
    size_t at = s->out.len;
    FUT_ASSERT(n <= WIRE_PASS_MAX);
    int rc = wire_put(&s->out, head);
    if (rc == 0)
        pass(s, at, fds, n);
    return rc;
}

int wire_stream_put(struct wire_stream *s, const struct wire_head *head, const void *payload)
{
    struct wire_head h = *head;
    int fd = -1, rc;
    if (h.bytes > WIRE_PAYLOAD_MAX)
        return FUT_ERR_TOO_BIG;
    /* No memory for a descriptor: then it goes through the socket. */
    if (s->peer_takes_fds && h.bytes >= WIRE_FD_BYTES)
        h.fd = memfd_from(payload, (size_t)h.bytes, &fd) == 0;
    if (h.fd) {
        rc = wire_stream_put_fds(s, &h, &fd, 1);
        if (rc != 0)
            fd_close(&fd);
        return rc;
    }
    rc = wire_put(&s->out, &h);
    if (rc == 0 && h.bytes)
        buf_put(&s->out, payload, (size_t)h.bytes);
    return rc;
}

struct wire_mark wire_stream_mark(const struct wire_stream *s)
{
    return (struct wire_mark){s->out.len, s->n_passes};
}

void wire_stream_back(struct wire_stream *s, struct wire_mark to)
{
    while (s->n_passes > to.n_passes) {
        const struct wire_pass *p = &s->passes[--s->n_passes];
        for (size_t k = 0; k < p->n; k++)
            (void)close(p->fds[k]);
    }
    s->out.len = to.len;
}

static void passed(struct wire_stream *s)
{
    for (size_t k = 0; k < s->passes[0].n; k++)
        fd_close(&s->passes[0].fds[k]);
    s->n_passes--;
    memmove(s->passes, s->passes + 1, s->n_passes * sizeof(*s->passes));
}

static void put_rights(struct msghdr *msg, void *mem, const struct wire_pass *p)
{
    msg->msg_control = mem;
    msg->msg_controllen = CMSG_SPACE(p->n * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    FUT_ASSERT(c);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(p->n * sizeof(int));
    memcpy(CMSG_DATA(c), p->fds, p->n * sizeof(int));
}

/* Up to the next byte that descriptors go with; they go with the first byte of what is sent. */
static ssize_t send_some(struct wire_stream *s, int flags)
{
    union {
        struct cmsghdr align;
        char mem[CMSG_SPACE(WIRE_PASS_MAX * sizeof(int))];
    } ctl = {0};
    bool with_fds = s->n_passes && s->passes[0].at == s->sent;
    size_t next = with_fds, end = next < s->n_passes ? s->passes[next].at : s->out.len;
    struct iovec iov = {s->out.data + s->sent, end - s->sent};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with_fds)
        put_rights(&msg, ctl.mem, &s->passes[0]);
    ssize_t n = sendmsg(s->sock, &msg, flags | MSG_NOSIGNAL);
    if (n > 0 && with_fds)
        passed(s);
    return n;
}

int wire_stream_flush(struct wire_stream *s, int flags)
{
    while (s->sent < s->out.len) {
        ssize_t n = send_some(s, flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? FUT_ERR_AGAIN : FUT_ERR_IO;
        s->sent += (size_t)n;
        s->bytes_copied += (size_t)n;
    }
    s->out.len = s->sent = 0;
    if (s->out.cap > KEEP_BYTES)
        buf_release(&s->out);
    return 0;
}
