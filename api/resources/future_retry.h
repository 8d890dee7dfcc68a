/* future_retry: POST /v1/futures/{id}/retry: another life for a future that failed or was
 * cancelled. A step on the request's loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_FUTURE_RETRY_H
#define FUT_API_RESOURCES_FUTURE_RETRY_H

struct request;

void future_retry_post(struct request *r);

#endif
