#include "workers/handlers/worker_options.h"

#include <jansson.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/task.h"

static const char *read_count(const json_t *value, int64_t *out)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 1)
        return "a whole number from 1";
    *out = n;
    return NULL;
}

static const char *read_bytes(const json_t *value, int64_t *out)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 1 << 20)
        return "a whole number of bytes from 1048576";
    *out = n;
    return NULL;
}

static const char *read_seconds(const json_t *value, int64_t *out_ms)
{
    double ms = json_number_value(value) * 1000.0;
    if (!json_is_number(value) || !(ms >= 1 && ms <= (double)TASK_TIMEOUT_MAX_MS))
        return "a number of seconds from 0.001 to 86400";
    *out_ms = (int64_t)ms;
    return NULL;
}

static const struct {
    const char *name;
    const char *(*read)(const json_t *value, int64_t *out);
    size_t offset;
} fields[] = {
    {"max_tasks", read_count, offsetof(struct worker_options, max_tasks)},
    {"max_age", read_seconds, offsetof(struct worker_options, max_age_ms)},
    {"max_rss", read_bytes, offsetof(struct worker_options, max_rss_bytes)},
    {"start_timeout", read_seconds, offsetof(struct worker_options, start_timeout_ms)},
};

const char *worker_options_field(size_t i)
{
    return i < FUT_COUNT(fields) ? fields[i].name : NULL;
}

const char *worker_options_read(const char *field, const json_t *value, struct worker_options *out)
{
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        if (strcmp(fields[i].name, field) == 0)
            return fields[i].read(value, (int64_t *)(void *)((char *)out + fields[i].offset));
    }
    FUT_BUG("not a worker option");
}
