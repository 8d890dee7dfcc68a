/* The main job as the README shows it: post, get a future, collect the result. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"

#define HELLO_SHA256 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static const char *const handlers =
    "{\"wordcount\": {\"exec\": [\"wc\", \"-w\"], \"lane\": \"cpu\","
    " \"timeout\": 10}}";

static struct daemon *start(void)
{
    return daemon_start_handlers(handlers, NULL, 0);
}

static bool is_timestamp(const char *s)
{
    const char *form = "dddd-dd-ddTdd:dd:dd.dddZ";
    if (strlen(s) != strlen(form))
        return false;
    for (; *s; s++, form++) {
        bool fits = *form == 'd' ? (*s >= '0' && *s <= '9') : *s == *form;
        if (!fits)
            return false;
    }
    return true;
}

static void check_head(const struct http_reply *r, const char *name, const char *expected)
{
    char value[256];
    ck_assert_msg(http_header(r, name, value, sizeof(value)) != NULL, "no %s in %s", name, r->head);
    ck_assert_str_eq(value, expected);
}

START_TEST(test_main_job_post_answers_202_with_location)
{
    struct daemon *d = start();
    struct http_reply r =
        api_post(daemon_url(d), "/v1/tasks", "{\"handler\":\"sha256\",\"input\":\"hello\"}");
    ck_assert_int_eq(r.status, 202);
    const char *id = api_str(r.json, "id");
    ck_assert_int_eq((int)strlen(id), 36);
    char location[256];
    ck_assert_ptr_nonnull(http_header(&r, "Location", location, sizeof(location)));
    ck_assert_ptr_nonnull(strstr(location, "/v1/futures/"));
    ck_assert_str_eq(strstr(location, "/v1/futures/") + strlen("/v1/futures/"), id);
    ck_assert_str_eq(api_str(r.json, "handler"), "sha256");
    ck_assert_str_eq(api_str(r.json, "lane"), "cpu");
    ck_assert_str_eq(api_str(r.json, "state"), "queued");
    ck_assert(json_is_false(api_at(r.json, "done")));
    ck_assert(is_timestamp(api_str(r.json, "created_at")));
    ck_assert(json_is_null(api_at(r.json, "started_at")));
    ck_assert(json_is_null(api_at(r.json, "finished_at")));
    ck_assert_ptr_null(api_at(r.json, "result"));
    ck_assert_ptr_null(api_at(r.json, "error"));
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_long_poll_brings_the_result)
{
    struct daemon *d = start();
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"hello\"}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    ck_assert_str_eq(api_str(f, "result.sha256"), HELLO_SHA256);
    ck_assert_int_eq(api_int(f, "result.bytes"), 5);
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    ck_assert_ptr_null(api_at(f, "error"));
    ck_assert(is_timestamp(api_str(f, "started_at")));
    ck_assert(is_timestamp(api_str(f, "finished_at")));
    ck_assert_str_le(api_str(f, "created_at"), api_str(f, "started_at"));
    ck_assert_str_le(api_str(f, "started_at"), api_str(f, "finished_at"));
    json_decref(f);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_result_path_gives_the_bare_bytes)
{
    static const char body[] =
        "{\"handler\":\"echo\",\"input\":  {\"b\" : [1, 2.50],\"a\":null } }";
    struct daemon *d = start();
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), body, id);
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/result?wait=30", id);
    ck_assert_int_eq(r.status, 200);
    check_head(&r, "Content-Type", "application/json");
    ck_assert_str_eq(r.body, "{\"b\" : [1, 2.50],\"a\":null }");
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_text_result_is_inline_with_a_link)
{
    struct daemon *d = start();
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":\"hello\"}");
    ck_assert_str_eq(api_str(f, "result.content_type"), "text/plain; charset=utf-8");
    ck_assert_str_eq(api_str(f, "result.text"), "hello");
    struct http_reply r = api_get(daemon_url(d), "%s", api_str(f, "result.href"));
    ck_assert_int_eq(r.status, 200);
    check_head(&r, "Content-Type", "text/plain; charset=utf-8");
    ck_assert_str_eq(r.body, "hello");
    http_reply_release(&r);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_handler_in_the_path_takes_the_body_as_input)
{
    static const char *const form[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    static const char text[] = "the quick brown fox\njumps over\n";
    struct http_request req = {.method = "POST",
                               .path = "/v1/tasks/wordcount?wait=30",
                               .body = text,
                               .body_len = strlen(text),
                               .headers = form};
    struct daemon *d = start();
    struct http_reply r = http_call(daemon_url(d), &req);
    ck_assert_int_eq(r.status, 200);
    ck_assert_str_eq(api_str(r.json, "state"), "succeeded");
    ck_assert_str_eq(api_str(r.json, "handler"), "wordcount");
    struct http_reply bytes =
        api_get(daemon_url(d), "/v1/futures/%s/result", api_str(r.json, "id"));
    ck_assert_str_eq(bytes.body, "6\n");
    http_reply_release(&bytes);
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_input_keeps_every_byte_and_its_type)
{
    static const char *const png[] = {"Content-Type: image/png", NULL};
    unsigned char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    struct http_request req = {.method = "POST",
                               .path = "/v1/tasks/echo?wait=30",
                               .body = bytes,
                               .body_len = sizeof(bytes),
                               .headers = png};
    struct daemon *d = start();
    struct http_reply r = http_call(daemon_url(d), &req);
    ck_assert_int_eq(r.status, 200);
    struct http_reply got = api_get(daemon_url(d), "/v1/futures/%s/result", api_str(r.json, "id"));
    check_head(&got, "Content-Type", "image/png");
    ck_assert_int_eq((int)got.body_len, (int)sizeof(bytes));
    ck_assert_mem_eq(got.body, bytes, sizeof(bytes));
    http_reply_release(&got);
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_prefer_wait_answers_with_the_result)
{
    static const char *const prefer[] = {"Content-Type: application/json", "Prefer: wait=30", NULL};
    static const char body[] = "{\"handler\":\"primes\",\"input\":{\"below\":1000}}";
    struct http_request req = {.method = "POST",
                               .path = "/v1/tasks",
                               .body = body,
                               .body_len = strlen(body),
                               .headers = prefer};
    struct daemon *d = start();
    struct http_reply r = http_call(daemon_url(d), &req);
    ck_assert_int_eq(r.status, 200);
    ck_assert(json_is_true(api_at(r.json, "done")));
    ck_assert_int_eq(api_int(r.json, "result.count"), 168);
    ck_assert_int_eq(api_int(r.json, "result.largest"), 997);
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_waits_end_with_the_current_state)
{
    static const char body[] = "{\"handler\":\"sleep\",\"input\":{\"seconds\":60}}";
    struct daemon *d = start();
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks?wait=0.05", body);
    ck_assert_int_eq(r.status, 202);
    const char *id = api_str(r.json, "id");
    struct http_reply poll = api_get(daemon_url(d), "/v1/futures/%s?wait=0.05", id);
    ck_assert_int_eq(poll.status, 200);
    ck_assert(json_is_false(api_at(poll.json, "done")));
    struct http_reply bytes = api_get(daemon_url(d), "/v1/futures/%s/result?wait=0.05", id);
    char retry[32];
    ck_assert_int_eq(bytes.status, 409);
    ck_assert_str_eq(api_str(bytes.json, "code"), "not_done");
    ck_assert_ptr_nonnull(http_header(&bytes, "Retry-After", retry, sizeof(retry)));
    http_reply_release(&bytes);
    http_reply_release(&poll);
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_main_job_failed_task_is_a_problem_on_its_result_path)
{
    struct daemon *d = start();
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"primes\",\"input\":{\"below\":\"many\"}}");
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.code"), "bad_input");
    ck_assert_ptr_null(api_at(f, "result"));
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/result", api_str(f, "id"));
    ck_assert_int_eq(r.status, 422);
    check_head(&r, "Content-Type", "application/problem+json");
    ck_assert_str_eq(api_str(r.json, "code"), "task_failed");
    ck_assert_str_eq(api_str(r.json, "error.code"), "bad_input");
    http_reply_release(&r);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

static bool names_handler(const json_t *list, const char *name, const char *lane)
{
    size_t i;
    const json_t *h;
    json_array_foreach (list, i, h) {
        if (strcmp(api_str(h, "name"), name) == 0)
            return strcmp(api_str(h, "lane"), lane) == 0;
    }
    return false;
}

START_TEST(test_main_job_handlers_health_and_stats_answer)
{
    struct daemon *d = start();
    struct http_reply r = api_get(daemon_url(d), "/v1/handlers");
    ck_assert_int_eq(r.status, 200);
    const json_t *list = api_at(r.json, "handlers");
    ck_assert(names_handler(list, "echo", "io"));
    ck_assert(names_handler(list, "http", "io"));
    ck_assert(names_handler(list, "primes", "cpu"));
    ck_assert(names_handler(list, "wordcount", "cpu"));
    http_reply_release(&r);
    static const char *const paths[] = {"/healthz", "/readyz", "/v1/stats"};
    for (size_t i = 0; i < FUT_COUNT(paths); i++) {
        r = api_get(daemon_url(d), "%s", paths[i]);
        ck_assert_msg(r.status == 200, "%s answered %d", paths[i], r.status);
        http_reply_release(&r);
    }
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_main_job_post_answers_202_with_location,
        test_main_job_long_poll_brings_the_result,
        test_main_job_result_path_gives_the_bare_bytes,
        test_main_job_text_result_is_inline_with_a_link,
        test_main_job_handler_in_the_path_takes_the_body_as_input,
        test_main_job_input_keeps_every_byte_and_its_type,
        test_main_job_prefer_wait_answers_with_the_result,
        test_main_job_waits_end_with_the_current_state,
        test_main_job_failed_task_is_a_problem_on_its_result_path,
        test_main_job_handlers_health_and_stats_answer,
    };
    return suite_run("main_job", tests, FUT_COUNT(tests));
}
