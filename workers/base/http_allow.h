/* http_allow: where the daemon's own HTTP requests (the http handler, callbacks) may go. Two lists
 * of the operator: prefixes of URLs (none: any URL), and networks beyond the public Internet (none:
 * no loopback, private, link-local or other special address). Both must allow a request. Made once
 * at boot, constant from then on: any thread may ask; nothing blocks. */
#ifndef FUT_WORKERS_BASE_HTTP_ALLOW_H
#define FUT_WORKERS_BASE_HTTP_ALLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct http_allow;
struct sockaddr;

#define HTTP_ALLOW_ADDRESS_SIZE 64

/* prefixes: comma list of http(s)://host[:port][/path]. networks: comma list of addresses with an
 * optional /bits, IPv4 or IPv6. 0, or FUT_ERR_INVAL with one sentence that names the entry. */
FUT_MUST_CHECK int http_allow_new(const char *prefixes, const char *networks,
                                  struct http_allow **out, struct fut_errbuf *err);
/* NULLs. NULL ok. */
void http_allow_free(struct http_allow **f);

/* A prefix allows its scheme, host and port, and its path with all below it ("/a" means "/a" and
 * "/a/…"). A URL that could be read in two ways (user names, escaped dots or slashes where a path
 * is prescribed) is not allowed. */
bool http_allow_url(const struct http_allow *f, const char *url);
/* Likewise, and the host is no address that http_allow_address refuses. Where a name leads to is
 * seen when it is called. */
bool http_allow_target(const struct http_allow *f, const char *url);
/* The address that a connection goes to. IPv6 addresses that carry an IPv4 one count as that. */
bool http_allow_address(const struct http_allow *f, const struct sockaddr *address);
/* For messages: the address without its port, or "?". */
void http_allow_write_address(const struct sockaddr *address, char out[HTTP_ALLOW_ADDRESS_SIZE]);

#endif
