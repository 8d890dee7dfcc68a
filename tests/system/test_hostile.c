/* Hostile HTTP: each kind of wrong request in each way of sending it; thousands of connections that
 * say nothing or half a request, while others are served. tests/tools/hostile is the long form. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/sanitizers.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/hold.h"
#include "tests/support/hostile.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#if FUT_ASAN || FUT_TSAN
#define MANY 1000
#else
#define MANY 10000
#define COUNTS_MEMORY 1
#endif

static void check_served(struct daemon *d)
{
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":7}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
}

START_TEST(test_hostile_requests_are_refused)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct hostile_report r = {0};
    hostile_run(daemon_address(d), 1, &r);
    ck_assert_msg(r.wrong == 0 && r.hung == 0, "%zu wrong, %zu hung of %zu; the last: %s", r.wrong,
                  r.hung, r.tried, r.what);
    ck_assert_uint_eq(r.tried, hostile_kinds());
    ck_assert_uint_eq(r.served + r.refused + r.closed + r.given_up, r.tried);
    ck_assert_uint_gt(r.refused, r.tried / 2);
    check_served(d);
#ifdef COUNTS_MEMORY
    size_t before_kib = hostile_rss_kib(daemon_pid(d));
    hostile_run(daemon_address(d), 3, &r);
    ck_assert_uint_lt(hostile_rss_kib(daemon_pid(d)), before_kib + 8192);
#endif
    daemon_free(&d);
}
END_TEST

static void serve_beside(const char *text)
{
    size_t n = hold_possible(MANY);
    char *limit = text_printf("FUTURED_MAX_CONNECTIONS=%zu", n + 1000);
    const char *settings[] = {limit};
    struct daemon *d = daemon_start_with(settings, 1);
    struct hostile_idle *idle = hostile_hold(daemon_address(d), n, text);
    ck_assert_uint_eq(hostile_count(idle), n);
    for (int i = 0; i < 20; i++)
        check_served(d);
    hostile_drop(&idle);
    check_served(d);
    daemon_end(&d);
    free(limit);
}

START_TEST(test_hostile_idle_connections_leave_capacity)
{
    serve_beside("");
}
END_TEST

START_TEST(test_hostile_half_requests_leave_capacity)
{
    serve_beside("POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n{");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_hostile_requests_are_refused,
        test_hostile_idle_connections_leave_capacity,
        test_hostile_half_requests_leave_capacity,
    };
    return suite_run("hostile", tests, FUT_COUNT(tests));
}
