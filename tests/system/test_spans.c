/* FUTURED_OTLP_URL: what a collector gets of tasks that belong to a trace, and what happens when it
 * refuses, is silent, or is not there. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/receiver.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"
#define FLOOD 3000 /* tasks; each has two spans, more than there is space for */

static const char handlers[] =
    "{\"flaky\": {\"exec\": [\"/bin/sh\", \"-c\", \"printf '<b>\\\"\\\\001' >&2; exit 3\"], "
    "\"retries\": 1, \"retry_on\": [\"exit\"], \"backoff\": {\"first\": 0.1, \"max\": 1, "
    "\"jitter\": 0}}}";

static struct receiver *receiver;
static struct daemon *d;

static void start_for(unsigned port)
{
    char *setting = text_printf("FUTURED_OTLP_URL=http://127.0.0.1:%u", port);
    d = daemon_start_handlers(handlers, (const char *const[]){setting}, 1);
    free(setting);
}

static void start(void)
{
    receiver = receiver_start(true);
    start_for(receiver_port(receiver));
}

static void stop(void)
{
    daemon_free(&d);
    receiver_stop(&receiver);
}

/* A task, or a batch, of the trace; json_decref() the answer. */
static json_t *post(const char *path, const char *body, const char *traceparent)
{
    char *header = text_printf("traceparent: %s", traceparent);
    const char *const headers[] = {"Content-Type: application/json", header, NULL};
    struct http_reply r =
        http_call(daemon_url(d), &(struct http_request){.method = "POST",
                                                        .path = path,
                                                        .headers = headers,
                                                        .body = body,
                                                        .body_len = strlen(body)});
    ck_assert_msg(r.status / 100 == 2, "%d %s", r.status, r.body);
    json_t *answer = json_incref(r.json);
    http_reply_release(&r);
    free(header);
    return answer;
}

static void run(const char *body, const char *traceparent)
{
    json_t *future = post("/v1/tasks", body, traceparent);
    json_decref(api_done(daemon_url(d), api_str(future, "id")));
    json_decref(future);
}

/* All spans that have come so far, in order; json_decref() it. */
static json_t *spans_so_far(void)
{
    json_t *all = json_array();
    for (int i = 0; i < receiver_requests(receiver) && i < 8; i++) {
        json_t *body = json_loads(receiver_body(receiver, i), JSON_DISABLE_EOF_CHECK, NULL);
        ck_assert_msg(body != NULL, "no JSON: %s", receiver_body(receiver, i));
        const json_t *resource = json_array_get(json_object_get(body, "resourceSpans"), 0),
                     *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
        json_array_extend(all, json_object_get(scope, "spans"));
        json_decref(body);
    }
    return all;
}

static size_t count_spans(void)
{
    json_t *all = spans_so_far();
    size_t n = json_array_size(all);
    json_decref(all);
    return n;
}

static json_t *wait_spans(size_t n)
{
    wait_for(count_spans() >= n);
    return spans_so_far();
}

/* The n-th span of this name (from 0); must be there. */
static const json_t *find(const json_t *all, const char *name, int n)
{
    size_t i;
    json_t *span;
    json_array_foreach (all, i, span) {
        if (strcmp(api_str(span, "name"), name) == 0 && n-- == 0)
            return span;
    }
    ck_abort_msg("no span %s", name);
}

static const char *attribute(const json_t *span, const char *key)
{
    size_t i;
    json_t *a;
    json_array_foreach (json_object_get(span, "attributes"), i, a) {
        if (strcmp(api_str(a, "key"), key) == 0)
            return api_str(a, "value.stringValue");
    }
    return NULL;
}

/* The number behind the name of a metric with its labels; -1: there is no such line. */
static long long metric(const char *name)
{
    struct http_reply r = api_get(daemon_url(d), "/metrics");
    char *line = text_printf("\n%s ", name), *at = strstr(r.body, line);
    long long n = at ? strtoll(at + strlen(line), NULL, 10) : -1;
    free(line);
    http_reply_release(&r);
    return n;
}

static void wait_metric(const char *name, long long least)
{
    wait_for(metric(name) >= least);
}

START_TEST(test_spans_of_waits_and_attempts)
{
    char value[256];
    run("{\"handler\":\"echo\",\"input\":1}", "00-" TRACE "-" PARENT "-01");
    run("{\"handler\":\"flaky\",\"queue\":\"mail\"}", "00-" TRACE "-" PARENT "-03");
    json_t *all = wait_spans(5);
    ck_assert_uint_eq(json_array_size(all), 5);
    ck_assert(strncmp(receiver_request(receiver, 0), "POST /v1/traces HTTP/1.1", 24) == 0);
    ck_assert_pstr_eq(receiver_header(receiver, 0, "Content-Type", value), "application/json");
    const json_t *wait = find(all, "wait echo", 0), *run = find(all, "run echo", 0);
    for (size_t i = 0; i < 5; i++) {
        const json_t *span = json_array_get(all, i);
        ck_assert_str_eq(api_str(span, "traceId"), TRACE);
        ck_assert_str_eq(api_str(span, "parentSpanId"), PARENT);
        ck_assert_uint_eq(strlen(api_str(span, "spanId")), 16);
        ck_assert_int_le(strtoll(api_str(span, "startTimeUnixNano"), NULL, 10),
                         strtoll(api_str(span, "endTimeUnixNano"), NULL, 10));
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(api_str(json_array_get(all, k), "spanId"), api_str(span, "spanId"));
    }
    ck_assert_str_eq(api_str(wait, "endTimeUnixNano"), api_str(run, "startTimeUnixNano"));
    ck_assert_str_eq(attribute(run, "futured.state"), "succeeded");
    ck_assert_ptr_null(json_object_get(run, "status"));
    const json_t *first = find(all, "run flaky", 0), *second = find(all, "run flaky", 1);
    ck_assert_str_eq(attribute(first, "futured.attempt"), "1");
    ck_assert_str_eq(attribute(second, "futured.attempt"), "2");
    ck_assert_str_eq(attribute(second, "futured.queue"), "mail");
    ck_assert_str_eq(attribute(second, "futured.state"), "failed");
    ck_assert_str_eq(attribute(second, "error.type"), "exit");
    ck_assert_int_eq(api_int(second, "status.code"), 2);
    json_decref(all);
    wait_metric("futured_otlp_spans_total{result=\"sent\"}", 5);
    ck_assert_int_eq(metric("futured_otlp_spans_total{result=\"dropped\"}"), 0);
}
END_TEST

/* What is in no trace, in one that is not sampled, or says something else than a traceparent. */
START_TEST(test_no_spans_of_others)
{
    static const char *const others[] = {
        "00-" TRACE "-" PARENT "-00",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "ff-" TRACE "-" PARENT "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-" TRACE "-" PARENT "-01-more",
        "00-" TRACE "-" PARENT "-0\"",
        "\"}],\"a\":[{\"",
        "",
    };
    for (size_t i = 0; i < FUT_COUNT(others); i++)
        run("{\"handler\":\"echo\",\"input\":0}", others[i]);
    run("{\"handler\":\"sleep\",\"input\":{\"ms\":1}}", "00-" TRACE "-" PARENT "-01");
    json_t *all = wait_spans(2);
    ck_assert_uint_eq(json_array_size(all), 2);
    (void)find(all, "run sleep", 0);
    json_decref(all);
}
END_TEST

/* A collector that says which it does not want, and one that wants none. */
START_TEST(test_refused_spans_are_counted)
{
    receiver_answer(receiver, 1,
                    "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n"
                    "{\"partialSuccess\":{\"rejectedSpans\":\"1\"} }");
    run("{\"handler\":\"echo\",\"input\":1}", "00-" TRACE "-" PARENT "-01");
    wait_metric("futured_otlp_spans_total{result=\"refused\"}", 1);
    receiver_answer(receiver, 1, "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
    run("{\"handler\":\"echo\",\"input\":1}", "00-" TRACE "-" PARENT "-01");
    wait_metric("futured_otlp_spans_total{result=\"refused\"}", 2);
    free(daemon_wait_log(d, "warn spans_not_sent"));
    /* one that is busy is asked again */
    receiver_answer(receiver, 1, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    run("{\"handler\":\"echo\",\"input\":1}", "00-" TRACE "-" PARENT "-01");
    free(daemon_wait_log(d, "info spans_sent_again"));
    ck_assert_int_eq(metric("futured_otlp_spans_total{result=\"dropped\"}"), 0);
}
END_TEST

START_TEST(test_end_sends_what_is_left)
{
    run("{\"handler\":\"echo\",\"input\":1}", "00-" TRACE "-" PARENT "-01");
    daemon_stop(d);
    json_t *all = spans_so_far();
    ck_assert_uint_eq(json_array_size(all), 2);
    json_decref(all);
}
END_TEST

/* Tasks go on, memory is bounded, all is counted, and the end does not wait for it. */
START_TEST(test_silent_collector_delays_nothing)
{
    char *inputs = text_printf("0"), *body;
    receiver_silence(receiver);
    for (int i = 1; i < FLOOD; i++) {
        char *more = text_printf("%s,0", inputs);
        free(inputs);
        inputs = more;
    }
    body = text_printf("{\"handler\":\"echo\",\"inputs\":[%s]}", inputs);
    json_t *batch = post("/v1/batches", body, "00-" TRACE "-" PARENT "-01"), *id;
    size_t i;
    json_array_foreach (json_object_get(batch, "ids"), i, id)
        api_expect_end(daemon_url(d), json_string_value(id), "succeeded", "");
    ck_assert_int_eq(metric("futured_otlp_spans_total{result=\"sent\"}"), 0);
    ck_assert_int_le(metric("futured_otlp_spans_waiting"), 2048 + 256);
    daemon_keep_lines(d, "spans_dropped");
    daemon_stop(d);
    char *expected = text_printf("spans_dropped dropped=%d refused=0 sent=0", 2 * FLOOD);
    ck_assert_msg(strstr(daemon_kept(d), expected) != NULL, "%s", daemon_kept(d));
    free(expected);
    json_decref(batch);
    free(body);
    free(inputs);
}
END_TEST

START_TEST(test_missing_collector_is_counted)
{
    unsigned port = receiver_port(receiver);
    daemon_stop(d);
    daemon_free(&d);
    receiver_stop(&receiver);
    start_for(port);
    run("{\"handler\":\"echo\",\"input\":1}", "00-" TRACE "-" PARENT "-01");
    free(daemon_wait_log(d, "warn spans_not_sent"));
    wait_metric("futured_otlp_spans_total{result=\"dropped\"}", 2);
    ck_assert_int_eq(metric("futured_otlp_spans_waiting"), 0);
}
END_TEST

START_TEST(test_collector_must_be_a_plain_url)
{
    static const char *const settings[] = {
        "FUTURED_OTLP_URL=ftp://127.0.0.1:1", "FUTURED_OTLP_URL=http://a:b@127.0.0.1:1",
        "FUTURED_OTLP_URL=http://127.0.0.1:1/#x", "FUTURED_OTLP_URL=127.0.0.1:4318"};
    for (size_t i = 0; i < FUT_COUNT(settings); i++) {
        struct daemon *other = daemon_new();
        char *said;
        daemon_set(other, settings[i]);
        ck_assert_int_eq(daemon_start_refused(other, &said), 78);
        ck_assert_msg(strstr(said, "FUTURED_OTLP_URL is") != NULL, "%s", said);
        free(said);
        daemon_free(&other);
    }
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_spans_of_waits_and_attempts, 0},     {test_no_spans_of_others, 0},
        {test_refused_spans_are_counted, 0},       {test_end_sends_what_is_left, 0},
        {test_silent_collector_delays_nothing, 0}, {test_missing_collector_is_counted, 0},
        {test_collector_must_be_a_plain_url, 0},
    };
    return suite_run_rows("spans", SUITE_TIMEOUT_S, start, stop, rows, FUT_COUNT(rows));
}
