#include "core/retry.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "core/backoff.h"
#include "core/mem.h"
#include "core/number.h"

#define WAIT "a number of seconds from 0.001 to 86400"
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

/* ---- as JSON --------------------------------------------------------------------------------- */

static int refuse(struct retry_json_error *err, const char *field, const char *allowed,
                  const char *unknown)
{
    *err = (struct retry_json_error){.field = field, .allowed = allowed, .unknown = unknown};
    return FUT_ERR_INVAL;
}

int retry_json_on(const struct json_t *value, struct retry_policy *out,
                  struct retry_json_error *err)
{
    static const char allowed[] = "an array of " RETRY_WORDS;
    unsigned on = RETRY_TEMPORARY;
    if (!json_is_array(value))
        return refuse(err, "retry_on", allowed, NULL);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *word = json_string_value(json_array_get(value, i));
        unsigned end = word ? retry_end_parse(word) : 0;
        if (!end)
            return refuse(err, "retry_on", allowed, NULL);
        on |= end;
    }
    out->on = on;
    return 0;
}

static bool read_wait(const json_t *v, int64_t *out_ms)
{
    double seconds = json_number_value(v);
    if (!json_is_number(v) || !(seconds >= 0.001 && seconds * 1000 <= (double)RETRY_MAX_MS))
        return false;
    *out_ms = number_ms(seconds);
    return true;
}

static bool set_first(struct retry_policy *p, const json_t *v)
{
    return read_wait(v, &p->first_ms);
}

static bool set_max(struct retry_policy *p, const json_t *v)
{
    return read_wait(v, &p->max_ms);
}

static bool set_jitter(struct retry_policy *p, const json_t *v)
{
    double share = json_number_value(v);
    if (!json_is_number(v) || !(share >= 0 && share <= 1))
        return false;
    p->says_jitter = true;
    p->jitter_percent = (unsigned)lround(share * 100);
    return true;
}

static const struct {
    const char *name, *field, *allowed;
    bool (*set)(struct retry_policy *p, const json_t *v);
} members[] = {
    {"first", "backoff.first", WAIT, set_first},
    {"max", "backoff.max", WAIT, set_max},
    {"jitter", "backoff.jitter", "a number from 0 to 1", set_jitter},
};

int retry_json_backoff(const struct json_t *value, struct retry_policy *out,
                       struct retry_json_error *err)
{
    static const char allowed[] = "an object of \"first\", \"max\" (seconds from 0.001 to 86400) "
                                  "and \"jitter\" (0 to 1)";
    struct retry_policy p = *out;
    const char *name;
    json_t *v;
    if (!json_is_object(value))
        return refuse(err, "backoff", allowed, NULL);
    json_object_foreach ((json_t *)(uintptr_t)value, name, v) { /* its iteration is not const */
        size_t i = 0;
        while (i < FUT_COUNT(members) && strcmp(members[i].name, name) != 0)
            i++;
        if (i == FUT_COUNT(members))
            return refuse(err, "backoff", allowed, name);
        if (!members[i].set(&p, v))
            return refuse(err, members[i].field, members[i].allowed, NULL);
    }
    if (p.max_ms && p.first_ms > p.max_ms)
        return refuse(err, "backoff.first", "no longer than \"backoff.max\"", NULL);
    *out = p;
    return 0;
}
