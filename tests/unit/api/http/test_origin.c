/* Which pages may ask: the rules as tables, and the real api over sockets as a browser asks it. */
#include "api/http/origin.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/unit/api/fixture.h"

#define MINE "http://127.0.0.1:8420"

static struct fixture f;

/* ---- hosts ----------------------------------------------------------------------------------- */

static const struct text_verdict hosts[] = {
    {"localhost", true},
    {"LocalHost:8420", true},
    {"127.0.0.1:8420", true},
    {"127.9.8.7", true},
    {"[::1]", true},
    {"[::1]:8420", true},
    {"[0:0:0:0:0:0:0:1]:1", true},
    {"mine.example", true},
    {"MINE.example:99", true},
    {"[fd00::1]:8420", true},
    {"listen.example:8420", true},
    {"evil.example:8420", false},
    {"localhost.evil.example", false},
    {"127.0.0.1.evil.example", false},
    {"128.0.0.1", false},
    {"0.0.0.0:8420", false},
    {"[::]:8420", false},
    {"[::ffff:8.8.8.8]", false},
    {"mine.example.", false},
    {"xmine.example", false},
    {"", false},
    {":8420", false},
    {"[::1", false},
    {"[::1]x:1", false},
    {"localhost:x", false},
    {"evil.example@localhost", false},
    {"localhost/evil.example", false},
};

START_TEST(test_origin_knows_its_hosts)
{
    struct origin_rules *r = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(origin_rules_new("mine.example, [fd00::1]", "", &r, &err), 0);
    ck_assert_int_eq(origin_host_is_ours(r, hosts[_i].given, "listen.example:8420"),
                     hosts[_i].expected);
    origin_rules_free(&r);
}
END_TEST

/* ---- origins --------------------------------------------------------------------------------- */

static const struct {
    struct origin_headers h;
    enum origin_verdict verdict;
} asks[] = {
    {{"127.0.0.1:8420", NULL, NULL}, ORIGIN_OWN}, /* curl */
    {{"127.0.0.1:8420", NULL, "none"}, ORIGIN_OWN},
    {{"127.0.0.1:8420", NULL, "same-origin"}, ORIGIN_OWN},
    {{"127.0.0.1:8420", MINE, "same-origin"}, ORIGIN_OWN},
    {{"mine.example", "https://mine.example", NULL}, ORIGIN_OWN}, /* behind a proxy */
    {{"mine.example:443", "https://MINE.example", NULL}, ORIGIN_OWN},
    {{"127.0.0.1", "http://127.0.0.1:80", NULL}, ORIGIN_OWN},
    {{"127.0.0.1:8420", NULL, "cross-site"}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", NULL, "same-site"}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", MINE, "cross-site"}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", "http://127.0.0.1:9000", NULL}, ORIGIN_FOREIGN}, /* another port */
    {{"127.0.0.1:8420", "http://127.0.0.1", NULL}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", "https://evil.example", NULL}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", "null", NULL}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", "", NULL}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", "http://127.0.0.1:8420/", NULL}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", MINE " http://evil.example", NULL}, ORIGIN_FOREIGN},
    {{NULL, MINE, NULL}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", "https://app.example", "cross-site"}, ORIGIN_ALLOWED},
    {{"127.0.0.1:8420", "https://app.example:443", NULL}, ORIGIN_ALLOWED},
    {{"127.0.0.1:8420", "http://localhost:3000", "same-site"}, ORIGIN_ALLOWED},
    {{"127.0.0.1:8420", "http://app.example", NULL}, ORIGIN_FOREIGN}, /* another scheme */
    {{"127.0.0.1:8420", "https://app.example:8443", NULL}, ORIGIN_FOREIGN},
    {{"127.0.0.1:8420", "https://sub.app.example", NULL}, ORIGIN_FOREIGN},
};

START_TEST(test_origin_judges_what_a_browser_says)
{
    struct origin_rules *r = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(origin_rules_new("", "https://app.example,http://localhost:3000", &r, &err),
                     0);
    ck_assert_int_eq(origin_judge(r, &asks[_i].h), asks[_i].verdict);
    if (asks[_i].verdict == ORIGIN_ALLOWED)
        ck_assert_int_eq(origin_judge(NULL, &asks[_i].h), ORIGIN_FOREIGN);
    origin_rules_free(&r);
}
END_TEST

static const char *const bad_rules[][2] = {
    {"http://mine.example", ""},
    {"mine.example:80", ""},
    {"a/b", ""},
    {"", "app.example"},
    {"", "https://app.example/x"},
    {"", "*"},
    {"", "https://"},
    {"", "https://a:b"},
};

START_TEST(test_origin_refuses_bad_rules)
{
    struct origin_rules *r = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(origin_rules_new(bad_rules[_i][0], bad_rules[_i][1], &r, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "must be"));
    ck_assert_ptr_null(r);
}
END_TEST

/* ---- the api --------------------------------------------------------------------------------- */

/* A request as it stands on the wire, with this Host and no other header but these. */
static struct reply ask_as(const char *line, const char *host, const char *headers,
                           const char *body)
{
    struct buf b = BUF_INIT;
    int fd = client_connect(&f);
    buf_printf(&b, "%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %zu\r\n\r\n%s", line, host,
               headers, strlen(body), body);
    client_send(fd, b.data, b.len);
    struct reply r = client_read(fd);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
    return r;
}

static void expect_nothing_submitted(void)
{
    expect(ask_as("GET /v1/futures", "localhost", "", ""), 200, "\"futures\":[]", NULL, NULL);
}

/* What a page elsewhere can make a browser send without asking first. */
START_TEST(test_origin_a_page_elsewhere_submits_nothing)
{
    static const char *const senders[] = {
        "Origin: http://evil.example\r\nContent-Type: text/plain\r\n",
        "Origin: null\r\nContent-Type: text/plain\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\nContent-Type: text/plain\r\n",
    };
    for (size_t i = 0; i < FUT_COUNT(senders); i++) {
        expect(ask_as("POST /v1/tasks", "127.0.0.1:8420", senders[i], "{\"handler\":\"echo\"}"),
               403, "\"code\":\"foreign_origin\"", NULL, NULL);
        expect(ask_as("GET /v1/handlers", "127.0.0.1:8420", senders[i], ""), 403,
               "\"code\":\"foreign_origin\"", NULL, NULL);
    }
    expect_nothing_submitted();
}
END_TEST

START_TEST(test_origin_a_rebound_name_gets_nothing)
{
    static const char *const lines[] = {"GET /v1/futures", "POST /v1/tasks", "PATCH /v1/pools/io",
                                        "GET /healthz",    "GET /nothing",   "OPTIONS /v1/tasks"};
    for (size_t i = 0; i < FUT_COUNT(lines); i++)
        expect(ask_as(lines[i], "evil.example:8420", "Sec-Fetch-Site: same-origin\r\n",
                      "{\"handler\":\"echo\"}"),
               421, "\"code\":\"unknown_host\"", "\"parameter\":\"Host\"", NULL);
    expect_nothing_submitted();
}
END_TEST

START_TEST(test_origin_a_name_is_judged_whatever_came_before)
{
    static const struct {
        const char *host;
        int status;
    } turns[] = {
        {"localhost", 200},         {"evil.example", 421}, {"localhost", 200},
        {"localhost.evil", 421},    {"127.0.0.1:1", 200},  {"127.0.0.1:1.evil", 421},
        {"127.0.0.1", 200},         {"evil.example", 421}, {"", 421},
        {"127.000.000.000.1", 421}, {"LOCALHOST", 200},    {"localhost", 200},
    };
    for (size_t i = 0; i < 3 * FUT_COUNT(turns); i++) {
        size_t at = i * 7 % FUT_COUNT(turns);
        expect(ask_as("GET /v1/futures", turns[at].host, "", ""), turns[at].status, NULL, NULL,
               NULL);
    }
}
END_TEST

START_TEST(test_origin_the_own_page_asks)
{
    char own[64];
    (void)snprintf(own, sizeof(own), "Origin: http://127.0.0.1:%u\r\n", (unsigned)f.port);
    char host[32];
    (void)snprintf(host, sizeof(host), "127.0.0.1:%u", (unsigned)f.port);
    struct reply r = ask_as("POST /v1/tasks?wait=10", host, own, "{\"handler\":\"echo\"}");
    ck_assert_ptr_null(strstr(r.head, "Access-Control"));
    expect(r, 200, "succeeded", NULL, NULL);
}
END_TEST

/* ---- named origins --------------------------------------------------------------------------- */

static struct origin_rules *rules;
static struct auth *auth;

static void start_with(const char *tokens)
{
    struct api_config c = fixture_config;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(origin_rules_new("mine.example", "https://app.example", &rules, &err), 0);
    if (tokens)
        ck_assert_int_eq(auth_parse(tokens, strlen(tokens), "tokens", &auth, &err), 0);
    c.origins = rules;
    c.auth = auth;
    fixture_start_with(&f, &c, 10);
    fixture_work(&f);
}

static void stop_all(void)
{
    fixture_stop(&f);
    origin_rules_free(&rules);
    auth_free(&auth);
}

START_TEST(test_origin_named_pages_read_answers)
{
    static const char origin[] = "Origin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n";
    start_with(NULL);
    expect(ask_as("POST /v1/tasks?wait=10", "mine.example", origin, "{\"handler\":\"echo\"}"), 200,
           "Access-Control-Allow-Origin: https://app.example\r\n", "Vary: Origin\r\n",
           "Access-Control-Expose-Headers: ");
    /* also a refusal can be read by the page it is for */
    expect(ask_as("GET /nothing", "localhost", origin, ""), 404,
           "Access-Control-Allow-Origin: https://app.example\r\n", NULL, NULL);
    expect(ask_as("GET /healthz", "localhost", "Origin: https://evil.example\r\n", ""), 403,
           "foreign_origin", "Vary: Origin\r\n", NULL);
    struct reply r = ask_as("GET /healthz", "localhost", "", "");
    ck_assert_ptr_null(strstr(r.head, "Access-Control"));
    expect(r, 200, "Vary: Origin\r\n", NULL, NULL);
    stop_all();
}
END_TEST

START_TEST(test_origin_preflight_is_answered_for_named_pages)
{
    static const char asked[] = "Access-Control-Request-Method: DELETE\r\n"
                                "Access-Control-Request-Headers: authorization\r\n"
                                "Access-Control-Request-Private-Network: true\r\n";
    char headers[256];
    start_with("0123456789abcdef0 admin\n"); /* a preflight carries no token */
    (void)snprintf(headers, sizeof(headers), "Origin: https://app.example\r\n%s", asked);
    expect(ask_as("OPTIONS /v1/futures/1", "localhost", headers, ""), 204,
           "Access-Control-Allow-Methods: GET, HEAD, DELETE, OPTIONS\r\n",
           "Access-Control-Allow-Headers: Authorization, Content-Type, ",
           "Access-Control-Allow-Private-Network: true\r\n");
    (void)snprintf(headers, sizeof(headers), "Origin: https://evil.example\r\n%s", asked);
    struct reply r = ask_as("OPTIONS /v1/futures/1", "localhost", headers, "");
    ck_assert_ptr_null(strstr(r.head, "Access-Control"));
    expect(r, 403, "foreign_origin", NULL, NULL);
    stop_all();
}
END_TEST

/* With tokens the daemon may have any name, but a page elsewhere still has to be named. */
START_TEST(test_origin_counts_with_tokens_too)
{
    static const char token[] = "Authorization: Bearer 0123456789abcdef0\r\n";
    char headers[256];
    start_with("0123456789abcdef0 admin\n");
    expect(ask_as("GET /v1/futures", "any.example", token, ""), 200, "\"futures\"", NULL, NULL);
    (void)snprintf(headers, sizeof(headers), "%sOrigin: https://evil.example\r\n", token);
    expect(ask_as("GET /v1/futures", "any.example", headers, ""), 403, "foreign_origin", NULL,
           NULL);
    (void)snprintf(headers, sizeof(headers), "%sOrigin: https://app.example\r\n", token);
    expect(ask_as("GET /v1/futures", "any.example", headers, ""), 200,
           "Access-Control-Allow-Origin: https://app.example\r\n", NULL, NULL);
    expect(ask_as("GET /v1/futures", "any.example", "Origin: https://app.example\r\n", ""), 401,
           "Access-Control-Allow-Origin: https://app.example\r\n", NULL, NULL);
    stop_all();
}
END_TEST

/* ---- results --------------------------------------------------------------------------------- */

/* What a task gives out must not run as a page of the daemon's origin. */
START_TEST(test_origin_results_and_logs_are_in_a_sandbox)
{
    char path[64], line[128];
    int fd = client_connect(&f);
    submit(fd, "{\"handler\":\"echo\",\"input\":\"<script>\"}", path);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s/result?wait=10", path), "", NULL), 200,
           "Content-Security-Policy: sandbox\r\n", "X-Content-Type-Options: nosniff\r\n", NULL);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s/log", path), "", NULL), 200,
           "Content-Security-Policy: sandbox\r\n", "X-Content-Type-Options: nosniff\r\n", NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static void setup(void)
{
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

int main(void)
{
    TCase *t = tcase_create("rules"), *a = tcase_create("api");
    tcase_add_loop_test(t, test_origin_knows_its_hosts, 0, FUT_COUNT(hosts));
    tcase_add_loop_test(t, test_origin_judges_what_a_browser_says, 0, FUT_COUNT(asks));
    tcase_add_loop_test(t, test_origin_refuses_bad_rules, 0, FUT_COUNT(bad_rules));
    tcase_add_test(t, test_origin_named_pages_read_answers);
    tcase_add_test(t, test_origin_preflight_is_answered_for_named_pages);
    tcase_add_test(t, test_origin_counts_with_tokens_too);
    tcase_add_checked_fixture(a, setup, teardown);
    tcase_add_test(a, test_origin_a_page_elsewhere_submits_nothing);
    tcase_add_test(a, test_origin_a_rebound_name_gets_nothing);
    tcase_add_test(a, test_origin_a_name_is_judged_whatever_came_before);
    tcase_add_test(a, test_origin_the_own_page_asks);
    tcase_add_test(a, test_origin_results_and_logs_are_in_a_sandbox);
    return suite_run_cases("origin", t, a, NULL);
}
