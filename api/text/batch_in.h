/* batch_in: takes the body of POST /v1/batches apart, in its forms: {"handler","inputs":[…]} (map),
 * {"tasks":[…]}, and two that are read as streams: NDJSON, one task a line, and frames, which are
 * lines with the bytes of the input behind them. It hands over the
 * text of one task at a time and knows nothing of what a task says. Every refusal is a struct
 * problem that says where and why. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_BATCH_IN_H
#define FUT_API_TEXT_BATCH_IN_H

#include <stdbool.h>
#include <stddef.h>

#include "api/text/problem.h"
#include "core/buf.h"

#define BATCH_IN_MAX 10000 /* tasks in one batch */

struct json_t;

/* The receiver of the tasks, in order. Each function returns 0, or FUT_ERR_INVAL with *p set: its
 * field is a member of the task, batch_in puts the task's place before it. What is passed is valid
 * during the call. */
struct batch_in_taker {
    /* Before the tasks, when the body has a "callback" beside them: what it says. */
    int (*callback)(void *ctx, const struct json_t *value, struct problem *p);
    /* Likewise, when it has a "then": the n bytes of that object, which last as long as the body.
     */
    int (*then)(void *ctx, const char *text, size_t n, struct problem *p);
    /* The text of one task, n bytes; it may be no JSON at all. */
    int (*task)(void *ctx, const char *text, size_t n, struct problem *p);
    /* Once for a map, before its inputs: what all its tasks share, an object. Valid until the last
     * input was taken. */
    int (*shared)(void *ctx, const struct json_t *members, struct problem *p);
    /* One input of a map: the value, and the n bytes that it came as. */
    int (*input)(void *ctx, const struct json_t *value, const char *text, size_t n,
                 struct problem *p);
    /* The line of a frame, which is a task whose input may come behind. *out_bytes: so many bytes
     * of it, or BATCH_IN_NO_BYTES. */
    int (*head)(void *ctx, const char *text, size_t n, size_t *out_bytes, struct problem *p);
    /* The bytes behind the line that was handed over last: the n that it asked for. */
    int (*bytes)(void *ctx, const char *bytes, size_t n, struct problem *p);
};

/* Behind this line come no bytes: it is a whole task. */
#define BATCH_IN_NO_BYTES SIZE_MAX

struct batch_in {
    const struct batch_in_taker *taker;
    void *ctx;
    bool fail_fast; /* out, when the body says so; else untouched */
    size_t n;       /* out: tasks handed over */
};

/* A body of lines or frames, read as it comes: no more of it is kept than a line whose end is
 * missing, or bytes of which some are. */
struct batch_lines {
    struct batch_in in;
    struct buf *rest;      /* the caller's: these */
    size_t max_line_bytes; /* of a line, and of the bytes behind it */
    int number;            /* lines that are complete */
    bool is_framed;
    bool is_in_bytes; /* behind the line of a frame, */
    size_t wanted;    /* of so many bytes */
};

/* 0, or FUT_ERR_INVAL with *p set; then some tasks may have been handed over. */
FUT_MUST_CHECK int batch_in_json(const char *text, size_t n, struct batch_in *b, struct problem *p);
/* The next n bytes of such a body. 0, or FUT_ERR_INVAL with *p set; then *l must not be used
 * any more. */
FUT_MUST_CHECK int batch_in_put(struct batch_lines *l, const char *bytes, size_t n,
                                struct problem *p);
/* Nothing more comes: takes the last line, which may lack its newline. Returns as batch_in_put. */
FUT_MUST_CHECK int batch_in_end(struct batch_lines *l, struct problem *p);

#endif
