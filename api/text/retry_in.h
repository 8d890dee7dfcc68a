/* retry_in: how a submission says when to try again: "retry_on" and "backoff". Pure; any thread;
 * nothing blocks. */
#ifndef FUT_API_TEXT_RETRY_IN_H
#define FUT_API_TEXT_RETRY_IN_H

#include "api/text/problem.h"
#include "core/err.h"
#include "core/retry.h"

struct json_t;

/* v: an array. 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int retry_in_on(const struct json_t *v, struct retry_policy *out, struct problem *p);
/* v: an object. Likewise. */
FUT_MUST_CHECK int retry_in_backoff(const struct json_t *v, struct retry_policy *out,
                                    struct problem *p);

#endif
