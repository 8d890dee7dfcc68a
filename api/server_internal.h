/* server_internal: what the rooms of api/ share. Nobody outside includes it. */
#ifndef FUT_API_SERVER_INTERNAL_H
#define FUT_API_SERVER_INTERNAL_H

#include <stdatomic.h>

#include "api/http/budget.h"
#include "api/http/listen.h"
#include "api/http/waiters.h"
#include "api/server.h"
#include "core/sync.h"

struct http_loop;

struct api {
    struct api_config cfg;   /* constant after api_new, but for the catalog */
    struct mutex catalog_mu; /* guards cfg.catalog */
    struct waiters waiters;
    struct budget budget;
    struct http_loop **loops; /* n_loops; constant between api_start and api_stop */
    size_t n_loops;
    struct listener listeners[API_LISTENERS_MAX];
    size_t n_listeners;
    int left_fd; /* eventfd: a loop accepts no more, or its last connection has gone */
    int64_t started_mono_ms;
    atomic_bool is_ready, is_quiesced, is_released;
};

/* *kept, for which catalog_unref is the caller's; at first (NULL) that becomes the catalog of now.
 * So what was found in it stays. Any thread. */
const struct catalog *api_lend_catalog(struct api *a, const struct catalog **kept);

#endif
