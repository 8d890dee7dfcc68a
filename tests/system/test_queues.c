/* Named queues over HTTP: what is said of them, what they show, pauses that outlast the daemon, and
 * what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

static struct daemon *start(void)
{
    static const char *const settings[] = {"MAX_WORKERS=2"};
    return daemon_start_with(settings, 1);
}

static struct http_reply call(struct daemon *d, const char *method, const char *path,
                              const char *body)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct http_request q = {
        .method = method, .path = path, .headers = headers, .body = body, .body_len = strlen(body)};
    return http_call(daemon_url(d), &q);
}

static void expect(struct daemon *d, const char *method, const char *path, const char *body,
                   int status)
{
    struct http_reply r = call(d, method, path, body);
    ck_assert_msg(r.status == status, "%s %s: %d %s", method, path, r.status, r.body);
    http_reply_release(&r);
}

static char *submit(struct daemon *d, const char *handler, double seconds, const char *more)
{
    char id[ID_TEXT_SIZE];
    char *body =
        text_printf("{\"handler\":\"%s\",\"input\":{\"seconds\":%g}%s}", handler, seconds, more);
    api_submit(daemon_url(d), body, id);
    free(body);
    return text_printf("%s", id);
}

static void expect_waits(struct daemon *d, const char *id, const char *code)
{
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "queued");
    ck_assert_str_eq(api_str(f, "waiting_for.code"), code);
    json_decref(f);
}

#define MAIL ",\"queue\":\"mail\""

START_TEST(test_queues_pause_and_outlast_the_daemon)
{
    struct daemon *d = start();
    char *id = NULL, *other;
    daemon_keep_port(d);
    expect(d, "PATCH", "/v1/queues/mail", "{\"paused\":true,\"reason\":\"the relay is down\"}",
           200);
    id = submit(d, "sleep", 0, MAIL);
    expect_waits(d, id, "queue_paused");
    daemon_kill(d);
    daemon_start(d);
    other = submit(d, "sleep", 0, "");
    json_decref(api_done(daemon_url(d), other));
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "queue_paused");
    ck_assert_str_eq(api_str(f, "waiting_for.queue"), "mail");
    ck_assert_str_eq(api_str(f, "waiting_for.reason"), "the relay is down");
    json_decref(f);
    struct http_reply r = api_get(daemon_url(d), "/v1/queues/mail");
    ck_assert(json_is_true(api_at(r.json, "paused")));
    ck_assert_int_eq(api_int(r.json, "queued"), 1);
    ck_assert_int_eq(api_int(r.json, "lanes.io.queued") + api_int(r.json, "lanes.cpu.queued"), 1);
    ck_assert_str_ne(api_str(r.json, "paused_by"), "");
    ck_assert_str_ne(api_str(r.json, "oldest_queued_at"), "");
    http_reply_release(&r);
    expect(d, "PATCH", "/v1/queues/mail", "{\"paused\":false}", 200);
    json_decref(api_done(daemon_url(d), id));
    r = api_get(daemon_url(d), "/v1/queues/mail");
    ck_assert_int_eq(r.status, 404); /* nothing is said of it, and it is empty */
    ck_assert_str_eq(api_str(r.json, "code"), "unknown_queue");
    http_reply_release(&r);
    free(id);
    free(other);
    daemon_free(&d);
}
END_TEST

/* A pause that waits is answered when nothing of the queue runs, or when its time is over. */
START_TEST(test_queues_pause_waits_for_what_runs)
{
    struct daemon *d = start();
    char *one = submit(d, "sleep", 600, MAIL);
    api_wait_state(daemon_url(d), one, "running");
    struct http_reply r = call(d, "PATCH", "/v1/queues/mail?wait=0.2", "{\"paused\":true}");
    ck_assert_int_eq(r.status, 200);
    ck_assert_int_eq(api_int(r.json, "running"), 1);
    ck_assert_uint_eq(json_array_size(api_at(r.json, "nodes")), 1);
    ck_assert_int_eq(api_int(json_array_get(api_at(r.json, "nodes"), 0), "running"), 1);
    http_reply_release(&r);
    ck_assert_int_eq(api_cancel(daemon_url(d), one), 200);
    char *two = submit(d, "sleep", 0.5, "");
    api_wait_state(daemon_url(d), two, "running");
    int64_t began = clock_mono_ms();
    r = call(d, "PATCH", "/v1/queues/default?wait=30", "{\"paused\":true}");
    ck_assert_int_eq(r.status, 200);
    ck_assert_int_eq(api_int(r.json, "running"), 0);
    ck_assert_int_lt(clock_mono_ms() - began, 20000);
    http_reply_release(&r);
    json_t *f = api_future(daemon_url(d), two);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    free(one);
    free(two);
    daemon_free(&d);
}
END_TEST

START_TEST(test_queues_handlers_pause)
{
    struct daemon *d = start();
    char *one = submit(d, "sleep", 0.5, "");
    api_wait_state(daemon_url(d), one, "running");
    struct http_reply r =
        call(d, "PATCH", "/v1/handlers/sleep?wait=30", "{\"paused\":true,\"reason\":\"deploy\"}");
    ck_assert_int_eq(r.status, 200);
    ck_assert_str_eq(api_str(r.json, "name"), "sleep");
    ck_assert_int_eq(api_int(r.json, "running"), 0);
    ck_assert_str_eq(api_str(r.json, "reason"), "deploy");
    http_reply_release(&r);
    char *two = submit(d, "sleep", 0, "");
    expect_waits(d, two, "handler_paused");
    json_decref(api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":\"x\"}"));
    r = api_get(daemon_url(d), "/v1/handlers");
    size_t i, n_paused = 0;
    json_t *h;
    json_array_foreach (json_object_get(r.json, "handlers"), i, h)
        n_paused += json_is_true(json_object_get(h, "paused"));
    ck_assert_uint_eq(n_paused, 1);
    http_reply_release(&r);
    expect(d, "PATCH", "/v1/handlers/sleep", "{\"paused\":false}", 200);
    json_decref(api_done(daemon_url(d), two));
    expect(d, "PATCH", "/v1/handlers/nobody", "{\"paused\":true}", 404);
    expect(d, "PATCH", "/v1/handlers/sleep", "{}", 422);
    expect(d, "PATCH", "/v1/handlers/sleep", "{\"paused\":false,\"reason\":\"x\"}", 422);
    free(one);
    free(two);
    daemon_free(&d);
}
END_TEST

START_TEST(test_queues_let_so_many_run)
{
    struct daemon *d = start();
    expect(d, "PUT", "/v1/queues/mail",
           "{\"max_running\":1,\"weight\":0.5,\"age_after\":30,\"retention\":60.5,\"fair_weights\":"
           "{\"a\":3,\"b\":2}}",
           201);
    char *one = submit(d, "sleep", 600, MAIL), *two = submit(d, "sleep", 600, MAIL);
    api_wait_state(daemon_url(d), one, "running");
    json_t *f = api_future(daemon_url(d), two);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "queue_limit");
    ck_assert_int_eq(api_int(f, "waiting_for.max_running"), 1);
    json_decref(f);
    expect(d, "PATCH", "/v1/queues/mail", "{\"fair_weights\":{\"b\":null}}", 200);
    struct http_reply r = api_get(daemon_url(d), "/v1/queues/mail");
    ck_assert_int_eq(api_int(r.json, "fair_weights.a"), 3);
    ck_assert_ptr_null(json_object_get(json_object_get(r.json, "fair_weights"), "b"));
    ck_assert_int_eq(api_int(r.json, "age_after"), 30);
    ck_assert(fabs(json_number_value(json_object_get(r.json, "retention")) - 60.5) < 1e-9);
    ck_assert(json_is_true(api_at(r.json, "closed")));
    ck_assert_int_eq(api_int(r.json, "wait.starts"), 1);
    http_reply_release(&r);
    expect(d, "PATCH", "/v1/queues/mail", "{\"max_running\":2}", 200);
    api_wait_state(daemon_url(d), two, "running");
    expect(d, "PUT", "/v1/queues/mail", "{}", 200);
    r = api_get(daemon_url(d), "/v1/queues/mail");
    ck_assert(json_is_null(json_object_get(r.json, "max_running")));
    ck_assert(json_is_null(json_object_get(r.json, "retention")));
    ck_assert_uint_eq(json_object_size(json_object_get(r.json, "fair_weights")), 0);
    http_reply_release(&r);
    expect(d, "DELETE", "/v1/queues/mail", "", 204);
    free(one);
    free(two);
    daemon_free(&d);
}
END_TEST

/* Purging cancels what waits in the queue, as an operation, and nothing else; lists know the queue.
 */
START_TEST(test_queues_are_purged)
{
    struct daemon *d = start();
    char *ids[3];
    expect(d, "PATCH", "/v1/queues/mail", "{\"paused\":true}", 200);
    for (int i = 0; i < 3; i++)
        ids[i] = submit(d, "sleep", 600, i ? MAIL ",\"delay\":600" : MAIL);
    char *other = submit(d, "sleep", 600, "");
    struct http_reply r = call(d, "POST", "/v1/queues/mail/purge?dry_run=true&wait=20", "");
    ck_assert_int_eq(r.status, 200);
    ck_assert_int_eq(api_int(r.json, "matched"), 3);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/futures?queue=mail&state=queued,scheduled");
    ck_assert_uint_eq(json_array_size(json_object_get(r.json, "futures")), 3);
    http_reply_release(&r);
    r = call(d, "POST", "/v1/queues/mail/purge?wait=20", "");
    ck_assert_int_eq(r.status, 200);
    ck_assert_int_eq(api_int(r.json, "changed"), 3);
    ck_assert_str_eq(api_str(r.json, "filter.queue"), "mail");
    http_reply_release(&r);
    for (int i = 0; i < 3; i++) {
        json_t *f = api_future(daemon_url(d), ids[i]);
        ck_assert_str_eq(api_str(f, "state"), "cancelled");
        json_decref(f);
        free(ids[i]);
    }
    api_wait_state(daemon_url(d), other, "running");
    r = api_get(daemon_url(d), "/v1/futures?queue=default");
    ck_assert_uint_eq(json_array_size(json_object_get(r.json, "futures")), 1);
    http_reply_release(&r);
    expect(d, "POST", "/v1/queues/mail/purge?dry_run=maybe", "", 400);
    free(other);
    daemon_free(&d);
}
END_TEST

START_TEST(test_queues_are_named_by_handlers)
{
    struct daemon *d = daemon_start_handlers(
        "{\"slow\": {\"exec\": [\"sleep\", \"600\"], \"queue\": \"mail\"}}", NULL, 0);
    static const char *const bodies[][2] = {
        {"{\"handler\":\"slow\"}", "mail"},
        {"{\"handler\":\"slow\",\"queue\":\"other\"}", "other"},
        {"{\"handler\":\"slow\",\"queue\":\"default\"}", ""},
    };
    for (size_t i = 0; i < FUT_COUNT(bodies); i++) {
        char id[ID_TEXT_SIZE];
        api_submit(daemon_url(d), bodies[i][0], id);
        json_t *f = api_future(daemon_url(d), id);
        const char *queue = json_string_value(json_object_get(f, "queue"));
        ck_assert_str_eq(queue ? queue : "", bodies[i][1]);
        json_decref(f);
    }
    daemon_free(&d);
}
END_TEST

START_TEST(test_queues_are_listed_in_pages)
{
    struct daemon *d = start();
    expect(d, "PUT", "/v1/queues/b", "{\"weight\":2}", 201);
    expect(d, "PUT", "/v1/queues/a", "{\"rate\":{\"tasks\":5,\"per\":60,\"burst\":5}}", 201);
    struct http_reply r = api_get(daemon_url(d), "/v1/queues?limit=2");
    ck_assert_str_eq(json_string_value(json_object_get(
                         json_array_get(json_object_get(r.json, "queues"), 1), "name")),
                     "b");
    ck_assert_str_eq(api_str(r.json, "next_cursor"), "b");
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/queues?cursor=b");
    ck_assert_uint_eq(json_array_size(json_object_get(r.json, "queues")), 1);
    ck_assert(json_is_null(json_object_get(r.json, "next_cursor")));
    http_reply_release(&r);
    expect(d, "GET", "/v1/queues?limit=0", "", 400);
    expect(d, "GET", "/v1/queues?cursor=a%20b", "", 400);
    daemon_free(&d);
}
END_TEST

static const struct {
    const char *name, *body, *code, *field;
    int status;
} refused[] = {
    {"a", "{\"weight\":0}", "invalid_value", "weight", 422},
    {"a", "{\"weight\":\"2\"}", "wrong_type", "weight", 422},
    {"a", "{\"max_running\":0}", "invalid_value", "max_running", 422},
    {"a", "{\"rate\":{\"tasks\":5}}", "missing_field", "rate.per", 422},
    {"a", "{\"age_after\":0}", "invalid_value", "age_after", 422},
    {"a", "{\"age_after\":\"1\"}", "wrong_type", "age_after", 422},
    {"a", "{\"retention\":0.5}", "invalid_value", "retention", 422},
    {"a", "{\"retention\":315360001}", "invalid_value", "retention", 422},
    {"a", "{\"retention\":\"7d\"}", "wrong_type", "retention", 422},
    {"a", "{\"fair_weights\":{\"\":1}}", "invalid_value", "fair_weights", 422},
    {"a", "{\"fair_weights\":{\"k\":0}}", "invalid_value", "fair_weights", 422},
    {"a", "{\"fair_weights\":{\"k\":\"1\"}}", "invalid_value", "fair_weights", 422},
    {"a", "{\"fair_weights\":[1]}", "wrong_type", "fair_weights", 422},
    {"a", "{\"paused\":1}", "wrong_type", "paused", 422},
    {"a", "{\"reason\":\"x\"}", "invalid_value", "reason", 422},
    {"a", "{\"colour\":1}", "unknown_field", "colour", 422},
    {"a", "[]", "wrong_type", "", 422},
    {"a%20b", "{}", "invalid_path", "", 400},
    {"0123456789012345678901234567890123456789012345678901234567890123456789", "{}", "invalid_path",
     "", 400},
};

START_TEST(test_queues_refuse_bad_input)
{
    struct daemon *d = start();
    for (size_t i = 0; i < FUT_COUNT(refused); i++) {
        char *path = text_printf("/v1/queues/%s", refused[i].name);
        struct http_reply r = call(d, i % 2 ? "PUT" : "PATCH", path, refused[i].body);
        ck_assert_msg(r.status == refused[i].status &&
                          strcmp(api_str(r.json, "code"), refused[i].code) == 0 &&
                          strcmp(api_str(r.json, "field"), refused[i].field) == 0,
                      "%s: %d %s", refused[i].body, r.status, r.body);
        http_reply_release(&r);
        free(path);
    }
    expect(d, "PATCH", "/v1/queues/a", "{\"paused\":false}", 200); /* it goes on as before */
    expect(d, "GET", "/v1/queues/a", "", 404);
    expect(d, "DELETE", "/v1/queues/a", "", 404);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("queues");
    tcase_set_timeout(tc, 90);
    tcase_add_test(tc, test_queues_pause_and_outlast_the_daemon);
    tcase_add_test(tc, test_queues_pause_waits_for_what_runs);
    tcase_add_test(tc, test_queues_handlers_pause);
    tcase_add_test(tc, test_queues_let_so_many_run);
    tcase_add_test(tc, test_queues_are_purged);
    tcase_add_test(tc, test_queues_are_named_by_handlers);
    tcase_add_test(tc, test_queues_are_listed_in_pages);
    tcase_add_test(tc, test_queues_refuse_bad_input);
    return suite_run_cases("queues over HTTP", tc, NULL);
}
