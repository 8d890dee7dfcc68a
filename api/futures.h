/* futures: reading, cancelling, deleting one. First steps of requests; loop thread; nothing
 * blocks. */
#ifndef FUT_API_FUTURES_H
#define FUT_API_FUTURES_H

struct request;

void futures_get(struct request *r);    /* GET /v1/futures/{id} */
void futures_result(struct request *r); /* GET /v1/futures/{id}/result */
void futures_cancel(struct request *r); /* POST /v1/futures/{id}/cancel */
void futures_delete(struct request *r); /* DELETE /v1/futures/{id} */

#endif
