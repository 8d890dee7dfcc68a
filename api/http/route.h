/* route: finds the row of a table of routes that a method and a path mean. The table itself is
 * api/routes.c, above the resources whose functions it names. Pure; any thread; nothing blocks. */
#ifndef FUT_API_HTTP_ROUTE_H
#define FUT_API_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "api/http/auth.h"
#include "core/buf.h"

struct request;

/* Bits, so that a set of methods is a mask. Matching treats HEAD as GET. */
enum route_method {
    METHOD_GET = 1,
    METHOD_HEAD = 2,
    METHOD_POST = 4,
    METHOD_DELETE = 8,
    METHOD_OPTIONS = 16,
    METHOD_PATCH = 32,
    METHOD_PUT = 64,
    METHOD_OTHER = 128, /* in no row */
};

enum route_flag {
    ROUTE_SUBMITS = 1,  /* refused while the daemon shuts down */
    ROUTE_HAS_BODY = 2, /* the body is kept; else it is read and thrown away */
    ROUTE_ATTEMPTS = 4, /* the token of a running attempt is good for it */
    ROUTE_LINKED = 8,   /* the same bytes for everybody: pages elsewhere may link to it */
};

#define ROUTE_CAPTURES_MAX 2

struct route {
    enum route_method method;
    const char *pattern;           /* "/v1/futures/{id}" */
    void (*run)(struct request *); /* the first step of the request, on the loop's thread */
    unsigned flags;
    const char *params;    /* query parameters that it knows, " a b "; "" none */
    enum auth_scope scope; /* what a token must allow; AUTH_OPEN: none is asked for */
    /* Runs before the body comes and may set r->sink and r->body_limit; it answers nothing. NULL:
     * the body is kept or not, by flags. */
    void (*open)(struct request *);
    const char *summary; /* a line for people, as GET / shows it */
};

struct route_table {
    const struct route *rows; /* one per method and path */
    size_t n;
};

/* A part of the path: raw, not decoded. */
struct route_capture {
    const char *text;
    size_t n;
};

struct route_match {
    const struct route *route; /* NULL: unknown path, or known path and other method */
    unsigned allowed;          /* mask of the path's methods; 0: unknown path */
    struct route_capture captures[ROUTE_CAPTURES_MAX];
};

/* METHOD_OTHER for a method that no row has; case counts. */
enum route_method route_method_parse(const char *method);
/* "GET" and so on; "" for METHOD_OTHER. */
const char *route_method_name(enum route_method method);
/* Fills *out. path: raw (percent-encoded), without query; compared as it is, no dots or slashes are
 * resolved. */
void route_find(const struct route_table *t, enum route_method method, const char *path,
                struct route_match *out);
/* Appends "GET, HEAD, OPTIONS" for the mask of a match. */
void route_write_allow(struct buf *out, unsigned allowed);
/* Does the route know this query parameter? */
bool route_knows_param(const struct route *r, const char *name);

#endif
