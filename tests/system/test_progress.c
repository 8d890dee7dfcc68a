/* Progress, live log and trace context, as a client sees them. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* Each waits for a file at a known point, so that the test sees what stands there meanwhile. */
static const char handlers[] =
    "{\"steps\": {\"exec\": [\"sh\", \"-c\", \"echo 'progress 0.25 first quarter' >&3; "
    "echo one >&2; while [ ! -e DIR/go ]; do sleep 0.02; done; "
    "echo two >&2; echo 'progress 1 all' >&3; echo fine\"], \"lane\": \"io\"},"
    " \"trace\": {\"exec\": [\"sh\", \"-c\", \"printf %s $TRACEPARENT\"]}}";

static struct daemon *start(void)
{
    return daemon_start_handlers(handlers, NULL, 0);
}

struct asked {
    struct daemon *d;
    const char *id;
    const char *message;
};

static bool shows_progress(void *ctx)
{
    const struct asked *a = ctx;
    json_t *f = api_future(daemon_url(a->d), a->id);
    bool yes = strstr(api_str(f, "progress.message"), a->message) != NULL;
    json_decref(f);
    return yes;
}

static char *log_of(struct daemon *d, const char *id, const char *query)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/log%s", id, query);
    ck_assert_msg(r.status == 200, "%d %s", r.status, r.body);
    char *text = xstrdup(r.body);
    http_reply_release(&r);
    return text;
}

static void let_go(struct daemon *d)
{
    dir_write(daemon_dir(d), "go", "", 0);
}

START_TEST(test_progress_and_log_of_a_program_while_it_runs)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"steps\"}", id);
    struct asked a = {d, id, "first quarter"};
    ck_assert(wait_until(shows_progress, &a, WAIT_LONG_MS));
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "running");
    ck_assert(json_number_value(api_at(f, "progress.fraction")) == 0.25);
    json_decref(f);
    char *text = log_of(d, id, "?wait=30");
    ck_assert_str_eq(text, "one\n");
    free(text);
    let_go(d);
    f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    text = log_of(d, id, "");
    ck_assert_str_eq(text, "one\ntwo\n"); /* all of it, now that it is done */
    free(text);
    json_decref(f);
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

START_TEST(test_progress_of_built_ins)
{
    static const char *const bodies[] = {
        "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"lane\":\"io\"}",
        "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"lane\":\"cpu\"}",
        "{\"handler\":\"primes\",\"input\":{\"below\":1000000000000},\"lane\":\"cpu\"}",
        "{\"handler\":\"primes\",\"input\":{\"below\":1000000000000},\"lane\":\"io\"}",
    };
    struct daemon *d = start();
    for (size_t i = 0; i < FUT_COUNT(bodies); i++) {
        char id[ID_TEXT_SIZE];
        api_submit(daemon_url(d), bodies[i], id);
        struct asked a = {d, id, i < 2 ? " of 600.0 s" : " primes so far"};
        ck_assert(wait_until(shows_progress, &a, WAIT_LONG_MS));
        ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    }
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

START_TEST(test_trace_context_reaches_a_program)
{
    static const char trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    static const char *const headers[] = {
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL};
    struct daemon *d = start();
    struct http_request req = {
        .method = "POST", .path = "/v1/tasks/trace?wait=30", .body = "", .headers = headers};
    struct http_reply r = http_call(daemon_url(d), &req);
    ck_assert_int_eq(r.status, 200);
    struct http_reply result =
        api_get(daemon_url(d), "/v1/futures/%s/result", api_str(r.json, "id"));
    ck_assert_str_eq(result.body, trace);
    http_reply_release(&result);
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_progress_and_log_of_a_program_while_it_runs,
        test_progress_of_built_ins,
        test_trace_context_reaches_a_program,
    };
    return suite_run("progress", tests, FUT_COUNT(tests));
}
