/* text: strings made on the heap, and pairs of strings. Any thread. */
#ifndef FUT_TESTS_SUPPORT_TEXT_H
#define FUT_TESTS_SUPPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

/* A row of a test's table: what is given, and what the answer is or has in it. */
struct text_case {
    const char *given, *expected;
};
/* Likewise, of several subjects: handlers, lanes, variables. */
struct text_case_of {
    const char *subject, *given, *expected;
};
/* A text, and whether it is what the test asks for. */
struct text_verdict {
    const char *given;
    bool expected;
};

/* free() the result. Never NULL. */
char *text_printf(const char *fmt, ...) FUT_PRINTF(1, 2);
/* n times c. free() it. */
char *text_repeat(char c, size_t n);
/* How often needle is in text, without overlaps. */
size_t text_count(const char *text, const char *needle);

#endif
