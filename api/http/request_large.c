#include "api/http/request_large.h"

#include "core/mem.h"

struct request_large *request_large(struct request *r)
{
    if (!r->large)
        r->large = arena_alloc(&r->arena, sizeof(*r->large));
    r->large->request = r;
    return r->large;
}

static void large_done(struct store_op *op)
{
    struct request *r = FUT_CONTAINER(op, struct request_large, base)->request;
    r->op.base.rc = op->rc;
    request_become_ready(r);
}

int request_large_try_post(struct request *r, const struct store_verb *verb,
                           void (*drop)(struct request *r), request_step *next)
{
    return request_post_op(r, verb, &r->large->base, large_done, drop, next);
}

void request_large_post(struct request *r, const struct store_verb *verb,
                        void (*drop)(struct request *r), request_step *next)
{
    int rc = request_large_try_post(r, verb, drop, next);
    if (rc != 0)
        request_not_posted(r, rc);
}
