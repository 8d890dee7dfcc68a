/* The web page in a real browser: what is seen (tests/browser/page.mjs). */
#include "core/mem.h"
#include "tests/support/page.h"
#include "tests/support/suite.h"

START_TEST(test_page_overview_and_futures)
{
    page_check("weight overview futures");
}
END_TEST

START_TEST(test_page_one_future)
{
    page_check("future hostile tokens");
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_page_overview_and_futures, 0},
        {test_page_one_future, 0},
    };
    return suite_run_rows("page", 145, NULL, NULL, rows, FUT_COUNT(rows));
}
