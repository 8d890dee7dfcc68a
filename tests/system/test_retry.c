/* Tried again, by policy and by hand: who is, when, how often, and that every attempt is told. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define SH(name, script, rest) "\"" name "\": {\"exec\": [\"sh\", \"-c\", \"" script "\"]" rest "}"
#define SOON ", \"backoff\": {\"first\": 0.001, \"max\": 0.01, \"jitter\": 0}"

static const char handlers[] = "{" SH("third", "[ $FUTURED_ATTEMPT -ge 3 ] || exit 4", "") "," /**/
    SH("killer", "echo attempt $FUTURED_ATTEMPT >&2; kill -SEGV $$",
       ", \"retries\": 3, \"retry_on\": [\"signal\"]" SOON) "," /**/
    SH("slow", "[ $FUTURED_ATTEMPT -ge 2 ] || sleep 100",
       ", \"timeout\": 0.1, \"retry_on\": [\"timeout\"]" SOON) "," /**/
    SH("hungry", "[ $FUTURED_ATTEMPT -ge 2 ] || yes",
       ", \"limits\": {\"output\": 1000}, \"retry_on\": [\"limit\"]" SOON) "," /**/
    SH("gate", "[ -e DIR/open ] || { cat >&2; exit 1; }", "") ","              /**/
    SH("never", "exit 75", ", \"retries\": 0")                                 /**/
    "}";

static struct daemon *start(void)
{
    return daemon_start_handlers(handlers, NULL, 0);
}

static json_t *run(struct daemon *d, const char *handler, const char *more)
{
    char *body = text_printf("{\"handler\":\"%s\"%s}", handler, more);
    json_t *f = api_run(daemon_url(d), body);
    free(body);
    return f;
}

static const json_t *attempt(const json_t *f, size_t i)
{
    const json_t *a = json_array_get(api_at(f, "attempts"), i);
    ck_assert_msg(a != NULL, "no attempt %zu", i);
    return a;
}

static struct http_reply retry(struct daemon *d, const char *id)
{
    char *path = text_printf("/v1/futures/%s/retry", id);
    struct http_reply r = api_post(daemon_url(d), path, NULL);
    free(path);
    return r;
}

static void must_retry(struct daemon *d, const char *id)
{
    struct http_reply r = retry(d, id);
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.error ? r.error : r.body);
    ck_assert(!json_is_true(api_at(r.json, "done")));
    http_reply_release(&r);
}

static void must_refuse(struct daemon *d, const char *id, int status, const char *code)
{
    struct http_reply r = retry(d, id);
    ck_assert_msg(r.status == status, "%d %s", r.status, r.error ? r.error : r.body);
    ck_assert_str_eq(api_str(r.json, "code"), code);
    http_reply_release(&r);
}

START_TEST(test_retry_a_task_may_say_what_is_tried_again)
{
    struct daemon *d = start();
    json_t *f = run(d, "third", "");
    ck_assert_str_eq(api_str(f, "state"), "failed"); /* by default an exit code is the end */
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    ck_assert_ptr_null(api_at(f, "attempts"));
    json_decref(f);
    f = run(d, "third", ",\"retry_on\":[\"exit\"],\"backoff\":{\"first\":0.001}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    ck_assert_int_eq(api_int(f, "attempt"), 3);
    ck_assert_uint_eq(json_array_size(api_at(f, "attempts")), 3);
    ck_assert_str_eq(api_str(attempt(f, 0), "error.code"), "exit");
    ck_assert_int_eq(api_int(attempt(f, 1), "error.exit_code"), 4);
    ck_assert_str_eq(api_str(attempt(f, 2), "state"), "succeeded");
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_retry_killer_ends_with_every_attempt_listed)
{
    struct daemon *d = start();
    json_t *f = run(d, "killer", "");
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.signal"), "SIGSEGV");
    ck_assert_uint_eq(json_array_size(api_at(f, "attempts")), 4);
    for (size_t i = 0; i < 4; i++) {
        char *log = text_printf("attempt %zu\n", i + 1);
        ck_assert_int_eq(api_int(attempt(f, i), "attempt"), (json_int_t)i + 1);
        ck_assert_str_eq(api_str(attempt(f, i), "state"), "failed");
        ck_assert_str_eq(api_str(attempt(f, i), "error.signal"), "SIGSEGV");
        ck_assert_str_eq(api_str(attempt(f, i), "error.log"), log);
        ck_assert_int_gt(api_int(attempt(f, i), "error.max_rss"), 0);
        free(log);
    }
    daemon_kill(d);
    daemon_start(d);
    json_t *again = api_future(daemon_url(d), api_str(f, "id"));
    ck_assert(json_equal(api_at(f, "attempts"), api_at(again, "attempts")));
    json_decref(again);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_retry_after_timeouts_and_limits)
{
    struct daemon *d = start();
    json_t *slow = run(d, "slow", ",\"timeout\":0.1"), *hungry = run(d, "hungry", "");
    ck_assert_str_eq(api_str(slow, "state"), "succeeded");
    ck_assert_str_eq(api_str(attempt(slow, 0), "error.code"), "timeout");
    ck_assert_str_eq(api_str(hungry, "state"), "succeeded");
    ck_assert_str_eq(api_str(attempt(hungry, 0), "error.code"), "output_limit");
    json_decref(slow);
    json_decref(hungry);
    daemon_end(&d);
}
END_TEST

/* Under a policy that tries errors of the program's own again, its word "do not" ends it at once.
 */
START_TEST(test_retry_not_when_a_worker_says_no)
{
    struct daemon *d = daemon_new();
    char *program = daemon_built("../../workers/sdk/examples/tour.py");
    char *json = text_printf("{\"refuse\": {\"worker\": [\"python3\", \"%s\"], \"retries\": 2,"
                             " \"retry_on\": [\"error\"]" SOON "},"
                             " \"fail\": {\"worker\": [\"python3\", \"%s\"], \"retries\": 2,"
                             " \"retry_on\": [\"error\"]" SOON "}}",
                             program, program);
    daemon_set_handlers(d, json);
    daemon_start(d);
    json_t *no = run(d, "refuse", ""), *silent = run(d, "fail", "");
    ck_assert_str_eq(api_str(no, "state"), "failed");
    ck_assert_str_eq(api_str(no, "error.code"), "handler_failed");
    ck_assert_int_eq(api_int(no, "attempt"), 1);
    ck_assert_str_eq(api_str(silent, "state"), "failed"); /* it said nothing about trying again */
    ck_assert_int_eq(api_int(silent, "attempt"), 3);
    json_decref(silent);
    json_decref(no);
    daemon_end(&d);
    free(json);
    free(program);
}
END_TEST

static void open_gate(struct daemon *d)
{
    dir_write(daemon_dir(d), "open", "", 0);
}

START_TEST(test_retry_by_hand_gives_another_life)
{
    struct daemon *d = start();
    json_t *f = run(d, "gate", ",\"input\":\"the input\"");
    const char *id = api_str(f, "id");
    must_retry(d, id);
    json_t *second = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(second, "state"), "failed");
    ck_assert_int_eq(api_int(second, "attempt"), 2);
    ck_assert_str_eq(api_str(second, "error.log"), "the input");
    open_gate(d);
    must_retry(d, id);
    json_t *third = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(third, "state"), "succeeded");
    ck_assert_uint_eq(json_array_size(api_at(third, "attempts")), 3);
    ck_assert_str_eq(api_str(attempt(third, 0), "error.log"), "the input");
    must_refuse(d, id, 409, "already_done");
    must_refuse(d, "no-such-future", 404, "unknown_future");
    json_decref(third);
    json_decref(second);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_retry_by_hand_of_cancelled_and_unfinished_ones)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":1000}}", id);
    api_wait_state(daemon_url(d), id, "running");
    must_refuse(d, id, 409, "not_done");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    must_retry(d, id);
    api_wait_state(daemon_url(d), id, "running");
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_int_eq(api_int(f, "attempt"), 2);
    ck_assert_str_eq(api_str(attempt(f, 0), "state"), "cancelled");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_retry_by_hand_wants_the_unique_key_free)
{
    struct daemon *d = start();
    char other[ID_TEXT_SIZE];
    json_t *f = run(d, "never", ",\"unique\":\"the one\"");
    const char *id = api_str(f, "id");
    ck_assert_str_eq(api_str(f, "unique"), "the one");
    ck_assert_str_eq(api_str(f, "error.code"), "exit");
    api_submit(daemon_url(d),
               "{\"handler\":\"sleep\",\"input\":{\"seconds\":1000},\"unique\":\"the one\"}",
               other);
    must_refuse(d, id, 409, "conflict");
    ck_assert_int_eq(api_cancel(daemon_url(d), other), 200);
    must_retry(d, id);
    json_t *again = api_done(daemon_url(d), id);
    ck_assert_int_eq(api_int(again, "attempt"), 2);
    json_decref(again);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

static char *events_after(struct daemon *d, const char *batch, json_int_t last)
{
    char *header = text_printf("Last-Event-ID: %lld", (long long)last);
    char *path = text_printf("/v1/batches/%s/events", batch);
    const char *const headers[] = {"Accept: application/x-ndjson", header, NULL};
    struct http_request req = {.method = "GET", .path = path, .headers = headers};
    struct http_reply r = http_call(daemon_url(d), &req);
    ck_assert_int_eq(r.status, 200);
    char *text = xstrdup(r.body);
    http_reply_release(&r);
    free(header);
    free(path);
    return text;
}

/* The highest id among the events, which have one a line. */
static json_int_t last_id(const char *lines)
{
    json_int_t last = 0;
    char *copy = xstrdup(lines), *at = copy;
    for (char *line; (line = strsep(&at, "\n")) != NULL;) {
        json_t *event = json_loads(line, 0, NULL);
        if (api_int(event, "id") > last)
            last = api_int(event, "id");
        json_decref(event);
    }
    free(copy);
    return last;
}

/* The second end of a future is an end of its own: later than all before, and told as such. */
START_TEST(test_retry_by_hand_in_a_batch)
{
    struct daemon *d = start();
    struct http_reply made = api_post(
        daemon_url(d), "/v1/batches",
        "{\"tasks\":[{\"handler\":\"gate\"},{\"handler\":\"echo\"},{\"handler\":\"gate\"}]}");
    const char *batch = api_str(made.json, "id");
    const char *first = json_string_value(json_array_get(api_at(made.json, "ids"), 0));
    char *events = events_after(d, batch, 0);
    ck_assert_uint_eq(text_count(events, "\"event\":\"done\""), 3);
    json_int_t last = last_id(events);
    free(events);
    open_gate(d);
    must_retry(d, first);
    events = events_after(d, batch, last);
    ck_assert_uint_eq(text_count(events, "\"event\":\"done\""), 1);
    ck_assert_ptr_nonnull(strstr(events, first));
    ck_assert_ptr_nonnull(strstr(events, "succeeded"));
    ck_assert_int_gt(last_id(events), last);
    struct http_reply now = api_get(daemon_url(d), "/v1/batches/%s", batch);
    ck_assert_int_eq(api_int(now.json, "counts.failed"), 1);
    ck_assert_int_eq(api_int(now.json, "counts.succeeded"), 2);
    http_reply_release(&now);
    free(events);
    http_reply_release(&made);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_retry_a_task_may_say_what_is_tried_again,
        test_retry_killer_ends_with_every_attempt_listed,
        test_retry_after_timeouts_and_limits,
        test_retry_not_when_a_worker_says_no,
        test_retry_by_hand_gives_another_life,
        test_retry_by_hand_of_cancelled_and_unfinished_ones,
        test_retry_by_hand_wants_the_unique_key_free,
        test_retry_by_hand_in_a_batch,
    };
    return suite_run("retry", tests, FUT_COUNT(tests));
}
