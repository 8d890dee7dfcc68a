/* many: one request that looks at many futures, named by their ids or by their batch: finds them,
 * links them to the request's waiter, then reads their states (in this order: no end is missed).
 * The steps run on the request's loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_MANY_H
#define FUT_API_RESOURCES_MANY_H

#include <stdbool.h>
#include <stddef.h>

#include "api/http/request.h"
#include "api/text/many_in.h"

struct many {
    struct task_id batch;      /* hi 0: ids were named */
    size_t total;              /* futures that were named, or the batch was made of */
    struct waiter_link *links; /* each future once; in the arena, like all here */
    size_t n;
    struct store_brief *briefs; /* of links; after many_read */
    bool resumes;               /* the client has seen a part: what is missing is history_gone */
    request_step *then;
    struct task *page;
};

/* Fills m->links from a body's ids, or from a batch's members; then `then` runs; nothing is linked
 * yet. m: zeroed but for resumes; in the arena. An unknown batch is answered here. in: read before
 * this returns. */
void many_find(struct request *r, struct many *m, const struct many_in *in, request_step *then);
/* Fills m->links from the members of this batch, otherwise as many_find. */
void many_find_batch(struct request *r, struct many *m, struct task_id batch, request_step *then);

/* Links r->waiter to all futures of m. Comes before many_read, so that no end is missed. False when
 * too many futures are being waited for: then nothing is linked. */
FUT_MUST_CHECK bool many_open(struct request *r, struct many *m, const struct waiter_wish *wish);
/* Reads the states of all futures of m into its links; then `then` runs. An id that is not known is
 * answered here. Members of a batch that are gone count as done and are marked. */
void many_read(struct request *r, struct many *m, request_step *then);
/* The problem of a future or batch that is not there: 404, or 410 when m->resumes. */
void many_refuse_missing(struct request *r, const struct many *m, const struct task_id *future);

#endif
