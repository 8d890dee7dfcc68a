/* Tasks that wait for others, as clients submit them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define FAILS "{\"handler\":\"fails\"}"

static struct daemon *d;

static void begin(void)
{
    d = daemon_start_handlers("{\"fails\": {\"exec\": [\"false\"]}}", NULL, 0);
}

static void end(void)
{
    daemon_end(&d);
}

static const char *id_at(const json_t *batch, size_t i)
{
    return json_string_value(json_array_get(api_at(batch, "ids"), i));
}

START_TEST(test_graph_batch_with_names)
{
    begin();
    json_t *b = api_batch(
        daemon_url(d),
        "{\"tasks\":[{\"name\":\"c\",\"handler\":\"echo\",\"input\":3,\"after\":[\"a\",\"b\"]},"
        "{\"name\":\"a\",\"handler\":\"echo\",\"input\":1},"
        "{\"name\":\"b\",\"handler\":\"echo\",\"input\":2,"
        "\"after\":[{\"id\":\"a\",\"on\":\"done\"}]}]}");
    json_t *f[3];
    for (size_t i = 0; i < 3; i++) {
        f[i] = api_done(daemon_url(d), id_at(b, i));
        ck_assert_str_eq(api_str(f[i], "state"), "succeeded");
    }
    ck_assert_int_ge(strcmp(api_str(f[0], "started_at"), api_str(f[2], "finished_at")), 0);
    ck_assert_int_ge(strcmp(api_str(f[2], "started_at"), api_str(f[1], "finished_at")), 0);
    for (size_t i = 0; i < 3; i++)
        json_decref(f[i]);
    json_decref(b);
    end();
}
END_TEST

START_TEST(test_graph_failure_and_retry)
{
    char promise[ID_TEXT_SIZE], after[ID_TEXT_SIZE], cleanup[ID_TEXT_SIZE];
    begin();
    struct http_reply r = api_post(daemon_url(d), "/v1/promises", "{}");
    (void)snprintf(promise, sizeof(promise), "%s", api_str(r.json, "id"));
    http_reply_release(&r);
    char *body = text_printf("{\"handler\":\"echo\",\"input\":1,\"after\":[\"%s\"]}", promise);
    api_submit(daemon_url(d), body, after);
    json_t *f = api_future(daemon_url(d), after);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "parents");
    ck_assert_int_eq(api_int(f, "waiting_for.parents"), 1);
    json_decref(f);
    free(body);
    body = text_printf("{\"handler\":\"echo\",\"after\":[{\"id\":\"%s\",\"on\":\"failure\"}]}",
                       promise);
    api_submit(daemon_url(d), body, cleanup);
    free(body);
    daemon_kill(d);
    daemon_start(d);
    char *path = text_printf("/v1/futures/%s/complete", promise);
    r = api_post(daemon_url(d), path, "{\"error\":{\"code\":\"refused\"}}");
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    api_expect_end(daemon_url(d), after, "cancelled", "parent_failed");
    api_expect_end(daemon_url(d), cleanup, "succeeded", "");
    char *retry = text_printf("/v1/futures/%s/retry", after);
    r = api_post(daemon_url(d), retry, NULL);
    ck_assert_int_eq(r.status, 409);
    ck_assert_str_eq(api_str(r.json, "code"), "parent_failed");
    http_reply_release(&r);
    free(retry);
    retry = text_printf("/v1/futures/%s/retry", promise);
    r = api_post(daemon_url(d), retry, NULL);
    ck_assert_int_eq(r.status, 202);
    http_reply_release(&r);
    free(retry);
    r = api_post(daemon_url(d), path, "{\"result\":1}");
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    api_expect_end(daemon_url(d), after, "succeeded", "");
    free(path);
    end();
}
END_TEST

static const struct {
    const char *path, *body;
    int status;
    const char *says;
} bad[] = {
    {"/v1/batches",
     "{\"tasks\":[{\"name\":\"a\",\"handler\":\"echo\",\"after\":[\"b\"]},"
     "{\"name\":\"b\",\"handler\":\"echo\",\"after\":[\"a\"]}]}",
     422, "\"a\" after \"b\" after \"a\""},
    {"/v1/batches", "{\"tasks\":[{\"name\":\"a\",\"handler\":\"echo\",\"after\":[\"x\"]}]}", 422,
     "called \"x\""},
    {"/v1/batches",
     "{\"tasks\":[{\"name\":\"a\",\"handler\":\"echo\"},{\"name\":\"a\",\"handler\":\"echo\"}]}",
     422, "Two tasks"},
    {"/v1/batches",
     "{\"tasks\":[{\"name\":\"a\",\"handler\":\"echo\"},"
     "{\"handler\":\"echo\",\"after\":[\"a\",{\"id\":\"a\",\"on\":\"done\"}]}]}",
     422, "twice"},
    {"/v1/tasks", "{\"handler\":\"echo\",\"after\":[\"01234567-89ab-7def-8123-456789abcdef\"]}",
     422, "no future has the id"},
    {"/v1/tasks", "{\"handler\":\"echo\",\"after\":[{\"on\":\"done\"}]}", 422, "after.id"},
    {"/v1/tasks", "{\"handler\":\"echo\",\"after\":[{\"id\":\"a\",\"on\":\"never\"}]}", 422,
     "failure"},
    {"/v1/tasks", "{\"handler\":\"echo\",\"after\":[5]}", 422, "object"},
    {"/v1/tasks", "{\"handler\":\"echo\",\"name\":\"a\"}", 422, "name"},
    {"/v1/tasks",
     "{\"handler\":\"echo\",\"delay\":1,\"after\":[\"01234567-89ab-7def-8123-456789abcdef\"]}", 422,
     "delay"},
};

START_TEST(test_graph_refuses)
{
    begin();
    for (size_t i = 0; i < FUT_COUNT(bad); i++) {
        struct http_reply r = api_post(daemon_url(d), bad[i].path, bad[i].body);
        ck_assert_msg(r.status == bad[i].status, "%zu: %d %s", i, r.status, r.body);
        ck_assert_msg(strstr(api_str(r.json, "detail"), bad[i].says) != NULL, "%s", r.body);
        http_reply_release(&r);
    }
    json_t *failed = api_run(daemon_url(d), FAILS);
    char *body = text_printf("{\"handler\":\"echo\",\"after\":[\"%s\"]}", api_str(failed, "id"));
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", body);
    ck_assert_int_eq(r.status, 409);
    ck_assert_str_eq(api_str(r.json, "code"), "parent_failed");
    ck_assert(strstr(api_str(r.json, "detail"), api_str(failed, "id")) != NULL);
    http_reply_release(&r);
    free(body);
    json_decref(failed);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_graph_batch_with_names, test_graph_failure_and_retry,
                            test_graph_refuses};
    return suite_run("system: graph", tests, FUT_COUNT(tests));
}
