/* Values counted by bounds. */
#include <check.h>

#include "core/histogram.h"
#include "core/mem.h"
#include "tests/support/suite.h"

static size_t bucket_of(int64_t us)
{
    struct histogram h = {0};
    size_t found = HISTOGRAM_BOUNDS + 1;
    histogram_observe(&h, us);
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        if (histogram_count(&h, i)) {
            ck_assert_uint_eq(histogram_count(&h, i), 1);
            ck_assert_uint_gt(found, HISTOGRAM_BOUNDS); /* in one alone */
            found = i;
        }
    }
    return found;
}

START_TEST(test_histogram_bounds_belong_to_their_bucket)
{
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        ck_assert_uint_eq(bucket_of(histogram_bound_us(i)), i);
        ck_assert_uint_eq(bucket_of(histogram_bound_us(i) + 1), i + 1);
        if (i)
            ck_assert_int_gt(histogram_bound_us(i), histogram_bound_us(i - 1));
    }
    ck_assert_uint_eq(bucket_of(INT64_MAX), HISTOGRAM_BOUNDS);
}
END_TEST

START_TEST(test_histogram_sums_and_knows_no_negative_time)
{
    struct histogram h = {0};
    histogram_observe(&h, 40);
    histogram_observe(&h, 2);
    histogram_observe(&h, -5000000);
    ck_assert_uint_eq(histogram_count(&h, 0), 3);
    ck_assert_uint_eq(histogram_sum_us(&h), 42);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_histogram_bounds_belong_to_their_bucket,
        test_histogram_sums_and_knows_no_negative_time,
    };
    return suite_run("histogram", tests, FUT_COUNT(tests));
}
