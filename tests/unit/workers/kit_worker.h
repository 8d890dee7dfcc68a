/* kit_worker: a worker program for tests: the test's own executable, started again with the
 * argument "worker". Each task's input says what to do. Further arguments: keys of its greeting
 * ("cancel=1"), "die" (say why and exit before it), "once=FILE" (die the same while FILE is
 * missing), "mute" (never greet), "deaf" (ignores TERM). */
#ifndef FUT_TESTS_UNIT_WORKERS_KIT_WORKER_H
#define FUT_TESTS_UNIT_WORKERS_KIT_WORKER_H

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "workers/wire/wire_stream.h"

static struct wire_stream kit;
static uint64_t kit_held[64]; /* ids of tasks that are not over */
static size_t kit_n_held;

static void kit_put(const struct wire_head *h, const void *payload)
{
    if (wire_stream_put(&kit, h, payload) != 0 || wire_stream_flush(&kit, 0) != 0)
        _exit(9);
}

static void kit_done(uint64_t id, const void *bytes, size_t n)
{
    struct wire_head h = WIRE_HEAD(WIRE_DONE);
    h.id = id;
    h.bytes = n;
    h.type = "text/plain";
    kit_put(&h, bytes);
}

static void kit_fail(uint64_t id, const char *kind, int retry, const char *text)
{
    struct wire_head h = WIRE_HEAD(WIRE_FAIL);
    h.id = id;
    h.bytes = strlen(text);
    h.kind = kind;
    h.retry = retry;
    kit_put(&h, text);
}

static void kit_release_held(void)
{
    while (kit_n_held)
        kit_done(kit_held[--kit_n_held], "held", 4);
}

static pid_t kit_helper; /* a child that burns CPU time; 0: none */

static void kit_cancel(uint64_t id)
{
    for (size_t i = 0; i < kit_n_held; i++) {
        if (kit_held[i] != id)
            continue;
        kit_held[i] = kit_held[--kit_n_held];
        if (kit_helper)
            (void)kill(kit_helper, SIGKILL);
        kit_fail(id, "Cancelled", -1, "as you like");
        return;
    }
}

static void kit_hold(uint64_t id, int arg)
{
    (void)arg;
    kit_held[kit_n_held++] = id;
}

static void kit_release(uint64_t id, int arg)
{
    (void)arg;
    kit_release_held();
    kit_done(id, "", 0);
}

static void kit_error(uint64_t id, int arg)
{
    (void)arg;
    kit_fail(id, "ValueError", 0, "first line\nsecond line\n");
}

static void kit_again(uint64_t id, int arg)
{
    (void)arg;
    kit_fail(id, NULL, 1, "not now");
}

static void kit_report(uint64_t id, int arg)
{
    (void)arg;
    struct wire_head h = WIRE_HEAD(WIRE_PROGRESS);
    h.id = id;
    h.fraction = 0.5;
    h.bytes = 10;
    kit_put(&h, "half\nrest ");
    h = (struct wire_head)WIRE_HEAD(WIRE_LOG);
    h.id = id;
    h.bytes = 5;
    kit_put(&h, "said\n");
    kit_done(id, "", 0);
}

static void kit_print(uint64_t id, int arg)
{
    (void)arg;
    (void)fputs("RUN 1 0 stray\n", stdout);
    (void)fflush(stdout);
    (void)fputs("to stderr\n", stderr);
    kit_done(id, "printed", 7);
}

/* n milliseconds, without using the CPU. */
static void kit_pause(uint64_t id, int ms)
{
    (void)poll(NULL, 0, ms);
    kit_done(id, "", 0);
}

/* One answer too many. */
static void kit_twice(uint64_t id, int arg)
{
    (void)arg;
    kit_done(id, "first", 5);
    kit_done(id, "second", 6);
}

static void kit_pid(uint64_t id, int arg)
{
    (void)arg;
    char text[32];
    int n = snprintf(text, sizeof(text), "%d", (int)getpid());
    kit_done(id, text, (size_t)n);
}

/* n MiB that stay. */
static void kit_grow(uint64_t id, int n)
{
    size_t bytes = (size_t)n << 20;
    char *p = xmalloc(bytes);
    memset(p, 1, bytes);
    kit_done(id, p, 1);
}

static void kit_big(uint64_t id, int n)
{
    char *p = xcalloc(1, (size_t)n);
    kit_done(id, p, (size_t)n);
    free(p);
}

/* n bytes of log, in messages; those that are held are released after that. */
static void kit_logs(uint64_t id, int n)
{
    static const char line[1000];
    struct wire_head h = WIRE_HEAD(WIRE_LOG);
    h.id = id;
    for (; n > 0; n -= (int)sizeof(line)) {
        h.bytes = sizeof(line);
        kit_put(&h, line);
    }
    kit_release_held();
    kit_done(id, "", 0);
}

/* n KiB on standard output. */
static void kit_yes(uint64_t id, int n)
{
    static const char line[1024];
    for (; n > 0; n--)
        (void)fwrite(line, 1, sizeof(line), stdout);
    (void)fflush(stdout);
    kit_done(id, "", 0);
}

static int64_t kit_cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void kit_burn(int ms)
{
    int64_t until_ms = kit_cpu_ms() + ms;
    while (kit_cpu_ms() < until_ms)
        ;
}

static void kit_spin(uint64_t id, int ms)
{
    kit_burn(ms);
    kit_done(id, "", 0);
}

/* A child of the worker spins, the worker itself does not. */
static void kit_help(uint64_t id, int ms)
{
    kit_helper = fork();
    if (kit_helper == 0) {
        kit_burn(ms);
        _exit(0);
    }
    kit_held[kit_n_held++] = id;
}

/* Whatever a sanitizer would make of that signal. */
static void kit_die(int sig)
{
    (void)fputs("last words\n", stderr);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static void kit_kill(uint64_t id, int sig)
{
    (void)id;
    kit_die(sig);
}

static void kit_exit(uint64_t id, int status)
{
    (void)id;
    _exit(status);
}

static void kit_garbage(uint64_t id, int arg)
{
    (void)id;
    (void)arg;
    (void)!write(3, "what is this\n", 13);
}

/* The first word of an input, and what follows from it; any other input is the result. */
static const struct {
    const char *word;
    void (*run)(uint64_t id, int arg);
} kit_words[] = {
    {"hold", kit_hold},     {"release", kit_release}, {"fail", kit_error}, {"again", kit_again},
    {"report", kit_report}, {"print", kit_print},     {"pid", kit_pid},    {"grow", kit_grow},
    {"big", kit_big},       {"kill", kit_kill},       {"exit", kit_exit},  {"garbage", kit_garbage},
    {"logs", kit_logs},     {"yes", kit_yes},         {"spin", kit_spin},  {"help", kit_help},
    {"twice", kit_twice},   {"pause", kit_pause},
};

static void kit_run(const struct wire_message *m)
{
    char text[256] = "";
    size_t n = m->head.bytes < 255 ? (size_t)m->head.bytes : 255;
    memcpy(text, m->payload, n);
    char *space = strchr(text, ' ');
    int arg = space ? (int)strtol(space, NULL, 10) : 0;
    if (space)
        *space = '\0';
    for (size_t i = 0; i < FUT_COUNT(kit_words); i++) {
        if (strcmp(text, kit_words[i].word) == 0) {
            kit_words[i].run(m->head.id, arg);
            return;
        }
    }
    kit_done(m->head.id, m->payload, (size_t)m->head.bytes);
}

static void kit_greet(int argc, char **argv)
{
    struct wire_head h = WIRE_HEAD(WIRE_HELLO);
    h.id = WIRE_VERSION;
    for (int i = 2; i < argc; i++) {
        bool missing = strncmp(argv[i], "once=", 5) == 0 && access(argv[i] + 5, F_OK) != 0;
        if (missing || strcmp(argv[i], "die") == 0)
            (void)fputs("no model here\n", stderr), _exit(3);
        if (strncmp(argv[i], "concurrency=", 12) == 0)
            h.concurrency = (uint64_t)strtoul(argv[i] + 12, NULL, 10);
        h.cancel = h.cancel || strcmp(argv[i], "cancel=1") == 0;
        h.memfd = h.memfd || strcmp(argv[i], "memfd=1") == 0;
        if (strcmp(argv[i], "deaf") == 0)
            (void)signal(SIGTERM, SIG_IGN);
        if (strcmp(argv[i], "mute") == 0)
            return;
    }
    kit.peer_takes_fds = h.memfd;
    kit_put(&h, NULL);
}

/* For main: does not return when this is the worker. */
static inline void kit_worker_main(int argc, char **argv)
{
    struct wire_message m;
    int rc;
    if (argc < 2 || strcmp(argv[1], "worker") != 0)
        return;
    wire_stream_init(&kit, 3, WIRE_PAYLOAD_MAX);
    kit_greet(argc, argv);
    for (;;) {
        while ((rc = wire_stream_next(&kit, &m)) == FUT_ERR_AGAIN) {
            if (wire_stream_read(&kit, 0) != 0)
                exit(0); /* the daemon has closed the channel */
        }
        if (rc != 0)
            exit(8);
        if (m.head.verb == WIRE_RUN)
            kit_run(&m);
        else if (m.head.verb == WIRE_CANCEL)
            kit_cancel(m.head.id);
    }
}

#endif
