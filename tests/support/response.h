/* response: finds the end of one HTTP/1.1 answer in the bytes that came so far. Knows what the
 * daemon sends: a Content-Length on each answer, no chunks. Pure. */
#ifndef FUT_TESTS_SUPPORT_RESPONSE_H
#define FUT_TESTS_SUPPORT_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

struct response {
    int status;
    bool close;       /* the server closes the connection after it */
    const char *head; /* into the bytes */
    size_t head_len;
    const char *body; /* into the bytes */
    size_t body_len;
    size_t total; /* bytes of the whole answer */
};

enum response_state { RESPONSE_MORE, RESPONSE_WHOLE, RESPONSE_BROKEN };

/* bytes: NUL-terminated at n. MORE and BROKEN leave *out in no particular state. */
enum response_state response_parse(const char *bytes, size_t n, struct response *out);
/* The value of a header, or NULL; *out_len its length. name with its colon: "Location:". */
const char *response_header(const struct response *r, const char *name, size_t *out_len);

#endif
