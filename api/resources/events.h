/* events: as_completed over HTTP: futures in the order in which they end, each once, as server-sent
 * events or as NDJSON. The stream keeps one link per future; a result is read when its turn comes
 * to be sent, so a slow reader costs what the links cost and no more. Runs on the request's loop
 * thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_EVENTS_H
#define FUT_API_RESOURCES_EVENTS_H

struct request;

void events_batch(struct request *r);        /* GET /v1/batches/{id}/events */
void events_as_completed(struct request *r); /* POST /v1/as_completed */

#endif
