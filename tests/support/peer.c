#include "tests/support/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define READ_BYTES 65536
#define OUTPUTS 2 /* stdout, stderr */
#define TICKETS 16

/* Of this process: set once. */
static int patience_ms = WAIT_LONG_MS;

void peer_set_patience(int ms)
{
    patience_ms = ms;
}

struct peer {
    pid_t pid;
    bool reaped;
    int status;
    int channel;
    int outputs[OUTPUTS];
    struct buf in, log;
    bool ended; /* its end of the channel */
    int fds[FD_MAX_PASSED];
    size_t n_fds;
    int page; /* the file of the tickets; 0: it takes no tasks ahead */
    uint64_t *tickets;
};

/* ---- starting -------------------------------------------------------------------------------- */

/* What the child gets: its end of the channel, stdout, stderr. */
struct ends {
    int fds[OUTPUTS + 1];
};

static struct peer *peer_new(struct ends *ends)
{
    struct peer *p = xnew(struct peer);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        fail("socketpair: errno %d", errno);
    p->channel = pair[0];
    ends->fds[0] = pair[1];
    for (int i = 0; i < OUTPUTS; i++) {
        if (pipe2(pair, O_CLOEXEC) != 0)
            fail("pipe2: errno %d", errno);
        p->outputs[i] = pair[0];
        ends->fds[i + 1] = pair[1];
    }
    if (fd_set_nonblock(p->channel) != 0)
        fail("the channel cannot be made non-blocking");
    return p;
}

static void close_ends(struct ends *ends)
{
    for (int i = 0; i <= OUTPUTS; i++)
        fd_close(&ends->fds[i]);
}

static FUT_NORETURN void run_child(const char *command, const struct ends *ends)
{
    int high[OUTPUTS + 1];
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i <= OUTPUTS; i++)
        high[i] = fcntl(ends->fds[i], F_DUPFD_CLOEXEC, 10); /* clear of 1, 2 and 3 */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (dup2(null, 0) < 0 || dup2(high[1], 1) < 0 || dup2(high[2], 2) < 0 || dup2(high[0], 3) < 0)
        _exit(126);
    (void)close_range(4, ~0U, CLOSE_RANGE_CLOEXEC);
    (void)setenv("FUTURED_WORKER_FD", "3", 1);
    (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

struct peer *peer_start(const char *command)
{
    struct ends ends;
    struct peer *p = peer_new(&ends);
    char *exec = text_printf("exec %s", command);
    p->pid = fork();
    if (p->pid == 0)
        run_child(exec, &ends);
    if (p->pid < 0)
        fail("fork: errno %d", errno);
    close_ends(&ends);
    free(exec);
    return p;
}

struct peer *peer_fork(struct peer *template, uint64_t id)
{
    struct ends ends;
    struct peer_message m;
    char pid[32];
    struct peer *p = peer_new(&ends);
    char *line = text_printf("FORK %llu 0\n", (unsigned long long)id);
    if (fd_send_msg(template->channel, line, strlen(line), ends.fds, OUTPUTS + 1) != 0)
        fail("the template does not take FORK");
    free(line);
    close_ends(&ends);
    peer_next(template, &m);
    peer_message_key(&m, "pid", pid, sizeof(pid));
    if (!peer_message_is(&m, "FORKED") || m.id != id || m.n != 0 || strtol(pid, NULL, 10) <= 1)
        fail("FORK %llu is answered with \"%s\"", (unsigned long long)id, m.line);
    p->pid = (pid_t)strtol(pid, NULL, 10);
    peer_message_release(&m);
    return p;
}

void peer_free(struct peer **pp)
{
    struct peer *p = *pp;
    if (!p)
        return;
    *pp = NULL;
    fd_close(&p->channel);
    if (!p->reaped) {
        (void)kill(-p->pid, SIGKILL);
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, &p->status, 0);
    }
    for (int i = 0; i < OUTPUTS; i++)
        fd_close(&p->outputs[i]);
    for (size_t i = 0; i < p->n_fds; i++)
        (void)close(p->fds[i]);
    if (p->page) {
        (void)munmap(p->tickets, TICKETS * sizeof(uint64_t));
        (void)close(p->page);
    }
    buf_release(&p->in);
    buf_release(&p->log);
    free(p);
}

pid_t peer_pid(const struct peer *p)
{
    return p->pid;
}

/* ---- moving bytes ---------------------------------------------------------------------------- */

static void read_channel(struct peer *p)
{
    int fds[FD_MAX_PASSED];
    size_t n_fds;
    buf_reserve(&p->in, READ_BYTES);
    ssize_t n = fd_recv_msg(p->channel, p->in.data + p->in.len, READ_BYTES, fds, &n_fds);
    if (n == FUT_ERR_AGAIN)
        return;
    if (n <= 0) {
        p->ended = true;
        return;
    }
    p->in.len += (size_t)n;
    p->in.data[p->in.len] = '\0';
    if (p->n_fds + n_fds > FD_MAX_PASSED)
        fail("the worker sends descriptors that no header speaks of");
    memcpy(p->fds + p->n_fds, fds, n_fds * sizeof(int));
    p->n_fds += n_fds;
}

static void read_output(struct peer *p, int *fd)
{
    char bytes[8192];
    ssize_t n = read(*fd, bytes, sizeof(bytes));
    if (n > 0)
        buf_put(&p->log, bytes, (size_t)n);
    else if (n == 0 || errno != EINTR)
        fd_close(fd);
}

/* Waits for anything to read (or to write, when asked) and reads it. False: time is up. */
static bool pump(struct peer *p, bool write, int64_t deadline_mono_ms)
{
    int64_t remaining_ms = deadline_mono_ms - clock_mono_ms();
    short events = (short)((p->ended ? 0 : POLLIN) | (write ? POLLOUT : 0));
    struct pollfd fds[OUTPUTS + 1] = {{.fd = events ? p->channel : -1, .events = events},
                                      {.fd = p->outputs[0], .events = POLLIN},
                                      {.fd = p->outputs[1], .events = POLLIN}};
    int n = poll(fds, OUTPUTS + 1, remaining_ms > 0 ? (int)remaining_ms : 0);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
        read_channel(p);
    for (int i = 0; i < OUTPUTS; i++) {
        if (fds[i + 1].revents)
            read_output(p, &p->outputs[i]);
    }
    return true;
}

void peer_send_raw(struct peer *p, const char *bytes, size_t n)
{
    int64_t deadline_mono_ms = clock_mono_ms() + patience_ms;
    for (size_t at = 0; at < n;) {
        ssize_t done = send(p->channel, bytes + at, n - at, MSG_NOSIGNAL);
        if (done > 0)
            at += (size_t)done;
        else if (errno != EAGAIN && errno != EINTR)
            fail("the worker has closed its channel instead of reading; it printed:\n%s",
                 peer_log(p));
        else if (!pump(p, true, deadline_mono_ms))
            fail("the worker does not read what it is sent");
    }
}

void peer_send(struct peer *p, const char *line, const void *payload, size_t n, int memfd)
{
    char *whole = text_printf("%s\n", line);
    size_t len = strlen(whole);
    bool by_fd = memfd >= 0;
    if (by_fd && fd_send_msg(p->channel, whole, 1, &memfd, 1) != 0)
        fail("the worker's channel takes no descriptor");
    peer_send_raw(p, whole + (by_fd ? 1 : 0), len - (by_fd ? 1 : 0));
    free(whole);
    if (!by_fd)
        peer_send_raw(p, payload, n);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Reads until `in` has n bytes or a newline (n 0). */
static void need(struct peer *p, size_t n)
{
    int64_t deadline_mono_ms = clock_mono_ms() + patience_ms;
    while (n ? p->in.len < n : !p->in.len || !memchr(p->in.data, '\n', p->in.len)) {
        if (!n && p->in.len > PEER_LINE_MAX)
            fail("a header line over %d bytes: %.60s…", PEER_LINE_MAX, p->in.data);
        if (p->ended)
            fail("the worker has closed its channel; it printed:\n%s", peer_log(p));
        if (!pump(p, false, deadline_mono_ms))
            fail("nothing came from the worker within %d ms (%zu bytes of a message)", patience_ms,
                 p->in.len);
    }
}

static bool says(const struct peer_message *m, const char *key)
{
    char value[8];
    peer_message_key(m, key, value, sizeof(value));
    return strcmp(value, "1") == 0;
}

static void take_file(struct peer *p, struct peer_message *m)
{
    if (p->n_fds == 0)
        fail("\"%s\" comes without a descriptor", m->line);
    int fd = p->fds[0];
    int seals = fcntl(fd, F_GET_SEALS);
    memmove(p->fds, p->fds + 1, --p->n_fds * sizeof(int));
    m->by_fd = true;
    m->is_sealed = seals >= 0 && (seals & F_SEAL_SHRINK) && (seals & F_SEAL_WRITE);
    if (lseek(fd, 0, SEEK_END) < (off_t)m->n)
        fail("\"%s\": the file is shorter than that", m->line);
    m->payload = xcalloc(1, m->n + 1);
    if (pread(fd, m->payload, m->n, 0) != (ssize_t)m->n)
        fail("\"%s\": the file cannot be read", m->line);
    (void)close(fd);
}

void peer_next(struct peer *p, struct peer_message *m)
{
    memset(m, 0, sizeof(*m));
    need(p, 0);
    size_t len = (size_t)((char *)memchr(p->in.data, '\n', p->in.len) - p->in.data);
    if (len >= PEER_LINE_MAX || strlen(p->in.data) < len)
        fail("not a header line: %.60s…", p->in.data);
    memcpy(m->line, p->in.data, len);
    buf_consume(&p->in, len + 1);
    if (!peer_message_parse(m))
        fail("not a header line: \"%s\"", m->line);
    if (says(m, "fd")) {
        take_file(p, m);
        return;
    }
    if (m->n)
        need(p, m->n);
    m->payload = xcalloc(1, m->n + 1);
    if (m->n)
        memcpy(m->payload, p->in.data, m->n);
    buf_consume(&p->in, m->n);
}

bool peer_has_message(struct peer *p, int timeout_ms)
{
    int64_t deadline_mono_ms = clock_mono_ms() + timeout_ms;
    while (p->in.len == 0 && !p->ended) {
        if (!pump(p, false, deadline_mono_ms))
            return false;
    }
    return p->in.len > 0;
}

/* The file that has come with the greeting, as the protocol wants it. */
static void take_tickets(struct peer *p, const char *line)
{
    if (p->n_fds == 0)
        fail("\"%s\" comes without a file of tickets", line);
    int fd = p->fds[0], seals = fcntl(fd, F_GET_SEALS);
    memmove(p->fds, p->fds + 1, --p->n_fds * sizeof(int));
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || (seals & F_SEAL_WRITE) ||
        lseek(fd, 0, SEEK_END) < (off_t)(TICKETS * sizeof(uint64_t)))
        fail("\"%s\": the file is no memfd of 128 bytes that cannot get shorter", line);
    void *at = mmap(NULL, TICKETS * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        fail("\"%s\": the file cannot be mapped", line);
    p->page = fd;
    p->tickets = at;
}

uint64_t peer_put_ticket(struct peer *p, uint64_t id, uint64_t by)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(p->page, F_SETLKW, &whole) != 0)
        fail("the file of the tickets cannot be locked");
    uint64_t there = __atomic_exchange_n(&p->tickets[id % TICKETS], by, __ATOMIC_SEQ_CST);
    whole.l_type = F_UNLCK;
    (void)fcntl(p->page, F_SETLK, &whole);
    return there;
}

struct peer_hello peer_hello(struct peer *p)
{
    struct peer_message m;
    char value[32];
    struct peer_hello h = {.concurrency = 1};
    peer_next(p, &m);
    if (!peer_message_is(&m, "HELLO") || m.id != 1 || m.n != 0)
        fail("the greeting should begin with \"HELLO 1 0\", and is \"%s\"", m.line);
    peer_message_key(&m, "concurrency", value, sizeof(value));
    if (value[0])
        h.concurrency = strtoul(value, NULL, 10);
    if (h.concurrency < 1 || h.concurrency > 1000)
        fail("concurrency is 1 to 1000: \"%s\"", m.line);
    peer_message_key(&m, "cancel", value, sizeof(value));
    h.cancel = strcmp(value, "1") == 0 || strcmp(value, "soft") == 0;
    if (value[0] && !h.cancel && strcmp(value, "0") != 0)
        fail("cancel is 0, 1 or soft: \"%s\"", m.line);
    peer_message_key(&m, "ahead", value, sizeof(value));
    h.ahead = strtoul(value, NULL, 10);
    if (h.ahead)
        take_tickets(p, m.line);
    h.fork = says(&m, "fork");
    h.memfd = says(&m, "memfd");
    h.checkpoint = says(&m, "checkpoint");
    h.yield = says(&m, "yield");
    h.results = says(&m, "results");
    h.sessions = says(&m, "sessions");
    h.closes = says(&m, "closes");
    h.submits = says(&m, "submits");
    peer_message_release(&m);
    return h;
}

/* ---- its end --------------------------------------------------------------------------------- */

void peer_close(struct peer *p)
{
    fd_close(&p->channel);
    p->ended = true;
}

void peer_signal_group(struct peer *p, int signal)
{
    if (kill(-p->pid, signal) != 0)
        fail("the worker %d has no process group of its own", (int)p->pid);
}

int peer_wait_end(struct peer *p)
{
    if (!p->reaped) {
        if (!wait_process_end(p->pid, patience_ms))
            fail("the worker did not end within %d ms", patience_ms);
        if (waitpid(p->pid, &p->status, 0) != p->pid)
            fail("the worker %d is not ours to reap: errno %d", (int)p->pid, errno);
        p->reaped = true;
    }
    return p->status;
}

void peer_wait_log(struct peer *p, const char *text)
{
    int64_t deadline_mono_ms = clock_mono_ms() + patience_ms;
    while (!strstr(peer_log(p), text)) {
        if ((p->outputs[0] < 0 && p->outputs[1] < 0) || !pump(p, false, deadline_mono_ms))
            fail("the log lacks \"%s\"; it is:\n%s", text, peer_log(p));
    }
}

void peer_add_log(struct peer *p, const char *bytes, size_t n)
{
    buf_put(&p->log, bytes, n);
}

const char *peer_log(const struct peer *p)
{
    return p->log.data ? p->log.data : "";
}
