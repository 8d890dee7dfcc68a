/* admin: what is here and how it is. First steps of requests; loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_ADMIN_H
#define FUT_API_RESOURCES_ADMIN_H

struct request;

void admin_stats(struct request *r);   /* GET /v1/stats */
void admin_healthz(struct request *r); /* GET /healthz */
void admin_readyz(struct request *r);  /* GET /readyz */
void admin_problem(struct request *r); /* GET /problems/{code} */

void admin_openapi(struct request *r); /* GET /v1/openapi.json */

#endif
