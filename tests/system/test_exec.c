/* exec handlers: the operator's own programs, with everything that programs do. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* A row of the handlers file; rest: more members of it. */
#define SH(name, script, rest)                                                                     \
    "\"" name "\": {\"exec\": [\"sh\", \"-c\", \"" script "\"], \"lane\": \"cpu\"" rest "},"
#define BRIEF ", \"timeout\": 0.3"
#define NOISY "head -c 20000 /dev/zero | tr '\\\\0' x >&2; printf END >&2; echo fine"

static const char handlers[] = "{" /* a comment at each end keeps the rows apart */        /**/
    SH("exit3", "echo out; echo oops >&2; exit 3", "")                                     /**/
    SH("segv", "kill -SEGV $$", "")                                                        /**/
    SH("again", "[ $FUTURED_ATTEMPT -ge 3 ] && echo third || exit 75", ", \"retries\": 2") /**/
    SH("never", "echo busy >&2; exit 75", ", \"retries\": 1")                              /**/
    SH("slow", "sleep 300 & echo $! > DIR/grandchild; echo $$ > DIR/child; wait", BRIEF)   /**/
    SH("deaf", "trap '' TERM; echo $$ > DIR/child; while :; do sleep 0.1; done", BRIEF)    /**/
    SH("noisy", NOISY, "")                                                                 /**/
    SH("env", "env", ", \"env\": {\"COLOUR\": \"blue\"}")                                  /**/
    SH("fds", "ls /proc/self/fd", "")                                                      /**/
    SH("where", "pwd", ", \"cwd\": \"/\"")                                                 /**/
    SH("json", "cat", ", \"content_type\": \"application/json\"")                          /**/
    SH("big", "head -c 2000001 /dev/zero", "")                                             /**/
    "\"cat\": {\"exec\": [\"cat\"], \"lane\": \"io\"},"
    "\"true\": {\"exec\": [\"true\"], \"lane\": \"cpu\"}}";

static struct daemon *start(void)
{
    static const char *const settings[] = {"FUTURED_KILL_GRACE=200ms", "SECRET_TOKEN=squirrel",
                                           "FUTURED_MAX_RESULT=2000000"};
    return daemon_start_handlers(handlers, settings, FUT_COUNT(settings));
}

static json_t *run(struct daemon *d, const char *handler)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"handler\":\"%s\"}", handler);
    return api_run(daemon_url(d), body);
}

/* Runs it; its result as text, free() it. */
static char *output_of(struct daemon *d, const char *handler)
{
    json_t *f = run(d, handler);
    char *text = api_result(daemon_url(d), api_str(f, "id"));
    json_decref(f);
    return text;
}

static const struct {
    const char *task;
    const char *code, *signal, *log; /* of the error; "": it has none */
    int exit_code;                   /* -1: it has none */
    int attempts;
} failures[] = {
    {"{\"handler\":\"exit3\"}", "exit", "", "oops\n", 3, 1},
    {"{\"handler\":\"segv\"}", "signal", "SIGSEGV", "", -1, 1},
    {"{\"handler\":\"never\"}", "exit", "", "busy\n", 75, 2}, /* when no retries are left */
    {"{\"handler\":\"json\",\"input\":\"no json\"}", "result_not_json", "", "", -1, 1},
    {"{\"handler\":\"big\"}", "result_too_large", "", "", -1, 1},
};

START_TEST(test_exec_failure_is_told)
{
    struct daemon *d = start();
    json_t *f = api_run(daemon_url(d), failures[_i].task);
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.code"), failures[_i].code);
    ck_assert_str_eq(api_str(f, "error.signal"), failures[_i].signal);
    ck_assert_str_eq(api_str(f, "error.log"), failures[_i].log);
    ck_assert_int_eq(api_int(f, "error.exit_code"), failures[_i].exit_code);
    ck_assert_int_eq(api_int(f, "attempt"), failures[_i].attempts);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_exec_75_is_tried_again)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"again\"}", id);
    api_wait_state(daemon_url(d), id, "scheduled");
    json_t *waiting = api_future(daemon_url(d), id);
    ck_assert(strcmp(api_str(waiting, "state"), "scheduled") != 0 || *api_str(waiting, "due_at"));
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    ck_assert_int_eq(api_int(f, "attempt"), 3);
    char *text = api_result(daemon_url(d), id);
    ck_assert_str_eq(text, "third\n");
    free(text);
    json_decref(waiting);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

static void check_gone(struct daemon *d, const char *file)
{
    char *pid = daemon_wait_file(d, file);
    ck_assert_msg(wait_process_end((pid_t)strtol(pid, NULL, 10), WAIT_LONG_MS), "%s lives", file);
    free(pid);
}

static const struct {
    const char *task;
    const char *pids[3]; /* files in which its processes leave their numbers */
} overdue[] = {
    {"{\"handler\":\"slow\"}", {"child", "grandchild"}}, /* the whole group goes */
    {"{\"handler\":\"deaf\"}", {"child"}},               /* needs KILL */
    {"{\"handler\":\"deaf\",\"timeout\":0.05}", {NULL}}, /* its own: maybe before it writes */
};

START_TEST(test_exec_timeout_ends_all_its_processes)
{
    struct daemon *d = start();
    json_t *f = api_run(daemon_url(d), overdue[_i].task);
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.code"), "timeout");
    for (const char *const *file = overdue[_i].pids; *file; file++)
        check_gone(d, *file);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_exec_keeps_the_last_8_kib_of_stderr)
{
    struct daemon *d = start();
    json_t *f = run(d, "noisy");
    const char *log = api_str(f, "log");
    size_t len = strlen(log);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    ck_assert_uint_le(len, 8192);
    ck_assert_uint_gt(len, 8000);
    ck_assert_str_eq(log + len - 4, "xEND");
    json_decref(f);
    daemon_free(&d);
}
END_TEST

START_TEST(test_exec_environment_is_clean)
{
    struct daemon *d = start();
    json_t *f = run(d, "env");
    char *text = api_result(daemon_url(d), api_str(f, "id"));
    char *id_line = text_printf("FUTURED_TASK_ID=%s\n", api_str(f, "id"));
    ck_assert_msg(strstr(text, id_line) != NULL, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "FUTURED_ATTEMPT=1\n"));
    ck_assert_ptr_nonnull(strstr(text, "COLOUR=blue\n"));
    ck_assert_ptr_nonnull(strstr(text, "PATH="));
    ck_assert_ptr_null(strstr(text, "SECRET_TOKEN"));
    ck_assert_ptr_null(strstr(text, "FUTURED_DB"));
    ck_assert_ptr_null(strstr(text, "FUTURED_HANDLERS"));
    free(id_line);
    free(text);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

START_TEST(test_exec_inherits_no_descriptor_and_runs_in_its_directory)
{
    struct daemon *d = start();
    char *fds = output_of(d, "fds"), *where = output_of(d, "where");
    ck_assert_str_eq(fds, "0\n1\n2\n3\n4\n"); /* 3 is for progress, 4 is ls's own */
    ck_assert_str_eq(where, "/\n");
    free(fds);
    free(where);
    daemon_free(&d);
}
END_TEST

/* Posts n bytes of every value as the input; the answer to the POST. */
static struct http_reply post_bytes(struct daemon *d, const char *path, size_t n, char **out)
{
    static const char *const type[] = {"Content-Type: application/octet-stream", NULL};
    char *bytes = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    struct http_request req = {
        .method = "POST", .path = path, .body = bytes, .body_len = n, .headers = type};
    *out = bytes;
    return http_call(daemon_url(d), &req);
}

START_TEST(test_exec_input_and_output_are_bytes)
{
    const size_t n = 1000000;
    struct daemon *d = start();
    char *bytes;
    struct http_reply r = post_bytes(d, "/v1/tasks/cat?wait=50", n, &bytes);
    ck_assert_msg(r.status == 200, "%d %s", r.status, r.body);
    struct http_reply got = api_get(daemon_url(d), "/v1/futures/%s/result", api_str(r.json, "id"));
    ck_assert_uint_eq(got.body_len, n);
    ck_assert(memcmp(got.body, bytes, n) == 0);
    http_reply_release(&got);
    http_reply_release(&r);
    free(bytes);
    daemon_free(&d);
}
END_TEST

START_TEST(test_exec_program_need_not_read_its_input)
{
    struct daemon *d = start();
    char *bytes;
    struct http_reply r = post_bytes(d, "/v1/tasks/true?wait=50", 1000000, &bytes);
    ck_assert_int_eq(r.status, 200);
    ck_assert_msg(strcmp(api_str(r.json, "state"), "succeeded") == 0, "%s", r.body);
    http_reply_release(&r);
    free(bytes);
    daemon_free(&d);
}
END_TEST

START_TEST(test_exec_declared_json_is_shown_as_json)
{
    struct daemon *d = start();
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"json\",\"input\":{\"n\":[1,2]}}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    ck_assert_int_eq((int)json_array_size(api_at(f, "result.n")), 2);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_exec_75_is_tried_again,
        test_exec_keeps_the_last_8_kib_of_stderr,
        test_exec_environment_is_clean,
        test_exec_inherits_no_descriptor_and_runs_in_its_directory,
        test_exec_input_and_output_are_bytes,
        test_exec_program_need_not_read_its_input,
        test_exec_declared_json_is_shown_as_json,
    };
    TCase *tcase = suite_case("exec", SUITE_TIMEOUT_S, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_loop_test(tcase, test_exec_failure_is_told, 0, (int)FUT_COUNT(failures));
    tcase_add_loop_test(tcase, test_exec_timeout_ends_all_its_processes, 0,
                        (int)FUT_COUNT(overdue));
    return suite_run_cases("exec", tcase, NULL);
}
