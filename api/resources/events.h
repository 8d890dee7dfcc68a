/* events: the stream of a batch as the answer to its submission. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_EVENTS_H
#define FUT_API_RESOURCES_EVENTS_H

#include "core/buf.h"
#include "core/id.h"

struct request;

/* Answers with the stream of the batch, which is stored: first the event `accepted` with this JSON,
 * then all as in GET /v1/batches/{id}/events. fields: of the futures (show_read_fields). What fails
 * from here on breaks the stream off: its reader knows the batch. */
void events_of_accepted(struct request *r, struct task_id batch, unsigned fields,
                        const struct buf *json);

#endif
