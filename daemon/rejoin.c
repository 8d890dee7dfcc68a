#include "daemon/rejoin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sync.h"
#include "daemon/signals.h"

/* "PID FD,FD,…, ADDRESS": the former fork server, the sockets, and what the configuration said to
 * listen on ("": the sockets were inherited). */
#define VARIABLE "FUTURED_REJOIN"
#define NAME "futured"
#define LOG_MS 200
#define ENDS_MS 10000 /* the fork server takes 5 s at most */
#define LOOK_MS 10

static struct {
    struct mutex mu;
    pid_t fork_server;
    int64_t files;      /* < 0: as it is */
    const char *listen; /* NULL: they were inherited */
    int fds[API_LISTENERS_MAX];
    size_t n;
    bool may_not;
} next = {.mu = {PTHREAD_MUTEX_INITIALIZER}, .files = -1};

/* ---- the life that begins -------------------------------------------------------------------- */

/* Also what it left behind is gone then: a program of the life before runs beside none of this. */
static void wait_for_end(pid_t pid)
{
    int64_t until_mono_ms = clock_mono_ms() + ENDS_MS;
    while (waitpid(pid, NULL, WNOHANG) == 0 && clock_mono_ms() < until_mono_ms)
        (void)poll(NULL, 0, LOOK_MS);
}

/* value: behind the number of the process. */
static void take_sockets(struct sockets *s, char *value)
{
    char *rest = NULL, *address = strchr(value, ' ');
    if (!address)
        return;
    *address++ = '\0';
    for (char *word = strtok_r(value, ",", &rest); word && s->n < API_LISTENERS_MAX;
         word = strtok_r(NULL, ",", &rest)) {
        int fd = (int)strtol(word, NULL, 10);
        if (fd > STDERR_FILENO && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
            s->fds[s->n++] = fd;
    }
    if (!*address || !s->n)
        return;
    s->kept_fd = s->fds[0];
    s->kept_address = xstrdup(address);
    s->n = 0;
}

bool rejoin_take(struct sockets *sockets)
{
    char *value = getenv(VARIABLE);
    sigset_t none;
    *sockets = (struct sockets){.n = 0};
    if (!value)
        return false;
    value = xstrdup(value);
    (void)unsetenv(VARIABLE);
    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL); /* it was a thread's, which hears none */
    (void)prctl(PR_SET_NAME, NAME, 0, 0, 0);
    char *numbers;
    pid_t pid = (pid_t)strtol(value, &numbers, 10);
    take_sockets(sockets, numbers + strspn(numbers, " "));
    if (pid > 0)
        wait_for_end(pid);
    log_info("begins_again", LOG_INT("sockets", sockets->n + (sockets->kept_fd > 0)));
    free(value);
    return true;
}

void rejoin_drop_other(struct sockets *s, const char *listen)
{
    if (s->kept_fd && strcmp(s->kept_address, listen) != 0)
        fd_close(&s->kept_fd);
    if (s->kept_fd < 0)
        s->kept_fd = 0;
    free(s->kept_address);
    s->kept_address = NULL;
}

/* ---- the life that ends ---------------------------------------------------------------------- */

void rejoin_keep_fork_server(pid_t pid)
{
    mutex_lock(&next.mu);
    next.fork_server = pid;
    mutex_unlock(&next.mu);
}

void rejoin_keep_limit(int64_t files)
{
    mutex_lock(&next.mu);
    next.files = files;
    mutex_unlock(&next.mu);
}

void rejoin_keep_sockets(const struct api *a, const char *listen)
{
    int fd;
    mutex_lock(&next.mu);
    next.listen = listen;
    for (next.n = 0; next.n < API_LISTENERS_MAX && (fd = api_listening_fd(a, next.n)) >= 0;)
        next.fds[next.n++] = fd;
    mutex_unlock(&next.mu);
}

void rejoin_forget(void)
{
    mutex_lock(&next.mu);
    next.may_not = true;
    mutex_unlock(&next.mu);
}

extern char **environ;

/* The environment with the variable behind it. Nobody frees it. */
static char **make_environment(void)
{
    struct buf value = BUF_INIT;
    size_t n = 0;
    while (environ[n])
        n++;
    char **all = xcalloc(n + 2, sizeof(*all));
    memcpy(all, environ, n * sizeof(*all));
    buf_printf(&value, VARIABLE "=%d ", (int)next.fork_server);
    for (size_t i = 0; i < next.n; i++)
        buf_printf(&value, "%d,", next.fds[i]);
    buf_printf(&value, " %s", next.listen ? next.listen : "");
    all[n] = value.data;
    return all;
}

/* Also when a newer program stands at its place: what runs is what begins again. */
static void find_program(char out[4096])
{
    ssize_t n = readlink("/proc/self/exe", out, 4095);
    out[n > 0 ? n : 0] = '\0';
    if (n <= 0 || access(out, X_OK) != 0) /* "… (deleted)" */
        (void)snprintf(out, 4096, "/proc/self/exe");
}

_Noreturn void rejoin_now(void)
{
    char program[4096];
    char *const argv[] = {program_invocation_name, NULL};
    mutex_lock(&next.mu); /* never unlocked: whoever comes second waits for the end */
    bool may = !next.may_not && next.fork_server > 0;
    if (may) {
        char **env = make_environment();
        (void)log_flush(LOG_MS);
        find_program(program);
        if (next.files > 0)
            (void)fd_limit_set(next.files);
        (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        for (size_t i = 0; i < next.n; i++)
            (void)fcntl(next.fds[i], F_SETFD, 0);
        if (!signals_were_asked())
            (void)execve(program, argv, env);
        log_error("cannot_begin_again", LOG_STR("reason", strerror(errno)));
    }
    (void)log_flush(LOG_MS);
    _exit(EXIT_FAILURE);
}
