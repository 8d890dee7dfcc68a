#include "workers/fork_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/list.h"
#include "core/map.h"
#include "core/mem.h"
#include "workers/fork_child.h"
#include "workers/fork_request.h"

#define END_MS 5000

struct kid {
    struct map_node by_pid, by_generation;
    struct list_node link;
    pid_t pid;
    uint32_t slot;
    uint64_t generation;
    int error_fd; /* what a program that could not start has to say; -1: none */
};

struct answer {
    struct list_node link;
    struct fork_event event;
};

static struct {
    int sock, signals;
    struct map by_pid, by_generation;
    struct list kids;
    struct list answers; /* not sent yet: we never wait for the daemon, which may wait for us */
    char message[FORK_MESSAGE_MAX_BYTES + 1];
} server = {.sock = -1, .signals = -1};

/* ---- answers ---- */

static bool send_now(const struct fork_event *ev)
{
    ssize_t n = send(server.sock, ev, sizeof(*ev), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n >= 0 || errno != EAGAIN; /* any other error: the daemon is gone, recv will tell */
}

static void answer(const struct fork_event *ev)
{
    if (list_is_empty(&server.answers) && send_now(ev))
        return;
    struct answer *a = xnew(struct answer);
    a->event = *ev;
    list_push_back(&server.answers, &a->link);
}

static void send_waiting(void)
{
    for (struct list_node *n; (n = list_first(&server.answers)) != NULL;) {
        struct answer *a = FUT_CONTAINER(n, struct answer, link);
        if (!send_now(&a->event))
            return;
        list_remove(&server.answers, n);
        free(a);
    }
}

/* ---- kids ---- */

static struct kid *kid_find(uint32_t slot, uint64_t generation)
{
    struct map_node *n = map_get(&server.by_generation, generation);
    struct kid *kid = n ? FUT_CONTAINER(n, struct kid, by_generation) : NULL;
    return kid && kid->slot == slot ? kid : NULL;
}

static void kid_add(const struct fork_request *r, pid_t pid, int error_fd)
{
    struct kid *kid = xnew(struct kid);
    kid->pid = pid;
    kid->slot = r->slot;
    kid->generation = r->generation;
    kid->error_fd = error_fd;
    map_put(&server.by_pid, &kid->by_pid, (uint64_t)pid);
    map_put(&server.by_generation, &kid->by_generation, r->generation);
    list_push_back(&server.kids, &kid->link);
}

static void kid_forget(struct kid *kid)
{
    map_remove(&server.by_pid, &kid->by_pid);
    map_remove(&server.by_generation, &kid->by_generation);
    list_remove(&server.kids, &kid->link);
    fd_close(&kid->error_fd);
    free(kid);
}

/* The kid is not reaped yet, so neither its pid nor its group can be somebody else's. A kid that
 * has not made its group yet is still alone: then the process itself is meant. */
static void kid_signal(const struct kid *kid, int signal)
{
    if (kill(-kid->pid, signal) != 0)
        (void)kill(kid->pid, signal);
}

static uint64_t cpu_ms_of(const struct rusage *ru)
{
    int64_t us = (int64_t)(ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * 1000000 +
                 ru->ru_utime.tv_usec + ru->ru_stime.tv_usec;
    return (uint64_t)(us / 1000);
}

static void kid_ended(struct kid *kid, int status, const struct rusage *ru)
{
    struct fork_event ev = {.verb = FORK_EXITED,
                            .slot = kid->slot,
                            .generation = kid->generation,
                            .pid = kid->pid,
                            .status = status,
                            .max_rss_kib = (uint64_t)ru->ru_maxrss,
                            .cpu_ms = cpu_ms_of(ru)};
    if (kid->error_fd >= 0 && read(kid->error_fd, ev.text, sizeof(ev.text) - 1) > 0)
        ev.verb = FORK_SPAWN_FAILED;
    answer(&ev);
    kid_forget(kid);
}

/* Looks at who has ended before reaping it: while the leader is a zombie its group id is taken, so
 * what is left of the group can be killed without a chance to hit a stranger. */
static void reap_all(void)
{
    for (;;) {
        siginfo_t info = {0};
        struct rusage ru;
        int status;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        struct map_node *n = map_get(&server.by_pid, (uint64_t)info.si_pid);
        struct kid *kid = n ? FUT_CONTAINER(n, struct kid, by_pid) : NULL;
        if (kid)
            (void)kill(-kid->pid, SIGKILL);
        if (wait4(info.si_pid, &status, 0, &ru) == info.si_pid && kid)
            kid_ended(kid, status, &ru);
    }
}

/* ---- requests ---- */

static void spawn_failed(const struct fork_request *r, const char *what)
{
    struct fork_event ev = {
        .verb = FORK_SPAWN_FAILED, .slot = r->slot, .generation = r->generation};
    (void)snprintf(ev.text, sizeof(ev.text), "%s: %s", what, strerror(errno));
    answer(&ev);
}

static void spawned(const struct fork_request *r, pid_t pid, int error_fd)
{
    struct fork_event ev = {
        .verb = FORK_SPAWNED, .slot = r->slot, .generation = r->generation, .pid = pid};
    kid_add(r, pid, error_fd);
    answer(&ev);
}

static void spawn_worker(const struct fork_request *r, const int *fds)
{
    pid_t me = getpid();
    pid_t pid = fork();
    if (pid == 0)
        fork_child_worker(me, fds[0]);
    if (pid < 0)
        spawn_failed(r, "fork");
    else
        spawned(r, pid, -1);
}

/* The pipe closes by itself when the program starts; otherwise it holds the reason. It is read when
 * the child is reaped, so a slow disk under the program stops nobody else. */
static void spawn_exec(const struct fork_request *r, const struct fork_exec *what)
{
    int error_pipe[2];
    if (pipe2(error_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        spawn_failed(r, "pipe");
        return;
    }
    pid_t me = getpid();
    pid_t pid = fork();
    if (pid == 0)
        fork_child_exec(me, what, error_pipe[1]);
    if (pid < 0)
        spawn_failed(r, "fork");
    (void)close(error_pipe[1]);
    if (pid < 0)
        (void)close(error_pipe[0]);
    else
        spawned(r, pid, error_pipe[0]);
}

static void run_request(size_t n, const int *fds, size_t n_fds)
{
    struct fork_request r;
    struct fork_exec what = {.fds = {-1, -1, -1, -1}};
    struct arena a;
    arena_init(&a);
    if (fork_request_decode(server.message, n, &a, &r, &what) != 0)
        FUT_BUG("fork request");
    if (r.verb == FORK_SPAWN_WORKER && n_fds == 1) {
        spawn_worker(&r, fds);
    } else if (r.verb == FORK_SPAWN_EXEC && n_fds == FORK_EXEC_FDS) {
        memcpy(what.fds, fds, sizeof(what.fds));
        spawn_exec(&r, &what);
    } else if (r.verb == FORK_KILL && n_fds == 0) {
        const struct kid *kid = kid_find(r.slot, r.generation);
        if (kid)
            kid_signal(kid, r.signal);
    } else {
        FUT_BUG("fork request verb");
    }
    arena_release(&a);
}

/* False: the daemon's end is closed. */
static bool take_request(void)
{
    int fds[FD_MAX_PASSED];
    size_t n_fds = 0;
    ssize_t n = fd_recv_msg(server.sock, server.message, sizeof(server.message), fds, &n_fds);
    if (n > 0)
        run_request((size_t)n, fds, n_fds);
    for (size_t i = 0; n > 0 && i < n_fds; i++)
        (void)close(fds[i]);
    return n > 0;
}

/* ---- life ---- */

/* Programs that left their group and lost their parent have become our children: end them too. */
static void kill_adopted(void)
{
    char path[64], list[4096];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, list, sizeof(list) - 1) : 0;
    list[n > 0 ? n : 0] = '\0';
    for (char *at = list; *at;) {
        char *end;
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        (void)kill((pid_t)pid, SIGKILL);
        at = end;
    }
    fd_close(&fd);
}

static void end_all(void)
{
    int64_t deadline_ms = clock_mono_ms() + END_MS;
    for (struct list_node *n = list_first(&server.kids); n; n = list_next(&server.kids, n))
        kid_signal(FUT_CONTAINER(n, struct kid, link), SIGKILL);
    while (clock_mono_ms() < deadline_ms) {
        kill_adopted();
        reap_all();
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
            return; /* no children left */
        struct pollfd p = {.fd = server.signals, .events = POLLIN};
        (void)poll(&p, 1, 50);
    }
}

/* Its own session: the terminal's Ctrl-C is for the daemon, which then drains in order. */
static void detach(void)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)setsid();
    (void)prctl(PR_SET_NAME, "futured-fork", 0, 0, 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)close(null);
    }
    if (server.sock != 3)
        (void)dup3(server.sock, 3, O_CLOEXEC);
    server.sock = 3;
    (void)close_range(4, ~0U, 0);
}

static void drain_signals(void)
{
    struct signalfd_siginfo info;
    while (read(server.signals, &info, sizeof(info)) > 0)
        ;
}

static void serve(void)
{
    for (bool open = true; open;) {
        struct pollfd p[2] = {{.fd = server.sock, .events = POLLIN},
                              {.fd = server.signals, .events = POLLIN}};
        if (!list_is_empty(&server.answers))
            p[0].events |= POLLOUT;
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents) {
            drain_signals();
            reap_all();
        }
        if (p[0].revents & POLLOUT)
            send_waiting();
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
            open = take_request();
    }
}

void fork_loop_main(int sock)
{
    sigset_t child;
    server.sock = sock;
    detach();
    map_init(&server.by_pid);
    map_init(&server.by_generation);
    list_init(&server.kids);
    list_init(&server.answers);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    server.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    FUT_ASSERT(server.signals >= 0);
    serve();
    end_all();
    _exit(0);
}
