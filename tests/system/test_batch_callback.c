/* The callback of a batch, as its receiver sees it: told once the last member has ended, by the
 * rules of every callback. */
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/receiver.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static struct receiver *receiver;

static struct daemon *begin(void)
{
    receiver = receiver_start(false);
    return daemon_start_with(NULL, 0);
}

static void end(struct daemon *d)
{
    daemon_end(&d);
    receiver_stop(&receiver);
}

/* A batch with these members ("\"tasks\":[…]" and the like), told of at the receiver. */
static json_t *submit(struct daemon *d, const char *members)
{
    char body[1024];
    (void)snprintf(body, sizeof(body), "{%s,\"callback\":{\"url\":\"http://127.0.0.1:%u/batch\"}}",
                   members, receiver_port(receiver));
    return api_batch(daemon_url(d), body);
}

static json_t *read_batch(struct daemon *d, const char *id)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/batches/%s", id);
    ck_assert_int_eq(r.status, 200);
    json_t *batch = json_incref(r.json);
    http_reply_release(&r);
    return batch;
}

static const char *member(const json_t *made, size_t i)
{
    return json_string_value(json_array_get(api_at(made, "ids"), i));
}

/* The delivery's body, held against how many ended how. json_decref() it. */
static json_t *check_told(int i, const json_t *made, json_int_t succeeded, json_int_t failed,
                          json_int_t cancelled)
{
    json_t *body = json_loads(receiver_body(receiver, i), 0, NULL);
    char href[128];
    (void)snprintf(href, sizeof(href), "/v1/batches/%s", api_str(made, "id"));
    ck_assert_str_eq(api_str(body, "type"), "batch.done");
    ck_assert_str_eq(api_str(body, "data.id"), api_str(made, "id"));
    ck_assert_str_eq(api_str(body, "data.href"), href);
    ck_assert_str_eq(api_str(body, "timestamp"), api_str(body, "data.finished_at"));
    ck_assert_int_eq(api_int(body, "data.total"), api_int(made, "total"));
    ck_assert_int_eq(api_int(body, "data.counts.succeeded"), succeeded);
    ck_assert_int_eq(api_int(body, "data.counts.failed"), failed);
    ck_assert_int_eq(api_int(body, "data.counts.cancelled"), cancelled);
    return body;
}

START_TEST(test_batch_callback_tells_of_the_last_end)
{
    struct daemon *d = begin();
    json_t *made =
        submit(d, "\"tasks\":[{\"handler\":\"echo\",\"input\":1},{\"handler\":\"primes\","
                  "\"input\":\"x\"},{\"handler\":\"sleep\",\"input\":{\"seconds\":600}}]");
    json_t *batch = read_batch(d, api_str(made, "id"));
    ck_assert_str_eq(api_str(batch, "callback.state"), "scheduled");
    json_decref(batch);
    json_decref(api_done(daemon_url(d), member(made, 0)));
    json_decref(api_done(daemon_url(d), member(made, 1)));
    ck_assert_int_eq(receiver_requests(receiver), 0);
    struct http_reply gone = api_delete(daemon_url(d), "/v1/futures/%s", member(made, 0));
    ck_assert_int_eq(gone.status, 204);
    http_reply_release(&gone);
    ck_assert_int_eq(api_cancel(daemon_url(d), member(made, 2)), 200);
    receiver_wait(receiver, 1);
    json_decref(check_told(0, made, 1, 1, 1));
    batch = read_batch(d, api_str(made, "id"));
    json_decref(api_wait_text(daemon_url(d), api_str(batch, "callback.id"), "state", "succeeded"));
    ck_assert_ptr_nonnull(strstr(api_str(batch, "callback.url"), "/batch"));
    json_decref(batch);
    json_decref(made);
    end(d);
}
END_TEST

START_TEST(test_batch_callback_of_a_map_and_of_lines)
{
    struct daemon *d = begin();
    static const char lines[] = "{\"handler\":\"echo\"}\n{\"handler\":\"echo\"}\n";
    static const char *const headers[] = {"Content-Type: application/x-ndjson", NULL};
    char path[128];
    json_t *made = submit(d, "\"handler\":\"echo\",\"inputs\":[1,2,3]");
    receiver_wait(receiver, 1);
    json_decref(check_told(0, made, 3, 0, 0));
    json_decref(made);
    (void)snprintf(path, sizeof(path), "/v1/batches?callback=http://127.0.0.1:%u/lines",
                   receiver_port(receiver));
    struct http_reply r =
        http_call(daemon_url(d), &(struct http_request){.method = "POST",
                                                        .path = path,
                                                        .headers = headers,
                                                        .body = lines,
                                                        .body_len = sizeof(lines) - 1});
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.body);
    receiver_wait(receiver, 2);
    json_decref(check_told(1, r.json, 2, 0, 0));
    http_reply_release(&r);
    end(d);
}
END_TEST

/* What is refused at once names the member. */
static const struct text_case refused[] = {
    {"{\"url\":\"http://10.1.2.3/\"}", "callback.url"},
    {"{\"url\":\"ftp://127.0.0.1/\"}", "callback.url"},
    {"{}", "callback.url"},
    {"{\"url\":\"http://127.0.0.1/\",\"x\":1}", "callback"},
    {"7", "callback"},
};

START_TEST(test_batch_callback_is_refused_as_a_tasks_is)
{
    static const char *const settings[] = {"FUTURED_HTTP_NETWORKS=127.0.0.0/8"};
    struct daemon *d = daemon_start_with(settings, 1);
    char body[256];
    for (size_t i = 0; i < FUT_COUNT(refused); i++) {
        (void)snprintf(body, sizeof(body), "{\"handler\":\"echo\",\"inputs\":[1],\"callback\":%s}",
                       refused[i].given);
        struct http_reply r = api_post(daemon_url(d), "/v1/batches", body);
        ck_assert_msg(r.status == 422, "%s: %d %s", refused[i].given, r.status, r.body);
        ck_assert_str_eq(api_str(r.json, "field"), refused[i].expected);
        http_reply_release(&r);
    }
    struct http_reply r =
        api_post(daemon_url(d), "/v1/batches?callback=x", "{\"handler\":\"echo\",\"inputs\":[1]}");
    ck_assert_int_eq(r.status, 400);
    ck_assert_str_eq(api_str(r.json, "parameter"), "callback");
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

/* The daemon is killed when the delivery was refused once, so after the last end and before the
 * delivery. */
START_TEST(test_batch_callback_is_delivered_by_the_next_daemon)
{
    char first[256], second[256];
    struct daemon *d = begin();
    receiver_refuse(receiver, 1);
    json_t *made = submit(d, "\"handler\":\"echo\",\"inputs\":[1,2]");
    receiver_wait(receiver, 1);
    daemon_kill(d);
    daemon_start(d);
    receiver_wait(receiver, 2);
    json_decref(check_told(1, made, 2, 0, 0));
    ck_assert_str_eq(receiver_body(receiver, 0), receiver_body(receiver, 1));
    ck_assert_pstr_eq(receiver_header(receiver, 0, "webhook-id", first),
                      receiver_header(receiver, 1, "webhook-id", second));
    json_decref(made);
    end(d);
}
END_TEST

/* The daemon is killed while the last member runs: its end is the next daemon's, and so is what is
 * told of it. */
START_TEST(test_batch_callback_when_the_next_daemon_ends_the_last)
{
    struct daemon *d = begin();
    json_t *made = submit(d, "\"tasks\":[{\"handler\":\"echo\"},{\"handler\":\"sleep\","
                             "\"input\":{\"seconds\":600}}]");
    json_decref(api_done(daemon_url(d), member(made, 0)));
    api_wait_state(daemon_url(d), member(made, 1), "running");
    daemon_kill(d);
    daemon_start(d);
    ck_assert_int_eq(api_cancel(daemon_url(d), member(made, 1)), 200);
    receiver_wait(receiver, 1);
    json_decref(check_told(0, made, 1, 0, 1));
    json_decref(made);
    end(d);
}
END_TEST

START_TEST(test_batch_callback_is_called_again_after_a_retry)
{
    char path[128], first[256], second[256];
    struct daemon *d = begin();
    json_t *made = submit(d, "\"tasks\":[{\"handler\":\"echo\"},{\"handler\":\"primes\","
                             "\"input\":\"x\"}]");
    receiver_wait(receiver, 1);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s/retry", member(made, 1));
    struct http_reply again = api_post(daemon_url(d), path, NULL);
    ck_assert_msg(again.status == 202, "%d %s", again.status, again.body);
    http_reply_release(&again);
    receiver_wait(receiver, 2);
    json_decref(check_told(0, made, 1, 1, 0));
    json_decref(check_told(1, made, 1, 1, 0));
    ck_assert_pstr_ne(receiver_header(receiver, 0, "webhook-id", first),
                      receiver_header(receiver, 1, "webhook-id", second));
    json_decref(made);
    end(d);
}
END_TEST

/* The batch and all its futures are deleted before the receiver answers. */
START_TEST(test_batch_callback_outlives_its_batch)
{
    struct daemon *d = begin();
    receiver_refuse(receiver, 1);
    json_t *made = submit(d, "\"handler\":\"echo\",\"inputs\":[1]");
    receiver_wait(receiver, 1);
    struct http_reply gone = api_delete(daemon_url(d), "/v1/futures/%s", member(made, 0));
    ck_assert_int_eq(gone.status, 204);
    http_reply_release(&gone);
    gone = api_get(daemon_url(d), "/v1/batches/%s", api_str(made, "id"));
    ck_assert_int_eq(gone.status, 404);
    http_reply_release(&gone);
    receiver_wait(receiver, 2);
    json_decref(check_told(1, made, 1, 0, 0));
    json_decref(made);
    end(d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_batch_callback_tells_of_the_last_end,
        test_batch_callback_of_a_map_and_of_lines,
        test_batch_callback_is_refused_as_a_tasks_is,
        test_batch_callback_is_delivered_by_the_next_daemon,
        test_batch_callback_when_the_next_daemon_ends_the_last,
        test_batch_callback_is_called_again_after_a_retry,
        test_batch_callback_outlives_its_batch,
    };
    return suite_run("batch callback", tests, FUT_COUNT(tests));
}
