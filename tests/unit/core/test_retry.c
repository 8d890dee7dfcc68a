/* When a failed attempt is tried again, and after how long. */
#include <check.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/retry.h"
#include "tests/support/suite.h"

static const struct retry_policy unsaid;

START_TEST(test_retry_default_doubles_to_its_cap)
{
    struct retry_policy p = retry_merge(&unsaid, &unsaid);
    ck_assert_uint_eq(p.on, RETRY_TEMPORARY | RETRY_CRASH);
    ck_assert_int_eq(retry_wait_ms(&p, 1, 0), 1000);
    ck_assert_int_eq(retry_wait_ms(&p, 2, 0), 2000);
    ck_assert_int_eq(retry_wait_ms(&p, 9, 0), 256000);
    ck_assert_int_eq(retry_wait_ms(&p, 10, 0), 300000);
    ck_assert_int_eq(retry_wait_ms(&p, 4000000000u, 0), 300000);
    for (uint32_t r = 0; r < 5000; r += 37) {
        ck_assert_int_ge(retry_wait_ms(&p, 1, r), 1000);
        ck_assert_int_lt(retry_wait_ms(&p, 1, r), 1250);
    }
}
END_TEST

START_TEST(test_retry_task_speaks_before_its_handler)
{
    struct retry_policy task = {.on = RETRY_EXIT, .first_ms = 10};
    struct retry_policy handler = {
        .on = RETRY_SIGNAL, .first_ms = 500, .max_ms = 40, .says_jitter = true};
    struct retry_policy p = retry_merge(&task, &handler);
    ck_assert_uint_eq(p.on, RETRY_TEMPORARY | RETRY_EXIT);
    ck_assert_int_eq(retry_wait_ms(&p, 1, 12345), 10);
    ck_assert_int_eq(retry_wait_ms(&p, 2, 12345), 20);
    ck_assert_int_eq(retry_wait_ms(&p, 3, 12345), 40);
    ck_assert_int_eq(retry_wait_ms(&p, 4, 12345), 40);
    ck_assert(retry_is_unsaid(&unsaid));
    ck_assert(!retry_is_unsaid(&task));
}
END_TEST

START_TEST(test_retry_jitter_may_double_the_wait)
{
    struct retry_policy p = {.on = 1, .first_ms = 100, .max_ms = 100, .jitter_percent = 100};
    int64_t longest = 0;
    for (uint32_t r = 0; r < 1000; r++) {
        int64_t wait = retry_wait_ms(&p, 1, r);
        ck_assert_int_ge(wait, 100);
        longest = wait > longest ? wait : longest;
    }
    ck_assert_int_eq(longest, 199);
}
END_TEST

START_TEST(test_retry_words)
{
    ck_assert_uint_eq(retry_end_parse("temporary"), RETRY_TEMPORARY);
    ck_assert_uint_eq(retry_end_parse("limit"), RETRY_LIMIT);
    ck_assert_uint_eq(retry_end_parse("error"), RETRY_ERROR);
    ck_assert_uint_eq(retry_end_parse("Exit"), 0);
    ck_assert_uint_eq(retry_end_parse(""), 0);
    unsigned end = 0, all = 0;
    const char *word;
    for (size_t i = 0; (word = retry_end_word(i, &end)) != NULL; i++) {
        ck_assert_uint_eq(retry_end_parse(word), end);
        all |= end;
    }
    ck_assert_uint_eq(all, 127);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_retry_default_doubles_to_its_cap, 0},
        {test_retry_task_speaks_before_its_handler, 0},
        {test_retry_jitter_may_double_the_wait, 0},
        {test_retry_words, 0},
    };
    return suite_run_rows("retry", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
