/* batch_in: reads the body of POST /v1/batches in its three forms: {"handler","inputs":[…]} (map),
 * {"tasks":[…]}, and NDJSON, one task a
 * line, which is read as a stream. Hands over one task at a time, so that the caller
 * keeps what it makes of them and no second tree. Every refusal is a struct problem that says where
 * and why. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_BATCH_IN_H
#define FUT_API_TEXT_BATCH_IN_H

#include <stdbool.h>
#include <stddef.h>

#include "api/text/json_in.h"
#include "core/buf.h"

#define BATCH_IN_MAX 10000 /* tasks in one batch */

/* Takes one task, in order; in is valid during the call. 0, or FUT_ERR_INVAL with *p set: its field
 * is a member of the task, batch_in puts the place before it. */
typedef int batch_in_each(void *ctx, const struct json_in_task *in, struct problem *p);

struct batch_in {
    batch_in_each *each;
    void *ctx;
    bool fail_fast; /* out, when the body says so; else untouched */
    size_t n;       /* out: tasks handed over */
};

/* A body of lines, read as it comes: no more of it is kept than a line whose end is missing. */
struct batch_lines {
    struct batch_in in;
    struct buf *rest; /* of the caller: that line */
    size_t max_line_bytes;
    int number; /* lines that are complete */
};

/* 0, or FUT_ERR_INVAL with *p set; then each may have been called for some. */
FUT_MUST_CHECK int batch_in_json(const char *text, size_t n, struct batch_in *b, struct problem *p);
/* After a refusal *l is not used any more. end: there is no more to come. */
FUT_MUST_CHECK int batch_in_put(struct batch_lines *l, const char *bytes, size_t n,
                                struct problem *p);
FUT_MUST_CHECK int batch_in_end(struct batch_lines *l, struct problem *p);

#endif
