/* batch_results: the results of a batch in the order in which its tasks were submitted, as map()
 * gives them: NDJSON, one future a line, written as the reader takes it. Runs on the request's loop
 * thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_BATCH_RESULTS_H
#define FUT_API_RESOURCES_BATCH_RESULTS_H

struct request;

void batch_results_get(struct request *r); /* GET /v1/batches/{id}/results */

#endif
