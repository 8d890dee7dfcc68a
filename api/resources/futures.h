/* futures: reading, cancelling, deleting one. First steps of requests; loop thread; nothing
 * blocks. */
#ifndef FUT_API_RESOURCES_FUTURES_H
#define FUT_API_RESOURCES_FUTURES_H

#include <stdbool.h>

#include "core/id.h"

struct request;

void futures_get(struct request *r);    /* GET /v1/futures/{id} */
void futures_result(struct request *r); /* GET /v1/futures/{id}/result */
void futures_cancel(struct request *r); /* POST /v1/futures/{id}/cancel */
void futures_delete(struct request *r); /* DELETE /v1/futures/{id} */

/* The id in the path. False: the request was answered; a malformed id is an unknown one. */
bool futures_read_id(struct request *r, struct task_id *out);

#endif
