#include "daemon/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

#define BEGIN_MS 20000 /* for the main thread to come to the drain */

static int pipe_in = -1;
static atomic_int asked; /* signals that end the daemon */
static _Atomic(const char *) late = "the main thread does not move";

static void say(const char *text)
{
    fut_complain(text, strlen(text));
}

static void set_alarm(int64_t ms)
{
    (void)alarm(ms ? (unsigned)(ms / 1000 + 1) : 0);
}

static void on_signal(int sig)
{
    int saved = errno;
    char byte = (char)sig;
    if (sig != SIGHUP && atomic_fetch_add(&asked, 1) > 0)
        _exit(EXIT_FAILURE);
    if (sig != SIGHUP)
        set_alarm(BEGIN_MS);
    if (write(pipe_in, &byte, 1) < 0)
        errno = EAGAIN; /* it is full of signals: one is as good as many */
    errno = saved;
}

static void on_alarm(int sig)
{
    (void)sig;
    say("futured: this took too long: ");
    say(atomic_load(&late));
    say("\n");
    _exit(EXIT_FAILURE);
}

int signals_open(int *out_fd, struct fut_errbuf *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction overrun = {.sa_handler = on_alarm};
    sigset_t set;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return fut_fail(err, FUT_ERR_IO, "cannot make a pipe: %s", strerror(errno));
    pipe_in = ends[1];
    (void)sigfillset(&act.sa_mask);
    (void)sigemptyset(&set);
    for (size_t i = 0; i < FUT_COUNT(signals); i++) {
        (void)sigaction(signals[i], &act, NULL);
        (void)sigaddset(&set, signals[i]);
    }
    (void)sigaction(SIGALRM, &overrun, NULL);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file over its limit is an error of its write */
    *out_fd = ends[0];
    return 0;
}

int signals_next(int fd)
{
    char byte;
    return read(fd, &byte, 1) == 1 ? byte : 0;
}

bool signals_were_asked(void)
{
    return atomic_load(&asked) > 0;
}

void signals_deadline(int64_t ms, const char *what)
{
    atomic_store(&late, what);
    set_alarm(ms);
}
