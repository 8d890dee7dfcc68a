/* fail: how the test helpers give up: a sentence on stderr and exit status 1. A libcheck test runs
 * in a process of its own, so that it fails alone, with this sentence in its output. Any thread. */
#ifndef FUT_TESTS_SUPPORT_FAIL_H
#define FUT_TESTS_SUPPORT_FAIL_H

#include "core/err.h"

/* Prints the sentence and ends the program with status 1. */
void fail(const char *fmt, ...) FUT_PRINTF(1, 2) FUT_NORETURN;

#endif
