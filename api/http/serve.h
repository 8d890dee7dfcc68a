/* serve: what libmicrohttpd calls: it turns the library's calls into the steps of a struct request,
 * and a finished request into a response. Everything runs on the thread of the loop that owns the
 * daemon; nothing blocks. */
#ifndef FUT_API_HTTP_SERVE_H
#define FUT_API_HTTP_SERVE_H

#include "core/err.h"

struct http_daemon;
struct http_loop;

/* Starts the library's daemon of this loop, for at most limit connections. listen_fd is duplicated.
 * 0 or FUT_ERR_IO, errno telling why. */
FUT_MUST_CHECK int serve_start(struct http_daemon *d, struct http_loop *l, int listen_fd,
                               unsigned limit);

#endif
