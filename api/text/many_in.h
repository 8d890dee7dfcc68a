/* many_in: reads the body of requests about many futures: POST /v1/wait and POST /v1/as_completed.
 * Every refusal is a struct problem that says where and why. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_MANY_IN_H
#define FUT_API_TEXT_MANY_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/text/problem.h"
#include "core/id.h"

#define MANY_IN_MAX 10000 /* ids in one request, as tasks in one batch */

struct json_t;

enum return_when { ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION };

struct many_in {
    const struct json_t *ids; /* array, each a string that is a well-formed id; NULL: a batch */
    struct task_id batch;     /* when ids is NULL */
    enum return_when when;
    int64_t timeout_ms; /* -1: not given */
    struct json_t *root;
};

/* takes_wait: "return_when" and "timeout" are known. 0, or FUT_ERR_INVAL with *p set (then there is
 * nothing to release). */
FUT_MUST_CHECK int many_in_read(const char *text, size_t n, bool takes_wait, struct many_in *out,
                                struct problem *p);
void many_in_release(struct many_in *in);
size_t many_in_count(const struct many_in *in);
struct task_id many_in_id(const struct many_in *in, size_t i);

#endif
