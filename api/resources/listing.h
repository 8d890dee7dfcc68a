/* listing: what the lists that have pages share. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_LISTING_H
#define FUT_API_RESOURCES_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct request;

/* Reads `limit` and `cursor` of a list by descending key; without a cursor *out_before stays as it
 * is. False: the request was answered. */
FUT_MUST_CHECK bool listing_read_page(struct request *r, uint64_t *out_before, size_t *out_limit);
/* Ends the object in r->out with `next_cursor` and answers with it; next: the key before which the
 * next page begins, for which a Link is added; 0: there is none. */
void listing_end_page(struct request *r, const char *path, uint64_t next);

#endif
