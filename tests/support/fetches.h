/* fetches: a running tests/tools/fetch_server. One owner, one thread. */
#ifndef FUT_TESTS_SUPPORT_FETCHES_H
#define FUT_TESTS_SUPPORT_FETCHES_H

#include <jansson.h>

struct fetches;

/* Starts the server and returns when it listens; fetches_stop ends it and NULLs. */
struct fetches *fetches_start(void);
/* "http://127.0.0.1:PORT" */
const char *fetches_url(const struct fetches *f);
/* What /stats says: served, held_max. json_decref() it. */
json_t *fetches_stats(const struct fetches *f);
void fetches_stop(struct fetches **f);

#endif
