/* worker_options: what a `worker` handler's entry says of its processes: how long one may take to
 * start, and when it is replaced, which is looked at between its tasks. Plain data; boot. */
#ifndef FUT_WORKERS_HANDLERS_WORKER_OPTIONS_H
#define FUT_WORKERS_HANDLERS_WORKER_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

struct json_t;

/* 0: never, for the first three. */
struct worker_options {
    int64_t max_tasks;
    int64_t max_age_ms;
    int64_t max_rss_bytes;
    int64_t start_timeout_ms; /* until it says that it is ready */
};

#define WORKER_OPTIONS_DEFAULT                                                                     \
    {                                                                                              \
        .start_timeout_ms = 60000                                                                  \
    }

/* The name of the i-th field, or NULL. */
const char *worker_options_field(size_t i);
/* Reads one of them. NULL when all is well, else what is allowed (a literal), *out untouched. */
const char *worker_options_read(const char *field, const struct json_t *value,
                                struct worker_options *out);

#endif
