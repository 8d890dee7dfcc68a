/* problem: the one place that turns an error into HTTP (application/problem+json, RFC 9457). One
 * table holds each stable code with its status and title; one function maps the program's error
 * codes to it. Pure data and text; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_PROBLEM_H
#define FUT_API_TEXT_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

enum problem_code {
    PROBLEM_BAD_JSON,
    PROBLEM_TOO_DEEP,
    PROBLEM_UNKNOWN_FIELD,
    PROBLEM_MISSING_FIELD,
    PROBLEM_WRONG_TYPE,
    PROBLEM_INVALID_VALUE,
    PROBLEM_LANE_FIXED,
    PROBLEM_UNKNOWN_PARAMETER,
    PROBLEM_INVALID_PARAMETER,
    PROBLEM_INVALID_PATH,
    PROBLEM_INVALID_HEADER,
    PROBLEM_INVALID_CURSOR,
    PROBLEM_BODY_TOO_LARGE,
    PROBLEM_HEADERS_TOO_LARGE,
    PROBLEM_BATCH_TOO_LARGE,
    PROBLEM_TOO_MANY_IDS,
    PROBLEM_UNAUTHORIZED,
    PROBLEM_FORBIDDEN,
    PROBLEM_FOREIGN_ORIGIN,
    PROBLEM_UNKNOWN_HOST,
    PROBLEM_UNSUPPORTED_ENCODING,
    PROBLEM_KEY_REUSED,
    PROBLEM_UNKNOWN_ROUTE,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_UNKNOWN_FUTURE,
    PROBLEM_UNKNOWN_BATCH,
    PROBLEM_UNKNOWN_SESSION,
    PROBLEM_SESSION_BROKEN,
    PROBLEM_SESSION_CLOSED,
    PROBLEM_UNKNOWN_OPERATION,
    PROBLEM_UNKNOWN_QUEUE,
    PROBLEM_UNKNOWN_LIMIT,
    PROBLEM_UNKNOWN_LIMIT_NAME, /* as a member of a body: the same code with status 422 */
    PROBLEM_TOO_MANY,
    PROBLEM_HISTORY_GONE,
    PROBLEM_NO_CHECKPOINT,
    PROBLEM_NO_ERROR_DATA,
    PROBLEM_UNKNOWN_HANDLER,
    PROBLEM_UNKNOWN_HANDLER_NAME, /* as a member of a body: the same code with status 422 */
    PROBLEM_UNKNOWN_NODE,
    PROBLEM_UNKNOWN_POOL,
    PROBLEM_UNKNOWN_SCHEDULE,
    PROBLEM_UNKNOWN_PROBLEM,
    PROBLEM_NOT_DONE,
    PROBLEM_ALREADY_DONE,
    PROBLEM_ALREADY_RUNNING,
    PROBLEM_NOT_A_PROMISE,
    PROBLEM_PARENT_FAILED,
    PROBLEM_DEADLOCK,
    PROBLEM_NO_SLOT_TO_LEND,
    PROBLEM_CONFLICT,
    PROBLEM_SCHEDULE_OF_FILE,
    PROBLEM_TOO_MANY_SCHEDULES,
    PROBLEM_TASK_FAILED,
    PROBLEM_TASK_CANCELLED,
    PROBLEM_QUEUE_FULL,
    PROBLEM_BUSY,
    PROBLEM_NOT_READY,
    PROBLEM_SHUTTING_DOWN,
    PROBLEM_STORE_FAILED,
    PROBLEM_READ_ONLY,
    PROBLEM_NO_SPACE,
    PROBLEM_INTERNAL,
};
#define PROBLEM_COUNT (PROBLEM_INTERNAL + 1)

struct problem {
    enum problem_code code;
    char detail[768];
    char field[72];          /* member of the body that is wrong; "" none */
    char parameter[72];      /* query parameter or header that is wrong; "" none */
    int line, column;        /* place in the body, from 1; 0 none */
    uint64_t limit;          /* the limit that was passed; 0 none */
    unsigned retry_after_s;  /* also sent as Retry-After; 0 none */
    const char *scope;       /* that the token lacks, sent as a challenge; a literal; NULL none */
    const struct buf *error; /* raw JSON of member "error"; borrowed; NULL none */
};

/* Starts *p afresh with this code and a sentence for people. */
void problem_set(struct problem *p, enum problem_code code, const char *fmt, ...) FUT_PRINTF(3, 4);
/* Sets p->field or p->parameter, cut to fit. */
void problem_set_field(struct problem *p, const char *name);
void problem_set_parameter(struct problem *p, const char *name);
/* Starts *p afresh from a negative enum fut_err. */
void problem_from_err(struct problem *p, int rc);

/* The HTTP status of a problem. */
unsigned problem_status(enum problem_code code);
/* Stable lower-case name ("queue_full"). */
const char *problem_name(enum problem_code code);
const char *problem_title(enum problem_code code);
/* False when no problem has this name; *out untouched. */
bool problem_parse(const char *name, enum problem_code *out);

/* Appends the JSON object to out. */
void problem_write(struct buf *out, const struct problem *p);

#endif
