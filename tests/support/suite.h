/* suite: the end of every test program: run the tests, each in a process of its own, with a
 * time-out, and return what main returns. Header only: the tools do not link libcheck. */
#ifndef FUT_TESTS_SUPPORT_SUITE_H
#define FUT_TESTS_SUPPORT_SUITE_H

#include <check.h>
#include <stddef.h>

/* Seconds for one test; tests/run.sh multiplies it for the sanitizers. */
#define SUITE_TIMEOUT_S 90

static inline int suite_run(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, SUITE_TIMEOUT_S);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
