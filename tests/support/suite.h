/* suite: the end of every test program: run the tests, each in a process of its own, with a
 * time-out, and return what main returns. */
#ifndef FUT_TESTS_SUPPORT_SUITE_H
#define FUT_TESTS_SUPPORT_SUITE_H

#include <check.h>
#include <stddef.h>

/* Seconds for one test; tests/run.sh multiplies it for the sanitizers. */
#define SUITE_TIMEOUT_S 90

/* A case whose tests have so many seconds each, and setup and teardown around them (NULL: none). */
TCase *suite_case(const char *name, double seconds, void (*setup)(void), void (*teardown)(void));
/* A test, and how many rows its table has: it runs once for each. 0: it has none, and runs once. */
struct suite_row {
    const TTest *test;
    size_t n;
};
/* Makes one case as suite_case does, and runs its tests. */
int suite_run_rows(const char *name, double seconds, void (*setup)(void), void (*teardown)(void),
                   const struct suite_row *rows, size_t n);
/* Runs all cases (TCase *), with NULL behind the last one. */
__attribute__((sentinel)) int suite_run_cases(const char *name, ...);
/* Runs one case of plain tests. */
int suite_run(const char *name, const TTest *const *tests, size_t n);

#endif
