/* params: reads what comes in the path, the query and a few headers. Pure; any thread. */
#ifndef FUT_API_TEXT_PARAMS_H
#define FUT_API_TEXT_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/task.h"

/* Percent-decodes in place. False on a malformed escape or one that means NUL (s is then spoilt).
 */
bool params_decode(char *s);
/* Percent-decodes a name or value of a query, where '+' is a blank, too. */
bool params_decode_form(char *s);
/* The first parameter of *query, as it came; *query is then behind it. False at the end. */
struct params_pair {
    const char *name, *value; /* in the query; value: "" when there is no '=' */
    size_t name_len, value_len;
};
bool params_next(const char **query, struct params_pair *out);
/* Appends s percent-encoded, safe as a query value. */
void params_encode(struct buf *out, const char *s);

/* The longest wait that is read; the server cuts waits to a maximum of its own. */
#define PARAMS_WAIT_MAX_MS 1000000000000000LL
/* The wait preference of a Prefer header (RFC 7240), for instance `respond-async, wait=10`.
 * FUT_ERR_NOT_FOUND: it has none. FUT_ERR_INVAL: its value is no number of seconds. */
FUT_MUST_CHECK int params_prefer_wait(const char *header, int64_t *out_ms);

/* Printable ASCII, 1..TASK_TYPE_MAX bytes. */
bool params_type_ok(const char *type);

/* The value of a traceparent header when it has the form of W3C Trace Context's version 00
 * (00-<32 hex>-<16 hex>-<2 hex>, lower case, ids not all zero), else NULL: its specification wants
 * a malformed one to be ignored. text: NULL without the header. */
const char *params_traceparent(const char *text);
/* http:// or https://, a host, and no blanks or control characters; at most PARAMS_URL_MAX bytes.
 */
#define PARAMS_URL_MAX 2048
bool params_url_ok(const char *text);

#endif
