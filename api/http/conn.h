/* http_conn: what we keep of a connection beside what the HTTP library does: the query, which the
 * library is not shown, and whether the client has closed its sending side, which the library
 * misses when that end comes together with the last bytes (NOTES.md, "Ends that come with the
 * last bytes"). Everything here runs on the thread of the connection's loop; nothing blocks. */
#ifndef FUT_API_HTTP_CONN_H
#define FUT_API_HTTP_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"

struct http_loop;
struct request;

struct http_conn {
    int fd;                  /* the library's */
    char query_start;        /* first character of query, while it is hidden */
    bool is_watched;         /* its end is an event of the loop */
    bool is_ended;           /* its client says no more */
    unsigned char looks;     /* rounds in which an ended one brought nothing */
    struct request *request; /* begun and not completed; NULL between requests */
    const char *uri;         /* of the request line, in the library's memory; NULL none */
    size_t uri_len;          /* bytes before the first NUL, with the query */
    char *query;             /* behind the '?', in the library's memory; NULL none */
    struct list_node ending; /* of the loop: ended, not yet answered or closed */
};

/* Watches for the end of what comes. Without a watch to be had, hang-ups go unnoticed. */
struct http_conn *http_conn_new(struct http_loop *l, int fd);
void http_conn_free(struct http_loop *l, struct http_conn **c);

/* Makes the library see an empty query: it would keep a record of each parameter in the memory of
 * the connection, and when that is used up leave the connection neither answered nor closed. uri:
 * the library's own buffer, before it is parsed; NULL when the request line has none. */
void http_conn_hide_query(struct http_conn *c, const char *uri);
/* The query as it came, or NULL; lives as long as the request. */
const char *http_conn_take_query(struct http_conn *c);

/* From here on the connection has ended when its client has not acknowledged for so long what was
 * sent to it. Of TCP alone: nothing else is lost without a word. */
void http_conn_limit_silence(struct http_conn *c, int64_t ms);

/* An event: the client sends no more, or is gone. */
void http_conn_end(struct http_loop *l, struct http_conn *c);
/* A request is completed: the connection may have to end now. */
void http_conn_completed(struct http_loop *l, struct http_conn *c);
/* After each round of the library: closes what has ended in the middle of a request. */
void http_conn_close_ended(struct http_loop *l);

#endif
