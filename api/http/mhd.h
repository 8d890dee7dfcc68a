/* mhd: what is asked of libmicrohttpd. This file and serve.c alone include its header. The thread
 * of the loop that owns the daemon; nothing blocks. */
#ifndef FUT_API_HTTP_MHD_H
#define FUT_API_HTTP_MHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct MHD_Daemon;
struct head;
struct request;

struct http_daemon {
    struct MHD_Daemon *mhd;
    int listen_fd; /* our duplicate; the library never closes it once quiesced, so we do */
    bool is_quiesced;
};

/* The descriptor that becomes readable when http_daemon_run has work. */
int http_daemon_fd(const struct http_daemon *d);
/* Milliseconds until http_daemon_run must be called: 0 at once, -1 not before the descriptor says.
 */
int64_t http_daemon_timeout_ms(const struct http_daemon *d);
/* Does what can be done without waiting. */
void http_daemon_run(struct http_daemon *d);
/* Accepts no more connections. */
void http_daemon_quiesce(struct http_daemon *d);
/* Closes all connections and ends. No request may be suspended: the library would abort. */
void http_daemon_stop(struct http_daemon *d);

/* Hands each field of the request's head to head_add, in order. */
void http_read_head(const struct request *r, struct head *h);
/* The library forgets the connection until http_resume. */
void http_suspend(struct request *r);
/* Lets the library call the request's next step in the next http_daemon_run. */
void http_resume(struct request *r);
/* The bit of a header's name in request.header_names; upper and lower case are one. */
uint64_t http_header_bit(const char *name, size_t n);
/* Value of a request header, or NULL; lives as long as the request. */
const char *http_header(const struct request *r, const char *name);

#endif
