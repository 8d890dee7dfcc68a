/* Bad input: a clear problem+json, nothing half-stored, the daemon unmoved. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define UNKNOWN "/v1/futures/01890a5d-ac96-774b-bcce-b302099a8057"

struct bad {
    const char *method, *path, *body;
    int status;
    const char *code, *field, *parameter; /* NULL: there must be none */
};

#define TASK(body, status, code, field)                                                            \
    {                                                                                              \
        "POST", "/v1/tasks", body, status, code, field, NULL                                       \
    }
#define QUERY(path, status, code, parameter)                                                       \
    {                                                                                              \
        "GET", path, NULL, status, code, NULL, parameter                                           \
    }

static const struct bad table[] = {
    TASK("{\"handler\":\"nope\"}", 422, "unknown_handler", "handler"),
    TASK("{\"handler\":", 400, "bad_json", NULL),
    TASK("", 400, "bad_json", NULL),
    TASK("{\"handler\":\"echo\"} x", 400, "bad_json", NULL),
    TASK("{\"handler\":\"echo\",\"handler\":\"sleep\"}", 400, "bad_json", NULL),
    TASK("{\"handler\":\"echo\",\"input\":\"\xff\"}", 400, "bad_json", NULL),
    TASK("[1]", 422, "wrong_type", NULL),
    TASK("{}", 422, "missing_field", "handler"),
    TASK("{\"handler\":7}", 422, "wrong_type", "handler"),
    TASK("{\"handler\":\"echo\",\"timeout\":\"soon\"}", 422, "wrong_type", "timeout"),
    TASK("{\"handler\":\"echo\",\"timeout\":0}", 422, "invalid_value", "timeout"),
    TASK("{\"handler\":\"echo\",\"timeout\":86401}", 422, "invalid_value", "timeout"),
    TASK("{\"handler\":\"echo\",\"retries\":[]}", 422, "wrong_type", "retries"),
    TASK("{\"handler\":\"echo\",\"retries\":101}", 422, "invalid_value", "retries"),
    TASK("{\"handler\":\"echo\",\"retries\":1.5}", 422, "invalid_value", "retries"),
    TASK("{\"handler\":\"echo\",\"lane\":\"gpu\"}", 422, "invalid_value", "lane"),
    TASK("{\"handler\":\"echo\",\"wings\":2}", 422, "unknown_field", "wings"),
    {"POST", "/v1/tasks/nope", "x", 404, "unknown_handler", NULL, NULL},
    {"POST", "/v1/tasks?wait=soon", "{\"handler\":\"echo\"}", 400, "invalid_parameter", NULL,
     "wait"},
    {"GET", UNKNOWN, NULL, 404, "unknown_future", NULL, NULL},
    {"GET", UNKNOWN "/result?wait=1", NULL, 404, "unknown_future", NULL, NULL},
    {"POST", UNKNOWN "/cancel", NULL, 404, "unknown_future", NULL, NULL},
    {"DELETE", UNKNOWN, NULL, 404, "unknown_future", NULL, NULL},
    {"GET", "/v1/futures/42", NULL, 404, "unknown_future", NULL, NULL},
    {"GET", "/v1/nothing", NULL, 404, "unknown_route", NULL, NULL},
    {"GET", "/index.html", NULL, 404, "unknown_route", NULL, NULL},
    {"PUT", "/v1/tasks", "{}", 405, "method_not_allowed", NULL, NULL},
    {"DELETE", "/v1/stats", NULL, 405, "method_not_allowed", NULL, NULL},
    QUERY(UNKNOWN "?wait=-1", 400, "invalid_parameter", "wait"),
    QUERY("/v1/futures?state=zombie", 400, "invalid_parameter", "state"),
    QUERY("/v1/futures?lane=gpu", 400, "invalid_parameter", "lane"),
    QUERY("/v1/futures?handler=a%20b", 400, "invalid_parameter", "handler"),
    QUERY("/v1/futures?code=", 400, "invalid_parameter", "code"),
    QUERY("/v1/futures?batch=7", 400, "invalid_parameter", "batch"),
    QUERY("/v1/futures?after=today", 400, "invalid_parameter", "after"),
    QUERY("/v1/futures?before=2026-11-22", 400, "invalid_parameter", "before"),
    QUERY("/v1/futures?older_than=-3", 400, "invalid_parameter", "older_than"),
    QUERY("/v1/futures?limit=0", 400, "invalid_parameter", "limit"),
    QUERY("/v1/futures?cursor=abc", 400, "invalid_cursor", "cursor"),
    QUERY("/v1/futures?colour=red", 400, "unknown_parameter", "colour"),
};

static struct http_reply call_bad(const char *base, const struct bad *b)
{
    static const char *const json[] = {"Content-Type: application/json", NULL};
    struct http_request req = {.method = b->method, .path = b->path};
    if (b->body) {
        req.body = b->body;
        req.body_len = strlen(b->body);
        req.headers = json;
    }
    return http_call(base, &req);
}

static void check_bad(const struct bad *b, const struct http_reply *r)
{
    char type[64] = "";
    const char *what = b->body ? b->body : b->path;
    ck_assert_msg(r->status == b->status, "%s %s %s: %d instead of %d: %s", b->method, b->path,
                  what, r->status, b->status, r->body);
    (void)http_header(r, "Content-Type", type, sizeof(type));
    ck_assert_str_eq(type, "application/problem+json");
    ck_assert_msg(strcmp(api_str(r->json, "code"), b->code) == 0, "%s: %s", what, r->body);
    ck_assert_msg(strcmp(api_str(r->json, "field"), b->field ? b->field : "") == 0, "%s: %s", what,
                  r->body);
    ck_assert_msg(strcmp(api_str(r->json, "parameter"), b->parameter ? b->parameter : "") == 0,
                  "%s: %s", what, r->body);
    ck_assert_int_eq((int)api_int(r->json, "status"), b->status);
    ck_assert(*api_str(r->json, "title") && *api_str(r->json, "detail"));
}

static void check_nothing_stored(const char *base)
{
    struct http_reply r = api_get(base, "/v1/futures");
    ck_assert_int_eq(r.status, 200);
    ck_assert_msg(json_array_size(api_at(r.json, "futures")) == 0, "%s", r.body);
    http_reply_release(&r);
}

START_TEST(test_bad_input_each_case_is_a_clear_problem)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    for (size_t i = 0; i < FUT_COUNT(table); i++) {
        struct http_reply r = call_bad(daemon_url(d), &table[i]);
        check_bad(&table[i], &r);
        http_reply_release(&r);
    }
    check_nothing_stored(daemon_url(d));
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_bad_input_json_errors_have_line_and_column)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_reply r =
        api_post(daemon_url(d), "/v1/tasks", "{\n  \"handler\": \"echo\",\n  oops\n}");
    ck_assert_int_eq(r.status, 400);
    ck_assert_int_eq(api_int(r.json, "line"), 3);
    ck_assert_int_ge(api_int(r.json, "column"), 3);
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_bad_input_deep_json_is_refused)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char *open = text_repeat('[', 100000), *close = text_repeat(']', 100000);
    char *body = text_printf("{\"handler\":\"echo\",\"input\":%s%s}", open, close);
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", body);
    ck_assert_int_eq(r.status, 400);
    ck_assert_str_eq(api_str(r.json, "code"), "json_too_deep");
    http_reply_release(&r);
    check_nothing_stored(daemon_url(d));
    free(open);
    free(close);
    free(body);
    daemon_free(&d);
}
END_TEST

START_TEST(test_bad_input_405_names_what_is_allowed)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_request req = {.method = "PUT", .path = UNKNOWN};
    struct http_reply r = http_call(daemon_url(d), &req);
    char allow[128];
    ck_assert_int_eq(r.status, 405);
    ck_assert_ptr_nonnull(http_header(&r, "Allow", allow, sizeof(allow)));
    ck_assert_ptr_nonnull(strstr(allow, "GET"));
    ck_assert_ptr_nonnull(strstr(allow, "DELETE"));
    ck_assert_ptr_null(strstr(allow, "POST"));
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

/* Posts n bytes to the echo handler. */
static struct http_reply post_sized(struct daemon *d, size_t n)
{
    static const char *const type[] = {"Content-Type: text/plain", NULL};
    char *body = text_repeat('x', n);
    struct http_request req = {
        .method = "POST", .path = "/v1/tasks/echo", .body = body, .body_len = n, .headers = type};
    struct http_reply r = http_call(daemon_url(d), &req);
    free(body);
    return r;
}

START_TEST(test_bad_input_large_body_is_413_with_the_limit)
{
    static const char *const settings[] = {"FUTURED_MAX_BODY=4K"};
    static const size_t sizes[] = {4096, 4097, 3000000};
    struct daemon *d = daemon_start_with(settings, 1);
    for (size_t i = 0; i < FUT_COUNT(sizes); i++) {
        struct http_reply r = post_sized(d, sizes[i]);
        ck_assert_msg(r.status == (i == 0 ? 202 : 413), "%zu bytes: %d %s", sizes[i], r.status,
                      r.error ? r.error : r.body);
        if (i > 0) {
            ck_assert_str_eq(api_str(r.json, "code"), "body_too_large");
            ck_assert_int_eq(api_int(r.json, "limit"), 4096);
        }
        http_reply_release(&r);
    }
    daemon_end(&d);
}
END_TEST

START_TEST(test_bad_input_full_queue_is_503_and_recovers)
{
    static const char *const settings[] = {"FUTURED_MAX_QUEUED=3", "MAX_THREADS=1"};
    static const char sleeper[] = "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}";
    struct daemon *d = daemon_start_with(settings, 2);
    char running[ID_TEXT_SIZE], queued[3][ID_TEXT_SIZE], retry[32] = "";
    api_submit(daemon_url(d), sleeper, running);
    api_wait_state(daemon_url(d), running, "running");
    for (size_t i = 0; i < 3; i++)
        api_submit(daemon_url(d), sleeper, queued[i]);
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", sleeper);
    ck_assert_msg(r.status == 503, "%d %s", r.status, r.body);
    ck_assert_str_eq(api_str(r.json, "code"), "queue_full");
    ck_assert_ptr_nonnull(http_header(&r, "Retry-After", retry, sizeof(retry)));
    ck_assert_int_ge(strtol(retry, NULL, 10), 1);
    http_reply_release(&r);
    ck_assert_int_eq(api_cancel(daemon_url(d), queued[2]), 200);
    api_submit(daemon_url(d), sleeper, queued[2]);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_bad_input_each_case_is_a_clear_problem,
        test_bad_input_json_errors_have_line_and_column,
        test_bad_input_deep_json_is_refused,
        test_bad_input_405_names_what_is_allowed,
        test_bad_input_large_body_is_413_with_the_limit,
        test_bad_input_full_queue_is_503_and_recovers,
    };
    return suite_run("bad_input", tests, FUT_COUNT(tests));
}
