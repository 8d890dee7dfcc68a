/* remote: one daemon, spoken to over HTTP by libcurl. A connection is kept between calls. One
 * thread; calls block until the answer is there.
 *
 * Where the daemon is and who asks: FUTURED_URL (http://…, https://… or unix:/path; default
 * http://127.0.0.1:8420), FUTURED_TOKEN or the first word of the file FUTURED_TOKEN_FILE,
 * FUTURED_CA (a PEM file with the certificate to trust beside the system's). */
#ifndef FUT_CLIENT_CLI_REMOTE_H
#define FUT_CLIENT_CLI_REMOTE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"

struct remote;

/* What options say; NULL: as the environment says. Strings are borrowed until remote_close. */
struct remote_config {
    const char *url, *token_file, *ca_file;
};

struct remote_request {
    const char *method; /* NULL: GET without a body, POST with one */
    const char *path;   /* begins with "/", may hold a query */
    const void *body;   /* NULL: none */
    size_t body_len;
    const char *body_type;  /* NULL: application/json */
    const char *accept;     /* NULL: whatever the route answers */
    long timeout_ms;        /* of the whole call; 0: none */
    const char *last_event; /* Last-Event-ID; NULL: none */
    const char *key; /* Idempotency-Key; with one a lost connection is tried again; NULL: none */
    /* Streams: called with the bytes as they come, while the status is 2xx; what it returns false
     * for ends the request quietly. It may make calls of its own, which do not stream. NULL: the
     * body is collected. */
    bool (*on_bytes)(void *ctx, const char *bytes, size_t n);
    void *ctx;
};

struct remote_answer {
    long status;        /* 0: no answer; `error` says why */
    struct buf body;    /* empty when it was streamed */
    char *content_type; /* may be NULL */
    char *state;        /* the header Futured-State, may be NULL */
    long long log_next; /* the header Futured-Log-Next, -1 when there is none */
    char error[512];
};

/* NULL on failure, with a sentence in error. */
struct remote *remote_open(const struct remote_config *cfg, char *error, size_t error_size);
/* NULL is fine. */
void remote_close(struct remote *r);
/* The address as a person would write it; borrowed. */
const char *remote_url(const struct remote *r);
/* Fills *out in every case; remote_answer_release it. */
void remote_call(struct remote *r, const struct remote_request *q, struct remote_answer *out);
void remote_answer_release(struct remote_answer *a);

/* ---- a stream beside the calls, without blocking ----------------------------------------------
 */

struct remote_stream;

/* Begins q, which has on_bytes; its other members are copied or borrowed until the end. */
struct remote_stream *remote_stream_open(struct remote *r, const struct remote_request *q);
/* Waits at most timeout_ms for bytes of the stream, which on_bytes gets before this returns, or for
 * something to read in fd. s may be NULL. False: the stream has ended; remote_stream_status says
 * how. */
bool remote_stream_wait(struct remote_stream *s, int fd, int timeout_ms);
/* The status of its answer; 0: none, or none yet. */
long remote_stream_status(const struct remote_stream *s);
/* NULL is fine. */
void remote_stream_close(struct remote_stream *s);

/* Appends s with everything but unreserved characters written as %XX (RFC 3986). */
void remote_escape(struct remote *r, struct buf *b, const char *s);

#endif
