/* request_large: operations of a request that need much space, and that few requests post: in the
 * arena of those, so that each request that waits is the smaller. */
#ifndef FUT_API_HTTP_REQUEST_LARGE_H
#define FUT_API_HTTP_REQUEST_LARGE_H

#include "api/http/request.h"

struct request_large {
    struct request *request;
    union {
        struct store_op base; /* first member of each */
        struct store_session_open session_open;
        struct store_session_get session_get;
        struct store_find_circle find_circle;
        struct store_queue_set queue_set;
        struct store_bulk_start bulk_start;
        struct store_bulk_stop bulk_stop;
        struct store_bulk_get bulk_get;
        struct store_list list;
        struct store_get_several get_several;
        struct store_failures failures;
        struct store_handler_pause handler_pause;
    };
};

/* r->large, the same at each call. */
struct request_large *request_large(struct request *r);
/* As request_post and request_try_post, of what r->large holds. What became of it is r->op.base.rc
 * too. */
void request_large_post(struct request *r, const struct store_verb *verb,
                        void (*drop)(struct request *r), request_step *next);
FUT_MUST_CHECK int request_large_try_post(struct request *r, const struct store_verb *verb,
                                          void (*drop)(struct request *r), request_step *next);

#endif
