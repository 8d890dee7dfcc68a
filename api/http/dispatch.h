/* dispatch: from a path and a method to the step that answers, and the checks that all routes
 * share: known parameters, percent-encoding, a daemon that shuts down. Loop thread; nothing blocks.
 */
#ifndef FUT_API_HTTP_DISPATCH_H
#define FUT_API_HTTP_DISPATCH_H

#include "api/http/request.h"

/* Looks up r->method and r->path, fills host, route, allowed, captures, args and what becomes of
 * the body, and sets r->next to the step to run when the request is complete. A request that is
 * refused by its head alone has a step that says so, and is_refused. */
void dispatch_begin(struct request *r);

/* A step that answers with r->refusal. */
void dispatch_refuse_kept(struct request *r);

/* Steps for headers and a body over the limit, and for a transfer coding that is not understood. */
void dispatch_refuse_headers(struct request *r);
void dispatch_refuse_size(struct request *r);
void dispatch_refuse_coding(struct request *r);
/* A step for a request with the token of an attempt that has ended. */
void dispatch_refuse_ended(struct request *r);
/* A step that refuses a body because others use all of FUTURED_MAX_BUFFERED. */
void dispatch_refuse_body(struct request *r);

#endif
