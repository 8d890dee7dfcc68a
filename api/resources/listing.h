/* listing: a page of summaries of futures, newest first. First step of a request; loop thread;
 * nothing blocks. */
#ifndef FUT_API_RESOURCES_LISTING_H
#define FUT_API_RESOURCES_LISTING_H

struct request;

void listing_get(struct request *r); /* GET /v1/futures */

#endif
