/* callback_task: the task that tells a URL of a future's end: a task like any other, which the
 * store queues in the commit that ends the first. Pure; any thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_CALLBACK_TASK_H
#define FUT_API_RESOURCES_CALLBACK_TASK_H

#include "core/buf.h"
#include "core/task.h"

/* *out: one reference, the caller's to release. id: its own; after: the future's. traceparent: the
 * submission's, or NULL. */
void callback_task_make(struct task *out, struct task_id id, struct task_id after, const char *url,
                        const char *traceparent);
/* Appends the member "url"; t was read with its input (without, nothing is appended). */
void callback_task_write_url(struct buf *out, const struct task *t);

#endif
