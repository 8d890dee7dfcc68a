/* ask: SQL of a test's own beside the store's. Any thread; blocks. */
#ifndef FUT_TESTS_UNIT_STORAGE_POSTGRES_ASK_H
#define FUT_TESTS_UNIT_STORAGE_POSTGRES_ASK_H

#include <stdbool.h>

/* Runs SQL at this URL; the first value of its first row, or NULL; free() it. */
char *ask_value(const char *url, const char *sql);
/* Is this condition true there? */
bool ask_is_so(const char *url, const char *sql);

#endif
