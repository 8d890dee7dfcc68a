#include "core/base64.h"

#include <openssl/evp.h>
#include <stdbool.h>

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

/* Of base64, for each byte. */
static const bool is_digit[256] = {
    ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,
    ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1,
    ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1,
    ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
    ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1,
    ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1,
    ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1, ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1,
    ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1, ['+'] = 1, ['/'] = 1,
};

/* EVP_DecodeBlock skips blanks and counts the padding as zero bytes, so both are looked at first.
 */
ssize_t base64_decode(const char *text, size_t n, unsigned char *out)
{
    size_t padding = 0;
    while (padding < 2 && padding < n && text[n - 1 - padding] == '=')
        padding++;
    if (n % 4 != 0)
        return FUT_ERR_INVAL;
    for (size_t i = 0; i < n - padding; i++) {
        if (!is_digit[(unsigned char)text[i]])
            return FUT_ERR_INVAL;
    }
    if (n == 0)
        return 0;
    int len = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n);
    return len < 0 ? FUT_ERR_INVAL : (ssize_t)len - (ssize_t)padding;
}
