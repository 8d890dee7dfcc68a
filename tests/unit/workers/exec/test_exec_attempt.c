/* One run of a program on a loop: every way in which it can end. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "core/proc.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/exec/script.h"

static void start(const char *script, const void *input, size_t n, size_t max_result)
{
    script_start(script, input, n, max_result, 200);
}

static void run_script(const char *script, const char *input)
{
    start(script, input, strlen(input), 1 << 20);
    script_finish();
}

START_TEST(test_exec_success_is_stdout)
{
    run_script("tr a-z A-Z; echo note >&2", "hello");
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    ck_assert_str_eq(script_outcome->type, CONTENT_TEXT);
    ck_assert_uint_eq(script_outcome->body_len, 5);
    ck_assert_mem_eq(script_outcome->body, "HELLO", 5);
    ck_assert_str_eq(script_outcome->log, "note\n");
    ck_assert_ptr_null(script_outcome->code);
}
END_TEST

static const struct {
    const char *script;
    enum run_class class;
    const char *code;
    int exit_code, signal;
} ends[] = {
    {"exit 0", RUN_SUCCESS, NULL, -1, 0},
    {"exit 1", RUN_FAILED, "exit", 1, 0},
    {"exit 75", RUN_TEMPORARY, "exit", 75, 0},
    {"exit 127", RUN_FAILED, "exit", 127, 0},
    {"kill -SEGV $$", RUN_FAILED, "signal", -1, SIGSEGV},
    {"kill -KILL $$", RUN_FAILED, "signal", -1, SIGKILL},
};

START_TEST(test_exec_ends)
{
    run_script(ends[_i].script, "");
    ck_assert_int_eq(script_class, ends[_i].class);
    ck_assert_pstr_eq(script_outcome->code, ends[_i].code);
    ck_assert_int_eq(script_outcome->exit_code, ends[_i].exit_code);
    ck_assert_int_eq(script_outcome->signal, ends[_i].signal);
}
END_TEST

START_TEST(test_exec_a_megabyte_through)
{
    size_t n = 1 << 20;
    unsigned char *input = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        input[i] = (unsigned char)(i * 31 >> 3);
    start("cat", input, n, 1 << 20);
    script_finish();
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    ck_assert_uint_eq(script_outcome->body_len, n);
    ck_assert_int_eq(memcmp(script_outcome->body, input, n), 0);
    free(input);
}
END_TEST

START_TEST(test_exec_input_not_wanted)
{
    size_t n = 1 << 20;
    char *input = xcalloc(1, n);
    start("echo done", input, n, 100);
    script_finish();
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    ck_assert_str_eq((const char *)script_outcome->body, "done\n");
    free(input);
}
END_TEST

START_TEST(test_exec_environment)
{
    char id[ID_TEXT_SIZE], expected[256];
    run_script("echo $FUTURED_TASK_ID $FUTURED_ATTEMPT $FUTURED_HANDLER", "");
    id_format(script_task.spec->id, id);
    (void)snprintf(expected, sizeof(expected), "%s 2 h\n", id);
    ck_assert_str_eq((const char *)script_outcome->body, expected);
}
END_TEST

START_TEST(test_exec_keeps_the_last_of_stderr)
{
    run_script("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3", "");
    ck_assert_uint_eq(script_outcome->log_len, TASK_LOG_MAX);
    ck_assert_str_eq(script_outcome->log + TASK_LOG_MAX - 10, "line 2999\n");
    ck_assert_int_eq(script_outcome->exit_code, 3);
}
END_TEST

START_TEST(test_exec_reports_while_it_runs)
{
    run_script(
        "echo 'progress 0.25 a quarter' >&$FUTURED_PROGRESS_FD; echo first >&2; echo junk >&3;"
        "echo 'progress 0.75' >&3; echo second >&2; printf 'progress 1 all' >&3",
        "");
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    ck_assert(script_fraction == 1.0);
    ck_assert_str_eq(script_message, "all");
    ck_assert_str_eq(script_log.data, "first\nsecond\n");
    ck_assert_uint_eq(script_attempt.lines.bad, 1);
}
END_TEST

START_TEST(test_exec_progress_is_live)
{
    start("echo 'progress 0.5 half' >&3; cat >/dev/null; exec sleep 1000", "", 0, 100);
    while (script_fraction < 0)
        loop_turn(script_loop, -1);
    ck_assert_str_eq(script_message, "half");
    ck_assert_ptr_null(script_outcome);
    exec_attempt_kill(&script_attempt, SIGKILL);
    script_finish();
}
END_TEST

START_TEST(test_exec_traceparent)
{
    script_traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    run_script("printf %s \"$TRACEPARENT\"", "");
    ck_assert_str_eq((const char *)script_outcome->body, script_traceparent);
}
END_TEST

START_TEST(test_exec_too_much_output)
{
    start("yes", NULL, 0, 100000);
    script_finish();
    ck_assert_int_eq(script_class, RUN_FAILED);
    ck_assert_str_eq(script_outcome->code, "result_too_large");
    ck_assert_ptr_nonnull(strstr(script_outcome->message, "100000"));
}
END_TEST

START_TEST(test_exec_output_of_exactly_the_limit)
{
    start("printf 12345", NULL, 0, 5);
    script_finish();
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    ck_assert_uint_eq(script_outcome->body_len, 5);
}
END_TEST

START_TEST(test_exec_promised_json)
{
    script_command.content_type = (char *)(uintptr_t)CONTENT_JSON;
    run_script("echo '{\"a\": 1}'", "");
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    task_outcome_unref(script_outcome);
    script_outcome = NULL;
    task_release(&script_task);
    run_script("echo '{\"a\": '; echo why >&2", "");
    ck_assert_int_eq(script_class, RUN_FAILED);
    ck_assert_str_eq(script_outcome->code, "result_not_json");
    ck_assert_str_eq(script_outcome->log, "why\n");
}
END_TEST

/* A daemon it made holds both pipes open, outside its group: it must not hang the attempt. */
START_TEST(test_exec_stranger_holds_the_pipes)
{
    run_script("setsid sleep 1000 & echo out; echo log >&2; sleep 0.05", "");
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    ck_assert_str_eq((const char *)script_outcome->body, "out\n");
    ck_assert_str_eq(script_outcome->log, "log\n");
}
END_TEST

START_TEST(test_exec_kill)
{
    start("echo begun >&2; sleep 1000", NULL, 0, 100);
    while (!script_attempt.log.len)
        loop_turn(script_loop, -1);
    exec_attempt_kill(&script_attempt, SIGTERM);
    script_finish();
    ck_assert_str_eq(script_outcome->code, "signal");
    ck_assert_int_eq(script_outcome->signal, SIGTERM);
    ck_assert_str_eq(script_outcome->log, "begun\n");
    ck_assert_ptr_nonnull(strstr(script_outcome->message, "SIGTERM"));
}
END_TEST

START_TEST(test_exec_program_is_gone)
{
    script_command.path = (char *)(uintptr_t) "/no/such/program";
    start("", "input", 5, 100);
    while (!script_start_error)
        loop_turn(script_loop, -1);
    ck_assert_int_eq(script_start_error, ENOENT);
    ck_assert_ptr_nonnull(strstr(script_start_words, "/no/such/program"));
    ck_assert_ptr_null(script_outcome);
}
END_TEST

START_TEST(test_exec_fork_server_has_ended)
{
    ck_assert_int_eq(kill(fork_server_pid(script_fs), SIGKILL), 0);
    while (!script_broken)
        loop_turn(script_loop, -1);
    ck_assert(children_are_broken(script_children));
    start("true", "", 0, 100);
    ck_assert_int_eq(script_start_error, EPIPE);
    ck_assert_ptr_null(script_outcome);
}
END_TEST

static bool is_kept(void)
{
    return script_attempt.out.is_kept;
}

/* That a program closes its outputs, as its end does, wakes nobody: the fork server says when it
 * has ended. And nothing that was opened for it stays open. */
START_TEST(test_exec_end_is_one_event)
{
    char dir[] = "/tmp/futured-test-exec-XXXXXX", fifo[64], script[128];
    uint32_t open_before = proc_count(getpid(), "fd");
    int turns = 0;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(fifo, sizeof(fifo), "%s/gate", dir);
    (void)snprintf(script, sizeof(script), "read _ <%s; exec >&- 2>&- 3>&-; exit 4", fifo);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int gate = open(fifo, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(gate, 0);
    for (start(script, "", 0, 100); is_kept();)
        loop_turn(script_loop, -1);
    ck_assert_int_eq(write(gate, "\n", 1), 1);
    for (; !script_outcome; turns++)
        loop_turn(script_loop, -1);
    ck_assert_int_eq(script_outcome->exit_code, 4);
    ck_assert_int_eq(turns, 1);
    fd_close(&gate);
    ck_assert_uint_eq(proc_count(getpid(), "fd"), open_before);
    (void)unlink(fifo);
    (void)rmdir(dir);
}
END_TEST

/* For a few milliseconds nobody looks at what a program writes, and wakes up for it; then it is
 * live. */
START_TEST(test_exec_output_waits_for_the_end)
{
    bool kept = true;
    start("echo out; echo err >&2; echo 'progress 0.5 half' >&3; exit 3", "", 0, 100);
    ck_assert(is_kept());
    while (!script_outcome) {
        kept = is_kept();
        loop_turn(script_loop, -1);
        ck_assert(!kept || !is_kept() || script_outcome);
    }
    ck_assert_int_eq(script_outcome->exit_code, 3);
    ck_assert_str_eq(script_outcome->log, "err\n");
    ck_assert_str_eq(script_message, "half");
}
END_TEST

/* One that writes more than a pipe holds would wait for us each time; the next one may not. */
START_TEST(test_exec_watches_at_once_what_has_written_much)
{
    bool writes_much = false;
    script_command.writes_much = &writes_much;
    for (int i = 0; i < 3; i++) {
        start(i == 0 ? "head -c 40000 /dev/zero" : "true", "", 0, 1 << 20);
        ck_assert(is_kept() == (i != 1));
        script_finish();
        ck_assert(writes_much == (i == 0));
        task_outcome_unref(script_outcome);
        script_outcome = NULL;
        task_release(&script_task);
    }
    script_command.writes_much = NULL;
}
END_TEST

static struct exec_attempt second;
static int second_begun;
static struct task_outcome *second_outcome;

static void on_second_begun(struct exec_attempt *x, int64_t at_mono_us)
{
    ck_assert_ptr_eq(x, &second);
    ck_assert_ptr_nonnull(script_outcome); /* the first has ended */
    ck_assert_int_eq(at_mono_us, script_attempt.ended_mono_us);
    second_begun++;
}

static void on_second_done(struct exec_attempt *x, enum run_class class, struct task_outcome *o)
{
    ck_assert_ptr_eq(x, &second);
    ck_assert_int_eq(class, RUN_SUCCESS);
    second_outcome = o;
}

static struct exec_start start_first_of_two(void)
{
    start("exec sleep 1000", "", 0, 100);
    script_command.argv[2] = (char *)(uintptr_t) "cat; echo second >&2";
    struct exec_start how = script_attempt.start;
    how.done = on_second_done;
    how.begun = on_second_begun;
    return how;
}

static void finish_second(void)
{
    while (!second_outcome)
        loop_turn(script_loop, -1);
    ck_assert_str_eq(second_outcome->log, "second\n");
    task_outcome_unref(second_outcome);
}

START_TEST(test_exec_begins_in_its_turn)
{
    struct exec_start how = start_first_of_two();
    ck_assert(exec_attempt_line_up(&second, &how));
    exec_attempt_kill(&script_attempt, SIGKILL);
    finish_second();
    ck_assert_int_eq(second_begun, 1);
    ck_assert_int_eq(script_outcome->signal, SIGKILL);
    ck_assert(!exec_attempt_take_back(&second));
}
END_TEST

START_TEST(test_exec_is_taken_back)
{
    struct exec_start how = start_first_of_two();
    uint32_t open_before = proc_count(getpid(), "fd");
    ck_assert(exec_attempt_line_up(&second, &how));
    ck_assert(exec_attempt_take_back(&second));
    ck_assert_uint_eq(proc_count(getpid(), "fd"), open_before);
    exec_attempt_start(&second, &how); /* and begins elsewhere */
    finish_second();
    ck_assert_int_eq(second_begun, 0);
    exec_attempt_kill(&script_attempt, SIGKILL);
    script_finish();
}
END_TEST

START_TEST(test_exec_abandoned)
{
    start("sleep 1000", "x", 1, 100);
    exec_attempt_kill(&script_attempt, SIGKILL);
    exec_attempt_abandon(&script_attempt);
    ck_assert_ptr_null(script_outcome);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_exec_success_is_stdout, 0},
        {test_exec_ends, FUT_COUNT(ends)},
        {test_exec_a_megabyte_through, 0},
        {test_exec_input_not_wanted, 0},
        {test_exec_environment, 0},
        {test_exec_keeps_the_last_of_stderr, 0},
        {test_exec_reports_while_it_runs, 0},
        {test_exec_progress_is_live, 0},
        {test_exec_traceparent, 0},
        {test_exec_too_much_output, 0},
        {test_exec_output_of_exactly_the_limit, 0},
        {test_exec_promised_json, 0},
        {test_exec_stranger_holds_the_pipes, 0},
        {test_exec_kill, 0},
        {test_exec_program_is_gone, 0},
        {test_exec_fork_server_has_ended, 0},
        {test_exec_output_waits_for_the_end, 0},
        {test_exec_watches_at_once_what_has_written_much, 0},
        {test_exec_end_is_one_event, 0},
        {test_exec_begins_in_its_turn, 0},
        {test_exec_is_taken_back, 0},
        {test_exec_abandoned, 0},
    };
    return suite_run_rows("exec_attempt", 30, script_setup, script_teardown, rows, FUT_COUNT(rows));
}
