/* limits: reading and naming what one attempt may use (core/attempt_limits.h). A handler's entry
 * sets it, the fork server watches and enforces it (fork_watch), except for output, which whoever
 * reads it counts. Any thread; nothing blocks. */
#ifndef FUT_WORKERS_BASE_LIMITS_H
#define FUT_WORKERS_BASE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attempt_limits.h"

struct json_t;

/* The numbers travel from the fork server to the daemon, both the same program in memory. */
enum limit_kind {
    LIMIT_NONE,
    LIMIT_CPU,
    LIMIT_MEMORY,
    LIMIT_OUTPUT,
    LIMIT_FILES,
    LIMIT_PROCESSES,
};

/* Must the fork server look at the processes while they run? */
bool limits_need_watch(const struct limits *l);
/* Those of a worker process while it lives: without what counts for each of its tasks. */
struct limits limits_of_process(const struct limits *l);
/* The error code of an attempt that met this limit (not LIMIT_NONE): "cpu_limit" … */
const char *limits_code(enum limit_kind kind);
#define LIMITS_MESSAGE_SIZE 160
/* For people: which limit, and what it is. */
void limits_message(const struct limits *l, enum limit_kind kind, char out[LIMITS_MESSAGE_SIZE]);

/* Reads {"cpu","memory","output","files","processes"}. NULL when all is well, else what is allowed
 * (a literal), *out untouched. */
const char *limits_read(const struct json_t *value, struct limits *out);

#endif
