/* head: the headers of a request as one: what the library leaves unchecked and what would make the
 * bounds of the request doubtful (RFC 9112). Loop thread; nothing blocks. */
#ifndef FUT_API_HTTP_HEAD_H
#define FUT_API_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "api/text/problem.h"

struct head_field {
    const char *name, *value; /* each ends with a NUL */
    size_t name_len, value_len;
};

struct head {
    const char *begin, *end; /* where all of it stands in the library's memory */
    bool needs_host;         /* HTTP/1.1 */
    bool line_has_control;   /* the request line has a NUL or another control character */
    unsigned hosts, lengths, codings;
    const char *fault; /* a sentence about the first wrong field; NULL none */
    char field[64];    /* its name */
};

/* Takes the next field, in order. */
void head_add(struct head *h, const struct head_field *f);
/* After the last field: false with *p set (400) when the request must be refused and its connection
 * closed, since nobody can say where it ends. */
bool head_is_sound(struct head *h, struct problem *p);

#endif
