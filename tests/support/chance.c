#include "tests/support/chance.h"

uint64_t chance_next(uint64_t *state)
{
    *state ^= *state >> 12; /* xorshift64* */
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ULL;
}

uint64_t chance_of(uint64_t *state, uint64_t n)
{
    return (chance_next(state) >> 16) % n; /* the low bits of a product are the weak ones */
}
