/* batches: tasks that were submitted together: all or none, in one commit. One function per row of
 * the route table; they run on the request's loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_BATCHES_H
#define FUT_API_RESOURCES_BATCHES_H

#include <stdbool.h>

#include "core/id.h"

struct request;

void batches_open(struct request *r); /* before the body of the next: NDJSON is read as it comes */
void batches_post(struct request *r); /* POST /v1/batches */
void batches_get(struct request *r);  /* GET /v1/batches/{id} */
void batches_cancel(struct request *r); /* POST /v1/batches/{id}/cancel */

/* The id in the path. False: the request was answered. */
bool batches_read_id(struct request *r, struct task_id *out);
/* The store does not know the batch: 404. Other failures as they are. */
void batches_fail(struct request *r, int rc);

#endif
