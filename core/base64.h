/* base64: RFC 4648 by libcrypto. Pure; any thread. */
#ifndef FUT_CORE_BASE64_H
#define FUT_CORE_BASE64_H

#include <stddef.h>
#include <sys/types.h>

#include "core/err.h"

struct buf;

/* Characters that n bytes become, padding included. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)
/* Bytes that base64_decode may write for n characters. */
#define BASE64_BYTES(n) ((n) / 4 * 3)

/* Appends the bytes, padded. */
void base64_put(struct buf *out, const void *bytes, size_t n);
/* Strict: padded, no blanks, nothing else. out holds BASE64_BYTES(n). Returns how many bytes
 * there were, or FUT_ERR_INVAL. */
ssize_t base64_decode(const char *text, size_t n, unsigned char *out);

#endif
