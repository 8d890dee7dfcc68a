/* bench_spawn: how fast programs can be started, run and reaped by this machine at all: so many
 * copies of one program at a time, each with its output at /dev/null; with --input, each reads a
 * file of so many bytes and its output is read to the end. The limit that exec handlers are held
 * against. Prints one line of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"

enum { MOST_AT_ONCE = 64 };

struct spawning {
    const char *program;
    char input[32]; /* the path of the input, or "" */
};

static void check(int error, const char *what)
{
    if (error)
        fail("bench_spawn: %s: %s", what, strerror(error));
}

/* *out: where its output can be read, or -1. */
static void start(const struct spawning *s, pid_t *pid, int *out)
{
    char *const argv[] = {(char *)(size_t)s->program, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2] = {-1, -1};
    check(posix_spawn_file_actions_init(&actions), "file actions");
    if (*s->input) {
        check(pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno, "pipe");
        check(posix_spawn_file_actions_addopen(&actions, 0, s->input, O_RDONLY, 0), "input");
        check(posix_spawn_file_actions_adddup2(&actions, ends[1], 1), "output");
    } else {
        check(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0), "output");
    }
    check(posix_spawnp(pid, s->program, &actions, NULL, argv, environ), s->program);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (ends[1] >= 0)
        (void)close(ends[1]);
    *out = ends[0];
}

/* Waits until one is done; its place. */
static unsigned reap(const pid_t *pids, struct pollfd *outs, unsigned n, bool reads)
{
    char buf[65536];
    while (reads) {
        if (poll(outs, n, -1) < 0)
            fail("bench_spawn: poll");
        for (unsigned i = 0; i < n; i++)
            if (outs[i].revents && read(outs[i].fd, buf, sizeof(buf)) == 0) {
                (void)close(outs[i].fd);
                (void)waitpid(pids[i], NULL, 0);
                return i;
            }
    }
    pid_t pid = waitpid(-1, NULL, 0);
    for (unsigned i = 0; i < n; i++)
        if (pids[i] == pid)
            return i;
    fail("bench_spawn: waitpid");
}

static void make_input(struct spawning *s, size_t bytes)
{
    char *text = xmalloc(bytes);
    int fd = memfd_create("input", 0);
    memset(text, 'x', bytes);
    if (fd < 0 || write(fd, text, bytes) != (ssize_t)bytes)
        fail("bench_spawn: no input");
    (void)snprintf(s->input, sizeof(s->input), "/proc/%d/fd/%d", (int)getpid(), fd);
    free(text);
}

int main(int argc, char **argv)
{
    struct spawning s = {.program = "true"};
    double at_once = 2, seconds = 2, input = 0;
    const struct option_row rows[] = {
        {"program", &s.program, NULL, "what is started"},
        {"at-once", NULL, &at_once, "how many run at a time, 64 at most"},
        {"seconds", NULL, &seconds, "how long"},
        {"input", NULL, &input, "bytes that each reads; what it writes is read, too"},
    };
    pid_t pids[MOST_AT_ONCE];
    struct pollfd outs[MOST_AT_ONCE];
    unsigned n, done = 0;
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (at_once < 1 || at_once > MOST_AT_ONCE)
        fail("bench_spawn: --at-once is off");
    if (input > 0)
        make_input(&s, (size_t)input);
    int64_t began_mono_us = clock_mono_us(), now_mono_us;
    for (n = 0; n < (unsigned)at_once; n++) {
        outs[n].events = POLLIN;
        start(&s, &pids[n], &outs[n].fd);
    }
    do {
        unsigned at = reap(pids, outs, n, *s.input);
        start(&s, &pids[at], &outs[at].fd);
        done++;
        now_mono_us = clock_mono_us();
    } while ((double)(now_mono_us - began_mono_us) < seconds * 1e6);
    for (; n; n--) {
        unsigned at = reap(pids, outs, n, *s.input);
        pids[at] = pids[n - 1];
        outs[at] = outs[n - 1];
    }
    (void)printf("{\"done\":%u,\"rate\":%.1f}\n", done,
                 (double)done * 1e6 / (double)(now_mono_us - began_mono_us));
    return 0;
}
