/* The JSON validator, against a table and against jansson. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/task.h"
#include "tests/support/suite.h"
#include "workers/base/json_check.h"

#define TEXT(s) s, sizeof(s) - 1
static const struct {
    const char *text;
    size_t n;
    bool ok;
} cases[] = {
    {TEXT("{}"), true},
    {TEXT(" [ ] \n"), true},
    {TEXT("{\"a\":[1,2.5e-3,{\"b\":null}],\"c\":\"\\u00e9\\n\"}"), true},
    {TEXT("\"\xc3\xa9\xf0\x9f\x98\x80\""), true},
    {TEXT("-0"), true},
    {TEXT("1E+9"), true},
    {TEXT("true"), true},
    {TEXT("[[],[[]],{}]"), true},
    {TEXT(""), false},
    {TEXT("  "), false},
    {TEXT("{} {}"), false},
    {TEXT("[1,]"), false},
    {TEXT("[,1]"), false},
    {TEXT("{\"a\"}"), false},
    {TEXT("{\"a\":1,}"), false},
    {TEXT("{a:1}"), false},
    {TEXT("[1}"), false},
    {TEXT("[1"), false},
    {TEXT("\"a"), false},
    {TEXT("\"\\x\""), false},
    {TEXT("\"\\u12g4\""), false},
    {TEXT("\"a\nb\""), false},
    {TEXT("\"\xc3\""), false},
    {TEXT("\"\xc0\x80\""), false},     /* overlong */
    {TEXT("\"\xed\xa0\x80\""), false}, /* a surrogate */
    {TEXT("\"\xf5\x80\x80\x80\""), false},
    {TEXT("01"), false},
    {TEXT("1."), false},
    {TEXT(".5"), false},
    {TEXT("1e"), false},
    {TEXT("+1"), false},
    {TEXT("nul"), false},
    {TEXT("truex"), false},
    {TEXT("1\0"), false},
    {TEXT("]"), false},
};

START_TEST(test_json_check_table)
{
    ck_assert_msg(json_check(cases[_i].text, cases[_i].n) == cases[_i].ok, "case %d: %s", _i,
                  cases[_i].text);
}
END_TEST

START_TEST(test_json_check_depth)
{
    char text[2 * JSON_CHECK_DEPTH + 2];
    memset(text, '[', JSON_CHECK_DEPTH);
    memset(text + JSON_CHECK_DEPTH, ']', JSON_CHECK_DEPTH);
    ck_assert(json_check(text, 2 * JSON_CHECK_DEPTH));
    memset(text, '[', JSON_CHECK_DEPTH + 1);
    memset(text + JSON_CHECK_DEPTH + 1, ']', JSON_CHECK_DEPTH + 1);
    ck_assert(!json_check(text, 2 * JSON_CHECK_DEPTH + 2));
}
END_TEST

/* Damaged texts: what we call valid must never be more than what jansson reads. */
START_TEST(test_json_check_agrees_with_jansson)
{
    static const char seedling[] =
        "{\"k\": [1, -2.5e3, \"x\\u0041y\", true, null], \"m\": {\"n\": \"\xc3\xa9\"}}";
    static const char letters[] = "{}[]\",:0123456789.eE+-\\u \ntfn\xc3\xa9";
    uint32_t seed = 99;
    int valid = 0;
    for (int round = 0; round < 50000; round++) {
        char *copy = xmalloc(sizeof(seedling) - 1);
        memcpy(copy, seedling, sizeof(seedling) - 1);
        for (int i = 0; i < 2; i++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % (sizeof(seedling) - 1)] =
                letters[(seed >> 24) % (sizeof(letters) - 1)];
        }
        bool ours = json_check(copy, sizeof(seedling) - 1);
        json_t *theirs =
            json_loadb(copy, sizeof(seedling) - 1,
                       JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        ck_assert_msg(ours == (theirs != NULL), "%.*s", (int)sizeof(seedling) - 1, copy);
        valid += ours;
        json_decref(theirs);
        free(copy);
    }
    ck_assert_int_gt(valid, 1000);
}
END_TEST

START_TEST(test_task_type_is_json)
{
    ck_assert(task_type_is_json("application/json"));
    ck_assert(task_type_is_json("Application/JSON; charset=utf-8"));
    ck_assert(!task_type_is_json("application/jsonl"));
    ck_assert(!task_type_is_json("text/plain"));
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_json_check_table, FUT_COUNT(cases)},
        {test_json_check_depth, 0},
        {test_json_check_agrees_with_jansson, 0},
        {test_task_type_is_json, 0},
    };
    return suite_run_rows("json_check", 30, NULL, NULL, rows, FUT_COUNT(rows));
}
