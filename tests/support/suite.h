/* suite: the end of every test program: run the tests, each in a process of its own, with a
 * time-out, and return what main returns. Header only: the tools do not link libcheck. */
#ifndef FUT_TESTS_SUPPORT_SUITE_H
#define FUT_TESTS_SUPPORT_SUITE_H

#include <check.h>
#include <stdarg.h>
#include <stddef.h>

/* Seconds for one test; tests/run.sh multiplies it for the sanitizers. */
#define SUITE_TIMEOUT_S 90

/* All cases (TCase *), with NULL behind the last one. */
__attribute__((sentinel)) static inline int suite_run_cases(const char *name, ...)
{
    Suite *suite = suite_create(name);
    va_list ap;
    va_start(ap, name);
    for (TCase *c; (c = va_arg(ap, TCase *)) != NULL;)
        suite_add_tcase(suite, c);
    va_end(ap);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

/* One case of plain tests. */
static inline int suite_run(const char *name, const TTest *const *tests, size_t n)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, SUITE_TIMEOUT_S);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    return suite_run_cases(name, tcase, NULL);
}

#endif
