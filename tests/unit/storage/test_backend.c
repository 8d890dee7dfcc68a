/* storage/backend: what the backends share and no store shows alone. */
#include <check.h>

#include "core/mem.h"
#include "storage/backend.h"
#include "tests/support/suite.h"

/* The clocks are cut to milliseconds at different moments, so their difference goes to and fro. */
START_TEST(test_backend_up_offset_stays_the_later_one)
{
    static const struct {
        struct backend_time now;
        long long offset_ms;
    } rows[] = {
        {{.up_ms = 100, .wall_ms = 5000100}, 5000000},
        {{.up_ms = 107, .wall_ms = 5000106}, 5000000}, /* one less */
        {{.up_ms = 110, .wall_ms = 5000111}, 5000001}, /* one more */
        {{.up_ms = 120, .wall_ms = 5000120}, 5000001},
        {{.up_ms = 130, .wall_ms = 5000128}, 4999998}, /* the wall clock was set back, */
        {{.up_ms = 140, .wall_ms = 9000140}, 9000000}, /* and forward */
    };
    atomic_llong offset_ms = 0;
    for (size_t i = 0; i < FUT_COUNT(rows); i++) {
        backend_set_up_offset(&offset_ms, rows[i].now);
        ck_assert_int_eq(atomic_load(&offset_ms), rows[i].offset_ms);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_backend_up_offset_stays_the_later_one};
    return suite_run("backend", tests, FUT_COUNT(tests));
}
