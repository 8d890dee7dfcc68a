/* Long-polls by the hundred: every request is answered, none late, and hanging up harms nobody. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/address.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/load_report.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

/* Runs the load tool for three seconds; its report. */
static json_t *load(struct daemon *d, const char *mode, const char *connections)
{
    return load_report(d, (const char *const[]){"--mode", mode, "--connections", connections,
                                                "--seconds", "3", "--late", "10", "--grace", "40",
                                                NULL});
}

static void check_load(const char *mode, const char *connections)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    json_t *report = load(d, mode, connections);
    char *text = json_dumps(report, 0);
    ck_assert_int_eq(api_int(report, "unanswered"), 0);
    ck_assert_int_eq(api_int(report, "disconnected"), 0);
    ck_assert_msg(api_int(report, "late") == 0, "%s", text);
    ck_assert_msg(api_int(report, "undone") == 0, "%s", text);
    ck_assert_int_gt(api_int(report, "answered"), 256);
    json_int_t fine = json_integer_value(api_at(report, "status.200")) +
                      json_integer_value(api_at(report, "status.202"));
    ck_assert_msg(fine == api_int(report, "answered"), "%s", text);
    free(text);
    json_decref(report);
    daemon_end(&d);
}

START_TEST(test_waiters_alternating_on_256_connections_all_are_answered)
{
    check_load("post-poll", "256");
}
END_TEST

START_TEST(test_waiters_prefer_wait_on_256_connections_all_are_answered)
{
    check_load("post-wait", "256");
}
END_TEST

START_TEST(test_waiters_of_one_future_all_get_its_result)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char id[ID_TEXT_SIZE], path[128];
    struct http_pending *pending[20];
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"ms\":700}}", id);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s?wait=50", id);
    struct http_request req = {.method = "GET", .path = path};
    for (size_t i = 0; i < FUT_COUNT(pending); i++)
        pending[i] = http_begin(daemon_url(d), &req);
    json_t *first = NULL;
    for (size_t i = 0; i < FUT_COUNT(pending); i++) {
        struct http_reply r = http_finish(&pending[i]);
        ck_assert_msg(r.status == 200 && r.json, "%d %s", r.status, r.error ? r.error : r.body);
        ck_assert_str_eq(api_str(r.json, "state"), "succeeded");
        ck_assert(!first || json_equal(first, r.json));
        if (!first)
            first = json_incref(r.json);
        http_reply_release(&r);
    }
    json_decref(first);
    daemon_free(&d);
}
END_TEST

/* Sends a long-poll and hangs up without reading. */
static void poll_and_leave(struct daemon *d, const char *id)
{
    struct sockaddr_in to;
    ck_assert(address_parse(daemon_address(d), &to));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    char *text = text_printf("GET /v1/futures/%s?wait=50 HTTP/1.1\r\nHost: x\r\n\r\n", id);
    ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
    free(text);
    fd_close(&fd);
}

START_TEST(test_waiters_that_hang_up_leave_no_trace)
{
    static const char *const settings[] = {"FUTURED_MAX_CONNECTIONS=32"};
    struct daemon *d = daemon_start_with(settings, 1);
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}", id);
    api_wait_state(daemon_url(d), id, "running");
    for (int i = 0; i < 100; i++) {
        poll_and_leave(d, id);
        json_decref(api_future(daemon_url(d), id)); /* answered, although 32 is the limit */
    }
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    daemon_end(&d);
}
END_TEST

START_TEST(test_waiters_are_limited_and_health_stays_reachable)
{
    static const char *const settings[] = {"FUTURED_MAX_CONNECTIONS=20"};
    struct daemon *d = daemon_start_with(settings, 1);
    char id[ID_TEXT_SIZE], path[128];
    struct http_pending *pending[19];
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}", id);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s?wait=50", id);
    struct http_request req = {.method = "GET", .path = path};
    for (size_t i = 0; i < FUT_COUNT(pending); i++)
        pending[i] = http_begin(daemon_url(d), &req);
    struct http_reply r = api_get(daemon_url(d), "/healthz");
    ck_assert_msg(r.status == 200, "%d %s", r.status, r.error ? r.error : r.body);
    http_reply_release(&r);
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    for (size_t i = 0; i < FUT_COUNT(pending); i++) {
        r = http_finish(&pending[i]);
        ck_assert_msg(r.status == 200 || r.status == 503, "%d %s", r.status,
                      r.error ? r.error : r.body);
        http_reply_release(&r);
    }
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_waiters_alternating_on_256_connections_all_are_answered,
        test_waiters_prefer_wait_on_256_connections_all_are_answered,
        test_waiters_of_one_future_all_get_its_result,
        test_waiters_that_hang_up_leave_no_trace,
        test_waiters_are_limited_and_health_stays_reachable,
    };
    return suite_run("waiters", tests, FUT_COUNT(tests));
}
