/* http: a small HTTP client for tests: one call, one answer, a connection of its own. Any thread.
 */
#ifndef FUT_TESTS_SUPPORT_HTTP_H
#define FUT_TESTS_SUPPORT_HTTP_H

#include <jansson.h>
#include <stddef.h>

struct http_request {
    const char *method; /* "GET" … */
    const char *path;   /* with the query */
    const void *body;   /* NULL: none */
    size_t body_len;
    const char *const *headers; /* "Name: value", NULL at the end; NULL: none */
    int timeout_ms;             /* 0: two minutes */
};

struct http_reply {
    int status; /* 0: no answer came */
    char *head; /* status line and headers */
    char *body; /* NUL behind the last byte */
    size_t body_len;
    json_t *json; /* when the content type says JSON and it is; else NULL */
    char *error;  /* why no answer came; NULL when one did */
};

/* base: "http://host:port". */
struct http_reply http_call(const char *base, const struct http_request *req);
void http_reply_release(struct http_reply *r);
/* Copies the value of a header (any case) into out, cut at its size; returns out, or NULL when the
 * answer has no such header. */
char *http_header(const struct http_reply *r, const char *name, char *out, size_t size);

/* Sends a request in a thread of its own, for calls that wait. base and req are read until
 * http_finish. */
struct http_pending;
struct http_pending *http_begin(const char *base, const struct http_request *req);
/* Waits for the answer, frees, NULLs. */
struct http_reply http_finish(struct http_pending **p);

#endif
