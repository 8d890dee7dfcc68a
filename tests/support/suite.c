#include "tests/support/suite.h"

#include <stdarg.h>

TCase *suite_case(const char *name, double seconds, void (*setup)(void), void (*teardown)(void))
{
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, seconds);
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

static int run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

static int run_case(const char *name, TCase *c)
{
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, c);
    return run(suite);
}

int suite_run_cases(const char *name, ...)
{
    Suite *suite = suite_create(name);
    va_list ap;
    va_start(ap, name);
    for (TCase *c; (c = va_arg(ap, TCase *)) != NULL;)
        suite_add_tcase(suite, c);
    va_end(ap);
    return run(suite);
}

int suite_run_rows(const char *name, double seconds, void (*setup)(void), void (*teardown)(void),
                   const struct suite_row *rows, size_t n)
{
    TCase *c = suite_case(name, seconds, setup, teardown);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].n)
            tcase_add_loop_test(c, rows[i].test, 0, (int)rows[i].n);
        else
            tcase_add_test(c, rows[i].test);
    }
    return run_case(name, c);
}

int suite_run(const char *name, const TTest *const *tests, size_t n)
{
    TCase *c = suite_case(name, SUITE_TIMEOUT_S, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(c, tests[i]);
    return run_case(name, c);
}
