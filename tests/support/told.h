/* told: what a program that follows a stream has printed so far. Any thread; what is missing fails
 * the test. */
#ifndef FUT_TESTS_SUPPORT_TOLD_H
#define FUT_TESTS_SUPPORT_TOLD_H

#include "tests/support/program.h"

/* Waits for a line with what in it on standard output. */
void told_expect(struct program *p, const char *what);
/* Waits for its end, frees it, and returns all of its standard output; free() it. */
char *told_all(struct program **p);
/* These parts, up to a NULL, stand in the text in this order; "ID" in them is id (NULL: none has
 * it). */
void told_in_order(const char *text, const char *id, const char *const *parts);

#endif
