#include "workers/handlers/retry_read.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

const char *retry_read_on(const struct json_t *value, struct retry_policy *out)
{
    static const char allowed[] = "an array of " RETRY_WORDS;
    unsigned on = RETRY_TEMPORARY;
    if (!json_is_array(value))
        return allowed;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *word = json_string_value(json_array_get(value, i));
        unsigned end = word ? retry_end_parse(word) : 0;
        if (!end)
            return allowed;
        on |= end;
    }
    out->on = on;
    return NULL;
}

static bool read_wait(const json_t *v, int64_t *out_ms)
{
    double ms = json_number_value(v) * 1000;
    if (!json_is_number(v) || !(ms >= 1 && ms <= (double)RETRY_MAX_MS))
        return false;
    *out_ms = (int64_t)ceil(ms);
    return true;
}

static bool read_jitter(const json_t *v, struct retry_policy *p)
{
    double share = json_number_value(v);
    if (!json_is_number(v) || !(share >= 0 && share <= 1))
        return false;
    p->says_jitter = true;
    p->jitter_percent = (unsigned)lround(share * 100);
    return true;
}

static bool read_member(const char *name, const json_t *v, struct retry_policy *p)
{
    if (strcmp(name, "first") == 0)
        return read_wait(v, &p->first_ms);
    if (strcmp(name, "max") == 0)
        return read_wait(v, &p->max_ms);
    return strcmp(name, "jitter") == 0 && read_jitter(v, p);
}

const char *retry_read_backoff(const struct json_t *value, struct retry_policy *out)
{
    static const char allowed[] = "an object of \"first\" and \"max\" (seconds from 0.001 to "
                                  "86400) and \"jitter\" (0 to 1)";
    struct retry_policy p = *out;
    const char *name;
    json_t *v, *object = (json_t *)(uintptr_t)value; /* jansson's iteration is not const */
    if (!json_is_object(value))
        return allowed;
    json_object_foreach (object, name, v) {
        if (!read_member(name, v, &p))
            return allowed;
    }
    *out = p;
    return NULL;
}
