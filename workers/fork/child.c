#include "workers/fork/child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "workers/base/run_as.h"
#include "workers/fork/descent.h"
#include "workers/handlers/worker_main.h"

#define OOM_SCORE "500" /* a task is killed before the daemon and its database */
#define EXIT_NOT_STARTED 127

static int64_t files_before = -1; /* the limit that the daemon was started with */

void fork_child_init(void)
{
    files_before = fd_limit_raise();
}

/* One write of a few bytes; there is nobody to complain to when it fails. */
static void say(int fd, const char *text, size_t n)
{
    ssize_t done = write(fd, text, n);
    (void)done;
}

static void reset_signals(void)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); /* KILL and STOP refuse, which is right */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Its own session and so its own process group (that is what a timeout kills), default signals, no
 * new privileges, first in line for the OOM killer, and death when the fork server dies. */
static void prepare_child(pid_t parent)
{
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(EXIT_NOT_STARTED); /* it died before PDEATHSIG was set */
    reset_signals();
    (void)fd_limit_set(files_before);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        say(fd, OOM_SCORE, sizeof(OOM_SCORE) - 1);
    fd_close(&fd);
}

void fork_child_worker(pid_t parent, int channel)
{
    prepare_child(parent);
    (void)prctl(PR_SET_NAME, "futured-worker", 0, 0, 0);
    if (channel != 3)
        (void)dup3(channel, 3, O_CLOEXEC);
    (void)close_range(4, ~0U, 0);
    if (run_as_apply(parent, 0) != 0)
        _exit(EXIT_NOT_STARTED);
    _exit(worker_main(3) == 0 ? 0 : 1);
}

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

/* The interpreter that a script's first line names; "" when it names none. */
static void read_interpreter(const char *path, char *out, size_t size)
{
    char line[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : 0;
    line[n > 0 ? n : 0] = '\0';
    const char *at = strncmp(line, "#!", 2) == 0 ? line + 2 + strspn(line + 2, " \t") : "";
    (void)snprintf(out, size, "%.*s", (int)strcspn(at, " \t\n"), at);
}

/* The system says "No such file" of a program that is there when its interpreter is not. */
static void give_up_running(int error_fd, const char *path) FUT_NORETURN;

static void give_up_running(int error_fd, const char *path)
{
    int error = errno;
    char interpreter[160], what[240];
    read_interpreter(path, interpreter, sizeof(interpreter));
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

/* The handler's environment and the mark by which the family is known. */
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

void fork_child_exec(pid_t parent, uint64_t generation, const struct fork_exec *what, int error_fd)
{
    prepare_child(parent);
    /* The passed ones are all above 3, for 0 to 3 are open here (3 is the way to the daemon, and
     * this copy of it goes). */
    for (int i = 0; i < FORK_EXEC_FDS; i++) {
        if (dup2(what->fds[i], i) < 0)
            give_up(error_fd, "cannot connect the pipes of", what->path);
    }
    (void)close_range(FORK_EXEC_FDS, ~0U, CLOSE_RANGE_CLOEXEC);
    if (run_as_apply(parent, FORK_EXEC_FDS) != 0)
        give_up(error_fd, "cannot become the user that is to run", what->path);
    if (what->cwd && chdir(what->cwd) != 0)
        give_up(error_fd, "cannot change to", what->cwd);
    if (limit_files(what->limits.files) != 0)
        give_up(error_fd, "cannot limit the open files of", what->path);
    (void)execve(what->path, (char *const *)(uintptr_t)what->argv,
                 mark_env(parent, generation, what->env));
    give_up_running(error_fd, what->path);
}
