/* How long names may be, and how many queues and edges there may be: what is the most is taken, and
 * one more is refused by an answer that names the member and the limit. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static struct http_reply call(struct daemon *d, const char *method, const char *path,
                              const char *body)
{
    return http_call(daemon_url(d),
                     &(struct http_request){
                         .method = method, .path = path, .body = body, .body_len = strlen(body)});
}

/* NAME is the name. */
static const struct {
    const char *method, *path, *body, *field;
    int max, refused;
} named[] = {
    {"PUT", "/v1/queues/NAME", "{\"weight\":2}", NULL, 64, 400},
    {"PUT", "/v1/limits/NAME", "{\"max_running\":2}", NULL, 64, 400},
    {"PUT", "/v1/schedules/NAME", "{\"every\":900,\"task\":{\"handler\":\"echo\"}}", NULL, 64, 422},
    {"POST", "/v1/tasks", "{\"handler\":\"echo\",\"queue\":\"NAME\"}", "queue", 64, 422},
    {"POST", "/v1/tasks", "{\"handler\":\"echo\",\"fair_key\":\"NAME\"}", "fair_key", 128, 422},
    {"POST", "/v1/tasks",
     "{\"handler\":\"echo\",\"limits\":[{\"name\":\"tenant\",\"key\":\"NAME\"}]}", "limits[0]", 64,
     422},
    {"POST", "/v1/tasks", "{\"handler\":\"echo\",\"needs\":[\"NAME\"]}", "needs", 64, 422},
    {"POST", "/v1/tasks/echo?needs=NAME", "1", NULL, 64, 400},
    {"POST", "/v1/batches", "{\"tasks\":[{\"name\":\"NAME\",\"handler\":\"echo\"}]}", "name", 64,
     422},
};

static char *with_name(const char *text, const char *name)
{
    const char *at = strstr(text, "NAME");
    return at ? text_printf("%.*s%s%s", (int)(at - text), text, name, at + 4) : xstrdup(text);
}

static struct http_reply call_named(struct daemon *d, size_t i, int length)
{
    char *name = text_repeat('n', (size_t)length);
    char *path = with_name(named[i].path, name);
    char *body = with_name(named[i].body, name);
    struct http_reply r = call(d, named[i].method, path, body);
    free(body);
    free(path);
    free(name);
    return r;
}

START_TEST(test_bounds_of_names)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_reply r =
        call(d, "PUT", "/v1/limits/tenant", "{\"max_running\":9,\"per_key\":true}");
    ck_assert_int_eq(r.status, 201);
    http_reply_release(&r);
    for (size_t i = 0; i < FUT_COUNT(named); i++) {
        r = call_named(d, i, named[i].max);
        ck_assert_msg(r.status >= 200 && r.status < 300, "%s: %d %s", named[i].path, r.status,
                      r.body);
        http_reply_release(&r);
        r = call_named(d, i, named[i].max + 1);
        ck_assert_msg(r.status == named[i].refused, "%s: %d %s", named[i].path, r.status, r.body);
        if (named[i].field)
            ck_assert_msg(strstr(api_str(r.json, "field"), named[i].field) != NULL, "%s", r.body);
        ck_assert_msg(strstr(r.body, named[i].max == 64 ? "64" : "128") != NULL, "%s", r.body);
        http_reply_release(&r);
    }
    daemon_end(&d);
}
END_TEST

#define PARENTS 1000 /* of one task */

/* A batch of so many tasks that each begin after 1,000 others. */
static char *graph_of(int children)
{
    struct buf after = BUF_INIT, body = BUF_INIT;
    buf_puts(&body, "{\"tasks\":[");
    for (int i = 0; i < PARENTS; i++) {
        buf_printf(&body, "%s{\"handler\":\"echo\",\"name\":\"%d\"}", i ? "," : "", i);
        buf_printf(&after, "%s\"%d\"", i ? "," : "", i);
    }
    for (int i = 0; i < children; i++)
        buf_printf(&body, ",{\"handler\":\"echo\",\"after\":[%s]}", after.data);
    buf_puts(&body, "]}");
    buf_release(&after);
    return body.data;
}

START_TEST(test_bounds_of_edges)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char *most = graph_of(100), *more = graph_of(101);
    struct http_reply r = call(d, "POST", "/v1/batches", more);
    ck_assert_msg(r.status == 413, "%d %s", r.status, r.body);
    ck_assert_int_eq(api_int(r.json, "limit"), 100000);
    ck_assert_str_eq(api_str(r.json, "code"), "batch_too_large");
    http_reply_release(&r);
    r = call(d, "POST", "/v1/batches", most);
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.body);
    http_reply_release(&r);
    free(most);
    free(more);
    daemon_end(&d);
}
END_TEST

START_TEST(test_bounds_of_queues)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct buf body = BUF_INIT;
    buf_puts(&body, "{\"tasks\":[");
    for (int i = 0; i < 10000; i++)
        buf_printf(&body, "%s{\"handler\":\"echo\",\"delay\":86400,\"queue\":\"q%d\"}",
                   i ? "," : "", i);
    buf_puts(&body, "]}");
    struct http_reply r = call(d, "POST", "/v1/batches", body.data);
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.body);
    http_reply_release(&r);
    r = call(d, "POST", "/v1/tasks", "{\"handler\":\"echo\",\"queue\":\"more\"}");
    ck_assert_msg(r.status == 422, "%d %s", r.status, r.body);
    ck_assert_int_eq(api_int(r.json, "limit"), 10000);
    ck_assert_str_eq(api_str(r.json, "field"), "queue");
    http_reply_release(&r);
    r = call(d, "PUT", "/v1/queues/more", "{\"weight\":2}");
    ck_assert_msg(r.status == 422, "%d %s", r.status, r.body);
    ck_assert_int_eq(api_int(r.json, "limit"), 10000);
    ck_assert_str_eq(api_str(r.json, "code"), "too_many");
    http_reply_release(&r);
    json_decref(api_run(daemon_url(d), "{\"handler\":\"echo\"}")); /* the default one is free */
    buf_release(&body);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_bounds_of_names, test_bounds_of_edges, test_bounds_of_queues};
    TCase *t = suite_case("all", SUITE_TIMEOUT_S, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(t, tests[i]);
    return suite_run_cases("system: bounds", t, NULL);
}
