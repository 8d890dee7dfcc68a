/* idempotency: the Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header) of a
 * submission. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_IDEMPOTENCY_H
#define FUT_API_RESOURCES_IDEMPOTENCY_H

#include <stdbool.h>

#include "api/http/request.h"

struct evp_md_ctx_st; /* OpenSSL's */

/* The fingerprint of a body that is not kept: begin before it comes, put what comes, hand it to
 * idempotency_read; drop it when the request ends. NULL when there is no key: put and drop take
 * that. The request's args are known. */
struct evp_md_ctx_st *idempotency_begin(struct request *r);
void idempotency_put(struct evp_md_ctx_st *print, const char *bytes, size_t n);
void idempotency_drop(struct evp_md_ctx_st **print);

/* Reads the header of a request whose body is complete into r->key, which stays NULL when there is
 * none: the key as the store wants it (of its principal, so that two clients' keys never meet), and
 * the fingerprint of method, path, query (without ?wait), content type and body: that which print
 * has seen, or r->body when print is NULL. 0, or FUT_ERR_INVAL with the problem answered already.
 */
FUT_MUST_CHECK int idempotency_read(struct request *r, struct evp_md_ctx_st *print);
/* Says that an earlier request's answer is given: Idempotency-Replayed: true. */
void idempotency_add_replayed(struct request *r);
/* Refuses a submission whose key stood for a future or batch (what) that was deleted in this
 * moment, and the key with it: BUSY, and that it be sent again. */
void idempotency_refuse_deleted(struct request *r, const char *what);

/* The bare key in a header's value: 1..TASK_KEY_MAX printable ASCII characters, quoted (with \" and
 * \\ inside, RFC 8941) or bare (then without blanks, quotes or commas). Writes it NUL-terminated to
 * out; false when it is neither. Pure. */
bool idempotency_parse(const char *header, char out[TASK_KEY_MAX + 1]);

#endif
