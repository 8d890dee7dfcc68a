/* retry_json: reads "retry_on" and "backoff", which say the same in a submission and in a handler's
 * entry. Knows jansson, nothing else of core/ does. Pure; any thread; nothing blocks. */
#ifndef FUT_CORE_RETRY_JSON_H
#define FUT_CORE_RETRY_JSON_H

#include "core/err.h"
#include "core/retry.h"

struct json_t;

/* What was wrong. All texts are literals but `unknown`. */
struct retry_json_error {
    const char *field;   /* "retry_on", "backoff", "backoff.first" … */
    const char *allowed; /* what it must be: "an array of …" */
    const char *unknown; /* a member of "backoff" that is not known, borrowed from the value; NULL:
                            it is the value of field that is wrong */
};

/* 0, or FUT_ERR_INVAL with *err set and *out untouched. value: any JSON value. What `out` says
 * already and the value does not mention stays. "temporary" is always among the ends. */
FUT_MUST_CHECK int retry_json_on(const struct json_t *value, struct retry_policy *out,
                                 struct retry_json_error *err);
/* Likewise. A first wait that is longer than the longest wait is refused. */
FUT_MUST_CHECK int retry_json_backoff(const struct json_t *value, struct retry_policy *out,
                                      struct retry_json_error *err);

#endif
