/* chance: random numbers that are the same everywhere for the same seed, unlike the C library's.
 * No lock: one state per thread. Header only. */
#ifndef FUT_TESTS_SUPPORT_CHANCE_H
#define FUT_TESTS_SUPPORT_CHANCE_H

#include <stdint.h>

/* xorshift64*; *state must not be 0. */
static inline uint64_t chance_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ULL;
}

/* 0 … n - 1; n >= 1. The low bits of a product are the weak ones. */
static inline uint64_t chance_of(uint64_t *state, uint64_t n)
{
    return (chance_next(state) >> 16) % n;
}

#endif
