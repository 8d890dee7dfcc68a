/* batches: what other resources need of reading one batch. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_BATCHES_H
#define FUT_API_RESOURCES_BATCHES_H

#include <stdbool.h>

#include "core/id.h"

struct request;

/* The id in the path. False: it is malformed, so nobody has it, and the request was answered. */
bool batches_read_id(struct request *r, struct task_id *out);
/* Answers a failure of the store (a negative enum fut_err): 404 when it does not know the batch. */
void batches_fail(struct request *r, int rc);

#endif
