#include "core/backoff.h"

int64_t backoff_next_ms(int64_t before_ms, int64_t first_ms, int64_t longest_ms)
{
    int64_t ms = before_ms > longest_ms / 2 ? longest_ms : before_ms * 2;
    if (before_ms == 0)
        ms = first_ms;
    return ms < longest_ms ? ms : longest_ms;
}

int64_t backoff_ms(uint32_t failures, int64_t first_ms, int64_t longest_ms)
{
    int64_t ms = backoff_next_ms(0, first_ms, longest_ms);
    for (uint32_t i = 1; i < failures && ms < longest_ms; i++)
        ms = backoff_next_ms(ms, first_ms, longest_ms);
    return ms;
}
