/* result_page: how many results a stream has in memory at a time. Nobody knows how large they are
 * before they are read: they are taken to be like those before, and bytes end a page as well. */
#ifndef FUT_API_RESOURCES_RESULT_PAGE_H
#define FUT_API_RESOURCES_RESULT_PAGE_H

#include <stddef.h>

#include "storage/store.h"

#define RESULT_PAGE_MAX 64                  /* tasks */
#define RESULT_PAGE_FIRST 8                 /* tasks of a stream's first page */
#define RESULT_PAGE_BYTES ((size_t)1 << 18) /* of results */

/* The limit of the page behind p, which was read with its limit and RESULT_PAGE_BYTES. Pure. */
size_t result_page_next(const struct store_page *p);

#endif
