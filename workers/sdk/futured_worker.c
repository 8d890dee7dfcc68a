/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create, pipe2 */
#endif
#include "futured_worker.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REFUSED_SIZE 256 /* why a checkpoint was not taken */
#define ERROR_SIZE 512   /* why a session's init has failed */
#define LINE_MAX_BYTES 1024
#define PROGRESS_MAX_BYTES 500
#define TYPE_MAX_BYTES 127
#define ERROR_MAX_BYTES 32768
#define FAIL_MAX_BYTES (1 << 20) /* of a message and its data */
#define LOG_MAX_BYTES 65536
#define RESULT_MAX_BYTES ((size_t)1 << 30)
#define KIND_MAX_BYTES 64
#define LARGE_BYTES 262144 /* results and checkpoints from here on go by descriptor */
#define SUSPEND_MAX_MS 31536000000ull
#define MAX_FDS 4
#define AHEAD 8         /* tasks that a busy worker is sent */
#define TICKETS 16      /* places for their numbers */
#define SESSIONS_MAX 64 /* that a worker is prepared for; the oldest gets its INIT again */

/* What was read and not used yet is buffer[at..len). */
static struct {
    int fd;
    size_t at, len;
    char buffer[65536];
    int fds[MAX_FDS]; /* that came, for the headers that come */
    size_t n_fds;
} channel = {.fd = -1};

struct message {
    char line[LINE_MAX_BYTES]; /* without the newline; its words end with NULs once parsed */
    const char *verb, *type;   /* type: "" when there is none */
    char *keys;                /* " a=b c=d" */
    uint64_t id, size;
};

/* Bytes that came with a message. */
struct payload {
    void *bytes;
    size_t n;
    int is_mapped;
};

/* The oldest first. */
static struct {
    char id[64];
    void *made;
} sessions[SESSIONS_MAX];
static size_t n_sessions;

struct futured_task {
    struct futured_task *next; /* that has come behind it */
    struct message head;
    char handler[256], id[64], trace[128], url[512], token[128];
    struct payload input, checkpoint, results;
    char checkpoint_type[TYPE_MAX_BYTES + 1]; /* "": there is none */
    int is_cancelled, is_answered, must_yield;
    int is_stored; /* the checkpoint that was sent: 0: not answered yet, 1: saved, -1: refused */
    char refused[REFUSED_SIZE];
    void *result; /* from result_buffer */
    size_t result_size;
    int result_fd;
};

/* Tasks that have come and are not begun. */
static struct {
    struct futured_task *first, *last;
    struct futured_task *coming; /* what came before a RUN: a checkpoint, results. NULL: nothing */
    _Atomic uint64_t *tickets;   /* NULL: no task comes while another one runs */
} inbox;

static void give_up(const char *what) __attribute__((noreturn));

static void give_up(const char *what)
{
    (void)fprintf(stderr, "futured_worker: %s\n", what);
    (void)fflush(NULL);
    _exit(1);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void keep_fds(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        if (n > MAX_FDS - channel.n_fds)
            give_up("more descriptors than headers");
        memcpy(channel.fds + channel.n_fds, CMSG_DATA(c), n * sizeof(int));
        channel.n_fds += n;
    }
}

/* A recvmsg that sleeps is woken, too, when the daemon takes what was sent last; this is not. */
static void wait_for_bytes(void)
{
    struct pollfd p = {.fd = channel.fd, .events = POLLIN};
    (void)poll(&p, 1, -1); /* whatever it says, reading tells more */
}

/* Reads what is there behind buffer[len). 0 at the end of the stream. */
static int receive(void)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control = {0};
    memmove(channel.buffer, channel.buffer + channel.at, channel.len - channel.at);
    channel.len -= channel.at;
    channel.at = 0;
    struct iovec iov = {channel.buffer + channel.len, sizeof(channel.buffer) - channel.len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n;
    wait_for_bytes();
    do
        n = recvmsg(channel.fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return 0;
    keep_fds(&msg);
    channel.len += (size_t)n;
    return 1;
}

static void read_bytes(char *out, size_t n)
{
    size_t have = channel.len - channel.at < n ? channel.len - channel.at : n;
    memcpy(out, channel.buffer + channel.at, have);
    channel.at += have;
    while (have < n) { /* past the buffer: a descriptor cannot hide in a payload */
        ssize_t got = recv(channel.fd, out + have, n - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            give_up("the stream ended inside a payload");
        have += (size_t)got;
    }
}

static int take_fd(void)
{
    if (channel.n_fds == 0)
        give_up("a header speaks of a descriptor, and none came");
    int fd = channel.fds[0];
    memmove(channel.fds, channel.fds + 1, --channel.n_fds * sizeof(int));
    return fd;
}

static char *number(char *at, uint64_t *out)
{
    char *end = at;
    errno = 0;
    *out = at && isdigit((unsigned char)*at) ? strtoull(at, &end, 10) : 0;
    return end != at && errno == 0 ? end : NULL;
}

static void parse(struct message *m)
{
    char *space = strchr(m->line, ' ');
    char *end = space ? number(space + 1, &m->id) : NULL;
    end = end && *end == ' ' ? number(end + 1, &m->size) : NULL;
    if (!end || (*end && *end != ' '))
        give_up("a line that is no header");
    *space = '\0';
    m->verb = m->line;
    m->keys = end;
    char *type = strstr(end, " type=");
    m->type = type ? type + strlen(" type=") : "";
    if (type)
        *type = '\0';
}

/* Reads a header line. 0 at the end of the stream. */
static int read_header(struct message *m)
{
    char *newline;
    while (!(newline = memchr(channel.buffer + channel.at, '\n', channel.len - channel.at))) {
        if (channel.len - channel.at >= LINE_MAX_BYTES)
            give_up("a header line that is too long");
        if (!receive()) {
            if (channel.len > channel.at)
                give_up("the stream ended inside a header line");
            return 0;
        }
    }
    size_t n = (size_t)(newline - (channel.buffer + channel.at));
    if (n >= LINE_MAX_BYTES)
        give_up("a header line that is too long");
    memcpy(m->line, channel.buffer + channel.at, n);
    m->line[n] = '\0';
    channel.at += n + 1;
    parse(m);
    return 1;
}

/* The value of ` key=`, or 0 bytes of it. */
static void key_text(const struct message *m, const char *key, char *out, size_t cap)
{
    size_t len = strlen(key);
    out[0] = '\0';
    for (const char *at = m->keys; *at == ' '; at += 1 + strcspn(at + 1, " ")) {
        if (strncmp(at + 1, key, len) == 0 && at[1 + len] == '=')
            (void)snprintf(out, cap, "%.*s", (int)strcspn(at + len + 2, " "), at + len + 2);
    }
}

static uint64_t key_number(const struct message *m, const char *key)
{
    char text[32];
    uint64_t value = 0;
    key_text(m, key, text, sizeof(text));
    (void)number(text, &value);
    return value;
}

static void payload_read(struct payload *p, const struct message *m)
{
    *p = (struct payload){.n = (size_t)m->size};
    if (key_number(m, "fd") == 1) {
        int fd = take_fd();
        p->bytes = p->n ? mmap(NULL, p->n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
        p->is_mapped = p->n > 0;
        (void)close(fd);
        if (p->bytes == MAP_FAILED)
            give_up("a payload cannot be mapped");
    } else if (p->n) {
        p->bytes = malloc(p->n);
        if (!p->bytes)
            give_up("no memory for a payload");
        read_bytes(p->bytes, p->n);
    }
}

static void payload_release(struct payload *p)
{
    if (p->is_mapped)
        (void)munmap(p->bytes, p->n);
    else
        free(p->bytes);
    *p = (struct payload){0};
}

/* ---- what has come -----------------------------------------------------------------------------
 */

static struct futured_task *task_new(void)
{
    struct futured_task *t = calloc(1, sizeof(*t));
    if (!t)
        give_up("no memory for a task");
    t->result_fd = -1;
    return t;
}

/* What has come of the task whose RUN comes next. */
static struct futured_task *coming(void)
{
    if (!inbox.coming)
        inbox.coming = task_new();
    return inbox.coming;
}

static void take_checkpoint(const struct message *m)
{
    struct futured_task *t = coming();
    payload_release(&t->checkpoint);
    payload_read(&t->checkpoint, m);
    (void)snprintf(t->checkpoint_type, sizeof(t->checkpoint_type), "%s",
                   *m->type ? m->type : "application/octet-stream");
}

static void take_results(const struct message *m)
{
    struct futured_task *t = coming();
    payload_release(&t->results);
    payload_read(&t->results, m);
}

static void take_run(const struct message *m)
{
    struct futured_task *t = coming();
    t->head = *m; /* whose words are now in the task's line */
    t->head.verb = t->head.line;
    t->head.keys = t->head.line + (m->keys - m->line);
    t->head.type = *m->type ? t->head.line + (m->type - m->line) : "";
    payload_read(&t->input, m);
    if (inbox.last)
        inbox.last->next = t;
    else
        inbox.first = t;
    inbox.last = t;
    inbox.coming = NULL;
}

/* A message of a task that has not begun. 0: it is none. */
static int take_task(const struct message *m)
{
    if (strcmp(m->verb, "CHECKPOINT") == 0)
        take_checkpoint(m);
    else if (strcmp(m->verb, "RESULTS") == 0)
        take_results(m);
    else if (strcmp(m->verb, "RUN") == 0)
        take_run(m);
    else
        return 0;
    return 1;
}

/* NULL: there is none. */
static struct futured_task *inbox_next(void)
{
    struct futured_task *t = inbox.first;
    inbox.first = t ? t->next : NULL;
    if (!inbox.first)
        inbox.last = NULL;
    return t;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_bytes(const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = send(channel.fd, bytes, n, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            _exit(0); /* the daemon is gone */
        bytes += done;
        n -= (size_t)done;
    }
}

/* A header and, unless fd has the payload, the payload. */
static void say(const char *header, const void *payload, size_t n)
{
    write_bytes(header, strlen(header));
    if (n > 0)
        write_bytes(payload, n);
}

static void say_file(const char *header, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)header, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    while (sendmsg(channel.fd, &msg, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR)
            _exit(0);
    }
    write_bytes(header + 1, strlen(header + 1));
}

/* ---- what the host offers -------------------------------------------------------------------- */

static const void *host_input(struct futured_task *t, size_t *n)
{
    *n = t->input.n;
    return t->input.bytes ? t->input.bytes : "";
}

static const char *host_input_type(struct futured_task *t)
{
    return t->head.type;
}

static const char *host_handler(struct futured_task *t)
{
    return t->handler;
}

static const char *host_id(struct futured_task *t)
{
    return t->id;
}

static const char *host_trace(struct futured_task *t)
{
    return t->trace;
}

static uint32_t host_attempt(struct futured_task *t)
{
    return (uint32_t)key_number(&t->head, "attempt");
}

static uint64_t host_timeout_ms(struct futured_task *t)
{
    return key_number(&t->head, "timeout_ms");
}

static int is_readable(int wait_ms)
{
    struct pollfd p = {.fd = channel.fd, .events = POLLIN};
    return channel.len > channel.at || poll(&p, 1, wait_ms) > 0;
}

/* Reads a payload of text, cut to cap - 1 bytes. */
static void read_text(uint64_t size, char *out, size_t cap)
{
    char byte;
    size_t n = size < cap ? (size_t)size : cap - 1;
    read_bytes(out, n);
    out[n] = '\0';
    for (uint64_t more = size - n; more > 0; more--)
        read_bytes(&byte, 1);
}

/* A message about a task that runs. One for another task is late: that has ended. NULL: none runs.
 */
static void take_word(struct futured_task *t, struct message *m)
{
    char text[REFUSED_SIZE];
    int is_ours = t && m->id == t->head.id;
    read_text(m->size, text, sizeof(text));
    if (strcmp(m->verb, "CANCEL") == 0) {
        if (is_ours)
            t->is_cancelled = 1;
    } else if (strcmp(m->verb, "YIELD") == 0) {
        if (is_ours)
            t->must_yield = 1;
    } else if (strcmp(m->verb, "SAVED") == 0 || strcmp(m->verb, "REFUSED") == 0) {
        if (!is_ours)
            return;
        t->is_stored = strcmp(m->verb, "SAVED") == 0 ? 1 : -1;
        memcpy(t->refused, text, sizeof(text));
    } else {
        give_up("an unknown message");
    }
}

/* Waits for *word to be set, so many milliseconds for each message (-1: for ever). */
static int wait_for_word(struct futured_task *t, const int *word, int wait_ms)
{
    struct message m;
    while (!*word && is_readable(wait_ms)) {
        if (!read_header(&m))
            _exit(0);
        if (!inbox.tickets || !take_task(&m))
            take_word(t, &m);
    }
    return *word;
}

static int host_cancelled(struct futured_task *t, int wait_ms)
{
    return wait_for_word(t, &t->is_cancelled, wait_ms);
}

static int host_should_yield(struct futured_task *t)
{
    return wait_for_word(t, &t->must_yield, 0);
}

/* At most max of the n bytes of text, not cut inside a character. */
static size_t cut(const char *text, size_t n, size_t max)
{
    if (n <= max)
        return n;
    n = max;
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static void host_progress(struct futured_task *t, double fraction, const char *message)
{
    char header[128], share[40] = "";
    size_t n = message ? strcspn(message, "\n") : 0;
    if (t->is_answered)
        return;
    n = cut(message, n, PROGRESS_MAX_BYTES);
    if (fraction >= 0) /* false for NaN, too */
        (void)snprintf(share, sizeof(share), " fraction=%.6f", fraction < 1 ? fraction : 1);
    (void)snprintf(header, sizeof(header), "PROGRESS %llu %zu%s\n", (unsigned long long)t->head.id,
                   n, share);
    say(header, message, n);
}

static void host_log(struct futured_task *t, const void *bytes, size_t n)
{
    char header[64];
    const char *at = bytes;
    while (!t->is_answered && n > 0) {
        size_t piece = n < LOG_MAX_BYTES ? n : LOG_MAX_BYTES;
        (void)snprintf(header, sizeof(header), "LOG %llu %zu\n", (unsigned long long)t->head.id,
                       piece);
        say(header, at, piece);
        at += piece;
        n -= piece;
    }
}

static void drop_result(struct futured_task *t)
{
    if (t->result)
        (void)munmap(t->result, t->result_size);
    if (t->result_fd >= 0)
        (void)close(t->result_fd);
    t->result = NULL;
    t->result_fd = -1;
}

static int new_file(void)
{
    return memfd_create("futured-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static void *host_result_buffer(struct futured_task *t, size_t n)
{
    drop_result(t);
    t->result_fd = new_file();
    if (t->result_fd < 0 || ftruncate(t->result_fd, (off_t)n) != 0)
        return NULL;
    t->result_size = n ? n : 1;
    void *at = mmap(NULL, t->result_size, PROT_READ | PROT_WRITE, MAP_SHARED, t->result_fd, 0);
    t->result = at == MAP_FAILED ? NULL : at;
    return t->result;
}

static void seal(int fd)
{
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

/* The file must not be writable here while the daemon reads it: unmapped, then sealed. */
static void send_result(struct futured_task *t, const char *header)
{
    (void)munmap(t->result, t->result_size);
    t->result = NULL;
    seal(t->result_fd);
    say_file(header, t->result_fd);
}

static int is_type(const char *type)
{
    size_t n = 0;
    while (type[n] >= ' ' && type[n] <= '~')
        n++;
    return n <= TYPE_MAX_BYTES && type[n] == '\0';
}

static void host_fail(struct futured_task *t, enum futured_retry retry, const char *kind,
                      const char *message);

static void host_done(struct futured_task *t, const void *bytes, size_t n, const char *type)
{
    char header[LINE_MAX_BYTES];
    if (t->is_answered)
        return;
    if (!type || !*type)
        type = "application/octet-stream";
    if (n > RESULT_MAX_BYTES || !is_type(type)) {
        host_fail(t, FUTURED_RETRY_POLICY, n > RESULT_MAX_BYTES ? "TooLarge" : "BadType",
                  n > RESULT_MAX_BYTES ? "the result is larger than 1073741824 bytes"
                                       : "a content type has 1 to 127 printable ASCII characters");
        return;
    }
    if (n >= LARGE_BYTES && bytes != t->result) {
        void *copy = host_result_buffer(t, n);
        if (copy)
            memcpy(copy, bytes, n);
        bytes = copy ? copy : bytes;
    }
    int by_fd = t->result && bytes == t->result && n <= t->result_size;
    (void)fflush(NULL); /* the log before the end */
    (void)snprintf(header, sizeof(header), "DONE %llu %zu%s type=%s\n",
                   (unsigned long long)t->head.id, n, by_fd ? " fd=1" : "", type);
    if (by_fd)
        send_result(t, header);
    else
        say(header, bytes, n);
    t->is_answered = 1;
}

/* In the characters that the protocol allows; "Error" when there are none. */
static void write_kind(const char *kind, char out[KIND_MAX_BYTES + 1])
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n = 0;
    for (; kind && kind[n] && n < KIND_MAX_BYTES; n++)
        out[n] = strchr(letters, kind[n]) ? kind[n] : '_';
    out[n] = '\0';
    if (strspn(out, "_") == n)
        (void)snprintf(out, KIND_MAX_BYTES + 1, "Error");
}

/* Both pieces in one; NULL: there is no memory. */
static char *join(const char *text, size_t n_text, const void *data, size_t n)
{
    char *whole = malloc(n_text + n + 1);
    if (whole) {
        memcpy(whole, text, n_text);
        memcpy(whole + n_text, data, n);
    }
    return whole;
}

static void host_fail_with(struct futured_task *t, enum futured_retry retry, const char *kind,
                           const char *message, const void *data, size_t n, const char *type)
{
    char header[384], word[16] = "", more[TYPE_MAX_BYTES + 64] = "", name[KIND_MAX_BYTES + 1];
    char *whole = NULL;
    if (t->is_answered)
        return;
    if (!message)
        message = "";
    size_t n_text = cut(message, strlen(message), ERROR_MAX_BYTES);
    if (data && n <= FAIL_MAX_BYTES - n_text && (!type || (*type && is_type(type))))
        whole = join(message, n_text, data, n);
    if (whole)
        (void)snprintf(more, sizeof(more), " text=%zu%s%s", n_text, type ? " type=" : "",
                       type ? type : "");
    write_kind(kind, name);
    (void)fflush(NULL);
    if (retry != FUTURED_RETRY_POLICY)
        (void)snprintf(word, sizeof(word), " retry=%d", retry == FUTURED_RETRY_LATER);
    (void)snprintf(header, sizeof(header), "FAIL %llu %zu%s kind=%s%s\n",
                   (unsigned long long)t->head.id, whole ? n_text + n : n_text, word, name, more);
    say(header, whole ? whole : message, whole ? n_text + n : n_text);
    t->is_answered = 1;
    free(whole);
}

static void host_fail(struct futured_task *t, enum futured_retry retry, const char *kind,
                      const char *message)
{
    host_fail_with(t, retry, kind, message, NULL, 0, NULL);
}

static const void *host_checkpoint(struct futured_task *t, size_t *n, const char **type)
{
    if (!t->checkpoint_type[0])
        return NULL;
    *n = t->checkpoint.n;
    if (type)
        *type = t->checkpoint_type;
    return t->checkpoint.bytes ? t->checkpoint.bytes : "";
}

/* A sealed file with these bytes; -1: there is no memory for it. */
static int file_of(const void *bytes, size_t n)
{
    const char *at = bytes;
    int fd = new_file();
    while (fd >= 0 && n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0) {
            (void)close(fd);
            return -1;
        }
        at += done;
        n -= (size_t)done;
    }
    if (fd >= 0)
        seal(fd);
    return fd;
}

static int host_save(struct futured_task *t, const void *bytes, size_t n, const char *type,
                     char *why, size_t why_size)
{
    char header[LINE_MAX_BYTES];
    if (!type || !*type)
        type = "application/octet-stream";
    if (t->is_answered || !is_type(type)) {
        (void)snprintf(why, why_size, "%s",
                       t->is_answered ? "the task has ended"
                                      : "a content type has 1 to 127 printable ASCII characters");
        return -1;
    }
    int fd = n >= LARGE_BYTES ? file_of(bytes, n) : -1;
    (void)snprintf(header, sizeof(header), "CHECKPOINT %llu %zu%s type=%s\n",
                   (unsigned long long)t->head.id, n, fd >= 0 ? " fd=1" : "", type);
    t->is_stored = 0;
    if (fd >= 0) {
        say_file(header, fd);
        (void)close(fd);
    } else {
        say(header, bytes, n);
    }
    if (wait_for_word(t, &t->is_stored, -1) > 0)
        return 0;
    (void)snprintf(why, why_size, "%s", t->refused);
    return -1;
}

static void host_suspend_until(struct futured_task *t, const char *const *ids, size_t n,
                               uint64_t ms)
{
    char header[96];
    size_t size = 0;
    if (t->is_answered)
        return;
    (void)fflush(NULL);
    for (size_t i = 0; i < n; i++)
        size += strlen(ids[i]) + 1;
    (void)snprintf(header, sizeof(header), "SUSPEND %llu %zu for_ms=%llu\n",
                   (unsigned long long)t->head.id, size,
                   (unsigned long long)(ms < SUSPEND_MAX_MS ? ms : SUSPEND_MAX_MS));
    say(header, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        write_bytes(ids[i], strlen(ids[i]));
        write_bytes("\n", 1);
    }
    t->is_answered = 1;
}

static void host_suspend(struct futured_task *t, uint64_t ms)
{
    host_suspend_until(t, NULL, 0, ms);
}

static const char *host_results(struct futured_task *t, size_t *n)
{
    *n = t->results.n;
    return t->results.bytes;
}

static void *host_session(struct futured_task *t)
{
    char id[64];
    key_text(&t->head, "session", id, sizeof(id));
    for (size_t i = 0; *id && i < n_sessions; i++)
        if (strcmp(sessions[i].id, id) == 0)
            return sessions[i].made;
    return NULL;
}

static const char *host_url(struct futured_task *t)
{
    return t->url;
}

static const char *host_token(struct futured_task *t)
{
    return t->token;
}

static const struct futured_host host = {
    .abi = FUTURED_PLUGIN_ABI,
    .size = sizeof(struct futured_host),
    .input = host_input,
    .input_type = host_input_type,
    .handler = host_handler,
    .id = host_id,
    .trace = host_trace,
    .attempt = host_attempt,
    .timeout_ms = host_timeout_ms,
    .cancelled = host_cancelled,
    .progress = host_progress,
    .log = host_log,
    .done = host_done,
    .fail = host_fail,
    .result_buffer = host_result_buffer,
    .checkpoint = host_checkpoint,
    .save = host_save,
    .should_yield = host_should_yield,
    .suspend = host_suspend,
    .suspend_until = host_suspend_until,
    .results = host_results,
    .session = host_session,
    .url = host_url,
    .token = host_token,
    .fail_with = host_fail_with,
};

/* ---- one task after another ------------------------------------------------------------------ */

static void session_keep(const char *id, void *made)
{
    size_t i = 0;
    while (i < n_sessions && strcmp(sessions[i].id, id) != 0)
        i++;
    if (i == n_sessions && n_sessions == SESSIONS_MAX)
        i = 0;
    if (i < n_sessions)
        memmove(&sessions[i], &sessions[i + 1], (--n_sessions - i) * sizeof(*sessions));
    (void)snprintf(sessions[n_sessions].id, sizeof(sessions[n_sessions].id), "%s", id);
    sessions[n_sessions++].made = made;
}

static int takes_sessions(const struct futured_plugin *plugin)
{
    return plugin->size > offsetof(struct futured_plugin, session) && plugin->session;
}

static void session_prepare(const struct futured_plugin *plugin, const struct message *m)
{
    char id[64], error[ERROR_SIZE] = "the session's init failed", header[96];
    struct payload init;
    void *made = NULL;
    if (!takes_sessions(plugin))
        give_up("an INIT that was not asked for");
    key_text(m, "session", id, sizeof(id));
    payload_read(&init, m);
    int rc =
        plugin->session(&host, id, init.n ? init.bytes : "", init.n, &made, error, sizeof(error));
    payload_release(&init);
    (void)fflush(NULL);
    if (rc == 0) {
        session_keep(id, made);
        *error = '\0';
    }
    (void)snprintf(header, sizeof(header), "%s %llu %zu\n", rc == 0 ? "DONE" : "FAIL",
                   (unsigned long long)m->id, strlen(error));
    say(header, error, strlen(error));
}

static void task_run(const struct futured_plugin *plugin, struct futured_task *t)
{
    key_text(&t->head, "handler", t->handler, sizeof(t->handler));
    key_text(&t->head, "task", t->id, sizeof(t->id));
    key_text(&t->head, "trace", t->trace, sizeof(t->trace));
    key_text(&t->head, "url", t->url, sizeof(t->url));
    key_text(&t->head, "token", t->token, sizeof(t->token));
    plugin->run(&host, t);
    host_fail(t, FUTURED_RETRY_POLICY, "NoAnswer", "the handler ended without a result");
}

static void task_free(struct futured_task *t)
{
    drop_result(t);
    payload_release(&t->input);
    payload_release(&t->checkpoint);
    payload_release(&t->results);
    free(t);
}

/* Whether the task is this worker's. One that came ahead and whose ticket is gone is somebody
 * else's: the daemon withdraws a ticket by the same operation. */
static int is_ours(const struct futured_task *t)
{
    uint64_t id = t->head.id;
    return !key_number(&t->head, "ahead") ||
           (inbox.tickets && atomic_compare_exchange_strong(&inbox.tickets[id % TICKETS], &id, 0));
}

/* Makes the tickets; -1: there is no memory for them. The file is the caller's. */
static int tickets_new(void)
{
    int fd = memfd_create("futured-tickets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t size = TICKETS * sizeof(*inbox.tickets);
    void *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) {
        inbox.tickets = at;
        return fd;
    }
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* ahead: it takes tasks while it runs another one. */
static void greet(const char *more, int ahead)
{
    static const char keys[] = "cancel=1 memfd=1 checkpoint=1 yield=1 results=1";
    char header[160];
    int tickets = ahead ? tickets_new() : -1;
    int n = snprintf(header, sizeof(header), "HELLO 1 0 %s%s", keys, more);
    if (tickets < 0) {
        (void)snprintf(header + n, sizeof(header) - (size_t)n, "\n");
        say(header, NULL, 0);
        return;
    }
    (void)snprintf(header + n, sizeof(header) - (size_t)n, " ahead=%d\n", AHEAD);
    say_file(header, tickets);
    (void)close(tickets);
}

/* A member that came to the struct later, and is behind what an older plug-in has. */
#define HAS(plugin, member)                                                                        \
    ((plugin)->size >= offsetof(struct futured_plugin, member) + sizeof((plugin)->member) &&       \
     (plugin)->member)

/* Until the stream has brought a task; NULL at its end. */
static struct futured_task *next_task(const struct futured_plugin *plugin)
{
    struct message m;
    while (!inbox.first) {
        if (!read_header(&m))
            return NULL;
        if (strcmp(m.verb, "INIT") == 0)
            session_prepare(plugin, &m);
        else if (!take_task(&m))
            take_word(NULL, &m); /* late */
    }
    return inbox_next();
}

static int serve(const struct futured_plugin *plugin)
{
    struct futured_task *t;
    char more[64];
    if (plugin->begin)
        plugin->begin(&host);
    (void)snprintf(more, sizeof(more), "%s%s", takes_sessions(plugin) ? " sessions=1" : "",
                   HAS(plugin, submits) ? " submits=1" : "");
    greet(more, HAS(plugin, ahead) != 0);
    while ((t = next_task(plugin)) != NULL) {
        if (is_ours(t))
            task_run(plugin, t);
        task_free(t);
    }
    return 0;
}

/* ---- a process that forks its workers -------------------------------------------------------- */

/* In the worker: its own session, descriptors and channel. */
static void become_worker(const int *fds)
{
    (void)setsid();
    if (dup2(fds[1], STDOUT_FILENO) < 0 || dup2(fds[2], STDERR_FILENO) < 0 ||
        dup3(fds[0], channel.fd, O_CLOEXEC) < 0)
        _exit(1);
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
    channel.at = channel.len = channel.n_fds = 0;
}

/* Twice, so that the worker loses its parent and is adopted by the daemon's fork server, which has
 * happened when this returns its pid (0: it failed). Returns -1 in the worker. */
static pid_t fork_worker(const int *fds)
{
    int said[2];
    pid_t pid = 0;
    (void)fflush(NULL);
    if (pipe2(said, O_CLOEXEC) != 0)
        return 0;
    pid_t middle = fork();
    if (middle == 0) {
        pid = fork();
        if (pid == 0) {
            (void)close(said[0]);
            (void)close(said[1]);
            become_worker(fds);
            return -1;
        }
        ssize_t n = pid > 0 ? write(said[1], &pid, sizeof(pid)) : 0;
        _exit(n == sizeof(pid) ? 0 : 1);
    }
    (void)close(said[1]);
    if (middle > 0 && read(said[0], &pid, sizeof(pid)) != sizeof(pid))
        pid = 0;
    (void)close(said[0]);
    if (middle > 0)
        (void)waitpid(middle, NULL, 0);
    return pid;
}

/* 1 in a worker, 0 in the template when its stream has ended. */
static int serve_forks(void)
{
    static const char failed[] = "fork failed";
    struct message m;
    char header[128];
    greet(" fork=1", 0);
    while (read_header(&m)) {
        int fds[3];
        if (strcmp(m.verb, "FORK") != 0)
            give_up("an unknown message");
        for (int i = 0; i < 3; i++)
            fds[i] = take_fd();
        pid_t pid = fork_worker(fds);
        if (pid < 0)
            return 1;
        for (int i = 0; i < 3; i++)
            (void)close(fds[i]);
        if (pid > 0)
            (void)snprintf(header, sizeof(header), "FORKED %llu 0 pid=%d\n",
                           (unsigned long long)m.id, (int)pid);
        else
            (void)snprintf(header, sizeof(header), "FAIL %llu %zu\n%s", (unsigned long long)m.id,
                           strlen(failed), failed);
        say(header, NULL, 0);
    }
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

int futured_worker_main(const struct futured_plugin *plugin, unsigned flags)
{
    const char *fd = getenv("FUTURED_WORKER_FD");
    uint64_t value;
    char error[256] = "init failed";
    char text[16];
    (void)snprintf(text, sizeof(text), "%s", fd ? fd : "");
    if (!number(text, &value))
        give_up("this is a worker program: name it in the handlers file of futured");
    channel.fd = (int)value;
    (void)fcntl(channel.fd, F_SETFD, FD_CLOEXEC);
    if (plugin->abi != FUTURED_PLUGIN_ABI ||
        plugin->size < offsetof(struct futured_plugin, session) || !plugin->run)
        give_up("made for another version of futured_plugin.h");
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    if (plugin->init && plugin->init(&host, error, sizeof(error)) != 0)
        give_up(error);
    if ((flags & FUTURED_WORKER_FORK) && !serve_forks())
        return 0;
    return serve(plugin);
}
