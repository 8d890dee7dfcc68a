/* utf8: well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF. Pure;
 * any thread. */
#ifndef FUT_CORE_UTF8_H
#define FUT_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes that utf8_put may write. */
#define UTF8_MAX 4

/* Bytes of the character that the n bytes begin with, one to four; 0 when they begin with none. */
size_t utf8_len(const void *bytes, size_t n);
/* Whether all n bytes are characters. */
bool utf8_ok(const void *bytes, size_t n);
/* Writes a code point that is no surrogate, up to U+10FFFF; how many bytes it took. */
size_t utf8_put(char *out, uint32_t code);

#endif
