#include "daemon/system.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "core/sync.h"

#define FILES_MIN 64 /* a start opens some 40 */

void system_open_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    fd_close(&fd);
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

/* Opens as many as a start needs, and closes them: the limit of the whole system counts too. */
int system_check_files(struct fut_errbuf *err)
{
    struct rlimit lim = {0};
    int fds[FILES_MIN], n = 0, why = 0;
    (void)getrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_max < FILES_MIN)
        return fut_fail(err, FUT_ERR_INVAL,
                        "the limit of open descriptors (ulimit -n) is %" PRIu64
                        ": futured needs %d, and one more for each connection",
                        (uint64_t)lim.rlim_max, FILES_MIN);
    (void)fd_limit_raise();
    while (n < FILES_MIN / 2 && (fds[n] = fd_wake_new()) >= 0)
        n++;
    if (n < FILES_MIN / 2)
        why = errno;
    for (int i = 0; i < n; i++)
        (void)close(fds[i]);
    (void)fd_limit_set((int64_t)lim.rlim_cur);
    return why ? fut_fail(err, FUT_ERR_IO, "only %d more descriptors can be had: %s", n,
                          strerror(why))
               : 0;
}

/* ---- threads ----------------------------------------------------------------------------------
 */

static struct {
    struct mutex mu;
    struct cond changed;
    bool may_end;
} probe;

static void *wait_for_the_others(void *unused)
{
    (void)unused;
    mutex_lock(&probe.mu);
    while (!probe.may_end)
        cond_wait(&probe.changed, &probe.mu);
    mutex_unlock(&probe.mu);
    return NULL;
}

int system_check_threads(unsigned n, struct fut_errbuf *err)
{
    pthread_t *threads = xcalloc(n, sizeof(*threads));
    unsigned had = 0;
    mutex_init(&probe.mu);
    cond_init(&probe.changed);
    probe.may_end = false;
    while (had < n && thread_try_start(&threads[had], "probe", wait_for_the_others, NULL) == 0)
        had++;
    mutex_lock(&probe.mu);
    probe.may_end = true;
    cond_broadcast(&probe.changed);
    mutex_unlock(&probe.mu);
    for (unsigned i = 0; i < had; i++)
        thread_join(threads[i]);
    cond_destroy(&probe.changed);
    mutex_destroy(&probe.mu);
    free(threads);
    return had == n ? 0
                    : fut_fail(err, FUT_ERR_AGAIN,
                               "only %u of %u threads can be had: raise the limit of processes "
                               "(ulimit -u, TasksMax=)",
                               had, n);
}

/* ---- process 1 --------------------------------------------------------------------------------
 */

void system_reap_strangers(pid_t ours)
{
    siginfo_t info = {0};
    if (getpid() != 1)
        return;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
           info.si_pid != ours) {
        if (waitpid(info.si_pid, NULL, WNOHANG) <= 0)
            return;
        info.si_pid = 0;
    }
}
