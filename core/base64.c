#include "core/base64.h"

#include <openssl/evp.h>
#include <string.h>

#include "core/buf.h"

/* libcrypto counts in int; a multiple of three needs no padding. */
#define PIECE ((size_t)3 << 20)

void base64_put(struct buf *out, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    buf_reserve(out, BASE64_LEN(n));
    while (n > 0) {
        size_t piece = n < PIECE ? n : PIECE;
        unsigned char *to = (unsigned char *)out->data + out->len;
        out->len += (size_t)EVP_EncodeBlock(to, at, (int)piece);
        at += piece;
        n -= piece;
    }
    out->data[out->len] = '\0';
}

/* EVP_DecodeBlock skips blanks and counts the padding as zero bytes, so both are looked at first.
 */
ssize_t base64_decode(const char *text, size_t n, unsigned char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789+/";
    size_t padding = 0;
    while (padding < 2 && padding < n && text[n - 1 - padding] == '=')
        padding++;
    if (n % 4 != 0)
        return FUT_ERR_INVAL;
    for (size_t i = 0; i < n - padding; i++) {
        if (!text[i] || !strchr(alphabet, text[i]))
            return FUT_ERR_INVAL;
    }
    if (n == 0)
        return 0;
    int len = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n);
    return len < 0 ? FUT_ERR_INVAL : (ssize_t)len - (ssize_t)padding;
}
