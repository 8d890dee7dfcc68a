/* Restart: what was acknowledged survives kill -9; SIGTERM drains; nobody shares a database. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* "hold" runs until DIR/go is there and prints its attempt. */
static const char handlers[] =
    "{\"hold\": {\"exec\": [\"sh\", \"-c\", \"echo $$ > DIR/pid.$FUTURED_ATTEMPT;"
    " while [ ! -e DIR/go ]; do sleep 0.05; done; echo $FUTURED_ATTEMPT\"], \"lane\": \"cpu\"}}";

/* setting: NULL, or "NAME=value". */
static struct daemon *start(const char *setting)
{
    const char *const settings[] = {"FUTURED_KILL_GRACE=100ms", setting};
    return daemon_start_handlers(handlers, settings, setting ? 2 : 1);
}

/* A task that has begun and stays until let_go; the process of its first attempt. */
static pid_t begin(struct daemon *d, char out_id[ID_TEXT_SIZE])
{
    api_submit(daemon_url(d), "{\"handler\":\"hold\"}", out_id);
    char *text = daemon_wait_file(d, "pid.1");
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    free(text);
    return pid;
}

static void ask_to_drain(struct daemon *d)
{
    daemon_signal(d, SIGTERM);
    free(daemon_wait_log(d, " drain"));
}

/* Waits for its end by itself. */
static void expect_exit(struct daemon *d, int expected)
{
    int status = daemon_wait_end(d);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == expected);
}

static void let_go(struct daemon *d)
{
    dir_write(daemon_dir(d), "go", "", 0);
}

static void check_result(struct daemon *d, const char *id, int attempt, const char *bytes)
{
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "state %s", api_str(f, "state"));
    ck_assert_int_eq((int)api_int(f, "attempt"), attempt);
    json_decref(f);
    char *text = api_result(daemon_url(d), id);
    ck_assert_str_eq(text, bytes);
    free(text);
}

START_TEST(test_restart_running_tasks_run_again_after_kill_9)
{
    struct daemon *d = start(NULL);
    char id[ID_TEXT_SIZE];
    pid_t pid = begin(d, id);
    daemon_kill(d);
    ck_assert(wait_process_end(pid, WAIT_LONG_MS));
    daemon_start(d);
    free(daemon_wait_file(d, "pid.2"));
    let_go(d);
    check_result(d, id, 2, "2\n");
    daemon_end(&d);
}
END_TEST

START_TEST(test_restart_keeps_the_queue_and_the_results_after_kill_9)
{
    struct daemon *d = start("MAX_THREADS=1");
    char queued[20][ID_TEXT_SIZE], sleeper[ID_TEXT_SIZE];
    json_t *before = api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"kept\"}");
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}", sleeper);
    for (size_t i = 0; i < FUT_COUNT(queued); i++)
        api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":[1]}", queued[i]);
    daemon_kill(d);
    daemon_start(d);
    json_t *after = api_future(daemon_url(d), api_str(before, "id"));
    ck_assert(json_equal(before, after));
    (void)api_cancel(daemon_url(d), sleeper);
    for (size_t i = 0; i < FUT_COUNT(queued); i++)
        check_result(d, queued[i], 1, "[1]");
    json_decref(before);
    json_decref(after);
    daemon_end(&d);
}
END_TEST

START_TEST(test_restart_a_task_that_always_meets_a_dying_daemon_fails)
{
    struct daemon *d = start(NULL);
    char id[ID_TEXT_SIZE];
    (void)begin(d, id);
    for (int attempt = 1; attempt <= 4; attempt++) {
        char file[32];
        (void)snprintf(file, sizeof(file), "pid.%d", attempt);
        free(daemon_wait_file(d, file));
        daemon_kill(d);
        daemon_start(d);
    }
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.code"), "daemon_died");
    json_decref(f);
    daemon_free(&d);
}
END_TEST

START_TEST(test_restart_sigterm_lets_running_tasks_finish)
{
    struct daemon *d = start("FUTURED_DRAIN=50s");
    char id[ID_TEXT_SIZE];
    (void)begin(d, id);
    ask_to_drain(d);
    let_go(d);
    expect_exit(d, 0);
    daemon_start(d);
    check_result(d, id, 1, "1\n");
    daemon_free(&d);
}
END_TEST

START_TEST(test_restart_sigterm_gives_back_what_does_not_finish)
{
    struct daemon *d = start("FUTURED_DRAIN=100ms");
    char id[ID_TEXT_SIZE];
    pid_t pid = begin(d, id);
    daemon_stop(d);
    ck_assert(wait_process_end(pid, WAIT_LONG_MS));
    let_go(d);
    daemon_start(d);
    check_result(d, id, 1, "1\n"); /* the attempt that was given back is not charged */
    daemon_end(&d);
}
END_TEST

START_TEST(test_restart_sigterm_gives_back_a_running_builtin)
{
    struct daemon *d = start("FUTURED_DRAIN=0");
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}", id);
    api_wait_state(daemon_url(d), id, "running");
    daemon_stop(d);
    daemon_start(d);
    api_wait_state(daemon_url(d), id, "running");
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

static bool has_waiter(void *ctx)
{
    struct http_reply r = api_get(daemon_url(ctx), "/v1/stats");
    bool has = api_int(r.json, "http.waiters") == 1;
    http_reply_release(&r);
    return has;
}

START_TEST(test_restart_drain_answers_those_who_wait)
{
    struct daemon *d = start("FUTURED_DRAIN=100ms");
    char id[ID_TEXT_SIZE], path[128];
    (void)begin(d, id);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s?wait=60", id);
    struct http_request req = {.method = "GET", .path = path};
    struct http_pending *p = http_begin(daemon_url(d), &req);
    ck_assert(wait_until(has_waiter, d, WAIT_LONG_MS));
    daemon_stop(d);
    struct http_reply r = http_finish(&p);
    ck_assert_msg(r.status == 200, "%d %s", r.status, r.error ? r.error : r.body);
    ck_assert(json_is_false(api_at(r.json, "done")));
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_restart_second_sigterm_ends_at_once_and_loses_nothing)
{
    struct daemon *d = start("FUTURED_DRAIN=1h");
    char id[ID_TEXT_SIZE];
    (void)begin(d, id);
    ask_to_drain(d);
    daemon_signal(d, SIGTERM);
    expect_exit(d, 1);
    let_go(d);
    daemon_start(d);
    check_result(d, id, 2, "2\n");
    daemon_free(&d);
}
END_TEST

START_TEST(test_restart_second_daemon_on_the_same_file_is_refused)
{
    if (daemon_leaves_out_on_postgres(
            "a second daemon is a node there (test_postgres, test_nodes)"))
        return;
    struct daemon *d = start(NULL), *second = daemon_new();
    char *db = daemon_path(d, "futured.db"), *said = NULL;
    char *setting = text_printf("FUTURED_DB=%s", db);
    daemon_set(second, setting);
    int status = daemon_start_refused(second, &said);
    ck_assert_int_eq(status, 1);
    ck_assert_msg(strstr(said, db) != NULL, "%s", said);
    ck_assert_msg(strstr(said, "another") != NULL, "%s", said);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    free(said);
    free(setting);
    free(db);
    daemon_free(&second);
    daemon_free(&d);
}
END_TEST

START_TEST(test_restart_on_the_same_port_at_once)
{
    struct daemon *d = start(NULL);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    char *before = xstrdup(daemon_url(d));
    daemon_keep_port(d);
    daemon_kill(d);
    daemon_start(d);
    ck_assert_str_eq(daemon_url(d), before);
    daemon_stop(d);
    daemon_start(d);
    json_t *again = api_future(daemon_url(d), api_str(f, "id"));
    ck_assert(json_equal(f, again));
    json_decref(again);
    json_decref(f);
    free(before);
    daemon_free(&d);
}
END_TEST

static void expect_once(void (*end_daemon)(struct daemon *d))
{
    struct daemon *d = start("FUTURED_DRAIN=100ms");
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"hold\",\"once\":true}", id);
    free(daemon_wait_file(d, "pid.1"));
    end_daemon(d);
    daemon_start(d);
    api_expect_end(daemon_url(d), id, "failed", "daemon_died");
    daemon_end(&d);
}

START_TEST(test_restart_what_runs_once_is_not_run_again_after_kill_9)
{
    expect_once(daemon_kill);
}
END_TEST

START_TEST(test_restart_what_runs_once_is_not_given_back_by_sigterm)
{
    expect_once(daemon_stop);
}
END_TEST

/* One that is retried by its handler's policy, or was to be by its own. */
START_TEST(test_restart_what_runs_once_is_not_retried)
{
    struct daemon *d = daemon_start_handlers(
        "{\"fail\": {\"exec\": [\"false\"], \"retries\": 3, \"retry_on\": [\"exit\"]}}", NULL, 0);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"fail\",\"once\":true}");
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    ck_assert(json_is_true(api_at(f, "once")));
    json_decref(f);
    struct http_reply r =
        api_post(daemon_url(d), "/v1/tasks", "{\"handler\":\"fail\",\"once\":true,\"retries\":1}");
    ck_assert_int_eq(r.status, 422);
    ck_assert_str_eq(api_str(r.json, "field"), "retries");
    http_reply_release(&r);
    r = api_post(daemon_url(d), "/v1/tasks", "{\"handler\":\"fail\",\"once\":true,\"retries\":0}");
    ck_assert_int_eq(r.status, 422);
    ck_assert_str_eq(api_str(r.json, "field"), "retries");
    http_reply_release(&r);
    r = api_post(daemon_url(d), "/v1/tasks", "{\"handler\":\"fail\",\"once\":\"true\"}");
    ck_assert_int_eq(r.status, 422);
    ck_assert_str_eq(api_str(r.json, "code"), "wrong_type");
    ck_assert_str_eq(api_str(r.json, "field"), "once");
    http_reply_release(&r);
    r = api_post(daemon_url(d), "/v1/tasks/fail?once=yes", "");
    ck_assert_int_eq(r.status, 400);
    ck_assert_str_eq(api_str(r.json, "parameter"), "once");
    http_reply_release(&r);
    r = api_post(daemon_url(d), "/v1/tasks/fail?once=true", "1");
    ck_assert_int_eq(r.status, 202);
    ck_assert(json_is_true(api_at(r.json, "once")));
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_restart_running_tasks_run_again_after_kill_9,
        test_restart_keeps_the_queue_and_the_results_after_kill_9,
        test_restart_a_task_that_always_meets_a_dying_daemon_fails,
        test_restart_sigterm_lets_running_tasks_finish,
        test_restart_sigterm_gives_back_what_does_not_finish,
        test_restart_sigterm_gives_back_a_running_builtin,
        test_restart_drain_answers_those_who_wait,
        test_restart_second_sigterm_ends_at_once_and_loses_nothing,
        test_restart_second_daemon_on_the_same_file_is_refused,
        test_restart_on_the_same_port_at_once,
        test_restart_what_runs_once_is_not_run_again_after_kill_9,
        test_restart_what_runs_once_is_not_given_back_by_sigterm,
        test_restart_what_runs_once_is_not_retried,
    };
    return suite_run("restart", tests, FUT_COUNT(tests));
}
