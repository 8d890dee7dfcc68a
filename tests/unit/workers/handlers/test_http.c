/* The http handler against a small server on loopback that a thread of the test runs. */
#include <arpa/inet.h>
#include <check.h>
#include <jansson.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/retry.h"
#include "core/sync.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "workers/base/http_allow.h"
#include "workers/handlers/builtins/builtins.h"

static int listener;
static unsigned port;
static pthread_t server;
static sem_t slow_arrived;
static struct run run;

static void reply(int fd, const char *text, size_t n)
{
    ck_assert_int_eq(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void reply_str(int fd, const char *text)
{
    reply(fd, text, strlen(text));
}

static void reply_with_request(int fd, const struct buf *req)
{
    struct buf out = BUF_INIT;
    buf_printf(&out,
               "HTTP/1.1 201 Created\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: %zu\r\n\r\n%s",
               req->len, req->data);
    reply(fd, out.data, out.len);
    buf_release(&out);
}

/* /status/429/5: that status, with Retry-After: 5; /status/503/date: with the time in a minute. */
static void reply_status(int fd, const char *path)
{
    struct buf out = BUF_INIT;
    char at[64];
    time_t then = time(NULL) + 60;
    struct tm tm;
    buf_printf(&out, "HTTP/1.1 %.3s Status\r\nContent-Length: 3\r\n", path);
    (void)strftime(at, sizeof(at), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
    if (strncmp(path + 3, "/date", 5) == 0)
        buf_printf(&out, "Retry-After: %s\r\n", at);
    else if (path[3] == '/')
        buf_printf(&out, "Retry-After: %.*s\r\n", (int)strcspn(path + 4, " "), path + 4);
    buf_puts(&out, "\r\nwhy");
    reply(fd, out.data, out.len);
    buf_release(&out);
}

static void answer(int fd, const struct buf *req)
{
    const char *path = strchr(req->data, ' ') + 1;
    if (strncmp(path, "/echo", 5) == 0)
        reply_with_request(fd, req);
    else if (strncmp(path, "/hop", 4) == 0)
        reply_str(
            fd,
            "HTTP/1.1 302 Found\r\nX-Hop: yes\r\nLocation: /echo\r\nContent-Length: 3\r\n\r\nhop");
    else if (strncmp(path, "/round", 6) == 0)
        reply_str(fd, "HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/file", 5) == 0)
        reply_str(
            fd,
            "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/binary", 7) == 0)
        reply(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\x00\x01", 41);
    else if (strncmp(path, "/endless", 8) == 0)
        reply_str(fd, "HTTP/1.1 200 OK\r\nContent-Length: "
                      "99\r\n\r\n0123456789012345678901234567890123456789");
    else if (strncmp(path, "/status/", 8) == 0)
        reply_status(fd, path + 8);
    else if (strncmp(path, "/slow", 5) == 0)
        sem_post(&slow_arrived);
    /* /nothing: just close */
}

/* One request, its body by Content-Length; then the connection ends, or waits for the client. */
static void serve_one(int fd)
{
    struct buf req = BUF_INIT;
    for (;;) {
        buf_reserve(&req, 4096);
        ssize_t n = recv(fd, req.data + req.len, 4096, 0);
        if (n <= 0)
            break;
        req.len += (size_t)n;
        req.data[req.len] = '\0';
        const char *end = strstr(req.data, "\r\n\r\n");
        const char *length = strstr(req.data, "Content-Length: ");
        size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
        if (end && req.len >= (size_t)(end + 4 - req.data) + body) {
            answer(fd, &req);
            char c;
            if (strstr(req.data, " /slow"))
                (void)!recv(fd, &c, 1, 0); /* until the client goes */
            break;
        }
    }
    buf_release(&req);
    close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
        serve_one(fd);
    return NULL;
}

static void setup(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, n), 0);
    ck_assert_int_eq(listen(listener, 16), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &n), 0);
    port = ntohs(at.sin_port);
    sem_init(&slow_arrived, 0, 0);
    thread_start(&server, "server", serve, NULL);
}

static void teardown(void)
{
    shutdown(listener, SHUT_RDWR);
    thread_join(server);
    close(listener);
    run_release(&run);
}

static struct buf input;

static void prepare(const char *path, const char *more, size_t max_result)
{
    buf_release(&input);
    buf_printf(&input, "{\"url\":\"http://127.0.0.1:%u%s\"%s}", port, path, more);
    run_init(&run, input.data, input.len, CONTENT_JSON, max_result);
}

static json_t *fetch(const char *path, const char *more)
{
    prepare(path, more, 1 << 20);
    http_run(&run);
    ck_assert_msg(run.class == RUN_SUCCESS, "%s", run.message.data);
    json_t *root = json_loadb(run.body.data, run.body.len, 0, NULL);
    ck_assert_ptr_nonnull(root);
    return root;
}

static const char *body_of(json_t *root)
{
    return json_string_value(json_object_get(root, "body"));
}

START_TEST(test_http_get)
{
    json_t *root = fetch("/echo?x=1", "");
    ck_assert_int_eq(json_integer_value(json_object_get(root, "status")), 201);
    ck_assert_int_eq(strncmp(body_of(root), "GET /echo?x=1 HTTP/1.1\r\n", 24), 0);
    json_t *headers = json_object_get(root, "headers");
    ck_assert_str_eq(json_string_value(json_object_get(headers, "x-one")), "1, 2");
    json_decref(root);
}
END_TEST

START_TEST(test_http_post_with_headers)
{
    json_t *root = fetch("/echo", ",\"method\":\"POST\",\"body\":\"caf\\u00e9\","
                                  "\"headers\":{\"X-Mine\":\"yes\",\"X-Empty\":\"\"}");
    const char *seen = body_of(root);
    ck_assert_int_eq(strncmp(seen, "POST /echo ", 11), 0);
    ck_assert_ptr_nonnull(strstr(seen, "\r\nX-Mine: yes\r\n"));
    ck_assert_ptr_nonnull(strstr(seen, "\r\nX-Empty:\r\n"));
    ck_assert_ptr_nonnull(strstr(seen, "\r\nContent-Length: 5\r\n"));
    ck_assert_ptr_null(strstr(seen, "x-www-form-urlencoded"));
    ck_assert_ptr_nonnull(strstr(seen, "\r\n\r\ncaf\xc3\xa9"));
    json_decref(root);
}
END_TEST

START_TEST(test_http_passes_the_trace_on)
{
    prepare("/echo", "", 1 << 20);
    run.about.traceparent = "00-aa-bb-01";
    http_run(&run);
    json_t *root = json_loadb(run.body.data, run.body.len, 0, NULL);
    ck_assert_ptr_nonnull(strstr(body_of(root), "\r\ntraceparent: 00-aa-bb-01\r\n"));
    json_decref(root);
    run_release(&run);
    prepare("/echo", ",\"headers\":{\"Traceparent\":\"mine\"}", 1 << 20);
    run.about.traceparent = "00-aa-bb-01";
    http_run(&run);
    root = json_loadb(run.body.data, run.body.len, 0, NULL);
    ck_assert_ptr_nonnull(strstr(body_of(root), "\r\nTraceparent: mine\r\n"));
    ck_assert_ptr_null(strstr(body_of(root), "00-aa-bb-01"));
    json_decref(root);
}
END_TEST

START_TEST(test_http_put_and_delete)
{
    json_t *root = fetch("/echo", ",\"method\":\"PUT\",\"body\":\"b\"");
    ck_assert_int_eq(strncmp(body_of(root), "PUT /echo ", 10), 0);
    json_decref(root);
    run_release(&run);
    root = fetch("/echo", ",\"method\":\"DELETE\"");
    ck_assert_int_eq(strncmp(body_of(root), "DELETE /echo ", 13), 0);
    json_decref(root);
}
END_TEST

START_TEST(test_http_follows_redirects)
{
    json_t *root = fetch("/hop", "");
    ck_assert_int_eq(json_integer_value(json_object_get(root, "status")), 201);
    ck_assert_int_eq(strncmp(body_of(root), "GET /echo ", 10), 0);
    ck_assert_ptr_null(json_object_get(json_object_get(root, "headers"), "x-hop"));
    json_decref(root);
}
END_TEST

START_TEST(test_http_binary_body_as_base64)
{
    json_t *root = fetch("/binary", "");
    ck_assert_ptr_null(json_object_get(root, "body"));
    ck_assert_str_eq(json_string_value(json_object_get(root, "body_base64")), "/wAB");
    json_decref(root);
}
END_TEST

static const struct {
    const char *path, *more;
    enum run_class class;
} failures[] = {
    {"/round", "", RUN_FAILED},
    {"/file", "", RUN_FAILED},
    {"/nothing", "", RUN_TEMPORARY},
    {"/nothing", ",\"method\":\"POST\"", RUN_FAILED},
    {"/slow", ",\"timeout\":0.05", RUN_TEMPORARY},
    {"/slow", ",\"timeout\":0.05,\"method\":\"POST\"", RUN_FAILED},
};

START_TEST(test_http_failures)
{
    prepare(failures[_i].path, failures[_i].more, 1 << 20);
    http_run(&run);
    ck_assert_int_eq(run.class, failures[_i].class);
    ck_assert_str_eq(run.code, "http_failed");
}
END_TEST

START_TEST(test_http_refused_connection_is_temporary)
{
    static const char text[] = "{\"url\":\"http://127.0.0.1:1/\",\"method\":\"POST\"}";
    run_init(&run, text, sizeof(text) - 1, CONTENT_JSON, 1 << 20);
    http_run(&run);
    ck_assert_int_eq(run.class, RUN_TEMPORARY);
    ck_assert_str_eq(run.code, "http_failed");
}
END_TEST

START_TEST(test_http_body_over_the_limit)
{
    prepare("/endless", "", 20);
    http_run(&run);
    ck_assert_int_eq(run.class, RUN_FAILED);
    ck_assert_str_eq(run.code, "result_too_large");
}
END_TEST

static const struct {
    const char *path, *more;
    enum run_class class;
    int64_t retry_after_least_ms, retry_after_most_ms;
} statuses[] = {
    {"/status/404", "", RUN_SUCCESS, 0, 0},
    {"/status/404", ",\"fail_on\":[\"5xx\",\"404\"]", RUN_FAILED, 0, 0},
    {"/status/403", ",\"fail_on\":[\"4xx\"]", RUN_FAILED, 0, 0},
    {"/status/500", "", RUN_TEMPORARY, 0, 0},
    {"/status/599", ",\"method\":\"PUT\"", RUN_TEMPORARY, 0, 0},
    {"/status/500", ",\"method\":\"POST\"", RUN_FAILED, 0, 0},
    {"/status/500", ",\"fail_on\":[]", RUN_SUCCESS, 0, 0},
    {"/status/500", ",\"fail_on\":[\"501\"]", RUN_SUCCESS, 0, 0},
    {"/status/500/7", "", RUN_TEMPORARY, 0, 0},
    {"/status/429", ",\"method\":\"POST\"", RUN_TEMPORARY, 0, 0},
    {"/status/429/7", ",\"method\":\"POST\"", RUN_TEMPORARY, 7000, 7000},
    {"/status/429/7", ",\"fail_on\":[]", RUN_SUCCESS, 7000, 7000},
    {"/status/503/7", "", RUN_TEMPORARY, 7000, 7000},
    {"/status/503/date", "", RUN_TEMPORARY, 30000, 60000},
    {"/status/503/999999", "", RUN_TEMPORARY, RETRY_MAX_MS, RETRY_MAX_MS},
    {"/status/503/-1", "", RUN_TEMPORARY, 0, 0},
    {"/status/503/soon", "", RUN_TEMPORARY, 0, 0},
};

START_TEST(test_http_judges_the_status)
{
    prepare(statuses[_i].path, statuses[_i].more, 1 << 20);
    http_run(&run);
    ck_assert_int_eq(run.class, statuses[_i].class);
    ck_assert_int_ge(run.retry_after_ms, statuses[_i].retry_after_least_ms);
    ck_assert_int_le(run.retry_after_ms, statuses[_i].retry_after_most_ms);
    ck_assert_int_eq(run.asked_by != NULL, run.retry_after_ms > 0);
    if (run.asked_by)
        ck_assert_str_eq(run.asked_by, "host:127.0.0.1");
    if (run.class != RUN_SUCCESS) {
        ck_assert_str_eq(run.code, "http_status");
        buf_puts(&run.log, "");
        ck_assert_str_eq(run.log.data, "why\n");
    }
}
END_TEST

static const char *const wrong_fail_on[] = {
    "\"5xx\"",   "7",         "{}",        "null",      "[500]",    "[\"\"]",
    "[\"1xx\"]", "[\"6xx\"]", "[\"5xy\"]", "[\"600\"]", "[\"50\"]", "[\"5000\"]",
};

START_TEST(test_http_names_a_wrong_fail_on)
{
    const char *field = "", *allowed = "";
    char *more = text_printf(",\"fail_on\":%s", wrong_fail_on[_i]);
    prepare("/echo", more, 1 << 20);
    http_run(&run);
    ck_assert_int_eq(run.class, RUN_FAILED);
    ck_assert_str_eq(run.code, "bad_input");
    ck_assert_ptr_nonnull(strstr(run.message.data, "fail_on"));
    ck_assert_int_eq(http_check_input(input.data, input.len, &field, &allowed), FUT_ERR_INVAL);
    ck_assert_str_eq(field, "fail_on");
    ck_assert_ptr_nonnull(strstr(allowed, "5xx"));
    ck_assert_int_eq(http_check_input("{\"fail_on\":[\"404\"]}", 19, &field, &allowed), 0);
    ck_assert_int_eq(http_check_input("\"fail_on\"", 9, &field, &allowed), 0);
    free(more);
}
END_TEST

static void *fetch_in_thread(void *arg)
{
    (void)arg;
    http_run(&run);
    return NULL;
}

START_TEST(test_http_ends_at_once_on_cancel)
{
    pthread_t t;
    prepare("/slow", "", 1 << 20);
    thread_start(&t, "fetch", fetch_in_thread, NULL);
    sem_wait(&slow_arrived);
    int64_t from_ms = clock_mono_ms();
    run_cancel(&run);
    thread_join(t);
    ck_assert_int_lt(clock_mono_ms() - from_ms, 900); /* curl's own poll would take a second */
    ck_assert_str_eq(run.code, "cancelled");
}
END_TEST

/* %u in prefixes is the server's port. /hop leads to /echo on the same server. */
static const struct {
    const char *prefixes, *networks, *path;
    bool goes;
    const char *says;
} limited[] = {
    {"", "127.0.0.0/8", "/echo", true, ""},
    {"", "", "/echo", false, "127.0.0.1 is not public"},
    {"", "10.0.0.0/8,::1", "/echo", false, "127.0.0.1 is not public"},
    {"http://127.0.0.1:%u/", "127.0.0.1", "/hop", true, ""},
    {"http://127.0.0.1:%u/echo", "127.0.0.1", "/echo?x", true, ""},
    {"http://127.0.0.1:%u/echo", "127.0.0.1", "/hop", false, "below no prefix"},
    {"http://127.0.0.1:%u/hop", "127.0.0.1", "/hop", false, "below no prefix"}, /* the second URL */
    {"http://127.0.0.1:%u/", "", "/echo", false, "127.0.0.1 is not public"},
};

static struct http_allow *make_allow(const char *form, const char *networks)
{
    struct http_allow *allow = NULL;
    struct fut_errbuf err = {""};
    struct buf prefixes = BUF_INIT;
    const char *mark = strstr(form, "%u");
    if (mark)
        buf_printf(&prefixes, "%.*s%u%s", (int)(mark - form), form, port, mark + 2);
    ck_assert_int_eq(http_allow_new(mark ? prefixes.data : form, networks, &allow, &err), 0);
    buf_release(&prefixes);
    return allow;
}

START_TEST(test_http_stays_within_the_allow_list)
{
    struct http_allow *allow = make_allow(limited[_i].prefixes, limited[_i].networks);
    prepare(limited[_i].path, "", 1 << 20);
    run.about.allow = allow;
    http_run(&run);
    ck_assert_int_eq(run.class, limited[_i].goes ? RUN_SUCCESS : RUN_FAILED);
    if (!limited[_i].goes) {
        ck_assert_str_eq(run.code, "not_allowed");
        ck_assert_msg(strstr(run.message.data, limited[_i].says) != NULL, "%s", run.message.data);
    }
    http_allow_free(&allow);
}
END_TEST

START_TEST(test_http_checks_what_a_name_stands_for)
{
    static const char text[] = "{\"url\":\"http://localhost:1/\"}";
    struct http_allow *allow = make_allow("http://localhost:1/", "");
    run_init(&run, text, sizeof(text) - 1, CONTENT_JSON, 1 << 20);
    run.about.allow = allow;
    http_run(&run);
    ck_assert_int_eq(run.class, RUN_FAILED);
    ck_assert_str_eq(run.code, "not_allowed");
    http_allow_free(&allow);
}
END_TEST

int main(void)
{
    (void)unsetenv("http_proxy");
    TCase *t = suite_case("http", 30, setup, teardown);
    tcase_add_test(t, test_http_get);
    tcase_add_test(t, test_http_post_with_headers);
    tcase_add_test(t, test_http_passes_the_trace_on);
    tcase_add_test(t, test_http_put_and_delete);
    tcase_add_test(t, test_http_follows_redirects);
    tcase_add_test(t, test_http_binary_body_as_base64);
    tcase_add_loop_test(t, test_http_judges_the_status, 0, (int)FUT_COUNT(statuses));
    tcase_add_loop_test(t, test_http_names_a_wrong_fail_on, 0, (int)FUT_COUNT(wrong_fail_on));
    tcase_add_loop_test(t, test_http_failures, 0, (int)FUT_COUNT(failures));
    tcase_add_loop_test(t, test_http_stays_within_the_allow_list, 0, (int)FUT_COUNT(limited));
    tcase_add_test(t, test_http_checks_what_a_name_stands_for);
    tcase_add_test(t, test_http_refused_connection_is_temporary);
    tcase_add_test(t, test_http_body_over_the_limit);
    tcase_add_test(t, test_http_ends_at_once_on_cancel);
    return suite_run_cases("http", t, NULL);
}
