/* workers: the worker processes, one by one. First step of a request; loop thread; reads one file
 * of /proc per process. */
#ifndef FUT_API_RESOURCES_WORKERS_H
#define FUT_API_RESOURCES_WORKERS_H

struct request;

void workers_get(struct request *r); /* GET /v1/workers */

#endif
