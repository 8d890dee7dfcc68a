#include "tests/unit/workers/exec/script.h"

struct fork_server *script_fs;

struct loop *script_loop;

struct children *script_children;

bool script_broken; /* the fork server has died */

struct exec_attempt script_attempt;

struct task script_task;

struct exec_command script_command; /* a test may set fields before exec_start */

const char *script_traceparent; /* likewise */

enum run_class script_class;

struct task_outcome *script_outcome; /* NULL until it is over */

double script_fraction = -1; /* the latest progress, */

char script_message[RUN_MESSAGE_MAX + 1];

struct buf script_log;

static void script_on_broken(void *ctx)
{
    (void)ctx;
    script_broken = true;
}

void script_setup(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(fork_server_start(&script_fs, NULL), 0);
    script_loop = loop_new();
    script_children = children_new(script_loop, script_fs, script_on_broken, NULL);
}

void script_teardown(void)
{
    task_outcome_unref(script_outcome);
    buf_release(&script_log);
    task_release(&script_task);
    children_free(&script_children);
    loop_free(&script_loop);
    fork_server_stop(&script_fs);
}

static void script_on_done(struct exec_attempt *x, enum run_class c, struct task_outcome *o)
{
    ck_assert_ptr_eq(x, &script_attempt);
    ck_assert_ptr_null(script_outcome);
    script_class = c;
    script_outcome = o;
}

int script_start_error; /* the program could not be started: errno, and */

char script_start_words[256];

static void on_not_started(struct exec_attempt *x, int error, const char *why)
{
    ck_assert_ptr_eq(x, &script_attempt);
    ck_assert_ptr_null(script_outcome);
    script_start_error = error;
    (void)snprintf(script_start_words, sizeof(script_start_words), "%s", why);
}

static void on_progress(struct sink *to, double f, const char *m)
{
    (void)to;
    script_fraction = f;
    (void)snprintf(script_message, sizeof(script_message), "%s", m ? m : "(none)");
}

static void on_log(struct sink *to, const char *bytes, size_t n)
{
    (void)to;
    buf_put(&script_log, bytes, n);
}

void script_start(const char *script, const void *input, size_t n, size_t max_result,
                  int64_t kill_grace_ms)
{
    static struct sink sink = {on_progress, on_log};
    static char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
    static char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", NULL, NULL};
    struct task_spec spec = {.id = id_new(),
                             .timeout_ms = 1000,
                             .handler = "h",
                             .traceparent = script_traceparent,
                             .input_type = CONTENT_BYTES,
                             .input = input,
                             .input_len = n};
    argv[2] = (char *)(uintptr_t)script;
    if (!script_command.path)
        script_command.path = (char *)(uintptr_t) "/bin/sh";
    script_command.is_local = true;
    script_command.argv = argv;
    script_command.env = env;
    if (!script_command.content_type)
        script_command.content_type = (char *)(uintptr_t)CONTENT_TEXT;
    script_task = (struct task){.spec = task_spec_new(&spec), .state = TASK_RUNNING, .attempt = 2};
    exec_attempt_start(&script_attempt, &(struct exec_start){.loop = script_loop,
                                                             .children = script_children,
                                                             .command = &script_command,
                                                             .task = &script_task,
                                                             .max_result_bytes = max_result,
                                                             .kill_grace_ms = kill_grace_ms,
                                                             .sink = &sink,
                                                             .line = 1,
                                                             .done = script_on_done,
                                                             .not_started = on_not_started});
}

void script_finish(void)
{
    while (!script_outcome)
        loop_turn(script_loop, -1);
}
