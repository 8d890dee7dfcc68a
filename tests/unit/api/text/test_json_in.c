/* Is it one JSON value? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/json_in.h"
#include "api/text/json_text.h"
#include "core/mem.h"
#include "tests/support/suite.h"

static void nest(char *out, int depth)
{
    memset(out, '[', (size_t)depth);
    memset(out + depth, ']', (size_t)depth);
    out[2 * depth] = '\0';
}

START_TEST(test_json_in_limits_the_depth)
{
    char text[2 * 200 + 1];
    struct problem p;
    nest(text, JSON_TEXT_DEPTH_MAX);
    ck_assert_int_eq(json_in_check(text, strlen(text), &p), 0);
    nest(text, JSON_TEXT_DEPTH_MAX + 1);
    ck_assert_int_eq(json_in_check(text, strlen(text), &p), FUT_ERR_INVAL);
    ck_assert_int_eq(p.code, PROBLEM_TOO_DEEP);
    ck_assert_int_eq(p.line, 1);
    ck_assert_int_eq(p.column, JSON_TEXT_DEPTH_MAX + 1);
    ck_assert_uint_eq(p.limit, JSON_TEXT_DEPTH_MAX);
}
END_TEST

START_TEST(test_json_in_counts_no_brackets_in_strings)
{
    char text[512];
    struct problem p;
    memset(text, '[', sizeof(text));
    text[0] = text[sizeof(text) - 2] = '"';
    ck_assert_int_eq(json_in_check(text, sizeof(text) - 1, &p), 0);
    ck_assert_int_eq(json_in_check("\"\\\"", 3, &p), FUT_ERR_INVAL);
    ck_assert_int_eq(json_in_check("", 0, &p), FUT_ERR_INVAL);
    ck_assert_int_eq(json_in_check("12 ", 3, &p), 0);
}
END_TEST

/* Texts end where they end, with no NUL behind; found by tests/fuzz/fuzz_many.c. */
START_TEST(test_json_in_reads_no_byte_behind_a_blank_text)
{
    struct problem p;
    for (size_t n = 1; n < 40; n++) {
        char *text = xmalloc(n);
        memset(text, ' ', n);
        ck_assert_int_eq(json_in_check(text, n, &p), FUT_ERR_INVAL);
        ck_assert_int_eq(p.line, 1);
        free(text);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("json_in");
    tcase_add_test(t, test_json_in_limits_the_depth);
    tcase_add_test(t, test_json_in_counts_no_brackets_in_strings);
    tcase_add_test(t, test_json_in_reads_no_byte_behind_a_blank_text);
    return suite_run_cases("json_in", t, NULL);
}
