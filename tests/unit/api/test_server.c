/* The api over real sockets and the memory store: every route, and bad input. */
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/api/fixture.h"

static struct fixture f;

static void setup(void)
{
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

static const char unknown_id[] = "/v1/futures/01234567-89ab-7def-8123-456789abcdef";

START_TEST(test_server_submits_and_gives_the_result)
{
    int fd = client_connect(&f);
    char path[64], line[128];
    submit(fd, "{\"handler\":\"echo\",\"input\":{\"a\": [1.0, 2]}}", path);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s?wait=10", path), "", NULL), 200,
           "\"state\":\"succeeded\",\"done\":true,\"attempt\":1", "\"result\":{\"a\": [1.0, 2]},",
           "\"log\":\"note\"");
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s/result", path), "", NULL), 200,
           "Content-Type: application/json\r\n", "\r\n\r\n", "{\"a\": [1.0, 2]}");
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_server_answers_a_submission_that_waits)
{
    expect(ask(&f, "POST /v1/tasks?wait=10", "", "{\"handler\":\"echo\",\"input\":\"h\\u00e9\"}"),
           200, "Location: /v1/futures/", "\"text\":\"h\xc3\xa9\"", "text/plain; charset=utf-8");
    expect(
        ask(&f, "POST /v1/tasks", "Prefer: respond-async, wait=10\r\n", "{\"handler\":\"echo\"}"),
        200, "Preference-Applied: wait=10\r\n", "application/octet-stream", "\"base64\":\"\"");
    expect(ask(&f, "POST /v1/tasks?wait=0.05", "", "{\"handler\":\"hold\"}"), 202,
           "\"state\":\"running\"", "\"done\":false", "\"started_at\":\"2");
}
END_TEST

START_TEST(test_server_takes_the_body_as_input)
{
    expect(ask(&f, "POST /v1/tasks/echo?wait=10&lane=cpu&timeout=0.5&retries=3",
               "Content-Type: text/csv\r\n", "a,b"),
           200, "\"lane\":\"cpu\"", "\"content_type\":\"text/csv\"", "\"text\":\"a,b\"");
    expect(ask(&f, "POST /v1/tasks/echo?wait=10",
               "Content-Type: application/x-www-form-urlencoded\r\n", "x"),
           200, "\"content_type\":\"application/octet-stream\"", NULL, NULL);
    expect(ask(&f, "POST /v1/tasks/echo?wait=10", "Content-Type: application/json\r\n", "[1]"), 200,
           "\"result\":[1]", NULL, NULL);
    expect(ask(&f, "POST /v1/tasks/echo", "Content-Type: application/json\r\n", "[1"), 400,
           "bad_json", "\"line\":1", NULL);
    expect(ask(&f, "POST /v1/tasks/%65cho?wait=10", "", "x"), 200, "succeeded", NULL, NULL);
}
END_TEST

START_TEST(test_server_tells_how_a_task_failed)
{
    int fd = client_connect(&f);
    char path[64], line[128];
    submit(fd, "{\"handler\":\"fail\"}", path);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s/result?wait=10", path), "", NULL), 422,
           "application/problem+json", "\"code\":\"task_failed\"",
           "\"error\":{\"code\":\"signal\",\"message\":\"it crashed\",\"signal\":\"SIGSEGV\","
           "\"log\":\"bad \xEF\xBF\xBD byte\"}}");
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s", path), "", NULL), 200,
           "\"error\":{\"code\":\"signal\"", "\"state\":\"failed\"", NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_server_cancels_once_and_deletes_what_is_done)
{
    int fd = client_connect(&f);
    char path[64], line[128];
    submit(fd, "{\"handler\":\"hold\"}", path);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s/result", path), "", NULL), 409,
           "Retry-After: 1\r\n", "\"code\":\"not_done\"", "application/problem+json");
    expect(client_do(fd, line_of(line, sizeof(line), "DELETE %s", path), "", NULL), 409,
           "\"code\":\"not_done\"", NULL, NULL);
    for (int i = 0; i < 2; i++)
        expect(client_do(fd, line_of(line, sizeof(line), "POST %s/cancel", path), "", ""), 200,
               "\"state\":\"cancelled\"", "\"error\":{\"code\":\"cancelled\"", NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s/result", path), "", NULL), 409,
           "\"code\":\"task_cancelled\"", NULL, NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "DELETE %s", path), "", NULL), 204, NULL, NULL,
           NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s", path), "", NULL), 404,
           "\"code\":\"unknown_future\"", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* How earlier attempts ended is read apart: without it the future would look otherwise than before.
 */
START_TEST(test_server_shows_a_future_whole_or_not_at_all)
{
    int fd = client_connect(&f);
    char path[64], line[128];
    submit(fd, "{\"handler\":\"fail\"}", path);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s?wait=10", path), "", NULL), 200,
           "\"state\":\"failed\"", NULL, NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "POST %s/retry", path), "", ""), 202, NULL,
           NULL, NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s?wait=10", path), "", NULL), 200,
           "\"state\":\"failed\"", "\"attempts\":[", NULL);
    store_fault_arm(STORE_FAULT_ATTEMPTS, 0, 1, FUT_ERR_IO);
    expect(client_do(fd, line, "", NULL), 503, "\"code\":\"store_failed\"", NULL, NULL);
    expect(client_do(fd, line, "", NULL), 200, "\"attempts\":[", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_server_refuses_to_cancel_what_is_done)
{
    int fd = client_connect(&f);
    char path[64], line[128];
    submit(fd, "{\"handler\":\"echo\"}", path);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s?wait=10", path), "", NULL), 200,
           "succeeded", NULL, NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "POST %s/cancel", path), "", ""), 409,
           "\"code\":\"already_done\"", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static bool is_running(int fd, const char *path)
{
    char line[128];
    struct reply r = client_do(fd, line_of(line, sizeof(line), "GET %s", path), "", NULL);
    bool runs = reply_has(&r, "\"state\":\"running\"");
    free(r.body);
    return runs;
}

/* As Future.cancel() of concurrent.futures. */
START_TEST(test_server_cancels_only_what_waits_if_asked_to)
{
    int fd = client_connect(&f);
    char path[64], line[128];
    submit(fd, "{\"handler\":\"hold\"}", path);
    wait_for(is_running(fd, path));
    expect(client_do(fd, line_of(line, sizeof(line), "POST %s/cancel?running=false", path), "", ""),
           409, "\"code\":\"already_running\"", "Attempt 1 of the future runs", NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "POST %s/cancel?running=no", path), "", ""),
           400, "\"parameter\":\"running\"", NULL, NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "POST %s/cancel?running=true", path), "", ""),
           200, "\"state\":\"cancelled\"", NULL, NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "POST %s/cancel?running=false", path), "", ""),
           200, "\"state\":\"cancelled\"", NULL, NULL);
    submit(fd, "{\"handler\":\"hold\",\"delay\":3600}", path);
    expect(client_do(fd, line_of(line, sizeof(line), "POST %s/cancel?running=false", path), "", ""),
           200, "\"state\":\"cancelled\"", "while it was scheduled", NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_server_lists_in_pages)
{
    int fd = client_connect(&f);
    char path[64], line[256], seen[3][64];
    for (int i = 0; i < 3; i++) {
        submit(fd, "{\"handler\":\"echo\"}", path);
        memcpy(seen[i], path, sizeof(path));
        expect(client_do(fd, line_of(line, sizeof(line), "GET %s?wait=10", path), "", NULL), 200,
               "succeeded", NULL, NULL);
    }
    struct reply r =
        client_do(fd, "GET /v1/futures?limit=2&state=succeeded,failed&handler=echo", "", NULL);
    const char *next = strstr(r.head, "Link: </v1/futures?limit=2&state=succeeded,failed&");
    ck_assert(reply_has(&r, seen[2] + 12) && reply_has(&r, seen[1] + 12));
    ck_assert(!reply_has(&r, seen[0] + 12) && !reply_has(&r, "\"result\""));
    ck_assert_ptr_nonnull(next);
    line_of(line, sizeof(line), "GET %.*s", (int)strcspn(next + 7, ">"), next + 7);
    free(r.body);
    expect(client_do(fd, line, "", NULL), 200, seen[0] + 12, "\"next_cursor\":null", NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_server_shows_handlers_stats_and_health)
{
    expect(ask(&f, "GET /v1/handlers", "", NULL), 200, "{\"handlers\":[{\"name\":\"echo\"",
           "\"timeout\":1.5,\"retries\":2", "\"lane\":\"cpu\",\"any_lane\":false");
    expect(ask(&f, "GET /v1/handlers", "", NULL), 200,
           "\"retry_on\":[\"temporary\",\"crash\"],\"backoff\":{\"first\":1,\"max\":300,\"jitter\":"
           "0.25},"
           "\"limits\":{},\"queue\":\"default\",\"paused\":false}",
           "\"retry_on\":[\"temporary\",\"exit\"],\"backoff\":{\"first\":0.5,\"max\":300,",
           "\"limits\":{\"cpu\":1.5,\"memory\":67108864},\"queue\":\"default\",\"paused\":false}");
    expect(ask(&f, "GET /v1/stats", "", NULL), 200, "\"version\":\"test\"", "\"waiters\":0",
           "\"store\":{\"health\":\"ok\"");
    expect(ask(&f, "GET /healthz", "", NULL), 200, "{\"status\":\"ok\"}", NULL, NULL);
    expect(ask(&f, "GET /readyz", "", NULL), 200, "{\"status\":\"ready\"}", NULL, NULL);
    api_set_ready(f.api, false);
    expect(ask(&f, "GET /readyz", "", NULL), 503, "\"code\":\"not_ready\"", NULL, NULL);
    expect(ask(&f, "GET /problems/queue_full", "", NULL), 200, "\"status\":503", NULL, NULL);
}
END_TEST

/* Whoever opens the daemon's address is told what to ask next. */
START_TEST(test_server_lists_its_routes_at_the_root)
{
    expect(ask(&f, "GET /", "", NULL), 200, "\"name\":\"futured\"",
           "{\"method\":\"POST\",\"path\":\"/v1/tasks\",\"summary\":\"submit a task",
           "\"path\":\"/v1/futures/{id}/result\"");
    expect(ask(&f, "GET /?x=1", "", NULL), 400, "unknown_parameter", NULL, NULL);
    expect(ask(&f, "POST /", "", ""), 405, "Allow: GET, HEAD, OPTIONS\r\n", NULL, NULL);
}
END_TEST

START_TEST(test_server_answers_head_and_options)
{
    int fd = client_connect(&f);
    client_ask(fd, "HEAD /healthz", "", NULL);
    struct reply r = client_read_head_only(fd);
    ck_assert_int_eq(r.status, 200);
    ck_assert_ptr_nonnull(strstr(r.head, "Content-Length: 16\r\n"));
    expect(client_do(fd, "OPTIONS /v1/tasks", "", NULL), 204, "Allow: POST, OPTIONS\r\n", NULL,
           NULL);
    expect(client_do(fd, "OPTIONS *", "", NULL), 204,
           "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", NULL, NULL);
    expect(client_do(fd, "GET /healthz", "", NULL), 200, "ok", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static const struct {
    const char *line, *headers, *body;
    int status;
    const char *a, *b;
} bad[] = {
    {"GET /nothing", "", NULL, 404, "\"code\":\"unknown_route\"", "application/problem+json"},
    {"GET /v1//tasks", "", NULL, 404, "unknown_route", NULL},
    {"PUT /v1/futures", "", "x", 405, "Allow: GET, HEAD, OPTIONS\r\n", "method_not_allowed"},
    {"PATCH /v1/futures/x", "", "x", 405, "Allow: GET, HEAD, DELETE, OPTIONS\r\n", NULL},
    {"GET /v1/futures/%zz", "", NULL, 400, "\"code\":\"invalid_path\"", NULL},
    {"GET /v1/futures/a%2Fresult", "", NULL, 400, "invalid_path", NULL},
    {"GET /v1/futures/a%00", "", NULL, 400, "invalid_path", NULL},
    {"GET /v1/futures/abc", "", NULL, 404, "\"code\":\"unknown_future\"", NULL},
    {"GET /healthz?x=1", "", NULL, 400, "\"parameter\":\"x\"", "unknown_parameter"},
    {"GET /v1/futures?limit=5&limit=6", "", NULL, 400, "twice", "\"parameter\":\"limit\""},
    {"GET /v1/futures?limit=0", "", NULL, 400, "\"parameter\":\"limit\"", "from 1 to 1000"},
    {"GET /v1/futures?limit=1001", "", NULL, 400, "\"parameter\":\"limit\"", NULL},
    {"GET /v1/futures?state=odd", "", NULL, 400, "\"parameter\":\"state\"", "odd"},
    {"GET /v1/futures?lane=gpu", "", NULL, 400, "\"parameter\":\"lane\"", NULL},
    {"GET /v1/futures?cursor=abc", "", NULL, 400, "\"code\":\"invalid_cursor\"", NULL},
    {"POST /v1/tasks?wait=soon", "", "{}", 400, "\"parameter\":\"wait\"", "soon"},
    {"POST /v1/tasks?wait=-1", "", "{}", 400, "invalid_parameter", NULL},
    {"POST /v1/tasks", "Prefer: wait=x\r\n", "{}", 400, "invalid_header", "Prefer"},
    {"POST /v1/tasks", "", "", 400, "\"code\":\"bad_json\"", "\"line\":1,\"column\":1"},
    {"POST /v1/tasks", "", "{\n \"handler\": oops}", 400, "\"line\":2", "oops"},
    {"POST /v1/tasks", "", "{\"handler\":\"nope\"}", 422, "\"field\":\"handler\"", "echo, fail"},
    {"POST /v1/tasks", "", "{\"handler\":\"hold\",\"lane\":\"io\"}", 422, "lane_fixed", NULL},
    {"POST /v1/tasks/nope", "", "x", 404, "\"code\":\"unknown_handler\"", "echo, fail, hold"},
    {"POST /v1/tasks/hold?lane=io", "", "x", 422, "lane_fixed", "\"field\":\"lane\""},
    {"POST /v1/tasks/echo?timeout=0", "", "x", 400, "\"parameter\":\"timeout\"", NULL},
    {"POST /v1/tasks/echo?retries=101", "", "x", 400, "\"parameter\":\"retries\"", NULL},
    {"POST /v1/tasks/echo", "Content-Type: a\x01z\r\n", "x", 400, "invalid_header", NULL},
    {"GET /problems/none", "", NULL, 404, "unknown_problem", NULL},
};

START_TEST(test_server_refuses_bad_input)
{
    int fd = client_connect(&f);
    expect(client_do(fd, bad[_i].line, bad[_i].headers, bad[_i].body), bad[_i].status, bad[_i].a,
           bad[_i].b, NULL);
    expect(ask(&f, "GET /v1/stats", "", NULL), 200, "\"submitted\":0", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* As Python, JavaScript and C print what is left of a time. */
static const struct {
    const char *line, *headers, *body;
    int status;
} numbers[] = {
    {"POST /v1/tasks?wait=29.999993562698364", "", "{\"handler\":\"echo\"}", 200},
    {"POST /v1/tasks?wait=.5", "", "{\"handler\":\"echo\"}", 200},
    {"POST /v1/tasks?wait=1e-3", "", "{\"handler\":\"hold\"}", 202},
    {"POST /v1/tasks", "Prefer: wait=29.999993562698364\r\n", "{\"handler\":\"echo\"}", 200},
    {"POST /v1/tasks/echo?timeout=1.5e0&retries=2.0&wait=10", "", "x", 200},
    {"GET /v1/futures?limit=1e1", "", NULL, 200},
};

START_TEST(test_server_reads_numbers_as_programs_print_them)
{
    expect(ask(&f, numbers[_i].line, numbers[_i].headers, numbers[_i].body), numbers[_i].status,
           NULL, NULL, NULL);
}
END_TEST

START_TEST(test_server_does_not_know_an_unknown_id)
{
    static const struct {
        const char *method, *tail;
    } forms[] = {
        {"GET", ""}, {"GET", "?wait=5"}, {"GET", "/result"}, {"POST", "/cancel"}, {"DELETE", ""}};
    char line[128];
    for (size_t i = 0; i < FUT_COUNT(forms); i++) {
        (void)line_of(line, sizeof(line), "%s %s%s", forms[i].method, unknown_id, forms[i].tail);
        expect(ask(&f, line, "", NULL), 404, "unknown_future", NULL, NULL);
    }
}
END_TEST

START_TEST(test_server_refuses_a_body_beyond_the_limit)
{
    char *body = xmalloc(100002);
    memset(body, ' ', 100001);
    body[100001] = '\0';
    int fd = client_connect(&f);
    expect(client_do(fd, "POST /v1/tasks", "", body), 413, "\"code\":\"body_too_large\"",
           "\"limit\":100000", NULL);
    expect(client_do(fd, "GET /healthz", "", NULL), 200, "ok", NULL, NULL); /* kept alive */
    client_ask(fd, "POST /v1/tasks", "Transfer-Encoding: chunked\r\n", NULL);
    client_send(fd, "186A1\r\n", 7);
    client_send(fd, body, 100001);
    client_send(fd, "\r\n0\r\n\r\n", 7);
    expect(client_read(fd), 413, "body_too_large", NULL, NULL);
    client_ask(fd, "POST /v1/tasks", "Content-Length: 99999999999\r\n", NULL);
    expect(client_read(fd), 413, "body_too_large", "Connection: close", NULL);
    ck_assert_int_eq(close(fd), 0);
    free(body);
}
END_TEST

START_TEST(test_server_takes_a_chunked_body)
{
    int fd = client_connect(&f);
    client_ask(fd, "POST /v1/tasks/echo?wait=10", "Transfer-Encoding: chunked\r\n", NULL);
    client_send(fd, "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 18);
    expect(client_read(fd), 200, "\"base64\":\"YWJj\"", NULL, NULL);
    client_ask(fd, "POST /v1/tasks/echo", "Transfer-Encoding: gzip\r\n", NULL);
    expect(client_read(fd), 400, "invalid_header", "Connection: close", NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_server_tells_when_the_queue_is_full)
{
    struct fixture small;
    fixture_start_with(&small, &fixture_config, 2);
    for (int i = 0; i < 2; i++)
        expect(ask(&small, "POST /v1/tasks", "", "{\"handler\":\"echo\"}"), 202, "queued", NULL,
               NULL);
    expect(ask(&small, "POST /v1/tasks", "", "{\"handler\":\"echo\"}"), 503, "Retry-After: 60",
           "\"code\":\"queue_full\"", "\"limit\":2");
    fixture_stop(&small);
}
END_TEST

static const struct store_config small_store = {
    .backend = "memory", .path = "", .readers = 1, .max_queued = 1, .retention_ms = 1};

START_TEST(test_server_listens_on_a_unix_socket_and_refuses_a_second)
{
    struct fixture u;
    struct api_config c = fixture_config;
    struct fut_errbuf err = {""};
    char where[64];
    c.listen = line_of(where, sizeof(where), "unix:/tmp/futured-test-%d.sock", (int)getpid());
    fixture_start_with(&u, &c, 10);
    ck_assert_str_eq(api_address(u.api, 0), where);
    c.store = f.store;
    c.catalog = &fixture_catalog;
    struct store *other = NULL;
    ck_assert_int_eq(store_open(&small_store, &other, &err), 0);
    c.store = other;
    struct api *second = api_new(&c);
    ck_assert_int_eq(api_start(second, &err), FUT_ERR_BUSY);
    ck_assert_ptr_nonnull(strstr(err.text, where));
    api_free(&second);
    store_close(&other);
    fixture_stop(&u);
    ck_assert_int_ne(access(where + 5, F_OK), 0);
}
END_TEST

static const char *const bad_addresses[] = {
    "", "8420", "host", "1.2.3.4:x", "::1:80", "127.0.0.1:70000", "unix:relative"};

START_TEST(test_server_refuses_a_bad_address)
{
    struct fut_errbuf err = {""};
    struct api_config c = fixture_config;
    struct store *other = NULL;
    ck_assert_int_eq(store_open(&small_store, &other, &err), 0);
    c.listen = bad_addresses[_i];
    c.store = other;
    struct api *a = api_new(&c);
    ck_assert_int_eq(api_start(a, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot listen on"));
    api_free(&a);
    store_close(&other);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_server_submits_and_gives_the_result, 0},
        {test_server_answers_a_submission_that_waits, 0},
        {test_server_takes_the_body_as_input, 0},
        {test_server_tells_how_a_task_failed, 0},
        {test_server_cancels_once_and_deletes_what_is_done, 0},
        {test_server_shows_a_future_whole_or_not_at_all, 0},
        {test_server_refuses_to_cancel_what_is_done, 0},
        {test_server_cancels_only_what_waits_if_asked_to, 0},
        {test_server_lists_in_pages, 0},
        {test_server_shows_handlers_stats_and_health, 0},
        {test_server_lists_its_routes_at_the_root, 0},
        {test_server_answers_head_and_options, 0},
        {test_server_refuses_bad_input, FUT_COUNT(bad)},
        {test_server_reads_numbers_as_programs_print_them, FUT_COUNT(numbers)},
        {test_server_does_not_know_an_unknown_id, 0},
        {test_server_refuses_a_body_beyond_the_limit, 0},
        {test_server_takes_a_chunked_body, 0},
        {test_server_tells_when_the_queue_is_full, 0},
        {test_server_listens_on_a_unix_socket_and_refuses_a_second, 0},
        {test_server_refuses_a_bad_address, FUT_COUNT(bad_addresses)},
    };
    return suite_run_rows("server", 30, setup, teardown, rows, FUT_COUNT(rows));
}
