#include "workers/handlers/builtins/builtins.h"

#include <string.h>

#include "core/mem.h"

#define MINUTE_MS 60000LL

static const struct builtin table[] = {
    {.info = {.name = "echo",
              .kind = "builtin",
              .description = "Gives the input back, with its content type.",
              .lane = LANE_IO,
              .any_lane = true,
              .timeout_ms = MINUTE_MS},
     .fn = echo_run},
    {.info = {.name = "sleep",
              .kind = "builtin",
              .description = "Waits: {\"seconds\": N} or {\"ms\": N}.",
              .lane = LANE_IO,
              .any_lane = true,
              .timeout_ms = TASK_TIMEOUT_MAX_MS},
     .fn = sleep_run},
    {.info = {.name = "http",
              .kind = "builtin",
              .description = "Makes an HTTP request: {\"url\", \"method\", \"headers\", \"body\", "
                             "\"timeout\", \"fail_on\"}.",
              .lane = LANE_IO,
              .timeout_ms = 5 * MINUTE_MS,
              .check_input = http_check_input},
     .fn = http_run},
    {.info = {.name = "sha256",
              .kind = "builtin",
              .description = "SHA-256 of the input bytes.",
              .lane = LANE_CPU,
              .any_lane = true,
              .timeout_ms = 5 * MINUTE_MS},
     .fn = sha256_run},
    {.info = {.name = "primes",
              .kind = "builtin",
              .description = "Counts the primes below a number: {\"below\": N}.",
              .lane = LANE_CPU,
              .any_lane = true,
              .timeout_ms = 60 * MINUTE_MS},
     .fn = primes_run},
    {.info = {.name = "callback",
              .kind = "internal",
              .description = "Tells a URL that a future is done.",
              .lane = LANE_IO,
              .is_internal = true,
              .timeout_ms = MINUTE_MS / 2,
              .retries = 8},
     .fn = callback_run,
     .needs_parent = true},
};

const struct builtin *builtins_all(size_t *out_n)
{
    *out_n = FUT_COUNT(table);
    return table;
}

const struct builtin *builtins_find(const char *name)
{
    for (size_t i = 0; i < FUT_COUNT(table); i++) {
        if (strcmp(table[i].info.name, name) == 0)
            return &table[i];
    }
    return NULL;
}
