/* text: strings made on the heap. Any thread. */
#ifndef FUT_TESTS_SUPPORT_TEXT_H
#define FUT_TESTS_SUPPORT_TEXT_H

#include <stddef.h>

#include "core/err.h"

/* free() the result. Never NULL. */
char *text_printf(const char *fmt, ...) FUT_PRINTF(1, 2);
/* n times c. free() it. */
char *text_repeat(char c, size_t n);
/* How often needle is in text, without overlaps. */
size_t text_count(const char *text, const char *needle);

#endif
