#include "tests/support/wait.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/support/fail.h"

bool wait_until(bool (*is_true)(void *ctx), void *ctx, int timeout_ms)
{
    int64_t deadline_mono_ms = clock_mono_ms() + timeout_ms;
    while (!is_true(ctx)) {
        if (clock_mono_ms() >= deadline_mono_ms)
            return false;
        wait_ms(5);
    }
    return true;
}

void wait_again(int64_t *deadline_mono_ms, const char *what, const char *file, int line)
{
    int64_t now_mono_ms = clock_mono_ms();
    if (!*deadline_mono_ms)
        *deadline_mono_ms = now_mono_ms + WAIT_LONG_MS;
    else if (now_mono_ms >= *deadline_mono_ms)
        fail("%s:%d: never: %s", file, line, what);
    (void)poll(NULL, 0, 1);
}

bool wait_process_end(pid_t pid, int timeout_ms)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 && errno == ESRCH)
        return true;
    if (pidfd < 0)
        fail("pidfd_open of %d failed (errno %d)", (int)pid, errno);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int64_t deadline_mono_ms = clock_mono_ms() + timeout_ms;
    int rc;
    do {
        int64_t remaining_ms = deadline_mono_ms - clock_mono_ms();
        rc = poll(&p, 1, remaining_ms > 0 ? (int)remaining_ms : 0);
    } while (rc < 0 && errno == EINTR);
    (void)close(pidfd);
    return rc == 1;
}

void wait_ms(int ms)
{
    int64_t deadline_mono_ms = clock_mono_ms() + ms;
    int64_t remaining_ms = ms;
    while (remaining_ms > 0) {
        (void)poll(NULL, 0, (int)remaining_ms);
        remaining_ms = deadline_mono_ms - clock_mono_ms();
    }
}

static void term_set(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
}

void wait_term_prepare(void)
{
    sigset_t set;
    term_set(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void wait_term(void)
{
    sigset_t set;
    int sig;
    term_set(&set);
    (void)sigwait(&set, &sig);
}
