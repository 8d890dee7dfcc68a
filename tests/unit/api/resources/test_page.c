/* The web page's files, and what the daemon answers for the page alone: the last hour, what a token
 * is good for, the input of a task. */
#include "api/http/auth.h"
#include "tests/support/suite.h"
#include "tests/unit/api/fixture.h"

#define TOKENS "reader-0123456789 read\nmaker-00123456789 submit,read\nchief-00123456789 admin\n"

static struct fixture f;

static void setup(void)
{
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

/* ---- the files ------------------------------------------------------------------------------- */

START_TEST(test_page_is_served_under_a_strict_policy)
{
    struct reply r = ask(&f, "GET /ui/", "", NULL);
    ck_assert_int_eq(r.status, 200);
    ck_assert(reply_has(&r, "Content-Security-Policy: default-src 'none'; script-src 'self';"));
    ck_assert(reply_has(&r, "frame-ancestors 'none'; require-trusted-types-for 'script'"));
    ck_assert(reply_has(&r, "X-Content-Type-Options: nosniff"));
    ck_assert(reply_has(&r, "Content-Type: text/html; charset=utf-8"));
    ck_assert(reply_has(&r, "<script type=\"module\" src=\"start.js\"></script>"));
    ck_assert_ptr_null(strstr(r.body, "http:"));
    ck_assert_ptr_null(strstr(r.body, "style="));
    free(r.body);
    expect(ask(&f, "GET /ui/app.js", "", NULL), 200, "text/javascript", "nosniff", NULL);
    expect(ask(&f, "GET /ui/style.css", "", NULL), 200, "Content-Type: text/css", "--accent", NULL);
    expect(ask(&f, "GET /ui/routes.c", "", NULL), 404, "unknown_route", NULL, NULL);
    expect(ask(&f, "GET /ui/..%2froutes.c", "", NULL), 400, "invalid_path", NULL, NULL);
}
END_TEST

START_TEST(test_page_that_is_known_is_not_sent_again)
{
    char header[64];
    struct reply r = ask(&f, "GET /ui/dom.js", "", NULL);
    const char *etag = strstr(r.head, "ETag: ");
    ck_assert_ptr_nonnull(etag);
    (void)snprintf(header, sizeof(header), "If-None-Match: %.18s\r\n", etag + 6);
    free(r.body);
    expect(ask(&f, "GET /ui/dom.js", header, NULL), 304, NULL, NULL, NULL);
    expect(ask(&f, "GET /ui/app.js", header, NULL), 200, NULL, NULL, NULL);
}
END_TEST

START_TEST(test_page_is_where_browsers_are_led)
{
    expect(ask(&f, "GET /", "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", NULL), 303,
           "Location: /ui/", "Vary: Accept", NULL);
    expect(ask(&f, "GET /", "Accept: */*\r\n", NULL), 200, "\"name\":\"futured\"", "Vary: Accept",
           NULL);
    expect(ask(&f, "GET /", "", NULL), 200, "\"routes\":", NULL, NULL);
    expect(ask(&f, "GET /ui", "", NULL), 303, "Location: /ui/", NULL, NULL);
}
END_TEST

/* The files are the same for everybody; all else stays closed to pages elsewhere. */
START_TEST(test_page_may_be_linked_to)
{
    static const char cross[] = "Sec-Fetch-Site: cross-site\r\n";
    expect(ask(&f, "GET /ui/", cross, NULL), 200, NULL, NULL, NULL);
    expect(ask(&f, "GET /ui/app.js", cross, NULL), 200, NULL, NULL, NULL);
    expect(ask(&f, "GET /v1/history", cross, NULL), 403, "foreign_origin", NULL, NULL);
    expect(ask(&f, "POST /v1/tasks", cross, "{\"handler\":\"echo\"}"), 403, "foreign_origin", NULL,
           NULL);
}
END_TEST

/* ---- what it asks for ------------------------------------------------------------------------ */

START_TEST(test_page_history_counts_what_came_since_the_sample_before)
{
    char path[64];
    int fd = client_connect(&f);
    expect(ask(&f, "GET /v1/history", "", NULL), 200, "{\"step\":10,\"at\":[],\"series\":{",
           "\"queued\":[]", NULL);
    for (int i = 0; i < 3; i++)
        submit(fd, "{\"handler\":\"hold\"}", path);
    await_stats(&f, "\"claimed\":3,");
    ck_assert_int_eq(close(fd), 0);
    api_sample(f.api);
    api_sample(f.api); /* too early: nothing */
    struct reply r = ask(&f, "GET /v1/history?points=1", "", NULL);
    ck_assert_int_eq(r.status, 200);
    ck_assert_msg(strstr(r.body, "\"run_p50\":[null]") != NULL, "%s", r.body);
    ck_assert_ptr_nonnull(strstr(r.body, "\"running\":[3]"));
    ck_assert_ptr_null(strstr(r.body, "\"submitted_per_s\":[0]"));
    free(r.body);
    expect(ask(&f, "GET /v1/history", "", NULL), 200, "\"running\":[3]", NULL, NULL);
    expect(ask(&f, "GET /v1/history?points=0", "", NULL), 400, "invalid_parameter", "360", NULL);
    expect(ask(&f, "GET /v1/history?points=361", "", NULL), 400, "invalid_parameter", NULL, NULL);
}
END_TEST

START_TEST(test_page_input_is_what_was_submitted)
{
    char path[64], line[96];
    int fd = client_connect(&f);
    submit(fd, "{\"handler\":\"hold\",\"input\":{ \"b\": 1.0}}", path);
    expect(ask(&f, line_of(line, sizeof(line), "GET %s/input", path), "", NULL), 200,
           "{ \"b\": 1.0}", "Content-Type: application/json", "Content-Security-Policy: sandbox");
    submit(fd, "{\"handler\":\"hold\"}", path);
    expect(ask(&f, line_of(line, sizeof(line), "GET %s/input", path), "", NULL), 200,
           "Content-Length: 0", NULL, NULL);
    expect(ask(&f, "GET /v1/futures/0193a1b2-7c00-7001-9b3c-4d5e6f708192/input", "", NULL), 404,
           "unknown_future", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static const struct {
    const char *token, *scopes;
} tokens[] = {
    {"reader-0123456789", "{\"tokens\":true,\"scopes\":[\"read\"]}"},
    {"maker-00123456789", "{\"tokens\":true,\"scopes\":[\"read\",\"submit\"]}"},
    {"chief-00123456789", "{\"tokens\":true,\"scopes\":[\"read\",\"submit\",\"admin\"]}"},
};

START_TEST(test_page_learns_what_its_token_is_good_for)
{
    struct api_config cfg = fixture_config;
    struct fut_errbuf err;
    char header[80];
    expect(ask(&f, "GET /v1/access", "", NULL), 200,
           "{\"tokens\":false,\"scopes\":[\"read\",\"submit\",\"admin\"]}", NULL, NULL);
    fixture_stop(&f);
    ck_assert_int_eq(auth_parse(TOKENS, strlen(TOKENS), "test", &cfg.auth, &err), 0);
    fixture_start_with(&f, &cfg, 1000);
    for (size_t i = 0; i < FUT_COUNT(tokens); i++) {
        (void)snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", tokens[i].token);
        expect(ask(&f, "GET /v1/access", header, NULL), 200, tokens[i].scopes, NULL, NULL);
    }
    expect(ask(&f, "GET /v1/access", "", NULL), 401, "unauthorized", NULL, NULL);
    expect(ask(&f, "GET /v1/history", "", NULL), 401, "unauthorized", NULL, NULL);
    expect(ask(&f, "GET /ui/", "", NULL), 200, NULL, NULL, NULL); /* which asks for the token */
    fixture_stop(&f);
    auth_free(&cfg.auth);
    fixture_start(&f);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_page_is_served_under_a_strict_policy, 0},
        {test_page_that_is_known_is_not_sent_again, 0},
        {test_page_is_where_browsers_are_led, 0},
        {test_page_may_be_linked_to, 0},
        {test_page_history_counts_what_came_since_the_sample_before, 0},
        {test_page_input_is_what_was_submitted, 0},
        {test_page_learns_what_its_token_is_good_for, 0},
    };
    return suite_run_rows("page", 30, setup, teardown, rows, FUT_COUNT(rows));
}
