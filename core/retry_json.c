#include "core/retry_json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/number.h"

#define WAIT "a number of seconds from 0.001 to 86400"

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
