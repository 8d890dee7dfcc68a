/* handler_list: GET /v1/handlers: what can be run, and what is done with it. */
#ifndef FUT_API_RESOURCES_HANDLER_LIST_H
#define FUT_API_RESOURCES_HANDLER_LIST_H

struct request;

void handler_list_get(struct request *r);

#endif
