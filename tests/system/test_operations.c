/* One change of many futures over HTTP, and failures in groups. */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static const char handlers[] =
    "{\"bad\": {\"exec\": [\"sh\", \"-c\", \"exit 3\"], \"retries\": 0, \"lane\": \"io\"},"
    " \"worse\": {\"exec\": [\"sh\", \"-c\", \"exit 4\"], \"retries\": 0, \"lane\": \"io\"}}";

static struct daemon *start(void)
{
    struct daemon *d = daemon_start_handlers(handlers, NULL, 0);
    api_patch_pool(daemon_url(d), "cpu", "{\"paused\":true}"); /* what is submitted there waits */
    return d;
}

static void submit_n(struct daemon *d, int n, const char *json)
{
    char id[ID_TEXT_SIZE];
    for (int i = 0; i < n; i++)
        api_submit(daemon_url(d), json, id);
}

static json_t *operate(struct daemon *d, const char *what, const char *body, int status)
{
    char *path = text_printf("/v1/futures/%s?wait=20", what);
    struct http_reply r = api_post(daemon_url(d), path, body);
    ck_assert_msg(r.status == status, "%s: %d %s", body, r.status, r.error ? r.error : r.body);
    json_t *json = json_incref(r.json);
    http_reply_release(&r);
    free(path);
    return json;
}

static size_t count_futures(struct daemon *d, const char *query)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/futures?limit=1000&%s", query);
    ck_assert_int_eq(r.status, 200);
    size_t n = json_array_size(api_at(r.json, "futures"));
    http_reply_release(&r);
    return n;
}

START_TEST(test_operations_cancel_what_a_filter_means)
{
    struct daemon *d = start();
    submit_n(d, 5, "{\"handler\":\"primes\",\"input\":{\"below\":10}}");
    submit_n(d, 3, "{\"handler\":\"sha256\",\"input\":\"x\"}");
    json_t *o = operate(d, "cancel", "{\"handler\":\"primes\",\"dry_run\":true}", 200);
    ck_assert_int_eq(api_int(o, "matched"), 5);
    ck_assert_int_eq(api_int(o, "changed"), 0);
    ck_assert_uint_eq(count_futures(d, "state=queued"), 8);
    json_decref(o);
    o = operate(d, "cancel", "{\"handler\":\"primes\"}", 200);
    ck_assert_int_eq(api_int(o, "changed"), 5);
    ck_assert(json_is_true(api_at(o, "done")));
    ck_assert_str_eq(api_str(o, "operation"), "cancel");
    ck_assert_str_eq(api_str(o, "filter.handler"), "primes");
    ck_assert_str_eq(api_str(o, "by"), "client");
    ck_assert_uint_eq(count_futures(d, "state=cancelled&code=cancelled"), 5);
    ck_assert_uint_eq(count_futures(d, "state=queued"), 3);
    struct http_reply r = api_get(daemon_url(d), "/v1/operations/%s", api_str(o, "id"));
    ck_assert_int_eq(r.status, 200);
    ck_assert(json_equal(r.json, o));
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/operations");
    ck_assert_uint_eq(json_array_size(api_at(r.json, "operations")), 2);
    ck_assert(json_equal(json_array_get(api_at(r.json, "operations"), 0), o));
    http_reply_release(&r);
    json_decref(o);
    daemon_end(&d);
}
END_TEST

START_TEST(test_operations_retry_and_delete)
{
    struct daemon *d = start();
    for (int i = 0; i < 4; i++)
        json_decref(
            api_run(daemon_url(d), i ? "{\"handler\":\"bad\"}" : "{\"handler\":\"worse\"}"));
    json_decref(api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}"));
    json_t *o =
        operate(d, "retry", "{\"code\":\"exit\",\"handler\":\"bad\",\"state\":[\"failed\"]}", 200);
    ck_assert_int_eq(api_int(o, "changed"), 3);
    json_decref(o);
    struct http_reply r = api_get(daemon_url(d), "/v1/futures?handler=bad");
    for (size_t i = 0; i < json_array_size(api_at(r.json, "futures")); i++) {
        const json_t *f = json_array_get(api_at(r.json, "futures"), i);
        json_t *again = api_done(daemon_url(d), api_str(f, "id"));
        ck_assert_int_eq(api_int(again, "attempt"), 2);
        json_decref(again);
    }
    http_reply_release(&r);
    o = operate(d, "delete", "{\"state\":\"failed,cancelled\"}", 200);
    ck_assert_int_eq(api_int(o, "changed"), 4);
    json_decref(o);
    ck_assert_uint_eq(count_futures(d, ""), 1);
    o = operate(d, "delete", "{\"all\":true}", 200);
    ck_assert_int_eq(api_int(o, "changed"), 1);
    json_decref(o);
    ck_assert_uint_eq(count_futures(d, ""), 0);
    daemon_end(&d);
}
END_TEST

/* Members wait on the paused lane: a batch of many is cancelled in several steps. */
START_TEST(test_operations_of_a_batch_are_bounded_to_it)
{
    struct daemon *d = start();
    struct buf body = BUF_INIT;
    buf_puts(&body, "{\"handler\":\"sha256\",\"inputs\":[0");
    for (int i = 1; i < 1000; i++)
        buf_printf(&body, ",%d", i);
    buf_puts(&body, "]}");
    submit_n(d, 3, "{\"handler\":\"sha256\",\"input\":\"before\"}");
    json_t *b = api_batch(daemon_url(d), body.data);
    submit_n(d, 3, "{\"handler\":\"sha256\",\"input\":\"behind\"}");
    char *filter = text_printf("{\"batch\":\"%s\"}", api_str(b, "id"));
    json_t *o = operate(d, "cancel", filter, 200);
    ck_assert_int_eq(api_int(o, "changed"), 1000);
    ck_assert_uint_eq(count_futures(d, "state=queued"), 6);
    json_decref(o);
    json_decref(b);
    free(filter);
    buf_release(&body);
    daemon_end(&d);
}
END_TEST

START_TEST(test_operations_go_on_after_a_crash)
{
    static const char *const settings[] = {"FUTURED_MAX_QUEUED=50"};
    struct daemon *d = daemon_start_handlers(handlers, settings, 1);
    const char *base = daemon_url(d);
    for (int i = 0; i < 60; i++) /* more than fit into the queue at once */
        json_decref(api_run(base, "{\"handler\":\"bad\"}"));
    api_patch_pool(base, "io", "{\"paused\":true}");
    struct http_reply r = api_post(base, "/v1/futures/retry", "{\"code\":\"exit\"}");
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.body);
    char *id = text_printf("%s", api_str(r.json, "id"));
    http_reply_release(&r);
    while (count_futures(d, "state=queued") < 50)
        ;
    daemon_kill(d);
    daemon_start(d);
    r = api_get(daemon_url(d), "/v1/operations/%s?wait=30", id);
    ck_assert_msg(json_is_true(api_at(r.json, "done")), "%s", r.body);
    ck_assert_int_eq(api_int(r.json, "changed"), 60);
    http_reply_release(&r);
    free(id);
    daemon_end(&d);
}
END_TEST

START_TEST(test_operations_failures_in_groups)
{
    struct daemon *d = start();
    for (int i = 0; i < 4; i++)
        json_decref(
            api_run(daemon_url(d), i ? "{\"handler\":\"bad\"}" : "{\"handler\":\"worse\"}"));
    struct http_reply r = api_get(daemon_url(d), "/v1/failures");
    ck_assert_int_eq(r.status, 200);
    const json_t *first = json_array_get(api_at(r.json, "failures"), 0);
    ck_assert_str_eq(api_str(first, "handler"), "bad");
    ck_assert_str_eq(api_str(first, "code"), "exit");
    ck_assert_int_eq(api_int(first, "count"), 3);
    ck_assert(*api_str(first, "message") && *api_str(first, "last_at"));
    ck_assert_int_eq(api_int(r.json, "groups"), 2);
    ck_assert(json_is_true(api_at(r.json, "complete")));
    json_t *f = api_future(daemon_url(d), api_str(first, "example"));
    ck_assert_str_eq(api_str(f, "handler"), "bad");
    json_decref(f);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/failures?limit=1&handler=worse");
    ck_assert_int_eq(api_int(r.json, "groups"), 1);
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

static const struct {
    const char *what, *body, *code, *field;
    int status;
} refused[] = {
    {"cancel", "{}", "missing_field", "all", 422},
    {"cancel", "", "bad_json", "", 400},
    {"cancel", "[1]", "wrong_type", "", 422},
    {"cancel", "{\"all\":false}", "missing_field", "all", 422},
    {"cancel", "{\"colour\":\"red\"}", "unknown_field", "colour", 422},
    {"cancel", "{\"state\":\"failed\"}", "invalid_value", "state", 422},
    {"retry", "{\"state\":[\"queued\"]}", "invalid_value", "state", 422},
    {"retry", "{\"state\":[7]}", "wrong_type", "state", 422},
    {"delete", "{\"state\":[]}", "invalid_value", "state", 422},
    {"delete", "{\"state\":\"running\"}", "invalid_value", "state", 422},
    {"delete", "{\"older_than\":-1}", "invalid_value", "older_than", 422},
    {"delete", "{\"older_than\":\"1\"}", "wrong_type", "older_than", 422},
    {"delete", "{\"before\":\"noon\"}", "invalid_value", "before", 422},
    {"delete", "{\"batch\":\"7\"}", "invalid_value", "batch", 422},
    {"delete", "{\"all\":true,\"dry_run\":1}", "wrong_type", "dry_run", 422},
};

START_TEST(test_operations_bad_input_changes_nothing)
{
    struct daemon *d = start();
    submit_n(d, 2, "{\"handler\":\"sha256\",\"input\":\"x\"}");
    for (size_t i = 0; i < FUT_COUNT(refused); i++) {
        json_t *p = operate(d, refused[i].what, refused[i].body, refused[i].status);
        ck_assert_msg(strcmp(api_str(p, "code"), refused[i].code) == 0 &&
                          strcmp(api_str(p, "field"), refused[i].field) == 0,
                      "%s: %s in %s", refused[i].body, api_str(p, "code"), api_str(p, "field"));
        json_decref(p);
    }
    ck_assert_uint_eq(count_futures(d, "state=queued"), 2);
    struct http_reply r = api_get(daemon_url(d), "/v1/operations");
    ck_assert_uint_eq(json_array_size(api_at(r.json, "operations")), 0);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/operations/7");
    ck_assert_int_eq(r.status, 404);
    ck_assert_str_eq(api_str(r.json, "code"), "unknown_operation");
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    TCase *tc = suite_case("operations", 60, NULL, NULL);
    tcase_add_test(tc, test_operations_cancel_what_a_filter_means);
    tcase_add_test(tc, test_operations_retry_and_delete);
    tcase_add_test(tc, test_operations_of_a_batch_are_bounded_to_it);
    tcase_add_test(tc, test_operations_go_on_after_a_crash);
    tcase_add_test(tc, test_operations_failures_in_groups);
    tcase_add_test(tc, test_operations_bad_input_changes_nothing);
    return suite_run_cases("operations", tc, NULL);
}
