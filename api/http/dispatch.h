/* dispatch: from a path and a method to the step that answers, and the checks that all routes
 * share: known parameters, percent-encoding, a daemon that shuts down. Loop thread; nothing blocks.
 */
#ifndef FUT_API_HTTP_DISPATCH_H
#define FUT_API_HTTP_DISPATCH_H

#include "api/http/request.h"

/* Looks up r->method and r->path, fills route, allowed, captures, args and what becomes of the
 * body, and returns the step to run when the request is complete. Never NULL: a wrong path has a
 * step that says so. */
request_step *dispatch_first_step(struct request *r);

/* Steps for headers and a body over the limit, and for a transfer coding that is not understood. */
void dispatch_refuse_headers(struct request *r);
void dispatch_refuse_size(struct request *r);
void dispatch_refuse_coding(struct request *r);
/* A step for a body that finds no memory: too many bytes of others are there. */
void dispatch_refuse_body(struct request *r);

#endif
