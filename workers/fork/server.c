#include "workers/fork/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/proc.h"
#include "core/sanitizers.h"
#include "workers/fork/ahead.h"
#include "workers/fork/groups.h"
#include "workers/fork/loop.h"
#include "workers/fork/messages.h"

struct fork_server {
    int sock;
    int lines[FORK_LINES]; /* to the programs that wait in each of them; nonblocking */
    pid_t pid;
    struct buf message; /* reused for every request */
    struct fork_ahead *ahead;
    struct fork_event events[MESSAGE_EVENTS_MAX]; /* from `read` up to n: not given out yet */
    size_t read, n;
};

#define OWN_THREADS (1 + FUT_TSAN) /* ThreadSanitizer has a thread of its own */

/* Our ends, and those of the fork server. */
struct ends {
    int sock[2], lines[FORK_LINES][2], signals;
};

static void close_ends(struct ends *e, int side)
{
    fd_close(&e->sock[side]);
    for (int i = 0; i < FORK_LINES; i++)
        fd_close(&e->lines[i][side]);
}

/* Nothing, or why not. */
static const char *open_ends(struct ends *e)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, e->sock) != 0)
        return "socketpair";
    FUT_ASSERT(e->sock[0] > STDERR_FILENO && e->sock[1] > STDERR_FILENO);
    for (int i = 0; i < FORK_LINES; i++) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, e->lines[i]) != 0)
            return "socketpair";
    }
    e->signals = fork_loop_signals();
    return e->signals < 0 ? "signalfd" : NULL;
}

static void serve(struct ends *e, struct fork_ahead *ahead) FUT_NORETURN;

static void serve(struct ends *e, struct fork_ahead *ahead)
{
    int lines[FORK_LINES];
    close_ends(e, 0);
    for (int i = 0; i < FORK_LINES; i++)
        lines[i] = e->lines[i][1];
    fork_loop_main(e->sock[1], e->signals, lines, ahead);
}

static int fail_start(struct ends *e, const char *what, struct fut_errbuf *err)
{
    int why = errno;
    close_ends(e, 0);
    close_ends(e, 1);
    return fut_fail(err, FUT_ERR_IO, "fork server: %s: %s", what, strerror(why));
}

int fork_server_start(struct fork_server **out, struct fut_errbuf *err)
{
    struct ends e;
    memset(&e, 0xff, sizeof(e)); /* each of them -1 */
    if (proc_count(getpid(), "task") > OWN_THREADS)
        FUT_BUG("fork_server_start after the first thread");
    const char *what = open_ends(&e);
    if (what)
        return fail_start(&e, what, err);
    groups_open();
    struct fork_ahead *ahead = fork_ahead_new();
    pid_t pid = fork();
    if (pid == 0)
        serve(&e, ahead);
    int error = errno;
    (void)close(e.signals);
    if (pid < 0) {
        fork_ahead_free(&ahead);
        errno = error;
        return fail_start(&e, "fork", err);
    }
    close_ends(&e, 1);
    struct fork_server *fs = xnew(struct fork_server);
    *fs = (struct fork_server){.sock = e.sock[0], .pid = pid, .ahead = ahead};
    for (int i = 0; i < FORK_LINES; i++)
        fs->lines[i] = e.lines[i][0];
    *out = fs;
    return 0;
}

void fork_server_stop(struct fork_server **fsp)
{
    struct fork_server *fs = *fsp;
    if (!fs)
        return;
    fd_close(&fs->sock);
    for (int i = 0; i < FORK_LINES; i++)
        fd_close(&fs->lines[i]);
    while (waitpid(fs->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    buf_release(&fs->message);
    fork_ahead_free(&fs->ahead);
    free(fs);
    *fsp = NULL;
}

const char *fork_server_containment(const struct fork_server *fs)
{
    (void)fs; /* there is one */
    return groups_kind();
}

pid_t fork_server_pid(const struct fork_server *fs)
{
    return fs->pid;
}

int fork_server_fd(const struct fork_server *fs)
{
    return fs->sock;
}

static int send_on(int sock, struct fork_server *fs, struct fork_request head,
                   const struct fork_exec *what, const int *fds, size_t n_fds)
{
    fs->message.len = 0;
    int rc = message_encode(&fs->message, head, what);
    if (rc != 0)
        return rc;
    return fd_send_msg(sock, fs->message.data, fs->message.len, fds, n_fds) == 0 ? 0
                                                                                 : FUT_ERR_CLOSED;
}

static int request(struct fork_server *fs, struct fork_request head, const struct fork_exec *what,
                   const int *fds, size_t n_fds)
{
    return send_on(fs->sock, fs, head, what, fds, n_fds);
}

int fork_server_spawn_worker(struct fork_server *fs, uint32_t slot, uint64_t generation,
                             int channel)
{
    struct fork_request head = {.verb = FORK_SPAWN_WORKER, .slot = slot, .generation = generation};
    return request(fs, head, NULL, &channel, 1);
}

int fork_server_spawn_exec(struct fork_server *fs, uint32_t slot, uint64_t generation,
                           const struct fork_exec *what)
{
    struct fork_request head = {.verb = FORK_SPAWN_EXEC, .slot = slot, .generation = generation};
    return request(fs, head, what, what->fds, FORK_EXEC_FDS);
}

int fork_server_line_up(struct fork_server *fs, uint64_t generation, const struct fork_exec *what)
{
    struct fork_request head = {
        .verb = FORK_SPAWN_EXEC, .slot = FORK_NO_SLOT, .generation = generation};
    FUT_ASSERT(what->line >= 1 && what->line <= FORK_LINES);
    if (!fork_ahead_offer(fs->ahead, generation))
        return FUT_ERR_FULL;
    int rc = send_on(fs->lines[what->line - 1], fs, head, what, what->fds, FORK_EXEC_FDS);
    if (rc == 0) {
        fork_ahead_count(fs->ahead, what->line);
        return 0;
    }
    if (!fork_server_withdraw(fs, generation))
        FUT_BUG("a program that nobody was asked for begins");
    return rc == FUT_ERR_TOO_BIG ? rc : FUT_ERR_FULL; /* of a dead one the other socket tells */
}

bool fork_server_withdraw(struct fork_server *fs, uint64_t generation)
{
    return fork_ahead_take(fs->ahead, generation);
}

int fork_server_adopt(struct fork_server *fs, uint32_t slot, uint64_t generation, pid_t pid,
                      const struct limits *limits)
{
    struct fork_request head = {
        .verb = FORK_ADOPT, .slot = slot, .generation = generation, .pid = pid, .limits = *limits};
    return request(fs, head, NULL, NULL, 0);
}

int fork_server_task(struct fork_server *fs, uint32_t slot, uint64_t generation, uint64_t task,
                     int64_t cpu_ms)
{
    struct fork_request head = {.verb = FORK_TASK,
                                .slot = slot,
                                .generation = generation,
                                .task = task,
                                .limits = {.cpu_ms = cpu_ms}};
    return request(fs, head, NULL, NULL, 0);
}

int fork_server_kill(struct fork_server *fs, uint32_t slot, uint64_t generation, int signal)
{
    struct fork_request head = {
        .verb = FORK_KILL, .slot = slot, .generation = generation, .signal = signal};
    return request(fs, head, NULL, NULL, 0);
}

void fork_server_lease(const struct fork_server *fs, int64_t until_mono_ms)
{
    struct fork_request head = {.verb = FORK_LEASE, .until_mono_ms = until_mono_ms};
    if (fd_send_msg(fs->sock, &head, sizeof(head), NULL, 0) != 0)
        log_debug("lease_untold", LOG_INT("pid", fs->pid)); /* it has ended, as its reader sees */
}

static int read_some(struct fork_server *fs)
{
    ssize_t n;
    do
        n = recv(fs->sock, fs->events, sizeof(fs->events), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return FUT_ERR_AGAIN;
    if (n <= 0 || (size_t)n % sizeof(*fs->events))
        return FUT_ERR_CLOSED;
    fs->read = 0;
    fs->n = (size_t)n / sizeof(*fs->events);
    return 0;
}

int fork_server_read(struct fork_server *fs, struct fork_event *out)
{
    int rc = fork_server_has_more(fs) ? 0 : read_some(fs);
    if (rc == 0)
        *out = fs->events[fs->read++];
    return rc;
}

bool fork_server_has_more(const struct fork_server *fs)
{
    return fs->read < fs->n;
}
