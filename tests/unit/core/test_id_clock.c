/* ids, clocks and names. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "core/task.h"
#include "tests/support/suite.h"

START_TEST(test_id_format_and_parse_round_trip)
{
    char text[ID_TEXT_SIZE], upper[ID_TEXT_SIZE];
    struct task_id id = id_new(), back;
    id_format(id, text);
    ck_assert_uint_eq(strlen(text), 36);
    ck_assert_int_eq(text[14], '7');
    ck_assert(strchr("89ab", text[19]) != NULL);
    ck_assert(id_parse(text, &back));
    ck_assert(id_equal(id, back));
    for (size_t i = 0; i < sizeof(text); i++)
        upper[i] = (char)(text[i] >= 'a' && text[i] <= 'f' ? text[i] - 32 : text[i]);
    ck_assert(id_parse(upper, &back));
    ck_assert(id_equal(id, back));
}
END_TEST

static const char *const bad_ids[] = {
    "",
    "0",
    "019415fa-0000-7000-8000-00000000000",   /* short */
    "019415fa-0000-7000-8000-0000000000000", /* long */
    "019415fa-0000-4000-8000-000000000000",  /* version 4 */
    "019415fa_0000-7000-8000-000000000000",
    "019415fg-0000-7000-8000-000000000000",
    "f19415fa-0000-7000-8000-000000000000", /* beyond what an integer key holds */
};

START_TEST(test_id_parse_refuses)
{
    struct task_id id = {1, 2};
    ck_assert(!id_parse(bad_ids[_i], &id));
    ck_assert_uint_eq(id.hi, 1);
}
END_TEST

START_TEST(test_id_increases_within_one_millisecond_and_over_clock_steps)
{
    clock_test_set(0, 1700000000000);
    struct task_id last = id_new();
    for (int i = 0; i < 10000; i++) { /* more than the counter holds in one ms */
        if (i == 5000)
            clock_test_set(0, 1600000000000); /* the clock steps back */
        struct task_id id = id_new();
        ck_assert_uint_gt(id.hi, last.hi);
        ck_assert_uint_eq(id.hi >> 12 & 15, 7);
        last = id;
    }
    id_seed(last.hi + (1ULL << 20));
    ck_assert_uint_gt(id_new().hi, last.hi + (1ULL << 20));
    clock_test_set(-1, -1);
}
END_TEST

enum { THREADS = 4, IDS = 5000 };

static void *make_ids(void *out)
{
    uint64_t *his = out;
    for (int i = 0; i < IDS; i++)
        his[i] = id_new().hi;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

START_TEST(test_id_is_unique_over_threads)
{
    pthread_t threads[THREADS];
    uint64_t *his = xcalloc(THREADS * IDS, sizeof(*his));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, make_ids, his + (size_t)i * IDS), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    qsort(his, THREADS * IDS, sizeof(*his), by_value);
    for (size_t i = 1; i < THREADS * IDS; i++)
        ck_assert_uint_ne(his[i], his[i - 1]);
    free(his);
}
END_TEST

static const struct {
    int64_t ms;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {951782399999, "2000-02-28T23:59:59.999Z"},
    {951782400000, "2000-02-29T00:00:00.000Z"},
    {1709251199123, "2024-02-29T23:59:59.123Z"},
    {4102444800000, "2100-01-01T00:00:00.000Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
};

START_TEST(test_clock_rfc3339)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(times[_i].ms, text);
    ck_assert_str_eq(text, times[_i].text);
}
END_TEST

START_TEST(test_clock_rfc3339_whatever_was_written_before)
{
    char text[CLOCK_RFC3339_SIZE], first[CLOCK_RFC3339_SIZE];
    clock_rfc3339(7, first);
    ck_assert_str_eq(first, "1970-01-01T00:00:00.007Z");
    for (size_t i = 0; i < 3 * FUT_COUNT(times); i++) {
        size_t at = i * 5 % FUT_COUNT(times);
        clock_rfc3339(times[at].ms, text);
        ck_assert_str_eq(text, times[at].text);
        clock_rfc3339(times[at].ms, text); /* of the same second */
        ck_assert_str_eq(text, times[at].text);
    }
}
END_TEST

static const struct {
    const char *text;
    int64_t ms;
} readable[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"2000-02-29T00:00:00.000Z", 951782400000},
    {"2000-02-29t02:00:00+02:00", 951782400000},
    {"2000-02-28 18:30:00-05:30", 951782400000},
    {"2024-02-29T23:59:59.1239Z", 1709251199123},
    {"2016-12-31T23:59:60Z", 1483228800000},
    {"1969-12-31T23:59:59.9z", -100},
};

START_TEST(test_clock_reads_rfc3339)
{
    int64_t ms = 7;
    ck_assert(clock_parse_rfc3339(readable[_i].text, &ms));
    ck_assert_int_eq(ms, readable[_i].ms);
}
END_TEST

static const char *const no_times[] = {
    "",
    "2026-11-22",
    "2026-11-22T10:00:00",
    "2026-11-22T10:00Z",
    "2026-13-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-11-31T00:00:00Z",
    "2026-11-00T00:00:00Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T10:60:00Z",
    "2026-11-22T10:00:61Z",
    "2026-11-22T10:00:00.Z",
    "2026-11-22T10:00:00+0200",
    "2026-11-22T10:00:00+24:00",
    "2026-11-22T10:00:00Zulu",
    "26-11-22T10:00:00Z",
    " 2026-11-22T10:00:00Z",
};

START_TEST(test_clock_refuses_other_texts)
{
    int64_t ms = 7;
    ck_assert(!clock_parse_rfc3339(no_times[_i], &ms));
    ck_assert_int_eq(ms, 7);
}
END_TEST

START_TEST(test_task_names)
{
    enum task_state s;
    enum lane lane;
    ck_assert(task_state_parse("cancelled", &s) && s == TASK_CANCELLED);
    ck_assert(!task_state_parse("Queued", &s));
    ck_assert(lane_parse("cpu", &lane) && lane == LANE_CPU);
    ck_assert(!lane_parse("gpu", &lane));
    ck_assert(task_handler_name_ok("word-count_2.x"));
    ck_assert(!task_handler_name_ok(""));
    ck_assert(!task_handler_name_ok("../x"));
    ck_assert(!task_handler_name_ok("a b"));
    char longest[TASK_HANDLER_MAX + 2];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert(!task_handler_name_ok(longest));
    longest[TASK_HANDLER_MAX] = '\0';
    ck_assert(task_handler_name_ok(longest));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, test_id_format_and_parse_round_trip);
    tcase_add_loop_test(tc, test_id_parse_refuses, 0, (int)FUT_COUNT(bad_ids));
    tcase_add_test(tc, test_id_increases_within_one_millisecond_and_over_clock_steps);
    tcase_add_test(tc, test_id_is_unique_over_threads);
    tcase_add_loop_test(tc, test_clock_rfc3339, 0, (int)FUT_COUNT(times));
    tcase_add_test(tc, test_clock_rfc3339_whatever_was_written_before);
    tcase_add_loop_test(tc, test_clock_reads_rfc3339, 0, (int)FUT_COUNT(readable));
    tcase_add_loop_test(tc, test_clock_refuses_other_texts, 0, (int)FUT_COUNT(no_times));
    tcase_add_test(tc, test_task_names);
    return suite_run_cases("id and clock", tc, NULL);
}
