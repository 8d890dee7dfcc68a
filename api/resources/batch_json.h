/* batch_json: a batch as clients see it. Pure but for the clock; any thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_BATCH_JSON_H
#define FUT_API_RESOURCES_BATCH_JSON_H

#include "core/buf.h"
#include "storage/store.h"

/* Appends the object: counts per state, progress, rate, what is left of the time. */
void batch_json_write(struct buf *out, const struct store_batch *b);

#endif
