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
#include "core/log.h"
#include "core/mem.h"
#include "workers/fork_child.h"
#include "workers/fork_groups.h"
#include "workers/fork_kids.h"
#include "workers/fork_oom.h"
#include "workers/fork_orphans.h"
#include "workers/fork_watch.h"

#define END_MS 5000
#define OOM_ASK_MS 1000
#define SWEEP_MS 50 /* between tries to remove groups whose processes are on their way out */

struct answer {
    struct list_node link;
    struct fork_event event;
};

static struct {
    int sock, signals;
    struct oom_counter oom;
    int64_t oom_asked_mono_ms;
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

/* ---- ends ---- */

static uint64_t cpu_ms_of(const struct rusage *ru)
{
    int64_t us = (int64_t)(ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * 1000000 +
                 ru->ru_utime.tv_usec + ru->ru_stime.tv_usec;
    return (uint64_t)(us / 1000);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void kid_ended(struct kid *kid, int status, const struct rusage *ru)
{
    bool mystery = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !kid->killed;
    struct fork_event ev = {.verb = FORK_EXITED,
                            .slot = kid->slot,
                            .generation = kid->generation,
                            .pid = kid->pid,
                            .status = status,
                            .max_rss_kib = larger((uint64_t)ru->ru_maxrss, kid->peak_rss_kib),
                            .cpu_ms = larger(cpu_ms_of(ru) + kid->orphan_cpu_ms, kid->use.cpu_ms),
                            .met = kid->met};
    if (mystery && groups_met_memory(kid->generation)) {
        ev.oom = TASK_OOM_YES;
        ev.met = kid->limits.memory_bytes ? LIMIT_MEMORY : kid->met;
    } else if (mystery) {
        ev.oom = oom_ask(&server.oom);
    } else if (WIFSIGNALED(status)) {
        ev.oom = TASK_OOM_NO;
    }
    if (kid->error_fd >= 0 && read(kid->error_fd, ev.text, sizeof(ev.text) - 1) > 0)
        ev.verb = FORK_SPAWN_FAILED;
    answer(&ev);
    groups_end(kid->generation);
    kid_forget(kid);
}

/* What the kernel had to kill elsewhere must not be laid at the door of a later death of ours. */
static void forget_old_ooms(void)
{
    int64_t now = clock_mono_ms();
    if (now < server.oom_asked_mono_ms + OOM_ASK_MS)
        return;
    server.oom_asked_mono_ms = now;
    oom_skip(&server.oom);
}

static void orphan_ended(pid_t pid, int status, const struct rusage *ru)
{
    orphans_note(pid, status, ru);
    watch_orphan_ended(pid, cpu_ms_of(ru));
}

/* Looks at who has ended before reaping it: while the leader is a zombie its group id is taken, so
 * what is left of the group can be killed without a chance to hit a stranger. */
static void reap_one(pid_t pid)
{
    struct rusage ru;
    int status;
    struct kid *kid = kid_of_pid(pid);
    if (kid)
        (void)kill(-pid, SIGKILL);
    if (wait4(pid, &status, 0, &ru) != pid)
        return;
    if (kid)
        kid_ended(kid, status, &ru);
    else
        orphan_ended(pid, status, &ru);
    watch_wake(); /* it may have left somebody behind */
}

static void reap_all(void)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            break;
        reap_one(info.si_pid);
    }
    forget_old_ooms();
}

/* ---- requests ---- */

static void spawn_failed(const struct fork_request *r, const char *what)
{
    struct fork_event ev = {
        .verb = FORK_SPAWN_FAILED, .slot = r->slot, .generation = r->generation};
    (void)snprintf(ev.text, sizeof(ev.text), "%s: %s", what, strerror(errno));
    groups_end(r->generation);
    answer(&ev);
}

static void spawned(const struct fork_request *r, pid_t pid, int error_fd)
{
    struct fork_event ev = {
        .verb = FORK_SPAWNED, .slot = r->slot, .generation = r->generation, .pid = pid};
    if (limits_need_watch(&kid_add(r, pid, error_fd)->limits))
        watch_wake();
    answer(&ev);
}

static void spawn_worker(const struct fork_request *r, const int *fds)
{
    pid_t me = getpid();
    groups_make(r->generation, &r->limits);
    pid_t pid = fork();
    if (pid == 0) {
        groups_join(r->generation);
        fork_child_worker(me, fds[0]);
    }
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
    groups_make(r->generation, &r->limits);
    pid_t pid = fork();
    if (pid == 0) {
        groups_join(r->generation);
        fork_child_exec(me, r->generation, what, error_pipe[1]);
    }
    if (pid < 0)
        spawn_failed(r, "fork");
    (void)close(error_pipe[1]);
    if (pid < 0)
        (void)close(error_pipe[0]);
    else
        spawned(r, pid, error_pipe[0]);
}

/* Is it a child of ours that has not been reaped? */
static bool is_child(pid_t pid)
{
    siginfo_t info = {0};
    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* While it is not reaped its pid is its own, so nobody else can be meant. One that has ended before
 * we were asked gets its book entry for the one answer. */
static void adopt(const struct fork_request *r)
{
    struct orphan_end end;
    if (kid_of_pid(r->pid)) {
        errno = EEXIST;
        spawn_failed(r, "adopt");
    } else if (is_child(r->pid)) { /* and not reaped, so the pid is its own */
        groups_take(r->generation, &r->limits, r->pid);
        spawned(r, r->pid, -1);
    } else if (orphans_take(r->pid, &end)) {
        spawned(r, r->pid, -1);
        kid_ended(kid_find(r->slot, r->generation), end.status, &end.use);
    } else {
        errno = ECHILD;
        spawn_failed(r, "adopt");
    }
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
    } else if (r.verb == FORK_ADOPT && n_fds == 0) {
        adopt(&r);
    } else if (r.verb == FORK_KILL && n_fds == 0) {
        struct kid *kid = kid_find(r.slot, r.generation);
        if (kid)
            kid_signal(kid, r.signal);
        watch_wake();
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

static void end_all(void)
{
    int64_t deadline_ms = clock_mono_ms() + END_MS;
    for (struct list_node *n = list_first(kids_all()); n; n = list_next(kids_all(), n))
        kid_signal(FUT_CONTAINER(n, struct kid, link), SIGKILL);
    while (clock_mono_ms() < deadline_ms) {
        watch_kill_all();
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
    log_set_sink(NULL); /* it may own a descriptor that is about to be closed */
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

static int timeout_ms(void)
{
    int ms = watch_timeout_ms();
    return groups_sweep() && (ms < 0 || ms > SWEEP_MS) ? SWEEP_MS : ms;
}

static void serve(void)
{
    for (bool open = true; open;) {
        struct pollfd p[2] = {{.fd = server.sock, .events = POLLIN},
                              {.fd = server.signals, .events = POLLIN}};
        if (!list_is_empty(&server.answers))
            p[0].events |= POLLOUT;
        if (poll(p, 2, timeout_ms()) < 0)
            continue;
        watch_turn();
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
    kids_init();
    watch_init();
    if (groups_memory_events())
        oom_open_file(&server.oom, groups_memory_events());
    else
        oom_open(&server.oom);
    list_init(&server.answers);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    server.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    FUT_ASSERT(server.signals >= 0);
    serve();
    end_all();
    _exit(0);
}
