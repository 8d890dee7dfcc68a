/* sha256: FIPS 180-4, written out here so that what the daemon computed is checked by other code.
 */
#ifndef FUT_TESTS_SUPPORT_SHA256_H
#define FUT_TESTS_SUPPORT_SHA256_H

#include <stddef.h>

#define SHA256_HEX_SIZE 65

/* Lower-case hex and a NUL. */
void sha256_hex(const void *bytes, size_t n, char out[SHA256_HEX_SIZE]);

#endif
