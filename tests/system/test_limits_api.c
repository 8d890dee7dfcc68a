/* Limits over HTTP: what they let run, what a waiting future says, what is refused. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/receiver.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define JSON_HEADER                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        "Content-Type: application/json", NULL                                                     \
    }

static struct daemon *start(void)
{
    static const char *const settings[] = {"MAX_WORKERS=4"};
    return daemon_start_with(settings, 1);
}

static struct http_reply put(struct daemon *d, const char *name, const char *body)
{
    char *path = text_printf("/v1/limits/%s", name);
    struct http_request q = {.method = "PUT",
                             .path = path,
                             .headers = JSON_HEADER,
                             .body = body,
                             .body_len = strlen(body)};
    struct http_reply r = http_call(daemon_url(d), &q);
    free(path);
    return r;
}

static void define(struct daemon *d, const char *name, const char *body)
{
    struct http_reply r = put(d, name, body);
    ck_assert_msg(r.status == 201 || r.status == 200, "%d %s", r.status, r.body);
    http_reply_release(&r);
}

static char *submit(struct daemon *d, const char *more)
{
    char *body = text_printf("{\"handler\":\"sleep\",\"input\":{\"seconds\":600}%s}", more);
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), body, id);
    free(body);
    return text_printf("%s", id);
}

START_TEST(test_limits_let_so_many_run_and_say_why_the_rest_waits)
{
    struct daemon *d = start();
    define(d, "github", "{\"max_running\":2}");
    char *ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = submit(d, ",\"limits\":[\"github\"]");
    api_wait_state(daemon_url(d), ids[1], "running");
    json_t *f = api_future(daemon_url(d), ids[2]);
    ck_assert_str_eq(api_str(f, "state"), "queued");
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "limit");
    ck_assert_str_eq(api_str(f, "waiting_for.limit"), "github");
    ck_assert_int_eq(api_int(f, "waiting_for.max_running"), 2);
    json_decref(f);
    char *free_one = submit(d, ""); /* nobody else waits */
    api_wait_state(daemon_url(d), free_one, "running");
    ck_assert_int_eq(api_cancel(daemon_url(d), ids[0]), 200);
    api_wait_state(daemon_url(d), ids[2], "running");
    struct http_reply r = api_get(daemon_url(d), "/v1/limits/github");
    ck_assert_int_eq(api_int(r.json, "running"), 2);
    ck_assert(json_is_true(api_at(r.json, "closed")));
    http_reply_release(&r);
    free(free_one);
    for (int i = 0; i < 3; i++)
        free(ids[i]);
    daemon_free(&d);
}
END_TEST

START_TEST(test_limits_have_keys_and_are_kept)
{
    struct daemon *d = start();
    define(d, "tenant", "{\"max_running\":1,\"per_key\":true}");
    char *a1 = submit(d, ",\"limits\":[{\"name\":\"tenant\",\"key\":\"a\"}]"),
         *a2 = submit(d, ",\"limits\":[{\"name\":\"tenant\",\"key\":\"a\"}]"),
         *b = submit(d, ",\"limits\":[{\"name\":\"tenant\",\"key\":\"b\"}]");
    api_wait_state(daemon_url(d), a1, "running");
    api_wait_state(daemon_url(d), b, "running");
    json_t *f = api_future(daemon_url(d), a2);
    ck_assert_str_eq(api_str(f, "waiting_for.key"), "a");
    json_decref(f);
    daemon_kill(d);
    daemon_start(d);
    api_wait_state(daemon_url(d), a1, "running");
    api_wait_state(daemon_url(d), b, "running");
    f = api_future(daemon_url(d), a2);
    ck_assert_str_eq(api_str(f, "waiting_for.limit"), "tenant");
    json_decref(f);
    struct http_reply r = api_get(daemon_url(d), "/v1/limits");
    ck_assert_uint_eq(json_array_size(api_at(r.json, "limits")), 1);
    http_reply_release(&r);
    r = api_delete(daemon_url(d), "/v1/limits/tenant");
    ck_assert_int_eq(r.status, 204);
    http_reply_release(&r);
    api_wait_state(daemon_url(d), a2, "running");
    free(a1);
    free(a2);
    free(b);
    daemon_free(&d);
}
END_TEST

START_TEST(test_limits_of_hosts_are_taken_by_http_tasks)
{
    struct daemon *d = start();
    define(d, "host:example.org", "{\"rate\":{\"tasks\":1,\"per\":3600}}");
    struct http_reply r =
        api_post(daemon_url(d), "/v1/limits/host:example.org/close", "{\"seconds\":600}");
    ck_assert_msg(r.status == 200 && json_is_true(api_at(r.json, "closed")), "%s", r.body);
    http_reply_release(&r);
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d),
               "{\"handler\":\"http\",\"input\":{\"url\":\"http://me@Example.org:81/x\"}}", id);
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "waiting_for.limit"), "host:example.org");
    ck_assert(json_is_true(api_at(f, "waiting_for.closed")));
    ck_assert(*api_str(f, "waiting_for.opens_at"));
    json_decref(f);
    daemon_free(&d);
}
END_TEST

#define TASKS 100
#define TOO_MANY                                                                                   \
    "HTTP/1.1 429 Slower\r\nContent-Length: 0\r\nRetry-After: 600\r\nConnection: close\r\n\r\n"
#define IN_A_SECOND                                                                                \
    "HTTP/1.1 503 Soon\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
#define HOST "host:127.0.0.1"

static void post_to(struct daemon *d, struct receiver *r, const char *more, char id[ID_TEXT_SIZE])
{
    char *body = text_printf("{\"handler\":\"http\",\"input\":{\"url\":\"http://127.0.0.1:%u/\","
                             "\"method\":\"POST\",\"body\":\"x\"}%s}",
                             receiver_port(r), more);
    api_submit(daemon_url(d), body, id);
    free(body);
}

struct asked {
    struct daemon *d;
    struct receiver *r;
};

static bool is_closed_or_asked_again(void *asked)
{
    const struct asked *a = asked;
    struct http_reply r = api_get(daemon_url(a->d), "/v1/limits/" HOST);
    bool is_closed = *api_str(r.json, "opens_at");
    http_reply_release(&r);
    return is_closed || receiver_requests(a->r) > 1;
}

static void check_gate(struct daemon *d, struct receiver *r, char ids[][ID_TEXT_SIZE])
{
    for (int i = 0; i < TASKS; i++) {
        json_t *f = api_future(daemon_url(d), ids[i]);
        ck_assert_str_eq(api_str(f, "state"), "queued");
        ck_assert_str_eq(api_str(f, "waiting_for.limit"), HOST);
        ck_assert(json_is_true(api_at(f, "waiting_for.closed")));
        ck_assert(*api_str(f, "waiting_for.opens_at"));
        ck_assert_int_eq(api_int(f, "attempt"), 0);
        json_decref(f);
    }
    ck_assert_int_eq(receiver_requests(r), 1);
}

/* Nobody gets banned: a host that has said 429 hears nothing more until it wants to, whatever
 * becomes of the daemon meanwhile. */
START_TEST(test_limits_of_a_host_are_closed_by_its_429)
{
    struct daemon *d = start();
    struct receiver *r = receiver_start(false);
    char ids[TASKS][ID_TEXT_SIZE];
    define(d, HOST, "{\"max_running\":1}");
    receiver_answer(r, 1, TOO_MANY);
    for (int i = 0; i < TASKS; i++)
        post_to(d, r, "", ids[i]);
    ck_assert(wait_until(is_closed_or_asked_again, &(struct asked){d, r}, WAIT_LONG_MS));
    check_gate(d, r, ids);
    daemon_kill(d);
    daemon_start(d);
    check_gate(d, r, ids);
    struct http_reply opened =
        api_post(daemon_url(d), "/v1/limits/" HOST "/close", "{\"seconds\":0}");
    ck_assert_int_eq(opened.status, 200);
    http_reply_release(&opened);
    for (int i = 0; i < TASKS; i++) {
        json_t *f = api_done(daemon_url(d), ids[i]);
        ck_assert_int_eq(api_int(f, "result.status"), 204);
        ck_assert_int_eq(api_int(f, "attempt"), 1);
        json_decref(f);
    }
    ck_assert_int_eq(receiver_requests(r), TASKS + 1);
    daemon_free(&d);
    receiver_stop(&r);
}
END_TEST

START_TEST(test_limits_of_a_host_open_when_it_wants)
{
    struct daemon *d = start();
    struct receiver *r = receiver_start(false);
    char id[ID_TEXT_SIZE];
    define(d, HOST, "{\"max_running\":1}");
    receiver_answer(r, 1, IN_A_SECOND);
    int64_t from_ms = clock_mono_ms();
    post_to(d, r, "", id);
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_int_eq(api_int(f, "result.status"), 204);
    ck_assert_int_eq(api_int(f, "attempt"), 1); /* it is not charged, and had no retries */
    ck_assert_int_ge(clock_mono_ms() - from_ms, 1000);
    json_decref(f);
    daemon_free(&d);
    receiver_stop(&r);
}
END_TEST

/* Without such a limit it is a matter of the task's retries; and a limit that came after the task
 * holds the others alone. */
START_TEST(test_limits_of_hosts_that_a_task_does_not_name)
{
    struct daemon *d = start();
    struct receiver *r = receiver_start(false);
    char id[ID_TEXT_SIZE];
    receiver_answer(r, 2, IN_A_SECOND);
    post_to(d, r, "", id);
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "error.code"), "http_status");
    json_decref(f);
    post_to(d, r, ",\"retries\":1,\"backoff\":{\"first\":0.01,\"jitter\":0}", id);
    f = api_done(daemon_url(d), id);
    ck_assert_int_eq(api_int(f, "result.status"), 204);
    ck_assert_int_eq(api_int(f, "attempt"), 2);
    json_decref(f);

    api_patch_pool(daemon_url(d), "io", "{\"paused\":true}");
    receiver_answer(r, 1, TOO_MANY);
    post_to(d, r, "", id);
    define(d, HOST, "{\"max_running\":9}");
    api_patch_pool(daemon_url(d), "io", "{\"paused\":false}");
    api_wait_state(daemon_url(d), id, "scheduled");
    f = api_future(daemon_url(d), id);
    ck_assert_int_eq(api_int(f, "attempt"), 0);
    json_decref(f);
    post_to(d, r, "", id);
    f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "waiting_for.limit"), HOST);
    json_decref(f);
    ck_assert_int_eq(receiver_requests(r), 4);
    daemon_free(&d);
    receiver_stop(&r);
}
END_TEST

static void check_problem(const struct http_reply *r, const char *what, int status,
                          const char *code, const char *field)
{
    ck_assert_msg(r->status == status && strcmp(api_str(r->json, "code"), code) == 0 &&
                      strcmp(api_str(r->json, "field"), field) == 0,
                  "%s: %d %s", what, r->status, r->body);
}

#define ENTRY                                                                                      \
    "{\"nap\":{\"exec\":[\"sleep\",\"600\"],\"task_limits\":[\"github\",\"tenant\",\"later\"]}}"

static json_t *submit_nap(struct daemon *d, const char *limits)
{
    char *body = text_printf("{\"handler\":\"nap\",\"limits\":%s}", limits);
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), body, id);
    free(body);
    return api_future(daemon_url(d), id);
}

/* Of a handler's entry. */
START_TEST(test_limits_of_a_handler)
{
    struct daemon *d = daemon_start_handlers(ENTRY, NULL, 0);
    json_t *f = submit_nap(d, "[]"); /* none is defined yet */
    api_wait_state(daemon_url(d), api_str(f, "id"), "running");
    json_decref(f);
    define(d, "github", "{\"max_running\":2}");
    define(d, "tenant", "{\"max_running\":1,\"per_key\":true}");
    define(d, "mine", "{\"max_running\":9}");
    define(d, "other", "{\"max_running\":9}");
    json_t *one = submit_nap(d, "[{\"name\":\"tenant\",\"key\":\"a\"}]");
    json_t *two = submit_nap(d, "[{\"name\":\"tenant\",\"key\":\"b\"},\"mine\"]");
    api_wait_state(daemon_url(d), api_str(one, "id"), "running");
    char *named = json_dumps(api_at(two, "limits"), JSON_COMPACT);
    ck_assert_str_eq(named, "[\"github\",\"later\",\"mine\",{\"name\":\"tenant\",\"key\":\"b\"}]");
    f = api_wait_text(daemon_url(d), api_str(two, "id"), "waiting_for.limit", "github");
    json_decref(f);
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", "{\"handler\":\"nap\"}");
    check_problem(&r, "no key", 422, "invalid_value", "limits");
    ck_assert_ptr_nonnull(strstr(r.body, "tenant"));
    http_reply_release(&r);
    r = api_post(daemon_url(d), "/v1/tasks",
                 "{\"handler\":\"nap\",\"limits\":[{\"name\":\"tenant\",\"key\":\"a\"},\"mine\","
                 "\"other\"]}");
    check_problem(&r, "five", 422, "invalid_value", "limits");
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/handlers");
    ck_assert_ptr_nonnull(strstr(r.body, "\"task_limits\":[\"github\",\"later\",\"tenant\"]"));
    http_reply_release(&r);
    free(named);
    json_decref(one);
    json_decref(two);
    daemon_free(&d);
}
END_TEST

static const struct {
    const char *path, *body, *field;
} refused_inputs[] = {
    {"/v1/tasks", "{\"handler\":\"http\",\"input\":{\"url\":\"http://h/\",\"fail_on\":\"5xx\"}}",
     "input.fail_on"},
    {"/v1/tasks/http", "{\"url\":\"http://h/\",\"fail_on\":[\"9xx\"]}", "fail_on"},
    {"/v1/batches", "{\"handler\":\"http\",\"inputs\":[{\"url\":\"http://h/\",\"fail_on\":[7]}]}",
     "input.fail_on"},
};

START_TEST(test_limits_name_a_wrong_fail_on)
{
    struct daemon *d = start();
    for (size_t i = 0; i < FUT_COUNT(refused_inputs); i++) {
        struct http_reply r =
            api_post(daemon_url(d), refused_inputs[i].path, refused_inputs[i].body);
        ck_assert_msg(r.status == 422, "%d %s", r.status, r.body);
        ck_assert_str_eq(api_str(r.json, "code"), "invalid_value");
        ck_assert_ptr_nonnull(strstr(api_str(r.json, "field"), refused_inputs[i].field));
        http_reply_release(&r);
    }
    daemon_free(&d);
}
END_TEST

static const struct {
    const char *name, *body, *code, *field;
    int status;
} refused[] = {
    {"a", "{}", "missing_field", "max_running", 422},
    {"a", "{\"max_running\":0}", "invalid_value", "max_running", 422},
    {"a", "{\"max_running\":1.5}", "invalid_value", "max_running", 422},
    {"a", "{\"max_running\":\"2\"}", "wrong_type", "max_running", 422},
    {"a", "{\"rate\":7}", "wrong_type", "rate", 422},
    {"a", "{\"rate\":{\"tasks\":5}}", "missing_field", "rate.per", 422},
    {"a", "{\"rate\":{\"tasks\":0,\"per\":1}}", "invalid_value", "rate.tasks", 422},
    {"a", "{\"rate\":{\"tasks\":5,\"per\":1,\"burst\":0.5}}", "invalid_value", "rate.burst", 422},
    {"a", "{\"rate\":{\"tasks\":5,\"per\":1,\"x\":1}}", "unknown_field", "rate", 422},
    {"a", "{\"max_running\":1,\"per_key\":1}", "wrong_type", "per_key", 422},
    {"a", "{\"max_running\":1,\"colour\":1}", "unknown_field", "colour", 422},
    {"a%20b", "{\"max_running\":1}", "invalid_path", "", 400},
    {"%28label%29", "{\"max_running\":1}", "invalid_path", "", 400}, /* the store's own word */
    {"%40gpu", "{\"max_running\":1}", "invalid_path", "", 400},
};

static const struct {
    const char *limits, *code, *field;
} refused_tasks[] = {
    {"[\"nobody\"]", "unknown_limit", "limits"},
    {"[\"tenant\"]", "invalid_value", "limits"},
    {"[{\"name\":\"plain\",\"key\":\"k\"}]", "invalid_value", "limits"},
    {"[7]", "invalid_value", "limits[0]"},
    {"[\"plain\",\"plain\"]", "invalid_value", "limits[1]"},
    {"[{\"name\":\"tenant\",\"key\":\"\"}]", "invalid_value", "limits[0]"},
    {"[{\"name\":\"tenant\",\"keys\":\"a\"}]", "invalid_value", "limits[0]"},
    {"[\"a\",\"b\",\"c\",\"d\",\"e\"]", "invalid_value", "limits"},
    {"\"plain\"", "wrong_type", "limits"},
};

static const struct {
    const char *needs, *code;
    int limit;
} refused_needs[] = {
    {"\"gpu\"", "wrong_type", 0},
    {"[7]", "invalid_value", 64},
    {"[\"\"]", "invalid_value", 64},
    {"[\"a,b\"]", "invalid_value", 64},
    {"[\"a\\nb\"]", "invalid_value", 64},
    {"[\"a\\u0000b\"]", "invalid_value", 64},
    {"[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", "invalid_value", 8},
};

START_TEST(test_limits_refuse_bad_needs)
{
    struct daemon *d = start();
    for (size_t i = 0; i < FUT_COUNT(refused_needs); i++) {
        char *body = text_printf("{\"handler\":\"echo\",\"needs\":%s}", refused_needs[i].needs);
        struct http_reply r = api_post(daemon_url(d), "/v1/tasks", body);
        check_problem(&r, body, 422, refused_needs[i].code, "needs");
        if (refused_needs[i].limit)
            ck_assert_int_eq(api_int(r.json, "limit"), refused_needs[i].limit);
        http_reply_release(&r);
        free(body);
    }
    daemon_end(&d);
}
END_TEST

START_TEST(test_limits_refuse_bad_input)
{
    struct daemon *d = start();
    for (size_t i = 0; i < FUT_COUNT(refused); i++) {
        struct http_reply r = put(d, refused[i].name, refused[i].body);
        check_problem(&r, refused[i].body, refused[i].status, refused[i].code, refused[i].field);
        http_reply_release(&r);
    }
    define(d, "plain", "{\"max_running\":1}");
    define(d, "tenant", "{\"max_running\":1,\"per_key\":true}");
    for (size_t i = 0; i < FUT_COUNT(refused_tasks); i++) {
        char *body = text_printf("{\"handler\":\"echo\",\"limits\":%s}", refused_tasks[i].limits);
        struct http_reply r = api_post(daemon_url(d), "/v1/tasks", body);
        check_problem(&r, body, 422, refused_tasks[i].code, refused_tasks[i].field);
        http_reply_release(&r);
        free(body);
    }
    struct http_reply r = api_delete(daemon_url(d), "/v1/limits/nobody");
    check_problem(&r, "delete", 404, "unknown_limit", "");
    http_reply_release(&r);
    r = api_post(daemon_url(d), "/v1/limits/plain/close", "{\"seconds\":-1}");
    check_problem(&r, "close", 422, "invalid_value", "seconds");
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

/* What keeps labels and queues closed is no limit of anybody's: it is not listed, and not changed.
 */
START_TEST(test_limits_that_are_reserved)
{
    static const char *const reserved[] = {"%28label%29", "%28queue%29"};
    struct daemon *d = start();
    char *waits = submit(d, ",\"needs\":[\"gpu\"]");
    json_decref(api_wait_text(daemon_url(d), waits, "waiting_for.code", "no_node_for_needs"));
    struct http_reply r = api_get(daemon_url(d), "/v1/limits");
    ck_assert_uint_eq(json_array_size(api_at(r.json, "limits")), 0);
    http_reply_release(&r);
    for (size_t i = 0; i < FUT_COUNT(reserved); i++) {
        r = api_get(daemon_url(d), "/v1/limits/%s", reserved[i]);
        check_problem(&r, "get", 404, "unknown_limit", "");
        http_reply_release(&r);
        r = api_delete(daemon_url(d), "/v1/limits/%s", reserved[i]);
        check_problem(&r, "delete", 404, "unknown_limit", "");
        http_reply_release(&r);
        r = put(d, reserved[i], "{\"max_running\":1}");
        check_problem(&r, "put", 400, "invalid_path", "");
        http_reply_release(&r);
    }
    json_decref(api_wait_text(daemon_url(d), waits, "waiting_for.code", "no_node_for_needs"));
    free(waits);
    daemon_end(&d);
}
END_TEST

/* The program of the cancelled task ends by the KILL alone; the other must not run beside it. */
START_TEST(test_limits_count_what_was_cancelled_until_it_has_ended)
{
    static const char *const settings[] = {"MAX_WORKERS=4", "FUTURED_KILL_GRACE=2s"};
    struct daemon *d = daemon_start_handlers(
        "{\"deaf\": {\"exec\": [\"sh\", \"-c\", \"trap '' TERM; exec 9>>DIR/lock; flock 9;"
        " echo >DIR/began; while :; do sleep 0.1 9>&-; done\"]},"
        " \"look\": {\"exec\": [\"sh\", \"-c\", \"flock -n DIR/lock echo alone || echo beside\"]}}",
        settings, 2);
    char deaf[ID_TEXT_SIZE];
    define(d, "one", "{\"max_running\":1}");
    api_submit(daemon_url(d), "{\"handler\":\"deaf\",\"limits\":[\"one\"]}", deaf);
    free(daemon_wait_file(d, "began"));
    ck_assert_int_eq(api_cancel(daemon_url(d), deaf), 200);
    json_t *look = api_run(daemon_url(d), "{\"handler\":\"look\",\"limits\":[\"one\"]}");
    char *text = api_result(daemon_url(d), api_str(look, "id"));
    ck_assert_str_eq(text, "alone\n");
    free(text);
    json_decref(look);
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    TCase *tc = suite_case("limits", 60, NULL, NULL);
    tcase_add_test(tc, test_limits_let_so_many_run_and_say_why_the_rest_waits);
    tcase_add_test(tc, test_limits_have_keys_and_are_kept);
    tcase_add_test(tc, test_limits_of_hosts_are_taken_by_http_tasks);
    tcase_add_test(tc, test_limits_of_a_host_are_closed_by_its_429);
    tcase_add_test(tc, test_limits_of_a_host_open_when_it_wants);
    tcase_add_test(tc, test_limits_of_hosts_that_a_task_does_not_name);
    tcase_add_test(tc, test_limits_of_a_handler);
    tcase_add_test(tc, test_limits_name_a_wrong_fail_on);
    tcase_add_test(tc, test_limits_count_what_was_cancelled_until_it_has_ended);
    tcase_add_test(tc, test_limits_refuse_bad_input);
    tcase_add_test(tc, test_limits_refuse_bad_needs);
    tcase_add_test(tc, test_limits_that_are_reserved);
    return suite_run_cases("limits over HTTP", tc, NULL);
}
