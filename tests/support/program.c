#include "tests/support/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/fail.h"
#include "tests/support/wait.h"

#define STREAMS 2

#define PASSED_FIRST 3

struct passed {
    int fds[PROGRAM_FDS_MAX];
    size_t n;
};

struct stream {
    int fd;          /* the reader's alone */
    struct buf text; /* guarded by mu */
    bool ended;      /* guarded by mu */
};

struct program {
    pid_t pid;
    bool reaped;
    int status;
    int wake; /* tells the reader to stop although somebody still holds the outputs */
    pthread_t reader;
    struct mutex mu;
    struct cond more; /* text came, or a stream ended */
    struct stream streams[STREAMS];
};

/* ---- the reader ------------------------------------------------------------------------------ */

static void stream_read(struct program *p, struct stream *s)
{
    char bytes[8192];
    ssize_t n = read(s->fd, bytes, sizeof(bytes));
    if (n < 0 && errno == EINTR)
        return;
    mutex_lock(&p->mu);
    if (n > 0)
        buf_put(&s->text, bytes, (size_t)n);
    else
        s->ended = true;
    cond_broadcast(&p->more);
    mutex_unlock(&p->mu);
    if (n <= 0)
        fd_close(&s->fd);
}

static void *read_streams(void *arg)
{
    struct program *p = arg;
    while (p->streams[PROGRAM_OUT].fd >= 0 || p->streams[PROGRAM_ERR].fd >= 0) {
        struct pollfd fds[STREAMS + 1] = {{.fd = p->streams[PROGRAM_OUT].fd, .events = POLLIN},
                                          {.fd = p->streams[PROGRAM_ERR].fd, .events = POLLIN},
                                          {.fd = p->wake, .events = POLLIN}};
        (void)poll(fds, STREAMS + 1, -1);
        for (int i = 0; i < STREAMS; i++) {
            if (fds[i].revents)
                stream_read(p, &p->streams[i]);
        }
        if (fds[STREAMS].revents)
            break;
    }
    return NULL;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Runs in the forked child of a threaded process: nothing here may take a lock. */
static FUT_NORETURN void run_child(const char *const *argv, char *const *env, const char *dir,
                                   int null_fd, const int *ends, const struct passed *passed)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((dir && chdir(dir) != 0) || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(ends[PROGRAM_OUT], STDOUT_FILENO) < 0 || dup2(ends[PROGRAM_ERR], STDERR_FILENO) < 0)
        _exit(126);
    for (size_t i = 0; i < passed->n; i++) {
        if (dup2(passed->fds[i], PASSED_FIRST + (int)i) < 0)
            _exit(126);
    }
    (void)execve(argv[0], (char *const *)(const void *)argv, env);
    _exit(127);
}

static void make_pipes(struct program *p, int *ends)
{
    for (int i = 0; i < STREAMS; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) != 0)
            fail("pipe2: errno %d", errno);
        p->streams[i].fd = pair[0];
        ends[i] = pair[1];
    }
}

static pid_t fork_child(const char *const *argv, const char *const *env, const char *dir,
                        const int *ends, const struct passed *passed)
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char *const *child_env = env ? (char *const *)(const void *)env : environ;
    pid_t pid = fork();
    if (pid == 0)
        run_child(argv, child_env, dir, null_fd, ends, passed);
    if (pid < 0)
        fail("fork: errno %d", errno);
    fd_close(&null_fd);
    return pid;
}

struct program *program_start(const char *const *argv, const char *const *env, const char *dir)
{
    return program_start_with_fds(argv, env, dir, NULL, 0);
}

/* Duplicates that lie above every descriptor that they are to become. */
static struct passed lift(const int *fds, size_t n)
{
    struct passed p = {.n = n};
    if (n > PROGRAM_FDS_MAX)
        fail("more than %d descriptors", PROGRAM_FDS_MAX);
    for (size_t i = 0; i < n; i++) {
        p.fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, PASSED_FIRST + PROGRAM_FDS_MAX);
        if (p.fds[i] < 0)
            fail("dup: errno %d", errno);
    }
    return p;
}

struct program *program_start_with_fds(const char *const *argv, const char *const *env,
                                       const char *dir, const int *fds, size_t n_fds)
{
    struct passed passed = lift(fds, n_fds);
    struct program *p = xnew(struct program);
    int ends[STREAMS];
    mutex_init(&p->mu);
    cond_init(&p->more);
    p->wake = fd_wake_new();
    if (p->wake < 0)
        fail("eventfd: errno %d", errno);
    make_pipes(p, ends);
    p->pid = fork_child(argv, env, dir, ends, &passed);
    for (size_t i = 0; i < passed.n; i++)
        fd_close(&passed.fds[i]);
    for (int i = 0; i < STREAMS; i++)
        fd_close(&ends[i]);
    thread_start(&p->reader, "reader", read_streams, p);
    return p;
}

/* ---- using ----------------------------------------------------------------------------------- */

pid_t program_pid(const struct program *p)
{
    return p->pid;
}

void program_signal(struct program *p, int sig)
{
    if (!p->reaped && kill(p->pid, sig) != 0)
        fail("kill(%d, %d): errno %d", (int)p->pid, sig, errno);
}

/* mu is held. */
static char *line_with(const struct stream *s, const char *needle)
{
    const char *at = s->text.data ? strstr(s->text.data, needle) : NULL;
    if (!at)
        return NULL;
    const char *begin = at;
    while (begin > s->text.data && begin[-1] != '\n')
        begin--;
    const char *end = strchr(at, '\n');
    return end ? xstrndup(begin, (size_t)(end - begin)) : NULL;
}

char *program_wait_line(struct program *p, enum program_stream s, const char *needle,
                        int timeout_ms)
{
    int64_t deadline_mono_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    mutex_lock(&p->mu);
    char *line = line_with(&p->streams[s], needle);
    while (!line && !p->streams[s].ended && clock_mono_us() < deadline_mono_us) {
        (void)cond_wait_until(&p->more, &p->mu, deadline_mono_us);
        line = line_with(&p->streams[s], needle);
    }
    mutex_unlock(&p->mu);
    return line;
}

char *program_text(struct program *p, enum program_stream s)
{
    mutex_lock(&p->mu);
    const struct buf *text = &p->streams[s].text;
    char *copy = xstrndup(text->data ? text->data : "", text->len);
    mutex_unlock(&p->mu);
    return copy;
}

static bool streams_ended(struct program *p, int64_t deadline_mono_us)
{
    mutex_lock(&p->mu);
    bool ended = false;
    while (!ended) {
        ended = p->streams[PROGRAM_OUT].ended && p->streams[PROGRAM_ERR].ended;
        if (!ended && !cond_wait_until(&p->more, &p->mu, deadline_mono_us))
            break;
    }
    mutex_unlock(&p->mu);
    return ended;
}

bool program_wait(struct program *p, int timeout_ms, int *out_status)
{
    int64_t deadline_mono_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    if (!p->reaped) {
        if (!wait_process_end(p->pid, timeout_ms))
            return false;
        if (waitpid(p->pid, &p->status, 0) != p->pid)
            fail("waitpid(%d): errno %d", (int)p->pid, errno);
        p->reaped = true;
    }
    if (!streams_ended(p, deadline_mono_us))
        return false;
    *out_status = p->status;
    return true;
}

void program_free(struct program **pp)
{
    struct program *p = *pp;
    if (!p)
        return;
    *pp = NULL;
    if (!p->reaped) {
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, &p->status, 0);
    }
    fd_wake(p->wake);
    thread_join(p->reader);
    for (int i = 0; i < STREAMS; i++) {
        fd_close(&p->streams[i].fd);
        buf_release(&p->streams[i].text);
    }
    fd_close(&p->wake);
    cond_destroy(&p->more);
    mutex_destroy(&p->mu);
    free(p);
}

int program_run(const char *const *argv, const char *const *env, int timeout_ms, char **out,
                char **err)
{
    struct program *p = program_start(argv, env, NULL);
    int status = 0;
    if (!program_wait(p, timeout_ms, &status))
        fail("%s did not end within %d ms", argv[0], timeout_ms);
    if (out)
        *out = program_text(p, PROGRAM_OUT);
    if (err)
        *err = program_text(p, PROGRAM_ERR);
    program_free(&p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
