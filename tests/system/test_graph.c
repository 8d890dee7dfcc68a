/* Tasks that wait for others, as clients submit them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define FAILS "{\"handler\":\"fails\"}"

static struct daemon *d;

static void begin(void)
{
    d = daemon_start_handlers(
        "{\"fails\": {\"exec\": [\"false\"]}, "
        "\"cat\": {\"exec\": [\"cat\"], \"content_type\": \"application/json\"}}",
        NULL, 0);
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

static void expect_result(const char *id, const char *result)
{
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    char *text = api_result(daemon_url(d), id);
    ck_assert_str_eq(text, result);
    free(text);
}

/* As they were written, on every way to run: a thread, a worker process, a program. */
START_TEST(test_graph_results_as_inputs)
{
    begin();
    json_t *b = api_batch(
        daemon_url(d),
        "{\"tasks\":["
        "{\"name\":\"a\",\"handler\":\"echo\",\"input\":{\"x\":[1.50, {\"y\":\"é\\u0021\"}]}},"
        "{\"name\":\"b\",\"handler\":\"echo\",\"lane\":\"cpu\",\"after\":[\"a\"],\"input\":"
        "{\"v\":{\"$result\":\"a\",\"pointer\":\"/x/1\"},\"s\":\"$result\"}},"
        "{\"name\":\"c\",\"handler\":\"cat\",\"after\":[\"b\",\"a\"],\"input\":"
        "[{\"$result\":\"b\"},{\"$result\":\"a\",\"pointer\":\"/x/0\"},{\"$result\":\"b\","
        "\"pointer\":\"/s\"}]},"
        "{\"handler\":\"echo\",\"lane\":\"io\",\"input\":{\"$result\":\"c\"},\"after\":[\"c\"]}]}");
    expect_result(id_at(b, 1), "{\"v\":{\"y\":\"é\\u0021\"},\"s\":\"$result\"}");
    expect_result(id_at(b, 2), "[{\"v\":{\"y\":\"é\\u0021\"},\"s\":\"$result\"},1.50,\"$result\"]");
    expect_result(id_at(b, 3), "[{\"v\":{\"y\":\"é\\u0021\"},\"s\":\"$result\"},1.50,\"$result\"]");
    json_decref(b);
    end();
}
END_TEST

/* What runs behind a batch gets the results in the order of the members, and its delay counts from
 * the end of them. */
START_TEST(test_graph_then)
{
    begin();
    json_t *b = api_batch(daemon_url(d), "{\"handler\":\"echo\",\"inputs\":[{\"a\":1},2.50,[]],"
                                         "\"then\":{\"handler\":\"echo\",\"delay\":0.3}}");
    const char *then = api_str(b, "then");
    ck_assert_int_eq(api_int(b, "total"), 3);
    expect_result(then, "[{\"a\":1},2.50,[]]");
    json_t *last = api_future(daemon_url(d), id_at(b, 2)), *f = api_future(daemon_url(d), then);
    ck_assert_int_gt(strcmp(api_str(f, "started_at"), api_str(last, "finished_at")), 0);
    ck_assert_ptr_null(api_at(f, "batch"));
    struct http_reply r = api_get(daemon_url(d), "/v1/batches/%s", api_str(b, "id"));
    ck_assert_str_eq(api_str(r.json, "then.id"), then);
    ck_assert_str_eq(api_str(r.json, "then.state"), "succeeded");
    ck_assert_int_eq(api_int(r.json, "total"), 3);
    http_reply_release(&r);
    json_decref(last);
    json_decref(f);
    json_decref(b);
    end();
}
END_TEST

/* For all ends, null stands for what has no result; for successes, a failure cancels it, and the
 * retry of the member revives it. */
START_TEST(test_graph_then_after_failures)
{
    begin();
    json_t *b = api_batch(
        daemon_url(d),
        "{\"tasks\":[{\"name\":\"bad\",\"handler\":\"fails\"},{\"name\":\"good\",\"handler\":"
        "\"echo\","
        "\"input\":[7]}],\"then\":{\"handler\":\"echo\",\"on\":\"done\",\"input\":{\"all\":"
        "{\"$results\":true},\"bad\":{\"$result\":\"bad\",\"default\":\"none\"}}}}");
    expect_result(api_str(b, "then"), "{\"all\":[null,[7]],\"bad\":\"none\"}");
    json_decref(b);
    b = api_batch(daemon_url(d),
                  "{\"tasks\":[{\"handler\":\"fails\"}],\"then\":{\"handler\":\"echo\"}}");
    api_expect_end(daemon_url(d), api_str(b, "then"), "cancelled", "parent_failed");
    json_decref(b);
    end();
}
END_TEST

/* More than a page of nodes, as JSON and for Graphviz. */
START_TEST(test_graph_is_shown)
{
    enum { N = 450 };
    struct buf body = BUF_INIT;
    size_t at;
    json_t *e;
    begin();
    buf_puts(&body, "{\"tasks\":[");
    for (int i = 0; i < N; i++) {
        buf_printf(&body, "%s{\"name\":\"t%d\",\"handler\":\"echo\"", i ? "," : "", i);
        if (i)
            buf_printf(&body, ",\"after\":[{\"id\":\"t%d\",\"on\":\"%s\"}]", i - 1,
                       i % 2 ? "success" : "done");
        buf_putc(&body, '}');
    }
    buf_puts(&body, "],\"then\":{\"handler\":\"echo\"}}");
    json_t *b = api_batch(daemon_url(d), body.data);
    buf_release(&body);
    json_decref(api_done(daemon_url(d), api_str(b, "then")));
    struct http_reply r = api_get(daemon_url(d), "/v1/batches/%s/graph", api_str(b, "id"));
    ck_assert_uint_eq(json_array_size(api_at(r.json, "nodes")), N + 1);
    ck_assert_uint_eq(json_array_size(api_at(r.json, "edges")), N - 1 + N);
    for (int i = 0; i < N; i++) {
        char name[16];
        const json_t *node = json_array_get(api_at(r.json, "nodes"), (size_t)i);
        (void)snprintf(name, sizeof(name), "t%d", i);
        ck_assert_str_eq(api_str(node, "name"), name);
        ck_assert_str_eq(api_str(node, "id"), id_at(b, (size_t)i));
        ck_assert_str_eq(api_str(node, "state"), "succeeded");
    }
    json_array_foreach (api_at(r.json, "edges"), at, e) {
        bool is_chain = at < N - 1;
        size_t from = is_chain ? at : at - (N - 1);
        ck_assert_str_eq(api_str(e, "from"), id_at(b, from));
        ck_assert_str_eq(api_str(e, "to"), is_chain ? id_at(b, at + 1) : api_str(b, "then"));
        ck_assert_str_eq(api_str(e, "on"), is_chain && at % 2 ? "done" : "success");
        ck_assert(json_is_false(api_at(e, "pending")));
    }
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/batches/%s/graph?format=dot", api_str(b, "id"));
    char *edge = text_printf("\"%s\" -> \"%s\" [label=done];\n", id_at(b, 1), id_at(b, 2));
    ck_assert(strstr(r.body, "digraph \"") == r.body && strstr(r.body, edge) != NULL);
    ck_assert(strstr(r.body, "[label=\"t449\\necho\", style=filled, fillcolor=palegreen]") != NULL);
    free(edge);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/batches/%s/graph?format=svg", api_str(b, "id"));
    ck_assert_int_eq(r.status, 400);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/batches/%s/graph", api_str(b, "then"));
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    json_t *f = api_future(daemon_url(d), id_at(b, 7));
    ck_assert_str_eq(api_str(f, "name"), "t7");
    json_decref(f);
    json_decref(b);
    end();
}
END_TEST

/* The inputs of a map are taken as they are, and so is a body that is the input. */
START_TEST(test_graph_references_are_data_elsewhere)
{
    static const char data[] = "{\"$result\":\"a\"}";
    begin();
    json_t *b = api_batch(daemon_url(d), "{\"handler\":\"echo\",\"inputs\":[{\"$result\":\"a\"}]}");
    expect_result(id_at(b, 0), data);
    json_decref(b);
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks/echo", data);
    ck_assert_int_eq(r.status, 202);
    expect_result(api_str(r.json, "id"), data);
    http_reply_release(&r);
    end();
}
END_TEST

static void make_promise(char out[ID_TEXT_SIZE])
{
    struct http_reply r = api_post(daemon_url(d), "/v1/promises", "{}");
    (void)snprintf(out, ID_TEXT_SIZE, "%s", api_str(r.json, "id"));
    http_reply_release(&r);
}

static void complete(const char *promise, const char *body)
{
    char *path = text_printf("/v1/futures/%s/complete", promise);
    struct http_reply r = api_post(daemon_url(d), path, body);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    free(path);
}

/* The result is an array of one text of n characters. */
static void complete_with_much(const char *promise, size_t n)
{
    struct buf body = BUF_INIT;
    buf_puts(&body, "{\"result\":[\"");
    buf_reserve(&body, n);
    memset(body.data + body.len, 'x', n);
    body.len += n;
    buf_puts(&body, "\"]}");
    buf_putc(&body, '\0');
    complete(promise, body.data);
    buf_release(&body);
}

/* A promise's result works, also a large one (by memfd), whoever was killed meanwhile; what is
 * stored stays the template, so a retry reads the results again. */
START_TEST(test_graph_result_of_a_promise)
{
    enum { N = 3 << 20 };
    char promise[ID_TEXT_SIZE], child[ID_TEXT_SIZE];
    begin();
    make_promise(promise);
    char *body = text_printf("{\"handler\":\"echo\",\"lane\":\"cpu\",\"after\":[\"%s\"],"
                             "\"input\":[{\"$result\":\"%s\",\"pointer\":\"/0\"}]}",
                             promise, promise);
    api_submit(daemon_url(d), body, child);
    free(body);
    daemon_kill(d);
    daemon_start(d);
    complete_with_much(promise, N);
    json_t *f = api_done(daemon_url(d), child);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    char *text = api_result(daemon_url(d), child);
    ck_assert_uint_eq(strlen(text), N + 4);
    ck_assert(strspn(text + 2, "x") == N);
    free(text);
    end();
}
END_TEST

/* n references to a result of 3 MiB. */
static void fails_with(int n, const char *pointer, const char *code, const char *says)
{
    char promise[ID_TEXT_SIZE], child[ID_TEXT_SIZE];
    make_promise(promise);
    struct buf body = BUF_INIT;
    buf_puts(&body, "{\"handler\":\"echo\",\"retries\":3,\"retry_on\":[\"error\"],\"input\":[");
    for (int i = 0; i < n; i++)
        buf_printf(&body, "%s{\"$result\":\"%s\",\"pointer\":\"%s\"}", i ? "," : "", promise,
                   pointer);
    buf_printf(&body, "],\"after\":[\"%s\"]}", promise);
    api_submit(daemon_url(d), body.data, child);
    complete_with_much(promise, 3 << 20);
    json_t *f = api_done(daemon_url(d), child);
    ck_assert_str_eq(api_str(f, "error.code"), code);
    ck_assert_msg(strstr(api_str(f, "error.message"), says) != NULL, "%s",
                  api_str(f, "error.message"));
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    json_decref(f);
    buf_release(&body);
}

START_TEST(test_graph_results_that_cannot_be_used)
{
    char text[ID_TEXT_SIZE], promise[ID_TEXT_SIZE], child[ID_TEXT_SIZE];
    begin();
    fails_with(1, "/0/y", "unresolved_input", "nothing at \"/0/y\"");
    fails_with(6, "", "input_too_large", "16777216 bytes");
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":\"words\"}", text);
    json_decref(api_done(daemon_url(d), text));
    char *body = text_printf(
        "{\"handler\":\"echo\",\"after\":[\"%s\"],\"input\":{\"$result\":\"%s\"}}", text, text);
    api_submit(daemon_url(d), body, child);
    api_expect_end(daemon_url(d), child, "failed", "unresolved_input");
    free(body);
    make_promise(promise);
    body = text_printf(
        "{\"handler\":\"echo\",\"after\":[\"%s\",\"%s\"],\"input\":{\"$result\":\"%s\"}}", text,
        promise, text);
    api_submit(daemon_url(d), body, child);
    free(body);
    struct http_reply r = api_delete(daemon_url(d), "/v1/futures/%s", text);
    ck_assert_int_eq(r.status, 204);
    http_reply_release(&r);
    complete(promise, "{\"result\":1}");
    json_t *f = api_done(daemon_url(d), child);
    ck_assert_str_eq(api_str(f, "error.code"), "unresolved_input");
    ck_assert(strstr(api_str(f, "error.message"), "deleted") != NULL);
    json_decref(f);
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
    {"/v1/batches",
     "{\"tasks\":[{\"name\":\"a\",\"handler\":\"echo\"},"
     "{\"handler\":\"echo\",\"input\":{\"x\":[{\"$result\":\"a\"}]}}]}",
     422, "result of \"a\", which is not among"},
    {"/v1/batches",
     "{\"tasks\":[{\"name\":\"a\",\"handler\":\"echo\"},{\"handler\":\"echo\","
     "\"input\":{\"$result\":\"a\"},\"after\":[{\"id\":\"a\",\"on\":\"done\"}]}]}",
     422, "result of \"a\", whose success"},
    {"/v1/batches",
     "{\"tasks\":[{\"name\":\"a\",\"handler\":\"echo\"},{\"handler\":\"echo\","
     "\"input\":{\"$result\":\"a\",\"pointer\":\"x\"},\"after\":[\"a\"]}]}",
     422, "RFC 6901"},
    {"/v1/tasks", "{\"handler\":\"echo\",\"input\":[{\"$result\":\"a\",\"of\":1}]}", 422,
     "A reference is"},
    {"/v1/tasks",
     "{\"handler\":\"echo\",\"input\":{\"$result\":\"01234567-89ab-7def-8123-456789abcdef\"}}", 422,
     "not among"},
    {"/v1/batches", "{\"inputs\":[1],\"handler\":\"echo\",\"then\":{\"handler\":\"none\"}}", 422,
     "No handler is called \"none\""},
    {"/v1/batches", "{\"inputs\":[1],\"handler\":\"echo\",\"then\":5}", 422, "then"},
    {"/v1/batches",
     "{\"inputs\":[1],\"handler\":\"echo\",\"then\":{\"handler\":\"echo\",\"on\":\"failure\"}}",
     422, "done"},
    {"/v1/batches",
     "{\"inputs\":[1],\"handler\":\"echo\",\"then\":{\"handler\":\"echo\",\"after\":[]}}", 422,
     "after"},
    {"/v1/batches", "{\"tasks\":[{\"handler\":\"echo\",\"input\":{\"$results\":true}}]}", 422,
     "only the \"then\""},
};

START_TEST(test_graph_refuses)
{
    begin();
    for (size_t i = 0; i < FUT_COUNT(bad); i++) {
        struct http_reply r = api_post(daemon_url(d), bad[i].path, bad[i].body);
        ck_assert_msg(r.status == bad[i].status, "%zu: %d %s", i, r.status, r.body);
        ck_assert_msg(strstr(api_str(r.json, "detail"), bad[i].says) != NULL, "%s", r.body);
        if (strstr(bad[i].body, "none"))
            ck_assert_str_eq(api_str(r.json, "field"), "then.handler");
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
    const TTest *tests[] = {test_graph_batch_with_names,
                            test_graph_failure_and_retry,
                            test_graph_refuses,
                            test_graph_results_as_inputs,
                            test_graph_references_are_data_elsewhere,
                            test_graph_is_shown,
                            test_graph_then,
                            test_graph_then_after_failures,
                            test_graph_result_of_a_promise,
                            test_graph_results_that_cannot_be_used};
    return suite_run("graph", tests, FUT_COUNT(tests));
}
