/* config: the settings of the HTTP side, as plain data. api/server.h includes it for the code that
 * starts the server, api/http/shared.h for the code that reads the settings. */
#ifndef FUT_API_HTTP_CONFIG_H
#define FUT_API_HTTP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/auth.h"
#include "api/http/origin.h"
#include "core/attempt_token.h"
#include "core/catalog.h"
#include "core/node_view.h"
#include "core/pool_view.h"
#include "core/span_view.h"
#include "storage/store.h"

struct http_allow; /* the owner of allows_url knows it */

#define API_LISTENERS_MAX 8

struct api_config {
    const char *listen;       /* "host:port", "[v6]:port", ":port" or "unix:/path" */
    const int *listen_fds;    /* inherited listening sockets, taken over; then listen is not read */
    size_t n_listen_fds;      /* at most API_LISTENERS_MAX; 0: none, listen is opened */
    int kept_fd;              /* a socket that listens on `listen` already, taken over; 0: none */
    unsigned threads;         /* event loops of each listening socket, >= 1 */
    unsigned max_connections; /* of each listening socket; 90 % of it may be long-polls; api_start
                                 makes it what the limit of open files allows */
    size_t reserved_fds;      /* descriptors of that limit that are for others: store, processes */
    size_t max_body_bytes;
    size_t max_buffered_bytes;     /* of large bodies and answers in memory; 0: no limit */
    size_t max_header_bytes;       /* the HTTP library's memory per connection, 3584 at least */
    int64_t max_wait_ms;           /* longest long-poll; longer wishes are cut to it */
    struct store *store;           /* NULL: it comes by api_attach */
    const struct catalog *catalog; /* at first; the api takes a reference of its own */
    struct pool_view pools;        /* read == NULL: no pools here */
    struct node_view nodes;        /* fit == NULL: what is not here runs nowhere */
    struct span_view spans;        /* read == NULL: none are sent */
    /* May this daemon call the URL? NULL: any. Any thread; does not block. */
    bool (*allows_url)(const struct http_allow *allow, const char *url);
    const struct http_allow *allow; /* of allows_url; borrowed until api_free */
    const char *version;
    struct attempt_tokens *attempts;    /* the tokens of running attempts; borrowed; NULL: none */
    struct auth *auth;                  /* NULL: no tokens, then only local addresses are served */
    const struct origin_rules *origins; /* pages that may ask; NULL: the own ones alone */
    const char *tls_cert_pem, *tls_key_pem; /* both NULL: plain HTTP */
};

#endif
