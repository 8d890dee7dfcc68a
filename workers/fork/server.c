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
    pid_t pid;
    struct buf message; /* reused for every request */
    struct fork_ahead *ahead;
};

#define OWN_THREADS (1 + FUT_TSAN) /* ThreadSanitizer has a thread of its own */

int fork_server_start(struct fork_server **out, struct fut_errbuf *err)
{
    int pair[2];
    if (proc_count(getpid(), "task") > OWN_THREADS)
        FUT_BUG("fork_server_start after the first thread");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return fut_fail(err, FUT_ERR_IO, "fork server: socketpair: %s", strerror(errno));
    FUT_ASSERT(pair[0] > STDERR_FILENO && pair[1] > STDERR_FILENO);
    int signals = fork_loop_signals();
    if (signals < 0) {
        int why = errno;
        (void)close(pair[0]);
        (void)close(pair[1]);
        return fut_fail(err, FUT_ERR_IO, "fork server: signalfd: %s", strerror(why));
    }
    groups_open();
    struct fork_ahead *ahead = fork_ahead_new();
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        fork_loop_main(pair[1], signals, ahead);
    }
    (void)close(signals);
    (void)close(pair[1]);
    if (pid < 0) {
        fork_ahead_free(&ahead);
        (void)close(pair[0]);
        return fut_fail(err, FUT_ERR_IO, "fork server: fork: %s", strerror(errno));
    }
    struct fork_server *fs = xnew(struct fork_server);
    *fs = (struct fork_server){.sock = pair[0], .pid = pid, .ahead = ahead};
    *out = fs;
    return 0;
}

void fork_server_stop(struct fork_server **fsp)
{
    struct fork_server *fs = *fsp;
    if (!fs)
        return;
    fd_close(&fs->sock);
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

static int request(struct fork_server *fs, struct fork_request head, const struct fork_exec *what,
                   const int *fds, size_t n_fds)
{
    fs->message.len = 0;
    int rc = message_encode(&fs->message, head, what);
    if (rc != 0)
        return rc;
    return fd_send_msg(fs->sock, fs->message.data, fs->message.len, fds, n_fds) == 0
               ? 0
               : FUT_ERR_CLOSED;
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
    if (what->behind && !fork_ahead_offer(fs->ahead, generation))
        return FUT_ERR_FULL;
    int rc = request(fs, head, what, what->fds, FORK_EXEC_FDS);
    if (rc != 0 && what->behind && !fork_server_withdraw(fs, generation))
        FUT_BUG("a program that nobody was asked for begins");
    return rc;
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

int fork_server_read(struct fork_server *fs, struct fork_event *out)
{
    struct fork_event ev;
    ssize_t n;
    do
        n = recv(fs->sock, &ev, sizeof(ev), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return FUT_ERR_AGAIN;
    if (n != (ssize_t)sizeof(ev))
        return FUT_ERR_CLOSED;
    *out = ev;
    return 0;
}
