/* future_log: what a task writes to standard error, while it runs and afterwards. Steps on the
 * request's loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_FUTURE_LOG_H
#define FUT_API_RESOURCES_FUTURE_LOG_H

struct request;

/* GET /v1/futures/{id}/log: the kept bytes from offset ?from on; with ?wait, as soon as there are
 * some, at the end of the task, or at the deadline. */
void future_log_get(struct request *r);

#endif
