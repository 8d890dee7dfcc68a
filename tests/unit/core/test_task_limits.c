#include <check.h>
#include <string.h>

#include "core/mem.h"
#include "core/task_limits.h"
#include "tests/support/suite.h"

START_TEST(test_task_limits_have_one_text_in_any_order)
{
    static const char *const names[][2] = {{"tenant", "42"}, {"github", ""}, {"a", "k"}, {"z", ""}};
    char text[TASK_LIMITS_SIZE];
    for (size_t first = 0; first < 4; first++) {
        struct task_limits l = {.n = 0};
        for (size_t i = 0; i < 4; i++) {
            const char *const *t = names[(first + i * 3) % 4];
            ck_assert_int_eq(task_limits_add(&l, t[0], t[1]), 0);
        }
        task_limits_write(&l, text);
        ck_assert_str_eq(text, "github\nz\na=k\ntenant=42");
    }
}
END_TEST

START_TEST(test_task_limits_are_read_as_they_were_written)
{
    struct task_limits l, again = {.n = 0};
    char longest[TASK_LIMIT_NAME_MAX + 1], text[TASK_LIMITS_SIZE], written[TASK_LIMITS_SIZE];
    memset(longest, 'x', TASK_LIMIT_NAME_MAX);
    longest[TASK_LIMIT_NAME_MAX] = '\0';
    for (int i = 0; i < TASK_LIMITS_MAX; i++) {
        longest[0] = (char)('a' + i);
        ck_assert_int_eq(task_limits_add(&again, longest, longest), 0);
    }
    task_limits_write(&again, text);
    ck_assert_int_eq(task_limits_read(text, &l), 0);
    ck_assert_uint_eq(l.n, TASK_LIMITS_MAX);
    task_limits_write(&l, written);
    ck_assert_str_eq(written, text);
    ck_assert_int_eq(task_limits_read("", &l), 0);
    ck_assert_uint_eq(l.n, 0);
    ck_assert_int_eq(task_limits_read("t=a=b", &l), 0);
    ck_assert_str_eq(l.items[0].key, "a=b");
}
END_TEST

START_TEST(test_task_limits_are_few_and_different)
{
    struct task_limits l = {.n = 0};
    ck_assert_int_eq(task_limits_add(&l, "a", ""), 0);
    ck_assert_int_eq(task_limits_add(&l, "a", "k"), FUT_ERR_EXISTS);
    ck_assert_int_eq(task_limits_add(&l, "b", ""), 0);
    ck_assert_int_eq(task_limits_add(&l, "c", ""), 0);
    ck_assert_int_eq(task_limits_add(&l, "d", ""), 0);
    ck_assert_int_eq(task_limits_add(&l, "e", ""), FUT_ERR_FULL);
    ck_assert_uint_eq(l.n, 4);
}
END_TEST

#define LONG_58 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefgh"

static const struct {
    const char *url, *limit; /* NULL: none */
} urls[] = {
    {"http://example.org/x", "host:example.org"},
    {"HTTPS://Me:pw@Example.ORG:81?q=a@b", "host:example.org"},
    {"http://127.0.0.1:9000", "host:127.0.0.1"},
    {"http://h#x@y", "host:h"},
    {"http://" LONG_58 "z/", "host:" LONG_58 "z"},
    {"http://" LONG_58 "yz/", NULL},
    {"http://[::1]/", NULL},
    {"http://a b/", NULL},
    {"http:///x", NULL},
    {"example.org", NULL},
    {"", NULL},
};

START_TEST(test_task_limits_of_a_url_are_those_of_its_host)
{
    char out[TASK_LIMIT_NAME_MAX + 1];
    bool has = task_limit_of_url(urls[_i].url, out);
    ck_assert_int_eq(has, urls[_i].limit != NULL);
    if (has)
        ck_assert_str_eq(out, urls[_i].limit);
}
END_TEST

static const char *const wrong[] = {"a b",    "=k",      "a=",       "a\na",
                                    "a\n\nb", "a=k\x01", "\xC3\xA9", "a,b"};

START_TEST(test_task_limits_refuse_other_texts)
{
    struct task_limits l;
    ck_assert_int_eq(task_limits_read(wrong[_i], &l), FUT_ERR_INVAL);
}
END_TEST

START_TEST(test_task_limits_names_and_keys)
{
    char longest[TASK_LIMIT_KEY_MAX + 2];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert(!task_limit_name_ok(longest) && !task_limit_key_ok(longest));
    longest[TASK_LIMIT_KEY_MAX] = '\0';
    ck_assert(task_limit_name_ok(longest) && task_limit_key_ok(longest));
    ck_assert(task_limit_name_ok("host:api.example.org"));
    ck_assert(task_limit_key_ok("tenant 42, \xC3\xA9"));
    ck_assert(!task_limit_key_ok("") && !task_limit_key_ok("a\nb"));
}
END_TEST

START_TEST(test_task_limits_stand_behind_labels)
{
    struct task_needs needs = {.n = 0}, again;
    struct task_limits l = {.n = 0};
    char text[TASK_LIMITS_TEXT_SIZE];
    ck_assert_uint_eq(task_needs_write(&needs, text), 0);
    ck_assert(!task_needs_any(text) && !task_needs_any(NULL));
    ck_assert_int_eq(task_needs_parse("gpu,big,gpu", &needs), 0);
    ck_assert_int_eq(task_limits_add(&l, "few", ""), 0);
    task_limits_write(&l, text + task_needs_write(&needs, text));
    ck_assert_str_eq(text, "@big,gpu\nfew");
    ck_assert(task_needs_any(text));
    task_needs_read(text, &again);
    ck_assert_uint_eq(again.n, 2);
    ck_assert(task_needs_has(&again, "gpu") && !task_needs_has(&again, "few"));
    ck_assert_int_eq(task_limits_read(text, &l), 0);
    ck_assert_uint_eq(l.n, 1);
    ck_assert_int_eq(task_limits_read("@gpu\n", &l), 0);
    ck_assert_uint_eq(l.n, 0);
    ck_assert_int_eq(task_needs_parse("", &needs), 0);
    ck_assert_uint_eq(needs.n, 0);
    ck_assert_int_eq(task_needs_parse("gpu,", &needs), FUT_ERR_INVAL);
    ck_assert_int_eq(task_needs_parse(",gpu", &needs), FUT_ERR_INVAL);
    ck_assert_int_eq(task_needs_parse("g pu", &needs), FUT_ERR_INVAL);
    ck_assert_int_eq(task_needs_parse("1,2,3,4,5,6,7,8", &needs), 0);
    ck_assert_int_eq(task_needs_parse("1,2,3,4,5,6,7,8,9", &needs), FUT_ERR_FULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_loop_test(tc, test_task_limits_of_a_url_are_those_of_its_host, 0,
                        (int)FUT_COUNT(urls));
    tcase_add_test(tc, test_task_limits_have_one_text_in_any_order);
    tcase_add_test(tc, test_task_limits_are_read_as_they_were_written);
    tcase_add_test(tc, test_task_limits_are_few_and_different);
    tcase_add_loop_test(tc, test_task_limits_refuse_other_texts, 0, (int)FUT_COUNT(wrong));
    tcase_add_test(tc, test_task_limits_names_and_keys);
    tcase_add_test(tc, test_task_limits_stand_behind_labels);
    return suite_run_cases("task limits", tc, NULL);
}
