/* backoff: a pause that doubles with each failure in a row, up to a longest one. Pure; any thread.
 */
#ifndef FUT_CORE_BACKOFF_H
#define FUT_CORE_BACKOFF_H

#include <stdint.h>

/* The pause after `failures` failures in a row (1 and more; 0 counts as 1). first_ms > 0. */
int64_t backoff_ms(uint32_t failures, int64_t first_ms, int64_t longest_ms);
/* The pause that follows one of before_ms; before_ms of 0: the first. */
int64_t backoff_next_ms(int64_t before_ms, int64_t first_ms, int64_t longest_ms);

#endif
