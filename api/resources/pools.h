/* pools: the lanes' slots, as seen and changed while they work. First steps of requests; loop
 * thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_POOLS_H
#define FUT_API_RESOURCES_POOLS_H

#include "api/text/problem.h"
#include "core/pool_view.h"

struct request;

void pools_get(struct request *r);   /* GET /v1/pools */
void pools_patch(struct request *r); /* PATCH /v1/pools/{lane} */

/* Members of an object: what holds a lane up. Pure. */
void pools_write_pause(struct buf *out, const struct pool_pause *p);
void pools_write_unsaved(struct buf *out, const struct pool_lane *p);

/* Reads the body of a PATCH (n bytes). 0, or FUT_ERR_INVAL with *p set. The pause that is asked for
 * has its reason only: when and by whom is the caller's to say. Pure. */
FUT_MUST_CHECK int pools_read_wish(const char *text, size_t n, enum lane lane,
                                   struct pool_wish *out, bool *out_paused, struct problem *p);

#endif
