/* tasks: submitting. First steps of requests; loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_TASKS_H
#define FUT_API_RESOURCES_TASKS_H

struct request;

/* POST /v1/tasks: handler, input and options in a JSON body. */
void tasks_post(struct request *r);
/* POST /v1/tasks/{handler}: the body is the input, options are in the query. */
void tasks_post_handler(struct request *r);

/* The trace context that a submission came with, or NULL; lives as long as the request. */
const char *tasks_traceparent(const struct request *r);

#endif
