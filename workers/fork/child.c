#include "workers/fork/child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "core/proc.h"
#include "core/sanitizers.h"
#include "workers/base/run_as.h"
#include "workers/fork/descent.h"
#include "workers/fork/groups.h"
#include "workers/handlers/exec_command.h"
#include "workers/handlers/worker_main.h"

#define OOM_SCORE "500" /* a task is killed before the daemon and its database */
#define EXIT_NOT_STARTED 127

/* One write of a few bytes; there is nobody to complain to when it fails. */
static void say(int fd, const char *text, size_t n)
{
    ssize_t done = write(fd, text, n);
    (void)done;
}

/* ---- what children inherit ---- */

static int64_t files_before = -1; /* the limit that the daemon was started with */
static int oom_fd = -1;           /* of the fork server */
static char own_oom_score[16];

void fork_child_init(void)
{
    files_before = fd_limit_raise();
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); /* KILL and STOP refuse, which is right */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)proc_read(getpid(), "oom_score_adj", own_oom_score, sizeof(own_oom_score) - 1);
    oom_fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
}

/* Children are the first that the kernel kills for memory. They inherit it from the fork server,
 * which is as precious as the daemon for all the rest of the time. */
static void set_oom_score(const char *score)
{
    int error = errno; /* of the fork before */
    if (oom_fd >= 0)
        say(oom_fd, score, strlen(score));
    errno = error;
}

/* Its own session and so its own process group (that is what a timeout kills), no signals blocked,
 * and death when the fork server dies. */
static void prepare_child(pid_t parent)
{
    sigset_t none;
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(EXIT_NOT_STARTED); /* it died before PDEATHSIG was set */
    (void)fd_limit_set(files_before);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- a worker ---- */

static void become_worker(pid_t parent, uint64_t generation, int channel) FUT_NORETURN;

static void become_worker(pid_t parent, uint64_t generation, int channel)
{
    groups_join(generation);
    prepare_child(parent);
    (void)prctl(PR_SET_NAME, "futured-worker", 0, 0, 0);
    if (channel != 3)
        (void)dup3(channel, 3, O_CLOEXEC);
    (void)close_range(4, ~0U, 0);
    if (run_as_apply(parent, 0) != 0)
        _exit(EXIT_NOT_STARTED);
    _exit(worker_main(3) == 0 ? 0 : 1);
}

pid_t fork_child_worker(uint64_t generation, int channel)
{
    pid_t me = getpid();
    set_oom_score(OOM_SCORE);
    pid_t pid = fork();
    if (pid == 0)
        become_worker(me, generation, channel);
    set_oom_score(own_oom_score);
    return pid;
}

/* ---- a program ---- */

static void give_up(int error_fd, const char *what, const char *path) FUT_NORETURN;

/* The errno, and behind it a sentence for people. */
static void give_up(int error_fd, const char *what, const char *path)
{
    int error = errno;
    char bytes[sizeof(error) + 256];
    memcpy(bytes, &error, sizeof(error));
    int n = snprintf(bytes + sizeof(error), 256, "%s %.150s: %s", what, path, strerror(error));
    if (n > 0)
        say(error_fd, bytes, sizeof(error) + (n < 256 ? (size_t)n : 255));
    _exit(EXIT_NOT_STARTED);
}

/* The system says "No such file" of a program that is there when its interpreter is not. */
static void give_up_running(int error_fd, const char *path) FUT_NORETURN;

static void give_up_running(int error_fd, const char *path)
{
    int error = errno;
    char interpreter[160], what[240];
    exec_command_interpreter(path, interpreter, sizeof(interpreter));
    bool is_missing = (error == ENOENT || error == EACCES) && *interpreter &&
                      access(interpreter, X_OK) != 0 && access(path, X_OK) == 0;
    (void)snprintf(what, sizeof(what), "cannot run %.60s: its interpreter", path);
    errno = error;
    if (is_missing)
        give_up(error_fd, what, interpreter);
    if (error == ENOENT && access(path, X_OK) == 0) {
        errno = error;
        give_up(error_fd, "cannot run (its loader or interpreter is missing)", path);
    }
    errno = error;
    give_up(error_fd, "cannot run", path);
}

static int limit_files(uint32_t files)
{
    struct rlimit limit;
    if (!files || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_max > files)
        limit.rlim_max = files;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

struct start {
    pid_t parent;
    uint64_t generation;
    const struct fork_exec *what;
    char **env;
    int error_fd;
};

/* It may share the fork server's memory, which stands still meanwhile: it allocates nothing, and
 * changes nothing that the fork server relies on. */
static int become_program(void *ctx)
{
    const struct start *s = ctx;
    const struct fork_exec *what = s->what;
    groups_join(s->generation);
    prepare_child(s->parent);
    /* The passed ones are all above 3, for 0 to 3 are open here (3 is the way to the daemon, and
     * this copy of it goes). */
    for (int i = 0; i < FORK_EXEC_FDS; i++) {
        if (dup2(what->fds[i], i) < 0)
            give_up(s->error_fd, "cannot connect the pipes of", what->path);
    }
    (void)close_range(FORK_EXEC_FDS, ~0U, CLOSE_RANGE_CLOEXEC);
    if (run_as_apply(s->parent, FORK_EXEC_FDS) != 0)
        give_up(s->error_fd, "cannot become the user that is to run", what->path);
    if (what->cwd && chdir(what->cwd) != 0)
        give_up(s->error_fd, "cannot change to", what->cwd);
    if (limit_files(what->limits.files) != 0)
        give_up(s->error_fd, "cannot limit the open files of", what->path);
    (void)execve(what->path, (char *const *)(uintptr_t)what->argv, s->env);
    give_up_running(s->error_fd, what->path);
}

/* The handler's environment, and the mark by which descendants are known; free() it. */
static char **mark_env(pid_t parent, uint64_t generation, const char *const *env)
{
    static char mark[64];
    size_t n = 0;
    while (env[n])
        n++;
    char **marked = xcalloc(n + 2, sizeof(*marked));
    memcpy(marked, env, n * sizeof(*marked));
    (void)snprintf(mark, sizeof(mark), DESCENT_MARK "=%d.%" PRIu64, (int)parent, generation);
    marked[n] = mark;
    return marked;
}

/* Not under a sanitizer, which keeps records of each stack and thread, and not where the child
 * changes its user: who may signal that user's processes could stop it before it is the program,
 * and the fork server with it. */
static bool may_share_memory(const struct fork_exec *what)
{
    return !FUT_ASAN && !FUT_TSAN && what->is_local && !run_as_home();
}

/* Without a copy of the page tables, which is most of what a fork costs. */
static pid_t clone_sharing(struct start *s)
{
    static char stack[65536] __attribute__((aligned(16)));
    return clone(become_program, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, s);
}

pid_t fork_child_exec(uint64_t generation, const struct fork_exec *what, int error_fd)
{
    struct start s = {
        .parent = getpid(), .generation = generation, .what = what, .error_fd = error_fd};
    s.env = mark_env(s.parent, generation, what->env);
    set_oom_score(OOM_SCORE);
    pid_t pid = may_share_memory(what) ? clone_sharing(&s) : fork();
    if (pid == 0)
        (void)become_program(&s);
    set_oom_score(own_oom_score);
    free(s.env); /* which keeps errno */
    return pid;
}
