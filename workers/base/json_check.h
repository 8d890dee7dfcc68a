/* json_check: is this valid JSON (RFC 8259, UTF-8)? Without building anything, in one pass, so that
 * a program's large output may be checked on the scheduler's loop. Pure; any thread. */
#ifndef FUT_WORKERS_BASE_JSON_CHECK_H
#define FUT_WORKERS_BASE_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* Arrays and objects inside each other, at most. */
#define JSON_CHECK_DEPTH 512

/* One value with white space around it. What the grammar allows passes, also an escaped surrogate
 * without its other half and numbers beyond any machine's. */
bool json_check(const void *bytes, size_t n);

#endif
