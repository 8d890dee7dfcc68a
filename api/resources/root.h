/* root: what can be asked of this daemon, for whoever opens its address. First step of a request;
 * loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_ROOT_H
#define FUT_API_RESOURCES_ROOT_H

struct request;

void root_get(struct request *r); /* GET / */

#endif
