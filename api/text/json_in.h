/* json_in: reads what clients send as JSON. The text is parsed once, by jansson, strictly (no
 * duplicate keys, UTF-8 only, limited depth); the value of "input" is kept as the bytes that came.
 * Every refusal is a struct problem that says where and why. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_JSON_IN_H
#define FUT_API_TEXT_JSON_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/text/problem.h"
#include "core/task.h"

struct json_t;

/* The body of POST /v1/tasks. What was not given: NULL, false, 0 or -1. */
struct json_in_task {
    const char *handler;
    const char *input; /* points into the text or into root */
    size_t input_len;
    const char *input_type; /* content type; never NULL after success */
    bool has_lane;
    enum lane lane;
    int64_t timeout_ms;       /* 0: not given */
    int64_t retries;          /* -1: not given */
    const char *unique;       /* 1..TASK_KEY_MAX bytes, or NULL */
    const char *callback_url; /* or NULL */
    struct retry_policy retry;
    struct json_t *root;
};

/* Decodes text (n bytes, borrowed until json_in_task_release). 0, or FUT_ERR_INVAL with *p set
 * (then there is nothing to release). Whether the handler exists is the caller's question. */
FUT_MUST_CHECK int json_in_task(const char *text, size_t n, struct json_in_task *out,
                                struct problem *p);
void json_in_task_release(struct json_in_task *t);

/* Is this one well-formed JSON value? 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int json_in_check(const char *text, size_t n, struct problem *p);

#endif
