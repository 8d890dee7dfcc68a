/* clock: a wall clock that a test may set, put before libc by LD_PRELOAD. The monotonic clock goes
 * on as it is. */
#ifndef FUT_TESTS_PRELOAD_CLOCK_H
#define FUT_TESTS_PRELOAD_CLOCK_H

/* Names a file of eight bytes: how many milliseconds the wall clock is ahead, an int64_t in the
 * machine's order. It may be written at any time. */
#define CLOCK_OFFSET_ENV "FUT_CLOCK_OFFSET"

#endif
