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

struct start {
    pid_t parent;
    uint64_t generation;
    const struct fork_exec *what;
    char **env;
    struct fork_refusal *refusal; /* the child's; the fork server's own where memory is shared */
    int error_fd;                 /* where it is not, the refusal goes here; else -1 */
};

static void give_up(const struct start *s, const char *what, const char *path) FUT_NORETURN;

/* The errno, and a sentence for people. */
static void give_up(const struct start *s, const char *what, const char *path)
{
    struct fork_refusal *r = s->refusal;
    r->error = errno;
    (void)snprintf(r->text, sizeof(r->text), "%s %.150s: %s", what, path, strerror(r->error));
    if (s->error_fd >= 0)
        say(s->error_fd, (const char *)r, sizeof(*r));
    _exit(EXIT_NOT_STARTED);
}

/* The system says "No such file" of a program that is there when its interpreter is not. */
static void give_up_running(const struct start *s) FUT_NORETURN;

static void give_up_running(const struct start *s)
{
    const char *path = s->what->path;
    int error = errno;
    char interpreter[160], what[240];
    exec_command_interpreter(path, interpreter, sizeof(interpreter));
    bool is_missing = (error == ENOENT || error == EACCES) && *interpreter &&
                      access(interpreter, X_OK) != 0 && access(path, X_OK) == 0;
    (void)snprintf(what, sizeof(what), "cannot run %.60s: its interpreter", path);
    errno = error;
    if (is_missing)
        give_up(s, what, interpreter);
    if (error == ENOENT && access(path, X_OK) == 0) {
        errno = error;
        give_up(s, "cannot run (its loader or interpreter is missing)", path);
    }
    errno = error;
    give_up(s, "cannot run", path);
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
            give_up(s, "cannot connect the pipes of", what->path);
    }
    (void)close_range(FORK_EXEC_FDS, ~0U, CLOSE_RANGE_CLOEXEC);
    if (run_as_apply(s->parent, FORK_EXEC_FDS) != 0)
        give_up(s, "cannot become the user that is to run", what->path);
    if (what->cwd && chdir(what->cwd) != 0)
        give_up(s, "cannot change to", what->cwd);
    if (limit_files(what->limits.files) != 0)
        give_up(s, "cannot limit the open files of", what->path);
    (void)execve(what->path, (char *const *)(uintptr_t)what->argv, s->env);
    give_up_running(s);
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

static pid_t start_sharing(struct start *s)
{
    set_oom_score(OOM_SCORE);
    pid_t pid = clone_sharing(s);
    set_oom_score(own_oom_score);
    return pid;
}

/* The pipe closes by itself when the program starts; otherwise it holds the reason. It is read when
 * the child is reaped, so a slow disk under the program stops nobody else. */
static pid_t start_forking(struct start *s, int *out_later)
{
    int error_pipe[2];
    if (pipe2(error_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    s->error_fd = error_pipe[1];
    set_oom_score(OOM_SCORE);
    pid_t pid = fork();
    if (pid == 0)
        (void)become_program(s);
    set_oom_score(own_oom_score);
    int error = errno;
    (void)close(error_pipe[1]);
    if (pid < 0)
        (void)close(error_pipe[0]);
    else
        *out_later = error_pipe[0];
    errno = error;
    return pid;
}

pid_t fork_child_exec(uint64_t generation, const struct fork_exec *what, struct fork_refusal *out,
                      int *out_later)
{
    struct start s = {
        .parent = getpid(), .generation = generation, .what = what, .refusal = out, .error_fd = -1};
    out->error = 0;
    *out_later = -1;
    s.env = mark_env(s.parent, generation, what->env);
    pid_t pid = may_share_memory(what) ? start_sharing(&s) : start_forking(&s, out_later);
    free(s.env); /* which keeps errno */
    return pid;
}

bool fork_child_refusal(int later, struct fork_refusal *out)
{
    return later >= 0 && read(later, out, sizeof(*out)) == (ssize_t)sizeof(*out);
}
