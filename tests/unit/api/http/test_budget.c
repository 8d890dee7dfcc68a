/* How much of large bodies and answers may be in memory: the counting, and what the api does with
 * it. */
#include "api/http/budget.h"
#include "tests/support/suite.h"
#include "tests/unit/api/fixture.h"

#define MAX_BYTES 100000
#define LARGE 60000

START_TEST(test_budget_counts_what_is_large)
{
    struct budget b = {.max = MAX_BYTES};
    struct budget_share one = {0}, other = {0};
    ck_assert(budget_grow(&b, &one, BUDGET_FREE_BYTES));
    ck_assert_uint_eq(budget_used(&b), 0);
    ck_assert(budget_grow(&b, &one, 30000));
    ck_assert(budget_grow(&b, &one, LARGE));
    ck_assert(budget_grow(&b, &one, 20000)); /* it has more */
    ck_assert_uint_eq(budget_used(&b), LARGE);
    ck_assert(!budget_grow(&b, &other, LARGE));
    ck_assert_uint_eq(other.bytes, 0);
    ck_assert(budget_grow(&b, &other, MAX_BYTES - LARGE));
    ck_assert(!budget_grow(&b, &other, MAX_BYTES - LARGE + 1));
    ck_assert_uint_eq(budget_used(&b), MAX_BYTES);
    budget_return(&b, &one);
    budget_return(&b, &one);
    ck_assert_uint_eq(budget_used(&b), MAX_BYTES - LARGE);
    budget_return(&b, &other);
    ck_assert_uint_eq(budget_used(&b), 0);
}
END_TEST

START_TEST(test_budget_lets_a_lone_one_pass)
{
    struct budget b = {.max = MAX_BYTES};
    struct budget_share one = {0}, other = {0};
    ck_assert(budget_grow(&b, &one, LARGE));
    ck_assert(budget_grow(&b, &one, 3UL * MAX_BYTES));
    ck_assert(!budget_grow(&b, &other, BUDGET_FREE_BYTES + 1));
    ck_assert(budget_grow(&b, &other, BUDGET_FREE_BYTES));
    budget_force(&b, &other, LARGE);
    ck_assert_uint_eq(budget_used(&b), 3UL * MAX_BYTES + LARGE);
}
END_TEST

static struct fixture f;

static void start(void)
{
    struct api_config c = fixture_config;
    c.max_buffered_bytes = MAX_BYTES;
    fixture_start_with(&f, &c, 1000);
    fixture_work(&f);
}

static void stop(void)
{
    fixture_stop(&f);
}

static void await_buffered(size_t bytes)
{
    char text[64];
    await_stats(&f, line_of(text, sizeof(text), "\"buffered_bytes\":%zu,", bytes));
}

static const char *large(size_t n)
{
    static char text[4 * MAX_BYTES];
    memset(text, 'x', n);
    text[n] = '\0';
    return text;
}

/* All of a large body but its last byte: nothing can be decided. */
static int undecided(void)
{
    char head[128];
    int fd = client_connect(&f);
    (void)line_of(head, sizeof(head),
                  "POST /v1/tasks/echo HTTP/1.1\r\nHost: [::1]\r\nContent-Length: %d\r\n\r\n",
                  LARGE);
    client_send(fd, head, strlen(head));
    client_send(fd, large(LARGE - 1), LARGE - 1);
    await_buffered(LARGE - 1);
    return fd;
}

static void decide(int fd)
{
    client_send(fd, "x", 1);
    expect(client_read(fd), 202, NULL, NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
    await_buffered(0);
}

START_TEST(test_budget_refuses_a_body_that_does_not_fit)
{
    int fd = undecided();
    expect(ask(&f, "POST /v1/tasks/echo", "", large(LARGE)), 503, "Retry-After: 1", "\"busy\"",
           "nothing was stored");
    expect(ask(&f, "POST /v1/batches", "Content-Type: application/x-ndjson\r\n", large(LARGE)), 503,
           "Retry-After: 1", "\"busy\"", NULL);
    expect(ask(&f, "POST /v1/tasks/echo?wait=10", "", large(BUDGET_FREE_BYTES)), 200,
           "\"succeeded\"", NULL, NULL);
    decide(fd);
    expect(ask(&f, "POST /v1/tasks/echo?wait=10", "", large(LARGE)), 200, "\"succeeded\"", NULL,
           NULL);
    expect(ask(&f, "GET /v1/stats", "", NULL), 200, "\"submitted\":3,", NULL, NULL);
}
END_TEST

START_TEST(test_budget_goes_with_the_client)
{
    ck_assert_int_eq(close(undecided()), 0);
    await_buffered(0);
}
END_TEST

START_TEST(test_budget_holds_nothing_for_a_task_that_is_waited_for)
{
    int fd = client_connect(&f);
    client_ask(fd, "POST /v1/tasks/hold?wait=60", "", large(LARGE));
    await_stats(&f, "\"waiters\":1,");
    await_buffered(0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_budget_refuses_an_answer_that_does_not_fit)
{
    char future[64], line[96];
    int fd = client_connect(&f);
    struct reply r = client_do(fd, "POST /v1/tasks/echo?wait=10", "", large(LARGE));
    const char *at = strstr(r.head, "Location: ");
    ck_assert_ptr_nonnull(at);
    (void)line_of(future, sizeof(future), "%.*s", (int)strcspn(at + 10, "\r"), at + 10);
    free(r.body);
    ck_assert_int_eq(close(fd), 0);
    await_buffered(0);
    fd = undecided();
    const char *get = line_of(line, sizeof(line), "GET %s/result", future);
    expect(ask(&f, get, "", NULL), 503, "Retry-After: 1", "\"busy\"", "waiting for their readers");
    expect(ask(&f, line_of(line, sizeof(line), "GET %s", future), "", NULL), 503, "\"busy\"", NULL,
           NULL);
    decide(fd);
    r = ask(&f, line_of(line, sizeof(line), "GET %s/result", future), "", NULL);
    ck_assert_int_eq(r.status, 200);
    ck_assert_str_eq(r.body, large(LARGE));
    free(r.body);
    await_buffered(0);
}
END_TEST

int main(void)
{
    TCase *counts = tcase_create("counts"), *served = tcase_create("served");
    tcase_add_test(counts, test_budget_counts_what_is_large);
    tcase_add_test(counts, test_budget_lets_a_lone_one_pass);
    tcase_add_checked_fixture(served, start, stop);
    tcase_set_timeout(served, SUITE_TIMEOUT_S);
    tcase_add_test(served, test_budget_refuses_a_body_that_does_not_fit);
    tcase_add_test(served, test_budget_goes_with_the_client);
    tcase_add_test(served, test_budget_holds_nothing_for_a_task_that_is_waited_for);
    tcase_add_test(served, test_budget_refuses_an_answer_that_does_not_fit);
    return suite_run_cases("budget", counts, served, NULL);
}
