/* Tasks that go on from where they were, in every SDK and as `exec` programs, whatever ended the
 * run before: a worker that is killed, a daemon that is killed, a timeout, a shutdown, or the task
 * itself. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* The tour of each language. SRC and BUILT are the examples' folders. */
static const struct {
    const char *kind, *command;
    bool hears_yield; /* also while it waits: a shell only when it saves */
} languages[] = {
    {"worker", "[\"python3\", \"SRC/tour.py\"]", true},
    {"worker", "[\"node\", \"SRC/tour.js\"]", true},
    {"worker", "[\"sh\", \"SRC/tour.sh\"]", false},
    {"worker", "[\"BUILT/tour\"]", true},
    {"plugin", "\"BUILT/tour.so\"", true},
    {"exec", "[\"sh\", \"SRC/resume.sh\"], \"checkpoints\": true", false},
};
#define LANGUAGES ((int)FUT_COUNT(languages))
#define STOP 3 /* the step after which the task waits */

static char *folders_put(const char *text)
{
    char *src = daemon_built("../../workers/sdk/examples");
    char *built = daemon_built("workers/sdk/examples");
    const char *at = strstr(text, "SRC");
    const char *folder = at ? src : built;
    at = at ? at : strstr(text, "BUILT");
    size_t n = strcspn(at, "/");
    char *whole = text_printf("%.*s%s%s", (int)(at - text), text, folder, at + n);
    free(built);
    free(src);
    return whole;
}

static struct daemon *start(int language, const char *drain)
{
    char *command = folders_put(languages[language].command);
    char *handlers =
        text_printf("{\"steps\": {\"%s\": %s, \"retry_on\": [\"timeout\", \"crash\", \"signal\"],"
                    " \"backoff\": {\"first\": 0.01}}, \"resume\": {\"%s\": %s},"
                    " \"join\": {\"%s\": %s, \"content_type\": \"application/json\"}}",
                    languages[language].kind, command, languages[language].kind, command,
                    languages[language].kind, command);
    const char *const settings[] = {"MAX_WORKERS=2", drain, "FUTURED_KILL_GRACE=0.2s"};
    struct daemon *d = daemon_start_handlers(handlers, settings, FUT_COUNT(settings));
    free(handlers);
    free(command);
    return d;
}

static void set_stop(struct daemon *d, bool on)
{
    char *name = text_printf("stop-%d", STOP);
    char *path = daemon_path(d, name);
    FILE *file = on ? fopen(path, "w") : NULL;
    ck_assert(on ? file && fclose(file) == 0 : unlink(path) == 0);
    free(path);
    free(name);
}

/* Its checkpoint, or "". */
static char *checkpoint_of(struct daemon *d, const char *id)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/checkpoint", id);
    char *text = xstrdup(r.status == 200 ? r.body : "");
    http_reply_release(&r);
    return text;
}

struct wanted {
    struct daemon *d;
    const char *id, *text;
};

static bool has_checkpoint(void *ctx)
{
    const struct wanted *w = ctx;
    char *text = checkpoint_of(w->d, w->id);
    bool there = strcmp(text, w->text) == 0;
    free(text);
    return there;
}

static void wait_checkpoint(struct daemon *d, const char *id, const char *text)
{
    struct wanted w = {d, id, text};
    ck_assert_msg(wait_until(has_checkpoint, &w, WAIT_LONG_MS), "no checkpoint \"%s\"", text);
}

/* Submits the task and returns when it waits after step 3. */
static void begin_steps(struct daemon *d, const char *more, char id[ID_TEXT_SIZE])
{
    char *body = text_printf("{\"handler\":\"steps\",\"input\":\"%s\"%s}", daemon_dir(d), more);
    set_stop(d, true);
    api_submit(daemon_url(d), body, id);
    wait_checkpoint(d, id, "3");
    free(body);
}

/* No step was taken twice, and none was left out. */
static void end_steps(struct daemon *d, const char *id, int attempt)
{
    json_t *f = api_done(daemon_url(d), id);
    char *steps = daemon_read_file(d, "steps");
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%s: %s", api_str(f, "state"),
                  api_str(f, "error.message"));
    ck_assert_int_eq(api_int(f, "attempt"), attempt);
    ck_assert_str_eq(steps, "1\n2\n3\n4\n5\n");
    ck_assert_ptr_null(api_at(f, "checkpoint")); /* goes with the success */
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/checkpoint", id);
    ck_assert_int_eq(r.status, 404);
    ck_assert_ptr_nonnull(strstr(r.body, "\"no_checkpoint\""));
    http_reply_release(&r);
    free(steps);
    json_decref(f);
}

/* The process that runs the task; an `exec` program says itself which it is. */
static pid_t worker_of(struct daemon *d, int language, const char *id)
{
    if (strcmp(languages[language].kind, "exec") == 0) {
        char *text = daemon_wait_file(d, "pid");
        pid_t own = (pid_t)strtol(text, NULL, 10);
        free(text);
        return own;
    }
    struct http_reply r = api_get(daemon_url(d), "/v1/workers");
    json_t *all = json_loads(r.body, 0, NULL), *each;
    pid_t pid = 0;
    size_t i;
    json_array_foreach (json_object_get(all, "workers"), i, each) {
        if (strcmp(api_str(each, "task"), id) == 0)
            pid = (pid_t)api_int(each, "pid");
    }
    json_decref(all);
    http_reply_release(&r);
    ck_assert_int_gt(pid, 0);
    return pid;
}

START_TEST(test_resumes_after_its_worker_was_killed)
{
    char id[ID_TEXT_SIZE];
    struct daemon *d = start(_i, "FUTURED_DRAIN=1s");
    begin_steps(d, "", id);
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_int_eq(api_int(f, "checkpoint.size"), 1);
    ck_assert_int_eq(api_int(f, "checkpoint.attempt"), 1);
    json_decref(f);
    ck_assert_int_eq(kill(worker_of(d, _i, id), SIGKILL), 0);
    end_steps(d, id, 2);
    daemon_end(&d);
}
END_TEST

START_TEST(test_resumes_after_the_daemon_was_killed)
{
    char id[ID_TEXT_SIZE];
    struct daemon *d = start(_i, "FUTURED_DRAIN=1s");
    begin_steps(d, "", id);
    daemon_kill(d);
    daemon_start(d);
    end_steps(d, id, 2);
    daemon_end(&d);
}
END_TEST

START_TEST(test_resumes_after_a_timeout)
{
    char id[ID_TEXT_SIZE];
    struct daemon *d = start(_i, "FUTURED_DRAIN=1s");
    begin_steps(d, ",\"timeout\":2", id);
    end_steps(d, id, 2);
    daemon_end(&d);
}
END_TEST

/* Asked by YIELD it suspends itself at once, however long the drain may take; what does not hear is
 * stopped when that is over. Neither is charged. */
START_TEST(test_resumes_after_a_shutdown)
{
    char id[ID_TEXT_SIZE];
    bool hears = languages[_i].hears_yield;
    struct daemon *d = start(_i, hears ? "FUTURED_DRAIN=1h" : "FUTURED_DRAIN=1s");
    begin_steps(d, ",\"retries\":0", id);
    daemon_stop(d);
    daemon_start(d);
    end_steps(d, id, 1);
    daemon_end(&d);
}
END_TEST

/* Returns when its program has ended, too: until then it would go on once nothing stops it. */
static void cancel_run(struct daemon *d, const char *id)
{
    char *end = text_printf("task_done task=%s", id);
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    json_decref(api_done(daemon_url(d), id));
    free(daemon_wait_log(d, end));
    free(end);
}

/* In a new life it goes on from the checkpoint, or begins anew. */
START_TEST(test_another_life_has_the_checkpoint_or_begins_anew)
{
    char id[ID_TEXT_SIZE], path[96];
    struct daemon *d = start(_i, "FUTURED_DRAIN=1s");
    begin_steps(d, "", id);
    cancel_run(d, id);
    wait_checkpoint(d, id, "3"); /* kept */
    (void)snprintf(path, sizeof(path), "/v1/futures/%s/retry?fresh=maybe", id);
    struct http_reply r = api_post(daemon_url(d), path, NULL);
    ck_assert_int_eq(r.status, 400);
    http_reply_release(&r);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s/retry", id);
    r = api_post(daemon_url(d), path, NULL);
    ck_assert_msg(r.status == 202 && strstr(r.body, "\"checkpoint\":{"), "%s", r.body);
    http_reply_release(&r);
    end_steps(d, id, 2);

    char *steps = daemon_path(d, "steps");
    ck_assert_int_eq(unlink(steps), 0);
    free(steps);
    begin_steps(d, "", id);
    cancel_run(d, id);
    set_stop(d, false);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s/retry?fresh=true", id);
    r = api_post(daemon_url(d), path, NULL);
    ck_assert_msg(r.status == 202 && !strstr(r.body, "\"checkpoint\":{"), "%s", r.body);
    http_reply_release(&r);
    json_t *f = api_done(daemon_url(d), id);
    char *text = daemon_read_file(d, "steps");
    ck_assert_str_eq(text, "1\n2\n3\n1\n2\n3\n4\n5\n");
    free(text);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

/* It leaves its slot, says until when, goes on over a restart, and is not charged. */
START_TEST(test_suspends_over_a_restart)
{
    char id[ID_TEXT_SIZE];
    struct daemon *d = start(_i, "FUTURED_DRAIN=1s");
    api_submit(daemon_url(d), "{\"handler\":\"resume\",\"input\":\"half\",\"retries\":0}", id);
    json_t *f = api_wait_text(daemon_url(d), id, "waiting_for.code", "suspended");
    ck_assert_str_eq(api_str(f, "state"), "scheduled");
    ck_assert_str_eq(api_str(f, "waiting_for.until"), api_str(f, "due_at"));
    ck_assert_int_eq(api_int(f, "attempt"), 0);
    ck_assert_int_eq(api_int(f, "checkpoint.size"), 4);
    json_decref(f);
    ck_assert_int_eq(api_pool_int(daemon_url(d), "cpu", "busy"), 0);
    daemon_kill(d);
    daemon_start(d);
    f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    char *result = api_result(daemon_url(d), id);
    ck_assert_str_eq(result, "half");
    free(result);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

static void promise(struct daemon *d, char id[ID_TEXT_SIZE])
{
    struct http_reply r = api_post(daemon_url(d), "/v1/promises", "{}");
    ck_assert_msg(r.status == 202 || r.status == 201, "%s", r.body);
    json_t *f = json_loads(r.body, 0, NULL);
    (void)snprintf(id, ID_TEXT_SIZE, "%s", api_str(f, "id"));
    json_decref(f);
    http_reply_release(&r);
}

static void complete(struct daemon *d, const char *id, const char *body)
{
    char *path = text_printf("/v1/futures/%s/complete", id);
    struct http_reply r = api_post(daemon_url(d), path, body);
    ck_assert_msg(r.status == 200, "%s", r.body);
    http_reply_release(&r);
    free(path);
}

/* Suspended until the last of them ends, over a restart; its slot is free, it says for what it
 * waits, it is not charged, and it learns how they ended. */
START_TEST(test_suspends_until_futures_end)
{
    char id[ID_TEXT_SIZE], a[ID_TEXT_SIZE], b[ID_TEXT_SIZE];
    struct daemon *d = start(_i, "FUTURED_DRAIN=1s");
    promise(d, a);
    promise(d, b);
    char *body = text_printf("{\"handler\":\"join\",\"input\":\"%s\\n%s\",\"retries\":0}", a, b);
    api_submit(daemon_url(d), body, id);
    json_t *f = api_wait_text(daemon_url(d), id, "waiting_for.code", "suspended");
    ck_assert_int_eq(api_int(f, "waiting_for.futures"), 2);
    ck_assert_uint_eq(json_array_size(api_at(f, "waiting_for.ids")), 2);
    ck_assert_ptr_null(api_at(f, "waiting_for.until"));
    json_decref(f);
    ck_assert_int_eq(api_pool_int(daemon_url(d), "cpu", "busy"), 0);
    complete(d, b, "{\"result\":{\"paid\":[7]}}");
    daemon_kill(d);
    daemon_start(d);
    f = api_wait_text(daemon_url(d), id, "waiting_for.code", "suspended");
    ck_assert_int_eq(api_int(f, "waiting_for.futures"), 1);
    ck_assert_str_eq(json_string_value(json_array_get(api_at(f, "waiting_for.ids"), 0)), a);
    json_decref(f);
    complete(d, a, "{\"error\":{\"code\":\"refused\",\"message\":\"No.\"}}");
    f = api_done(daemon_url(d), id);
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%s", api_str(f, "error.message"));
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    json_t *ends = api_at(f, "result"), *ea = json_object_get(ends, a),
           *eb = json_object_get(ends, b);
    ck_assert_str_eq(api_str(ea, "state"), "failed");
    ck_assert_str_eq(api_str(ea, "error.code"), "refused");
    ck_assert_str_eq(api_str(eb, "state"), "succeeded");
    ck_assert_int_eq(json_integer_value(json_array_get(api_at(eb, "result.paid"), 0)), 7);
    json_decref(f);
    free(body);
    daemon_end(&d);
}
END_TEST

/* An id that is none, and one that is not known: it fails, and says why. */
START_TEST(test_suspends_for_nothing_that_cannot_end)
{
    char id[ID_TEXT_SIZE];
    struct daemon *d = start(_i, "FUTURED_DRAIN=1s");
    api_submit(daemon_url(d), "{\"handler\":\"join\",\"input\":\"that-is-no-id\"}", id);
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "error.code"), "bad_suspension");
    ck_assert_msg(strstr(api_str(f, "error.message"), "that-is-no-id"), "%s",
                  api_str(f, "error.message"));
    json_decref(f);
    api_submit(daemon_url(d),
               "{\"handler\":\"join\",\"input\":\"01234567-89ab-7def-8123-456789abcdef\"}", id);
    f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "error.code"), "bad_suspension");
    json_decref(f);
    daemon_end(&d);
}
END_TEST

/* It is neither done nor suspended as it wants. */
START_TEST(test_suspends_by_no_bad_line)
{
    static const char *const bad[] = {"suspend soon", "suspend -1", "until"};
    struct daemon *d = daemon_start_handlers(
        "{\"bad\": {\"exec\": [\"sh\", \"-c\", \"read line; printf '%s\\nsuspend 1000\\n' "
        "\\\"$line\\\" >&3\"], \"checkpoints\": true, \"retries\": 3}}",
        NULL, 0);
    char *body = text_printf("{\"handler\":\"bad\",\"input\":\"%s\"}", bad[_i]);
    json_t *f = api_run(daemon_url(d), body);
    ck_assert_str_eq(api_str(f, "error.code"), "bad_suspension");
    ck_assert_msg(strstr(api_str(f, "error.message"), bad[_i]), "%s", api_str(f, "error.message"));
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    json_decref(f);
    free(body);
    daemon_end(&d);
}
END_TEST

/* For a task of its own that is to begin after it. */
START_TEST(test_suspends_in_no_circle)
{
    static const char program[] = "import futured_worker as worker\n"
                                  "@worker.handler\n"
                                  "def circle(task):\n"
                                  "    child = task.submit('circle', after=[task.id])\n"
                                  "    raise worker.Suspend(until=child)\n"
                                  "worker.run()\n";
    char *sdk = daemon_built("../../workers/sdk"), id[ID_TEXT_SIZE];
    char *handlers = text_printf("{\"circle\": {\"worker\": [\"python3\", \"DIR/circle.py\"],"
                                 " \"env\": {\"PYTHONPATH\": \"%s\"}}}",
                                 sdk);
    struct daemon *d = daemon_new();
    dir_write(daemon_dir(d), "circle.py", program, sizeof(program) - 1);
    daemon_set_handlers(d, handlers);
    daemon_start(d);
    api_submit(daemon_url(d), "{\"handler\":\"circle\"}", id);
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "error.code"), "deadlock");
    ck_assert_msg(strstr(api_str(f, "error.message"), id), "%s", api_str(f, "error.message"));
    json_decref(f);
    free(handlers);
    free(sdk);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("resume", SUITE_TIMEOUT_S, NULL, NULL);
    tcase_add_loop_test(t, test_resumes_after_its_worker_was_killed, 0, LANGUAGES);
    tcase_add_loop_test(t, test_resumes_after_the_daemon_was_killed, 0, LANGUAGES);
    tcase_add_loop_test(t, test_resumes_after_a_timeout, 0, LANGUAGES);
    tcase_add_loop_test(t, test_resumes_after_a_shutdown, 0, LANGUAGES);
    tcase_add_loop_test(t, test_another_life_has_the_checkpoint_or_begins_anew, 0, LANGUAGES);
    tcase_add_loop_test(t, test_suspends_over_a_restart, 0, LANGUAGES);
    tcase_add_loop_test(t, test_suspends_until_futures_end, 0, LANGUAGES);
    tcase_add_loop_test(t, test_suspends_for_nothing_that_cannot_end, 0, LANGUAGES);
    tcase_add_loop_test(t, test_suspends_by_no_bad_line, 0, 3);
    tcase_add_test(t, test_suspends_in_no_circle);
    return suite_run_cases("resume", t, NULL);
}
