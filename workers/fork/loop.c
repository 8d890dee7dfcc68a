#include "workers/fork/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/fork/child.h"
#include "workers/fork/ends.h"
#include "workers/fork/groups.h"
#include "workers/fork/messages.h"
#include "workers/fork/table.h"
#include "workers/fork/watch.h"

#define END_MS 5000
#define FIRST_FD 3
#define SWEEP_MS 50 /* between tries to remove groups whose processes are on their way out */

static struct {
    int sock, signals;
    int lines[FORK_LINES];      /* sockets, with the programs that wait in each of them */
    uint64_t taken[FORK_LINES]; /* how many have been taken from each of them so far */
    struct fork_ahead *ahead;
    bool is_ending;              /* nothing begins any more */
    int64_t lease_until_mono_ms; /* 0: there is none */
    char message[FORK_MESSAGE_MAX_BYTES + 1];
} server = {.sock = -1, .signals = -1};

/* The program that begins in the place of one that has ended. */
static struct {
    char message[FORK_MESSAGE_MAX_BYTES + 1];
    ssize_t n;
    int fds[FD_MAX_PASSED];
} next;

/* ---- requests ---- */

/* Nothing that runs here may run beside what other nodes start: a daemon that stands still does not
 * end it, so we do. */
static bool lease_has_ended(void)
{
    return server.lease_until_mono_ms && clock_mono_ms() >= server.lease_until_mono_ms;
}

static void spawn_failed(const struct fork_request *r, const char *what)
{
    struct fork_event ev = {
        .verb = FORK_SPAWN_FAILED, .slot = r->slot, .generation = r->generation, .error = errno};
    (void)snprintf(ev.text, sizeof(ev.text), "%s: %s", what, strerror(ev.error));
    groups_end(r->generation);
    message_send(&ev);
}

static struct fork_child *spawned(const struct fork_request *r, pid_t pid)
{
    struct fork_child *child = table_add(r, pid);
    struct fork_event ev = {
        .verb = FORK_SPAWNED, .slot = r->slot, .generation = r->generation, .pid = pid};
    if (limits_need_watch(&child->limits))
        watch_wake();
    if (r->slot != FORK_NO_SLOT) /* else nobody would do anything but wake up for it */
        message_send(&ev);
    return child;
}

/* The kernel had no descriptor to pass them in. */
static void refuse_without_pipes(const struct fork_request *r)
{
    errno = EMFILE;
    spawn_failed(r, "the pipes could not be taken over");
}

static void spawn_worker(const struct fork_request *r, const int *fds)
{
    groups_make(r->generation, &r->limits);
    pid_t pid = fork_child_worker(r->generation, fds[0]);
    if (pid < 0)
        spawn_failed(r, "fork");
    else
        (void)spawned(r, pid);
}

static void spawn_exec(const struct fork_request *r, const struct fork_exec *what)
{
    struct fork_refusal refusal;
    int later;
    groups_make(r->generation, &r->limits);
    pid_t pid = fork_child_exec(r->generation, what, &refusal, &later);
    if (pid < 0) {
        spawn_failed(r, "fork");
        return;
    }
    struct fork_child *child = spawned(r, pid);
    child->refusal_fd = later;
    if (refusal.error) {
        child->refusal = xnew(struct fork_refusal);
        *child->refusal = refusal;
    }
}

/* ---- programs that wait in a line ---- */

/* The first one of the line. A message stays in its socket, with its descriptors, until its turn
 * has come. False: nobody waits. */
static bool take_first(uint32_t line, uint64_t *out_generation)
{
    struct fork_request r;
    size_t n_fds = 0;
    next.n =
        fd_recv_msg(server.lines[line - 1], next.message, sizeof(next.message), next.fds, &n_fds);
    if (next.n < (ssize_t)sizeof(r))
        return false;
    server.taken[line - 1]++;
    for (size_t i = n_fds; i < FORK_EXEC_FDS; i++)
        next.fds[i] = -1;
    memcpy(&r, next.message, sizeof(r));
    *out_generation = r.generation;
    return true;
}

static void close_next(void)
{
    for (int i = 0; i < FORK_EXEC_FDS; i++)
        fd_close(&next.fds[i]);
}

/* What the daemon has back is dropped. */
static uint64_t take_next(const struct fork_child *child)
{
    uint64_t generation;
    if (!child->line || server.is_ending || lease_has_ended())
        return 0;
    while (take_first(child->line, &generation)) {
        if (fork_ahead_take(server.ahead, generation))
            return generation;
        close_next();
    }
    return 0;
}

/* Two wait for each that runs: so many may end before the daemon has heard of it, and has more. */
static bool line_lasts(const struct fork_child *child)
{
    uint64_t joined = fork_ahead_counted(server.ahead, child->line);
    return joined - server.taken[child->line - 1] >= 2 * table_count_line(child->line);
}

static void start_next(void)
{
    struct fork_request r;
    struct fork_exec what;
    struct arena a;
    arena_init(&a);
    if (message_decode(next.message, (size_t)next.n, &a, &r, &what) != 0)
        FUT_BUG("fork request of a line");
    memcpy(what.fds, next.fds, sizeof(what.fds));
    if (next.fds[FORK_EXEC_FDS - 1] < 0)
        refuse_without_pipes(&r);
    else
        spawn_exec(&r, &what);
    arena_release(&a);
    close_next();
}

static const struct ends_next next_hooks = {
    .take = take_next, .lasts = line_lasts, .start = start_next};

static void cpu_exceeded(const struct fork_child *child, uint64_t cpu_ms)
{
    message_send(&(struct fork_event){.verb = FORK_CPU_EXCEEDED,
                                      .slot = child->slot,
                                      .generation = child->generation,
                                      .pid = child->pid,
                                      .cpu_ms = cpu_ms,
                                      .met = LIMIT_CPU,
                                      .task = child->task.id});
}

/* Is it a child of ours that has not been reaped? */
static bool is_child(pid_t pid)
{
    siginfo_t info = {0};
    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* While a process is not reaped nobody else can have its pid. One that has ended before we were
 * asked enters the table for the one answer. */
static void adopt(const struct fork_request *r)
{
    struct ends_record end;
    if (table_of_pid(r->pid)) {
        errno = EEXIST;
        spawn_failed(r, "adopt");
    } else if (is_child(r->pid)) { /* and not reaped, so the pid is its own */
        groups_take(r->generation, &r->limits, r->pid);
        (void)spawned(r, r->pid);
    } else if (ends_take_record(r->pid, &end)) {
        ends_report(spawned(r, r->pid), end.status, &end.use);
    } else {
        errno = ECHILD;
        spawn_failed(r, "adopt");
    }
}

static void run_request(size_t n, int *fds, size_t n_fds)
{
    struct fork_request r;
    struct fork_exec what = {.fds = {-1, -1, -1, -1}};
    struct arena a;
    arena_init(&a);
    if (message_decode(server.message, n, &a, &r, &what) != 0)
        FUT_BUG("fork request");
    if ((r.verb == FORK_SPAWN_WORKER && n_fds < 1) ||
        (r.verb == FORK_SPAWN_EXEC && n_fds < FORK_EXEC_FDS)) {
        refuse_without_pipes(&r);
    } else if (r.verb == FORK_SPAWN_WORKER && n_fds == 1) {
        spawn_worker(&r, fds);
    } else if (r.verb == FORK_SPAWN_EXEC && n_fds == FORK_EXEC_FDS) {
        memcpy(what.fds, fds, sizeof(what.fds));
        spawn_exec(&r, &what);
    } else if (r.verb == FORK_ADOPT && n_fds == 0) {
        adopt(&r);
    } else if (r.verb == FORK_KILL && n_fds == 0) {
        struct fork_child *child = table_find(r.slot, r.generation);
        if (child)
            table_signal(child, r.signal);
        watch_wake();
    } else if (r.verb == FORK_LEASE && n_fds == 0) {
        server.lease_until_mono_ms = r.until_mono_ms;
    } else if (r.verb == FORK_TASK && n_fds == 0) {
        struct fork_child *child = table_find(r.slot, r.generation);
        if (child)
            watch_task(child, r.task, r.limits.cpu_ms);
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
        fd_close(&fds[i]);
    return n > 0;
}

/* ---- life ---- */

static void end_all(void)
{
    server.is_ending = true;
    int64_t deadline_ms = clock_mono_ms() + END_MS;
    for (struct list_node *n = list_first(table_all()); n; n = list_next(table_all(), n))
        table_signal(FUT_CONTAINER(n, struct fork_child, link), SIGKILL);
    while (clock_mono_ms() < deadline_ms) {
        watch_kill_all();
        ends_reap();
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
            return; /* no children left */
        struct pollfd p = {.fd = server.signals, .events = POLLIN};
        (void)poll(&p, 1, 50);
    }
}

/* The socket, the signals and the lines become 3 and those that follow; no other one stays. The
 * parent's ends were closed just now, so there are numbers for copies. */
static void take_descriptors(void)
{
    int *all[2 + FORK_LINES] = {&server.sock, &server.signals};
    int n = 2;
    for (int i = 0; i < FORK_LINES; i++)
        all[n++] = &server.lines[i];
    for (int i = 0; i < n; i++)
        *all[i] = fcntl(*all[i], F_DUPFD_CLOEXEC, FIRST_FD + n);
    for (int i = 0; i < n; i++)
        *all[i] = dup3(*all[i], FIRST_FD + i, O_CLOEXEC);
    (void)close_range((unsigned)(FIRST_FD + n), ~0U, 0);
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
    take_descriptors();
    fork_child_init();
}

/* -1 is for ever. */
static int sooner(int a_ms, int b_ms)
{
    return a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms;
}

static int wait_ms(void)
{
    int ms = sooner(watch_timeout_ms(), message_timeout_ms());
    if (groups_sweep())
        ms = sooner(ms, SWEEP_MS);
    if (!server.lease_until_mono_ms)
        return ms;
    int64_t remaining_ms = server.lease_until_mono_ms - clock_mono_ms();
    return ms >= 0 && ms < remaining_ms ? ms : remaining_ms > 0 ? (int)remaining_ms : 0;
}

static void serve(void)
{
    for (bool open = true; open && !lease_has_ended();) {
        struct pollfd p[2] = {{.fd = server.sock, .events = POLLIN},
                              {.fd = server.signals, .events = POLLIN}};
        if (message_is_blocked())
            p[0].events |= POLLOUT;
        if (poll(p, 2, wait_ms()) < 0)
            continue;
        watch_turn();
        if (p[1].revents) {
            struct signalfd_siginfo info;
            ssize_t n = read(server.signals, &info, sizeof(info));
            (void)n; /* there is one at most; poll tells of the next */
            ends_reap();
        }
        if (p[0].revents & POLLOUT || message_timeout_ms() == 0)
            message_send_kept();
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
            open = take_request();
    }
}

int fork_loop_signals(void)
{
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

void fork_loop_main(int sock, int signals, const int lines[FORK_LINES], struct fork_ahead *ahead)
{
    memcpy(server.lines, lines, sizeof(server.lines));
    server.ahead = ahead;
    server.sock = sock;
    server.signals = signals;
    detach();
    table_init();
    watch_init(cpu_exceeded);
    ends_init(&next_hooks);
    message_init(server.sock);
    serve();
    if (lease_has_ended()) /* nobody is told how what we kill has ended: its tasks have not failed
                            */
        (void)shutdown(server.sock, SHUT_RDWR);
    end_all();
    _exit(0);
}
