/* shared: what all requests of one server share. server.c makes and ends it; http/ and resources/
 * read it through `r->api`. Nobody outside api/ includes this header. */
#ifndef FUT_API_HTTP_SHARED_H
#define FUT_API_HTTP_SHARED_H

#include <stdatomic.h>

#include "api/http/budget.h"
#include "api/http/config.h"
#include "api/http/feed.h"
#include "api/http/listen.h"
#include "api/http/route.h"
#include "api/http/waiters.h"
#include "core/catalog.h"
#include "core/histogram.h"

struct history;
struct http_loop;

/* The answers of one route, for metrics. Counted by the loops' threads, read by any. */
struct http_answers {
    atomic_ullong by_class[6]; /* by the hundreds of the status; 0: the client left before it */
    struct histogram took; /* from the head of the request to the end of its answer, but for those
                              that wait for a task or stream */
};

struct api {
    struct api_config cfg;            /* constant after api_new, but for store and pools */
    atomic_bool is_attached;          /* they are there, and constant */
    const struct route_table *routes; /* constant after api_new */
    struct catalog_lend catalog;
    struct waiters waiters;
    struct feed feed;
    struct budget budget;
    struct http_loop **loops; /* n_loops; constant between api_start and api_stop */
    size_t n_loops;
    struct listener listeners[API_LISTENERS_MAX];
    size_t n_listeners;
    struct history *history;      /* the last hour, of resources/history.c */
    struct http_answers *answers; /* one of each row of routes, and one for what is no route */
    int emptied_fd; /* eventfd: a loop accepts no more, or its last connection has gone */
    int64_t started_mono_ms;
    atomic_bool is_ready, is_quiesced, is_released;
    _Atomic(const char *) stuck; /* a module that gives no sign of life; NULL: none */
};

#endif
