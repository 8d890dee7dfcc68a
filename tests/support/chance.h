/* chance: random numbers that are the same everywhere for the same seed, unlike the C library's.
 * No lock: one state per thread. */
#ifndef FUT_TESTS_SUPPORT_CHANCE_H
#define FUT_TESTS_SUPPORT_CHANCE_H

#include <stdint.h>

/* The next number; *state, the seed, must not be 0. */
uint64_t chance_next(uint64_t *state);
/* A number from 0 to n - 1; n >= 1. */
uint64_t chance_of(uint64_t *state, uint64_t n);

#endif
