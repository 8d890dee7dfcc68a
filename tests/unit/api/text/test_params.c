/* Paths, queries, headers and cursors as text. */
#include <check.h>
#include <string.h>

#include "api/routes.h"
#include "api/text/cursor.h"
#include "api/text/params.h"
#include "core/mem.h"
#include "tests/support/suite.h"

static const struct {
    const char *header;
    int rc;
    int64_t ms;
} prefers[] = {
    {"wait=10", 0, 10000},
    {"respond-async, wait=1.5", 0, 1500},
    {"Wait = \"3\"; x=y, other", 0, 3000},
    {"wait=29.999993562698364", 0, 30000},
    {"wait=1.00000000000000000000000000000e-3", 0, 1},
    {"wait=.5", 0, 500},
    {" ,, wait=2 ,", 0, 2000},
    {"", FUT_ERR_NOT_FOUND, 0},
    {"return=minimal", FUT_ERR_NOT_FOUND, 0},
    {"waiting=3", FUT_ERR_NOT_FOUND, 0},
    {"wait", FUT_ERR_INVAL, 0},
    {"wait=", FUT_ERR_INVAL, 0},
    {"wait=x", FUT_ERR_INVAL, 0},
    {"wait=-1", FUT_ERR_INVAL, 0},
    {"wait=11111111111111111111111111111", FUT_ERR_INVAL, 0},
};

START_TEST(test_params_prefer_wait)
{
    int64_t ms = 0;
    ck_assert_int_eq(params_prefer_wait(prefers[_i].header, &ms), prefers[_i].rc);
    ck_assert_int_eq(ms, prefers[_i].ms);
}
END_TEST

static const struct {
    const char *in, *out; /* NULL: refused */
} escapes[] = {
    {"plain", "plain"}, {"a%20b%2Fc", "a b/c"}, {"%C3%a9", "\xC3\xA9"}, {"%", NULL},
    {"%2", NULL},       {"%2x", NULL},          {"a%00b", NULL},        {"%%41", NULL},
};

START_TEST(test_params_decode)
{
    char text[32];
    memcpy(text, escapes[_i].in, strlen(escapes[_i].in) + 1);
    ck_assert_int_eq(params_decode(text), escapes[_i].out != NULL);
    if (escapes[_i].out)
        ck_assert_str_eq(text, escapes[_i].out);
}
END_TEST

static const struct {
    const char *query, *all; /* "name=value;" of each, decoded */
} queries[] = {
    {"", ""},
    {"a=1", "a=1;"},
    {"a=1&b", "a=1;b=;"},
    {"a=1&b=&", "a=1;b=;"},
    {"a=b=c&d", "a=b=c;d=;"},
    {"&a", "=;a=;"},
    {"=1&&", "=1;=;"},
    {"a+b=c+%2B%26", "a b=c +&;"},
    {"a?b=/", "a?b=/;"},
};

static void put_form(struct buf *out, const char *text, size_t n, char end)
{
    char copy[32];
    ck_assert_uint_lt(n, sizeof(copy));
    memcpy(copy, text, n);
    copy[n] = '\0';
    ck_assert(params_decode_form(copy));
    buf_puts(out, copy);
    buf_putc(out, end);
}

START_TEST(test_params_next)
{
    const char *rest = queries[_i].query;
    struct params_pair p;
    struct buf all = BUF_INIT;
    buf_puts(&all, "");
    while (params_next(&rest, &p)) {
        put_form(&all, p.name, p.name_len, '=');
        put_form(&all, p.value, p.value_len, ';');
    }
    ck_assert_str_eq(all.data, queries[_i].all);
    buf_release(&all);
}
END_TEST

START_TEST(test_params_encode_comes_back)
{
    static const char text[] = "a b&c=d/%\xC3\xA9,x";
    struct buf b = BUF_INIT;
    params_encode(&b, text);
    ck_assert_str_eq(b.data, "a%20b%26c%3Dd%2F%25%C3%A9,x");
    ck_assert(params_decode(b.data));
    ck_assert_str_eq(b.data, text);
    buf_release(&b);
}
END_TEST

START_TEST(test_params_content_types)
{
    ck_assert(!params_type_ok("") && !params_type_ok("a\nb") && params_type_ok("a/b"));
}
END_TEST

START_TEST(test_cursor_round_trip_and_refusals)
{
    static const uint64_t keys[] = {1, 0x0123456789ab7defULL, UINT64_MAX};
    char text[CURSOR_TEXT_SIZE];
    uint64_t back;
    for (size_t i = 0; i < FUT_COUNT(keys); i++) {
        cursor_format(keys[i], text);
        ck_assert_uint_eq(strlen(text), CURSOR_TEXT_SIZE - 1);
        ck_assert(cursor_parse(text, &back));
        ck_assert_uint_eq(back, keys[i]);
        for (size_t at = 0; at < CURSOR_TEXT_SIZE - 1; at++) {
            char was = text[at];
            text[at] = was == 'B' ? 'C' : 'B';
            ck_assert(!cursor_parse(text, &back));
            text[at] = was;
        }
    }
    ck_assert(!cursor_parse("", &back) && !cursor_parse("AQAAAAAAAAAA!!!!", &back));
}
END_TEST

static const struct {
    const char *method, *path;
    const char *pattern; /* NULL: no route */
    unsigned allowed;
    const char *capture;
} paths[] = {
    {"GET", "/healthz", "/healthz", METHOD_GET, NULL},
    {"HEAD", "/healthz", "/healthz", METHOD_GET, NULL},
    {"POST", "/v1/tasks/wc", "/v1/tasks/{handler}", METHOD_POST, "wc"},
    {"GET", "/v1/futures/abc/result", "/v1/futures/{id}/result", METHOD_GET, "abc/result"},
    {"DELETE", "/v1/futures/a%2Fb", "/v1/futures/{id}", METHOD_DELETE, "a%2Fb"},
    {"PUT", "/v1/tasks", NULL, METHOD_POST, NULL},
    {"get", "/healthz", NULL, METHOD_GET, NULL},
    {"DELETE", "/v1/futures", NULL, METHOD_GET, NULL},
    {"GET", "/v1/futures/", NULL, 0, NULL},
    {"GET", "/v1/futures/a/", NULL, 0, NULL},
    {"GET", "/v1/futures/a/b", NULL, 0, NULL},
    {"GET", "//healthz", NULL, 0, NULL},
    {"GET", "/v1/../healthz", NULL, 0, NULL},
    {"GET", "/", "/", METHOD_GET, NULL},
    {"POST", "/", NULL, METHOD_GET, NULL},
    {"GET", "", NULL, 0, NULL},
    {"OPTIONS", "*", NULL, 0, NULL},
};

START_TEST(test_route_finds_by_method_and_path)
{
    struct route_match m;
    route_find(&routes_table, route_method_parse(paths[_i].method), paths[_i].path, &m);
    ck_assert_int_eq(m.route != NULL, paths[_i].pattern != NULL);
    ck_assert_uint_eq(m.allowed & paths[_i].allowed, paths[_i].allowed);
    ck_assert_int_eq(m.allowed == 0, paths[_i].allowed == 0);
    if (paths[_i].pattern)
        ck_assert_str_eq(m.route->pattern, paths[_i].pattern);
    if (paths[_i].capture) {
        ck_assert_ptr_nonnull(m.captures[0].text);
        ck_assert(memcmp(m.captures[0].text, paths[_i].capture, m.captures[0].n) == 0);
    }
}
END_TEST

START_TEST(test_route_knows_its_parameters)
{
    struct route_match m;
    route_find(&routes_table, METHOD_GET, "/v1/futures", &m);
    ck_assert(route_knows_param(m.route, "state") && route_knows_param(m.route, "cursor"));
    ck_assert(!route_knows_param(m.route, "stat") && !route_knows_param(m.route, "tate"));
    ck_assert(!route_knows_param(m.route, "") && !route_knows_param(m.route, " "));
    ck_assert(!route_knows_param(m.route, "state handler"));
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_params_prefer_wait, FUT_COUNT(prefers)},
        {test_params_decode, FUT_COUNT(escapes)},
        {test_params_next, FUT_COUNT(queries)},
        {test_params_encode_comes_back, 0},
        {test_params_content_types, 0},
        {test_cursor_round_trip_and_refusals, 0},
        {test_route_finds_by_method_and_path, FUT_COUNT(paths)},
        {test_route_knows_its_parameters, 0},
    };
    return suite_run_rows("params", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
