/* wait_many: the row POST /v1/wait: one wait for any, all, or the first failure of many futures.
 * Runs on the request's loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_WAIT_MANY_H
#define FUT_API_RESOURCES_WAIT_MANY_H

struct request;

void wait_many_post(struct request *r);

#endif
