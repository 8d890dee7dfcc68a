/* retry_read: "retry_on" and "backoff" of a handler's entry. Pure; boot only. */
#ifndef FUT_WORKERS_HANDLERS_RETRY_READ_H
#define FUT_WORKERS_HANDLERS_RETRY_READ_H

#include "core/retry.h"

struct json_t;

/* NULL when all is well, else what is allowed (a literal), *out untouched. */
const char *retry_read_on(const struct json_t *value, struct retry_policy *out);
const char *retry_read_backoff(const struct json_t *value, struct retry_policy *out);

#endif
