/* Limits over HTTP: what they let run, what a waiting future says, what is refused. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

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

static void check_problem(const struct http_reply *r, const char *what, int status,
                          const char *code, const char *field)
{
    ck_assert_msg(r->status == status && strcmp(api_str(r->json, "code"), code) == 0 &&
                      strcmp(api_str(r->json, "field"), field) == 0,
                  "%s: %d %s", what, r->status, r->body);
}

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
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("limits");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_limits_let_so_many_run_and_say_why_the_rest_waits);
    tcase_add_test(tc, test_limits_have_keys_and_are_kept);
    tcase_add_test(tc, test_limits_of_hosts_are_taken_by_http_tasks);
    tcase_add_test(tc, test_limits_refuse_bad_input);
    return suite_run_cases("limits over HTTP", tc, NULL);
}
