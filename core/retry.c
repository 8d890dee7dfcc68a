#include "core/retry.h"

#include <stddef.h>
#include <string.h>

#include "core/backoff.h"
#include "core/mem.h"

#define FIRST_MS 1000
#define MAX_MS 300000
#define JITTER_PERCENT 25
#define DEFAULT_ON (RETRY_TEMPORARY | RETRY_CRASH)

static const struct {
    const char *word;
    unsigned end;
} words[] = {
    {"temporary", RETRY_TEMPORARY}, {"exit", RETRY_EXIT},   {"signal", RETRY_SIGNAL},
    {"timeout", RETRY_TIMEOUT},     {"limit", RETRY_LIMIT}, {"error", RETRY_ERROR},
    {"crash", RETRY_CRASH},
};

unsigned retry_end_parse(const char *word)
{
    for (size_t i = 0; i < FUT_COUNT(words); i++) {
        if (strcmp(words[i].word, word) == 0)
            return words[i].end;
    }
    return 0;
}

const char *retry_end_word(size_t i, unsigned *out_end)
{
    if (i >= FUT_COUNT(words))
        return NULL;
    *out_end = words[i].end;
    return words[i].word;
}

bool retry_is_unsaid(const struct retry_policy *p)
{
    return !p->on && !p->first_ms && !p->max_ms && !p->says_jitter;
}

static int64_t said(int64_t first, int64_t second, int64_t otherwise)
{
    if (first)
        return first;
    return second ? second : otherwise;
}

struct retry_policy retry_merge(const struct retry_policy *first, const struct retry_policy *second)
{
    struct retry_policy p = {
        .on = first->on ? first->on : second->on,
        .first_ms = said(first->first_ms, second->first_ms, FIRST_MS),
        .max_ms = said(first->max_ms, second->max_ms, MAX_MS),
        .says_jitter = true,
        .jitter_percent = JITTER_PERCENT,
    };
    p.on = p.on ? p.on | RETRY_TEMPORARY : DEFAULT_ON;
    if (first->says_jitter)
        p.jitter_percent = first->jitter_percent;
    else if (second->says_jitter)
        p.jitter_percent = second->jitter_percent;
    return p;
}

int64_t retry_wait_ms(const struct retry_policy *p, uint32_t tries, uint32_t random)
{
    int64_t wait_ms = backoff_ms(tries, p->first_ms, p->max_ms);
    int64_t jitter_ms = wait_ms * p->jitter_percent / 100;
    return wait_ms + (jitter_ms ? random % jitter_ms : 0);
}
