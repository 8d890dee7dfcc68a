#include "workers/base/limits.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/end_codes.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/number.h"
#include "core/task.h"

#define SIZE_MAX_BYTES ((uint64_t)1 << 50)
#define OUTPUT_MIN_BYTES 1
#define MEMORY_MIN_BYTES ((uint64_t)1 << 20)
#define FILES_MIN 8 /* 0 to 3, and what starting a program needs */
#define COUNT_MAX 1048576

bool limits_need_watch(const struct limits *l)
{
    return l->cpu_ms || l->memory_bytes || l->processes || l->files;
}

struct limits limits_of_process(const struct limits *l)
{
    struct limits out = *l;
    out.cpu_ms = 0;
    out.output_bytes = 0;
    return out;
}

const char *limits_code(enum limit_kind kind)
{
    static const enum end_code codes[] = {
        [LIMIT_CPU] = END_CPU_LIMIT,
        [LIMIT_MEMORY] = END_MEMORY_LIMIT,
        [LIMIT_OUTPUT] = END_OUTPUT_LIMIT,
        [LIMIT_FILES] = END_FILES_LIMIT,
        [LIMIT_PROCESSES] = END_PROCESSES_LIMIT,
    };
    if (kind == LIMIT_NONE)
        FUT_BUG("limit kind");
    return end_code_text(codes[kind]);
}

void limits_message(const struct limits *l, enum limit_kind kind, char out[LIMITS_MESSAGE_SIZE])
{
    switch (kind) {
    case LIMIT_CPU:
        (void)snprintf(out, LIMITS_MESSAGE_SIZE, "it used more than its %.3g s of CPU time",
                       (double)l->cpu_ms / 1000.0);
        return;
    case LIMIT_MEMORY:
        (void)snprintf(out, LIMITS_MESSAGE_SIZE, "it used more than its %.4g MiB of memory",
                       (double)l->memory_bytes / 1048576.0);
        return;
    case LIMIT_OUTPUT:
        (void)snprintf(out, LIMITS_MESSAGE_SIZE, "it wrote more than the %llu bytes that it may",
                       (unsigned long long)l->output_bytes);
        return;
    case LIMIT_FILES:
        (void)snprintf(out, LIMITS_MESSAGE_SIZE, "it wanted more than its %u open files", l->files);
        return;
    case LIMIT_PROCESSES:
        (void)snprintf(out, LIMITS_MESSAGE_SIZE, "it had more than its %u processes at once",
                       l->processes);
        return;
    case LIMIT_NONE: break;
    }
    FUT_BUG("limit kind");
}

/* ---- from the handlers file ---- */

/* Bytes, or text like "64M" (K, M, G: of 1024). 0 when it is neither. */
static uint64_t read_size(const json_t *v, uint64_t min)
{
    static const char units[] = "KMG";
    uint64_t n = 0;
    if (json_is_integer(v) && json_integer_value(v) > 0) {
        n = (uint64_t)json_integer_value(v);
    } else if (json_is_string(v)) {
        const char *end;
        double number;
        if (!number_scan(json_string_value(v), &end, &number) || number < 0)
            return 0;
        const char *unit = *end ? strchr(units, *end) : NULL;
        if (!unit || end[1])
            return 0;
        number *= (double)(1u << 10 * (unsigned)(unit - units + 1));
        n = number <= (double)SIZE_MAX_BYTES && floor(number) == number ? (uint64_t)number : 0;
    }
    return n >= min && n <= SIZE_MAX_BYTES ? n : 0;
}

static uint32_t read_count(const json_t *v, uint32_t min)
{
    json_int_t n = json_integer_value(v);
    return json_is_integer(v) && n >= (json_int_t)min && n <= COUNT_MAX ? (uint32_t)n : 0;
}

static bool read_cpu(const json_t *v, struct limits *l)
{
    double ms = json_number_value(v) * 1000.0;
    l->cpu_ms = json_is_number(v) && ms >= 1 && ms <= (double)TASK_TIMEOUT_MAX_MS ? (int64_t)ms : 0;
    return l->cpu_ms > 0;
}

static bool read_memory(const json_t *v, struct limits *l)
{
    return (l->memory_bytes = read_size(v, MEMORY_MIN_BYTES)) > 0;
}

static bool read_output(const json_t *v, struct limits *l)
{
    return (l->output_bytes = read_size(v, OUTPUT_MIN_BYTES)) > 0;
}

static bool read_files(const json_t *v, struct limits *l)
{
    return (l->files = read_count(v, FILES_MIN)) > 0;
}

static bool read_processes(const json_t *v, struct limits *l)
{
    return (l->processes = read_count(v, 1)) > 0;
}

static const struct {
    const char *name;
    bool (*read)(const json_t *v, struct limits *l);
    const char *allowed;
} fields[] = {
    {"cpu", read_cpu, "an object whose \"cpu\" is a number of seconds from 0.001 to 86400"},
    {"memory", read_memory,
     "an object whose \"memory\" is a number of bytes, or text like \"64M\" (K, M, G), from 1M"},
    {"output", read_output,
     "an object whose \"output\" is a number of bytes, or text like \"64K\" (K, M, G)"},
    {"files", read_files, "an object whose \"files\" is a whole number from 8 to 1048576"},
    {"processes", read_processes,
     "an object whose \"processes\" is a whole number from 1 to 1048576"},
};

static const char *read_one(const char *name, const json_t *v, struct limits *l)
{
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        if (strcmp(name, fields[i].name) == 0)
            return fields[i].read(v, l) ? NULL : fields[i].allowed;
    }
    return "an object of cpu, memory, output, files, processes";
}

const char *limits_read(const struct json_t *value, struct limits *out)
{
    struct limits l = {0};
    const char *name, *wrong = NULL;
    json_t *v, *object = (json_t *)(uintptr_t)value; /* jansson's iteration is not const */
    if (!json_is_object(value))
        return "an object of cpu, memory, output, files, processes";
    json_object_foreach (object, name, v) {
        wrong = read_one(name, v, &l);
        if (wrong)
            return wrong;
    }
    *out = l;
    return NULL;
}
