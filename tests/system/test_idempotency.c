/* Retry-safe submission: Idempotency-Key and `unique`, at once, in turn, and over a restart. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define AT_ONCE 16

static struct http_reply post(const char *base, const char *key, const char *body)
{
    char header[300];
    (void)snprintf(header, sizeof(header), "Idempotency-Key: %s", key);
    const char *const headers[] = {"Content-Type: application/json", header, NULL};
    return http_call(base, &(struct http_request){.method = "POST",
                                                  .path = "/v1/tasks",
                                                  .headers = headers,
                                                  .body = body,
                                                  .body_len = strlen(body)});
}

static bool is_replayed(const struct http_reply *r)
{
    char value[16];
    return http_header(r, "Idempotency-Replayed", value, sizeof(value)) &&
           strcmp(value, "true") == 0;
}

/* How many tasks this daemon has accepted since it started. */
static json_int_t count_submitted(const char *base)
{
    struct http_reply r = api_get(base, "/v1/stats");
    json_int_t n = api_int(r.json, "tasks.submitted");
    http_reply_release(&r);
    return n;
}

START_TEST(test_idempotency_same_request_brings_the_same_future)
{
    static const char body[] = "{\"handler\":\"echo\",\"input\":1}";
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_reply a = post(daemon_url(d), "\"one\"", body);
    struct http_reply b = post(daemon_url(d), "one", body); /* the bare form of the same key */
    ck_assert_int_eq(a.status, 202);
    ck_assert(!is_replayed(&a));
    ck_assert(b.status == 202 || b.status == 200);
    ck_assert(is_replayed(&b));
    ck_assert_str_eq(api_str(a.json, "id"), api_str(b.json, "id"));
    ck_assert_int_eq(count_submitted(daemon_url(d)), 1);
    http_reply_release(&a);
    http_reply_release(&b);
    daemon_end(&d);
}
END_TEST

START_TEST(test_idempotency_other_request_is_refused)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_reply a = post(daemon_url(d), "\"k\"", "{\"handler\":\"echo\",\"input\":1}");
    struct http_reply b = post(daemon_url(d), "\"k\"", "{\"handler\":\"echo\",\"input\":2}");
    struct http_reply c = post(daemon_url(d), "\"l\"", "{\"handler\":\"echo\",\"input\":2}");
    struct http_reply bad = post(daemon_url(d), "\"open", "{\"handler\":\"echo\"}");
    ck_assert_int_eq(a.status, 202);
    ck_assert_int_eq(b.status, 422);
    ck_assert_str_eq(api_str(b.json, "code"), "idempotency_key_reused");
    ck_assert_int_eq(c.status, 202);
    ck_assert_int_eq(bad.status, 400);
    ck_assert_str_eq(api_str(bad.json, "parameter"), "Idempotency-Key");
    ck_assert_int_eq(count_submitted(daemon_url(d)), 2);
    http_reply_release(&a);
    http_reply_release(&b);
    http_reply_release(&c);
    http_reply_release(&bad);
    daemon_end(&d);
}
END_TEST

START_TEST(test_idempotency_both_at_once_make_one_task)
{
    static const char body[] = "{\"handler\":\"sha256\",\"input\":\"x\"}";
    static const char *const headers[] = {"Idempotency-Key: \"at once\"", NULL};
    static const struct http_request request = {.method = "POST",
                                                .path = "/v1/tasks?wait=30",
                                                .headers = headers,
                                                .body = body,
                                                .body_len = sizeof(body) - 1};
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_pending *pending[AT_ONCE];
    char id[ID_TEXT_SIZE] = "";
    int fresh = 0;
    for (int i = 0; i < AT_ONCE; i++)
        pending[i] = http_begin(daemon_url(d), &request);
    for (int i = 0; i < AT_ONCE; i++) {
        struct http_reply r = http_finish(&pending[i]);
        ck_assert_msg(r.status == 200, "%d %s", r.status, r.body);
        if (!*id)
            (void)snprintf(id, sizeof(id), "%s", api_str(r.json, "id"));
        ck_assert_str_eq(api_str(r.json, "id"), id);
        fresh += !is_replayed(&r);
        http_reply_release(&r);
    }
    ck_assert_int_eq(fresh, 1);
    ck_assert_int_eq(count_submitted(daemon_url(d)), 1);
    daemon_end(&d);
}
END_TEST

START_TEST(test_idempotency_survives_a_restart)
{
    static const char body[] = "{\"handler\":\"echo\",\"input\":1,\"unique\":\"u\"}";
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_reply a = post(daemon_url(d), "\"k\"", body);
    ck_assert_int_eq(a.status, 202);
    daemon_kill(d);
    daemon_start(d);
    struct http_reply b = post(daemon_url(d), "\"k\"", body);
    ck_assert(is_replayed(&b));
    ck_assert_str_eq(api_str(a.json, "id"), api_str(b.json, "id"));
    struct http_reply c = post(daemon_url(d), "\"k\"", "{\"handler\":\"echo\"}");
    ck_assert_int_eq(c.status, 422);
    http_reply_release(&a);
    http_reply_release(&b);
    http_reply_release(&c);
    daemon_end(&d);
}
END_TEST

START_TEST(test_idempotency_of_a_raw_body_counts_its_options)
{
    static const char *const headers[] = {"Idempotency-Key: \"raw\"", "Content-Type: text/plain",
                                          NULL};
    static const struct {
        const char *path;
        int status;
    } asks[] = {
        {"/v1/tasks/echo?retries=1&timeout=5&wait=20", 200},
        {"/v1/tasks/echo?timeout=5&retries=1&wait=30", 200}, /* another order, another wait */
        {"/v1/tasks/echo?timeout=5&retries=2&wait=20", 422},
        {"/v1/tasks/sleep?retries=1&timeout=5", 422},
    };
    struct daemon *d = daemon_start_with(NULL, 0);
    for (size_t i = 0; i < FUT_COUNT(asks); i++) {
        struct http_reply r = http_call(daemon_url(d), &(struct http_request){.method = "POST",
                                                                              .path = asks[i].path,
                                                                              .headers = headers,
                                                                              .body = "x",
                                                                              .body_len = 1});
        ck_assert_msg(r.status == asks[i].status, "%s: %d %s", asks[i].path, r.status, r.body);
        http_reply_release(&r);
    }
    daemon_end(&d);
}
END_TEST

START_TEST(test_unique_coalesces_while_unfinished)
{
    static const char body[] =
        "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"unique\":\"u\"}";
    struct daemon *d = daemon_start_with(NULL, 0);
    char first[ID_TEXT_SIZE], second[ID_TEXT_SIZE], third[ID_TEXT_SIZE], value[16];
    api_submit(daemon_url(d), body, first);
    daemon_kill(d);
    daemon_start(d);
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", body);
    ck_assert_int_eq(r.status, 202);
    ck_assert_str_eq(api_str(r.json, "id"), first);
    ck_assert_ptr_nonnull(http_header(&r, "Futured-Coalesced", value, sizeof(value)));
    http_reply_release(&r);
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"unique\":\"v\"}", second);
    ck_assert_str_ne(first, second);
    ck_assert_int_eq(api_cancel(daemon_url(d), first), 200);
    api_submit(daemon_url(d), body, third);
    ck_assert_str_ne(first, third);
    ck_assert_int_eq(api_cancel(daemon_url(d), third), 200);
    daemon_end(&d);
}
END_TEST

#define SLEEP "{\"handler\":\"sleep\",\"unique\":\"u\",\"input\":{\"seconds\":600}"

/* Another task under a key that is taken: to bring the first one would be to lose the second. */
static const struct {
    const char *body;
    int status;
} others[] = {
    {SLEEP ",\"callback\":{\"url\":\"http://127.0.0.1:9/a\"}}", 202},
    {SLEEP "}", 409},
    {SLEEP ",\"callback\":{\"url\":\"http://127.0.0.1:9/b\"}}", 409},
    {SLEEP ",\"timeout\":7,\"callback\":{\"url\":\"http://127.0.0.1:9/a\"}}", 409},
    {SLEEP ",\"retry_on\":[\"exit\"],\"callback\":{\"url\":\"http://127.0.0.1:9/a\"}}", 409},
    {"{\"handler\":\"sleep\",\"unique\":\"u\",\"input\":{\"seconds\":601},"
     "\"callback\":{\"url\":\"http://127.0.0.1:9/a\"}}",
     409},
    {"{\"handler\":\"echo\",\"unique\":\"u\",\"input\":{\"seconds\":600},"
     "\"callback\":{\"url\":\"http://127.0.0.1:9/a\"}}",
     409},
};

START_TEST(test_unique_refuses_what_is_not_the_same)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char first[ID_TEXT_SIZE];
    api_submit(daemon_url(d), others[0].body, first);
    for (size_t i = 0; i < FUT_COUNT(others); i++) {
        struct http_reply r = api_post(daemon_url(d), "/v1/tasks", others[i].body);
        ck_assert_msg(r.status == others[i].status, "%zu: %d %s", i, r.status, r.body);
        if (r.status == 202) {
            ck_assert_str_eq(api_str(r.json, "id"), first);
        } else {
            ck_assert_str_eq(api_str(r.json, "code"), "conflict");
            ck_assert_str_eq(api_str(r.json, "field"), "unique");
        }
        http_reply_release(&r);
    }
    daemon_free(&d);
}
END_TEST

/* Options of which a task has none by default: each makes it another one. */
static const char *const options[] = {
    "\"queue\":\"mail\"",
    "\"priority\":1",
    "\"fair_key\":\"a\"",
    "\"delay\":600",
    "\"run_at\":\"2099-01-01T00:00:00Z\"",
    "\"expires_in\":600",
    "\"deadline\":600",
    "\"limits\":[\"l\"]",
    "\"after\":[\"PARENT\"]",
    "\"after\":[{\"id\":\"PARENT\",\"on\":\"done\"}]",
};

static char *with_option(const char *option, const char *parent)
{
    const char *at = strstr(option, "PARENT");
    return at ? text_printf("%s,%.*s%s%s}", SLEEP, (int)(at - option), option, parent,
                            at + strlen("PARENT"))
              : text_printf("%s,%s}", SLEEP, option);
}

static void expect_conflict(const struct daemon *d, const char *body)
{
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", body);
    ck_assert_msg(r.status == 409, "%s: %d %s", body, r.status, r.body);
    http_reply_release(&r);
}

START_TEST(test_unique_counts_every_option)
{
    static const char limit[] = "{\"max_running\":1}";
    struct daemon *d = daemon_start_with(NULL, 0);
    char plain[ID_TEXT_SIZE], first[ID_TEXT_SIZE], again[ID_TEXT_SIZE];
    struct http_reply promise = api_post(daemon_url(d), "/v1/promises", "{}");
    struct http_reply put = http_call(
        daemon_url(d),
        &(struct http_request){
            .method = "PUT", .path = "/v1/limits/l", .body = limit, .body_len = strlen(limit)});
    ck_assert_int_eq(put.status, 201);
    char *body = with_option(options[_i], api_str(promise.json, "id"));
    api_submit(daemon_url(d), SLEEP "}", plain);
    expect_conflict(d, body);
    ck_assert_int_eq(api_cancel(daemon_url(d), plain), 200);
    api_submit(daemon_url(d), body, first);
    api_submit(daemon_url(d), body, again);
    ck_assert_str_eq(first, again);
    expect_conflict(d, SLEEP "}");
    free(body);
    http_reply_release(&put);
    http_reply_release(&promise);
    daemon_free(&d);
}
END_TEST

/* The key went with its future: the request is a new one, and no echo of what is gone. */
START_TEST(test_idempotency_key_goes_with_its_future)
{
    static const char body[] = "{\"handler\":\"echo\",\"input\":1}";
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_reply a = post(daemon_url(d), "\"k\"", body);
    json_decref(api_done(daemon_url(d), api_str(a.json, "id")));
    char path[64];
    (void)snprintf(path, sizeof(path), "/v1/futures/%s", api_str(a.json, "id"));
    struct http_reply gone =
        http_call(daemon_url(d), &(struct http_request){.method = "DELETE", .path = path});
    ck_assert_int_eq(gone.status, 204);
    struct http_reply b = post(daemon_url(d), "\"k\"", body);
    ck_assert_int_eq(b.status, 202);
    ck_assert(!is_replayed(&b));
    ck_assert_str_ne(api_str(a.json, "id"), api_str(b.json, "id"));
    http_reply_release(&a);
    http_reply_release(&b);
    http_reply_release(&gone);
    daemon_free(&d);
}
END_TEST

START_TEST(test_idempotency_is_answered_when_the_queue_is_full)
{
    static const char *const settings[] = {"FUTURED_MAX_QUEUED=2", "MAX_THREADS=1"};
    static const char body[] = "{\"handler\":\"sleep\",\"input\":{\"seconds\":600}}";
    struct daemon *d = daemon_start_with(settings, 2);
    struct http_reply a = post(daemon_url(d), "\"k\"", body), r;
    ck_assert_int_eq(a.status, 202);
    int status = 202;
    for (int i = 0; i < 100 && status == 202; i++) {
        r = api_post(daemon_url(d), "/v1/tasks", body);
        status = r.status;
        http_reply_release(&r);
    }
    ck_assert_int_eq(status, 503);
    struct http_reply b = post(daemon_url(d), "\"k\"", body);
    ck_assert_int_eq(b.status, 202);
    ck_assert(is_replayed(&b));
    ck_assert_str_eq(api_str(a.json, "id"), api_str(b.json, "id"));
    http_reply_release(&a);
    http_reply_release(&b);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_idempotency_same_request_brings_the_same_future,
        test_idempotency_other_request_is_refused,
        test_idempotency_both_at_once_make_one_task,
        test_idempotency_survives_a_restart,
        test_idempotency_of_a_raw_body_counts_its_options,
        test_unique_coalesces_while_unfinished,
        test_unique_refuses_what_is_not_the_same,
        test_idempotency_key_goes_with_its_future,
        test_idempotency_is_answered_when_the_queue_is_full,
    };
    TCase *t = tcase_create("idempotency");
    tcase_set_timeout(t, SUITE_TIMEOUT_S);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(t, tests[i]);
    tcase_add_loop_test(t, test_unique_counts_every_option, 0, (int)FUT_COUNT(options));
    return suite_run_cases("idempotency", t, NULL);
}
