/* The web page in a real browser: what is steered (tests/browser/page.mjs). */
#include "core/mem.h"
#include "tests/support/page.h"
#include "tests/support/suite.h"

START_TEST(test_page_batches_and_failures)
{
    page_check("batches failures");
}
END_TEST

START_TEST(test_page_queues_schedules_workers)
{
    page_check("queues schedules workers");
}
END_TEST

START_TEST(test_page_first_walk)
{
    page_check("walk");
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_page_batches_and_failures, 0},
        {test_page_queues_schedules_workers, 0},
        {test_page_first_walk, 0},
    };
    return suite_run_rows("page_steering", 145, NULL, NULL, rows, FUT_COUNT(rows));
}
