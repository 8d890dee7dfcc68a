/* future_json: a future as clients see it. Pure; any thread; nothing blocks. */
#ifndef FUT_API_FUTURE_JSON_H
#define FUT_API_FUTURE_JSON_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/task.h"

/* Appends the whole object: with result or error when done. A result of type application/json is
 * put inline as it is: handlers answer for its being valid. */
void future_json_write(struct buf *out, const struct task *t);
/* Appends the object as listings show it: no result, no log. */
void future_json_write_summary(struct buf *out, const struct task *t);
/* Appends the object under "error": code, message, exit_code, signal, log. */
void future_json_write_error(struct buf *out, const struct task_outcome *o);

#endif
