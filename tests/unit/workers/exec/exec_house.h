/* exec_house: one run of a shell script by exec_attempt, on a loop and a fork server of its own,
 * and what it told. Each test in a process of its own. */
#ifndef FUT_TESTS_UNIT_WORKERS_EXEC_EXEC_HOUSE_H
#define FUT_TESTS_UNIT_WORKERS_EXEC_EXEC_HOUSE_H

#include <check.h>
#include <signal.h>
#include <stdio.h>

#include "core/buf.h"
#include "workers/exec/exec_attempt.h"

static struct fork_server *fs;
static struct loop *loop;
static struct children *children;
static bool broken; /* the fork server has died */

static struct exec_attempt attempt;
static struct task task;
static struct exec_command command; /* a test may set fields before exec_start */
static const char *traceparent;     /* likewise */

static enum run_class class;
static struct task_outcome *outcome; /* NULL until it is over */
static double fraction = -1;         /* the latest progress, */
static char message[RUN_MESSAGE_MAX + 1];
static struct buf live_log;

static inline void on_broken(void *ctx)
{
    (void)ctx;
    broken = true;
}

static inline void setup(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(fork_server_start(&fs, NULL), 0);
    loop = loop_new();
    children = children_new(loop, fs, on_broken, NULL);
}

static inline void teardown(void)
{
    task_outcome_unref(outcome);
    buf_release(&live_log);
    task_release(&task);
    children_free(&children);
    loop_free(&loop);
    fork_server_stop(&fs);
}

static inline void on_done(struct exec_attempt *x, enum run_class c, struct task_outcome *o)
{
    ck_assert_ptr_eq(x, &attempt);
    ck_assert_ptr_null(outcome);
    class = c;
    outcome = o;
}

static int start_error; /* the program could not be started: errno, and */
static char start_words[256];

static inline void on_not_started(struct exec_attempt *x, int error, const char *why)
{
    ck_assert_ptr_eq(x, &attempt);
    ck_assert_ptr_null(outcome);
    start_error = error;
    (void)snprintf(start_words, sizeof(start_words), "%s", why);
}

static inline void on_progress(struct sink *to, double f, const char *m)
{
    (void)to;
    fraction = f;
    (void)snprintf(message, sizeof(message), "%s", m ? m : "(none)");
}

static inline void on_log(struct sink *to, const char *bytes, size_t n)
{
    (void)to;
    buf_put(&live_log, bytes, n);
}

/* As attempt 2 of a task with this input. */
static inline void exec_start(const char *script, const void *input, size_t n, size_t max_result,
                              int64_t kill_grace_ms)
{
    static struct sink sink = {on_progress, on_log};
    static char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
    static char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", NULL, NULL};
    struct task_spec spec = {.id = id_new(),
                             .timeout_ms = 1000,
                             .handler = "h",
                             .traceparent = traceparent,
                             .input_type = CONTENT_BYTES,
                             .input = input,
                             .input_len = n};
    argv[2] = (char *)(uintptr_t)script;
    if (!command.path)
        command.path = (char *)(uintptr_t) "/bin/sh";
    command.argv = argv;
    command.env = env;
    if (!command.content_type)
        command.content_type = (char *)(uintptr_t)CONTENT_TEXT;
    task = (struct task){.spec = task_spec_new(&spec), .state = TASK_RUNNING, .attempt = 2};
    exec_attempt_start(&attempt, &(struct exec_start){.loop = loop,
                                                      .children = children,
                                                      .command = &command,
                                                      .task = &task,
                                                      .max_result_bytes = max_result,
                                                      .kill_grace_ms = kill_grace_ms,
                                                      .sink = &sink,
                                                      .done = on_done,
                                                      .not_started = on_not_started});
}

static inline void finish(void)
{
    while (!outcome)
        loop_turn(loop, -1);
}

#endif
