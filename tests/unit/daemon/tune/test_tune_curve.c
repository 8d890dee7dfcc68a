/* The recommendation of `futured tune`, from curves as they come. */
#include <check.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/tune/curve.h"
#include "tests/support/suite.h"

#define MIB ((uint64_t)1 << 20)

static const struct {
    double rates[6]; /* at 1, 2, 4 …; 0: the end */
    uint64_t rss_bytes, memory_bytes;
    uint32_t slots;
    const char *reason;
} curves[] = {
    {{10, 20, 40, 80}, 0, 0, 8, "still grows from 4 to 8 (2.00 times)"},
    {{10, 20, 20.5, 20.2}, 0, 0, 2, "bends there: 4 bring 1.02 times the rate of 2"},
    {{10, 19, 36, 37, 36}, 0, 0, 4, "bends there: 8 bring 1.03"},
    {{10, 10, 9, 8}, 0, 0, 1, "bends there: 2 bring 1.00"},
    {{10}, 0, 0, 1, "all that was measured"},
    {{10, 20, 40}, 500 * MIB, 1500 * MIB, 2, "4 would be faster, but at 500 MiB for each process"},
    {{10, 20, 40}, 500 * MIB, 2000 * MIB, 4, "still grows"},
    {{10, 20}, 500 * MIB, 100 * MIB, 1, "2 would be faster"}, /* there is no less than one */
    {{0, 0, 0}, 0, 0, 1, "bends there"},
};

static size_t steps_of(int i, struct tune_step *out)
{
    size_t n = 0;
    do {
        out[n] = (struct tune_step){.slots = 1u << n,
                                    .tasks = (uint64_t)(curves[i].rates[n] * 1000),
                                    .seconds = 1000,
                                    .rss_bytes = curves[i].rss_bytes};
        n++;
    } while (n < 6 && curves[i].rates[n] > 0);
    return curves[i].rates[0] > 0 ? n : 3;
}

START_TEST(test_tune_curve_advises)
{
    struct tune_step steps[6] = {{.slots = 1}, {.slots = 2}, {.slots = 4}};
    struct tune_advice advice;
    size_t n = steps_of(_i, steps);
    tune_curve_advise(steps, n, curves[_i].memory_bytes, &advice);
    ck_assert_uint_eq(advice.slots, curves[_i].slots);
    ck_assert_msg(strstr(advice.reason, curves[_i].reason) != NULL, "%s", advice.reason);
}
END_TEST

START_TEST(test_tune_curve_is_flat_after_two_doublings_for_nothing)
{
    struct tune_step steps[6];
    size_t n = steps_of(1, steps);
    ck_assert(!tune_curve_is_flat(steps, 1));
    ck_assert(!tune_curve_is_flat(steps, 2));
    ck_assert(!tune_curve_is_flat(steps, 3)); /* one only */
    ck_assert(tune_curve_is_flat(steps, n));
    n = steps_of(0, steps);
    ck_assert(!tune_curve_is_flat(steps, n));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_loop_test(tc, test_tune_curve_advises, 0, (int)FUT_COUNT(curves));
    tcase_add_test(tc, test_tune_curve_is_flat_after_two_doublings_for_nothing);
    return suite_run_cases("tune_curve", tc, NULL);
}
