/* The members of an object without a tree: never more than what the parser takes, and the same. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/json_members.h"
#include "api/text/json_text.h"
#include "core/mem.h"
#include "tests/support/suite.h"

/* NULL: it is left to the parser. */
static const struct {
    const char *text, *last_name, *last_value;
} cases[] = {
    {"{\"a\":1}", "a", "1"},
    {" { \"a\" : \"x\" ,\r\n\t\"b\": [1, {\"a\": 2}, []] } \n", "b", "[1, {\"a\": 2}, []]"},
    {"{\"a\":\"\\\"}\\u0000\xC3\xA9\"}", "a", "\"\\\"}\\u0000\xC3\xA9\""},
    {"{\"a\":{\"b\":{\"b\":1},\"c\":{\"b\":1}}}", "a", "{\"b\":{\"b\":1},\"c\":{\"b\":1}}"},
    {"{\"a\":-0.5,\"b\":true,\"c\":false,\"d\":null}", "d", "null"},
    {"{\"\":{}}", "", "{}"},
    {"{}", NULL, NULL},
    {"[]", NULL, NULL},
    {"", NULL, NULL},
    {"{\"a\":1", NULL, NULL},
    {"{\"a\":1}}", NULL, NULL},
    {"{\"a\":1,}", NULL, NULL},
    {"{\"a\":[1,]}", NULL, NULL},
    {"{\"a\":[1 2]}", NULL, NULL},
    {"{\"a\":{\"b\"}}", NULL, NULL},
    {"{\"a\":{1:2}}", NULL, NULL},
    {"{\"a\":1,\"a\":2}", NULL, NULL},
    {"{\"a\":{\"b\":1,\"b\":2}}", NULL, NULL},
    {"{\"\\u0061\":1}", NULL, NULL},
    {"{\"\xC3\xA9\":1}", NULL, NULL},
    {"\xEF\xBB\xBF{\"a\":1}", NULL, NULL},
    {"{\"a\":01}", NULL, NULL},
    {"{\"a\":-}", NULL, NULL},
    {"{\"a\":1.}", NULL, NULL},
    {"{\"a\":1e999}", NULL, NULL},
    {"{\"a\":1234567890123456}", NULL, NULL},
    {"{\"a\":tru}", NULL, NULL},
    {"{\"a\":\"\\ud800\"}", NULL, NULL},
    {"{\"a\":\"\xC3\"}", NULL, NULL},
    {"{\"a\":\"\n\"}", NULL, NULL},
    {"{\"a\":\"\\\"}", NULL, NULL},
};

START_TEST(test_json_members_table)
{
    struct json_member found[JSON_MEMBERS_MAX];
    size_t n = 0, len = strlen(cases[_i].text);
    char *text = xmalloc(len + 1); /* its own block: reading behind it is seen */
    memcpy(text, cases[_i].text, len);
    bool ok = json_members_find(text, len, found, &n);
    ck_assert_msg(ok == (cases[_i].last_name != NULL), "%s", cases[_i].text);
    if (ok) {
        const struct json_member *last = &found[n - 1];
        ck_assert_uint_eq(last->name_len, strlen(cases[_i].last_name));
        ck_assert_uint_eq(last->value_len, strlen(cases[_i].last_value));
        ck_assert(memcmp(last->name, cases[_i].last_name, last->name_len) == 0);
        ck_assert(memcmp(last->value, cases[_i].last_value, last->value_len) == 0);
    }
    free(text);
}
END_TEST

static bool finds_nested(int depth)
{
    struct json_member found[JSON_MEMBERS_MAX];
    char text[5 + 2 * JSON_TEXT_DEPTH_MAX + 2] = "{\"a\":";
    size_t n;
    memset(text + 5, '[', (size_t)depth);
    memset(text + 5 + depth, ']', (size_t)depth);
    text[5 + 2 * depth] = '}';
    return json_members_find(text, 6 + 2 * (size_t)depth, found, &n);
}

START_TEST(test_json_members_bounds)
{
    struct json_member found[JSON_MEMBERS_MAX];
    size_t n = 0;
    ck_assert(finds_nested(JSON_TEXT_DEPTH_MAX - 1));
    ck_assert(!finds_nested(JSON_TEXT_DEPTH_MAX));
    char text[(JSON_MEMBERS_MAX + 1) * sizeof("\"a\":1,")] = "{";
    size_t len = 1;
    for (int i = 0; i < JSON_MEMBERS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\"%c\":1,", 'a' + i);
    text[len - 1] = '}';
    ck_assert(json_members_find(text, len, found, &n));
    ck_assert_uint_eq(n, JSON_MEMBERS_MAX);
    memcpy(text + len - 1, ",\"z\":1}", sizeof(",\"z\":1}"));
    ck_assert(!json_members_find(text, strlen(text), found, &n));
}
END_TEST

START_TEST(test_json_members_values)
{
    static const struct {
        const char *text;
        bool is_simple;
    } values[] = {
        {"\"x\"", true},           {"\"\"", true}, {"\"\xC3\xA9\"", true}, {"0", true},
        {"999999999999999", true}, {"true", true}, {"false", true},        {"null", true},
        {"\"\\n\"", false},        {"-1", false},  {"1.5", false},         {"[]", false},
        {"{\"a\":1}", false},
    };
    for (size_t i = 0; i < FUT_COUNT(values); i++) {
        struct json_member m = {"", values[i].text, 0, strlen(values[i].text)};
        struct problem p;
        json_t *ours = json_members_value(&m);
        json_t *theirs = json_text_parse(values[i].text, strlen(values[i].text), &p);
        ck_assert_msg((ours != NULL) == values[i].is_simple, "%s", values[i].text);
        ck_assert(!ours || json_equal(ours, theirs));
        json_decref(ours);
        json_decref(theirs);
    }
}
END_TEST

/* Damaged texts. */
START_TEST(test_json_members_agree_with_jansson)
{
    static const char whole[] = "{\"k\": [1, -2.5, \"x\\u0041y\", true, null], \"m\": {\"n\": "
                                "\"\xc3\xa9\", \"o\":{}}, \"p\":\"q\"}";
    static const char letters[] = "{}[]\",:0123456789.eE+-\\u \ntfnkmop\xc3\xa9";
    uint32_t seed = 7;
    int valid = 0;
    for (int round = 0; round < 50000; round++) {
        struct json_member found[JSON_MEMBERS_MAX];
        struct problem p;
        size_t n = 0;
        char *copy = xmalloc(sizeof(whole) - 1);
        memcpy(copy, whole, sizeof(whole) - 1);
        for (int i = 0; i < 2; i++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % (sizeof(whole) - 1)] = letters[(seed >> 24) % (sizeof(letters) - 1)];
        }
        if (json_members_find(copy, sizeof(whole) - 1, found, &n)) {
            json_t *theirs = json_text_parse(copy, sizeof(whole) - 1, &p);
            ck_assert_msg(json_object_size(theirs) == n, "%.*s", (int)sizeof(whole) - 1, copy);
            valid++;
            json_decref(theirs);
        }
        free(copy);
    }
    ck_assert_int_gt(valid, 1000);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_json_members_table, FUT_COUNT(cases)},
        {test_json_members_bounds, 0},
        {test_json_members_values, 0},
        {test_json_members_agree_with_jansson, 0},
    };
    return suite_run_rows("json_members", 30, NULL, NULL, rows, FUT_COUNT(rows));
}
