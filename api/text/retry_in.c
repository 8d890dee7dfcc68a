#include "api/text/retry_in.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"

static int refuse(struct problem *p, enum problem_code code, const char *field, const char *why)
{
    problem_set(p, code, "\"%s\" must be %s.", field, why);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

int retry_in_on(const struct json_t *v, struct retry_policy *out, struct problem *p)
{
    unsigned on = RETRY_TEMPORARY;
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *word = json_string_value(json_array_get(v, i));
        unsigned end = word ? retry_end_parse(word) : 0;
        if (!end)
            return refuse(p, PROBLEM_INVALID_VALUE, "retry_on", "an array of " RETRY_WORDS);
        on |= end;
    }
    out->on = on;
    return 0;
}

/* 0: not a number of seconds from 0.001 to a day. */
static int64_t read_wait_ms(const json_t *v)
{
    double ms = json_number_value(v) * 1000;
    return json_is_number(v) && ms >= 1 && ms <= (double)RETRY_MAX_MS ? (int64_t)ceil(ms) : 0;
}

static bool set_first(struct retry_policy *out, const json_t *v)
{
    return (out->first_ms = read_wait_ms(v)) > 0;
}

static bool set_max(struct retry_policy *out, const json_t *v)
{
    return (out->max_ms = read_wait_ms(v)) > 0;
}

static bool set_jitter(struct retry_policy *out, const json_t *v)
{
    double share = json_number_value(v);
    out->says_jitter = json_is_number(v) && share >= 0 && share <= 1;
    out->jitter_percent = out->says_jitter ? (unsigned)lround(share * 100) : 0;
    return out->says_jitter;
}

static const struct {
    const char *name, *field, *allowed;
    bool (*set)(struct retry_policy *out, const json_t *v);
} members[] = {
    {"first", "backoff.first", "a number of seconds from 0.001 to 86400", set_first},
    {"max", "backoff.max", "a number of seconds from 0.001 to 86400", set_max},
    {"jitter", "backoff.jitter", "a number from 0 to 1", set_jitter},
};

static int set_member(struct retry_policy *out, const char *name, const json_t *v,
                      struct problem *p)
{
    for (size_t i = 0; i < FUT_COUNT(members); i++) {
        if (strcmp(members[i].name, name) != 0)
            continue;
        return members[i].set(out, v)
                   ? 0
                   : refuse(p, PROBLEM_INVALID_VALUE, members[i].field, members[i].allowed);
    }
    problem_set(p, PROBLEM_UNKNOWN_FIELD,
                "\"backoff.%.64s\" is not known here; a backoff has \"first\", \"max\" and "
                "\"jitter\".",
                name);
    problem_set_field(p, "backoff");
    return FUT_ERR_INVAL;
}

int retry_in_backoff(const struct json_t *v, struct retry_policy *out, struct problem *p)
{
    struct retry_policy read = *out;
    const char *name;
    json_t *member;
    json_object_foreach ((json_t *)(uintptr_t)v, name, member) {
        if (set_member(&read, name, member, p) != 0)
            return FUT_ERR_INVAL;
    }
    *out = read;
    return 0;
}
