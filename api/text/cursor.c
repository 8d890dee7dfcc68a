#include "api/text/cursor.h"

#include <string.h>

#include "core/base64.h"
#include "core/buf.h"
#include "core/hash.h"

#define VERSION 1
#define BYTES 12 /* version, 8 of the key, 3 of the check sum: no padding in base64 */

static void pack(uint64_t before, unsigned char out[BYTES])
{
    out[0] = VERSION;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (unsigned char)(before >> (56 - 8 * i));
    uint64_t sum = hash_bytes(HASH_START, out, 9);
    for (int i = 0; i < 3; i++)
        out[9 + i] = (unsigned char)(sum >> (24 - 8 * i));
}

/* The alphabet of URLs has other signs in two places (RFC 4648, 5). */
static void exchange(char *text, const char *from, const char *to)
{
    for (; *text; text++) {
        const char *at = strchr(from, *text);
        if (at)
            *text = to[at - from];
    }
}

void cursor_format(uint64_t before, char out[CURSOR_TEXT_SIZE])
{
    unsigned char bytes[BYTES];
    struct buf text = BUF_INIT;
    pack(before, bytes);
    base64_put(&text, bytes, BYTES);
    exchange(text.data, "+/", "-_");
    memcpy(out, text.data, CURSOR_TEXT_SIZE);
    buf_release(&text);
}

bool cursor_parse(const char *text, uint64_t *out)
{
    char copy[CURSOR_TEXT_SIZE];
    unsigned char b[BYTES], want[BYTES];
    uint64_t before = 0;
    if (strlen(text) != CURSOR_TEXT_SIZE - 1 || strpbrk(text, "+/"))
        return false;
    memcpy(copy, text, CURSOR_TEXT_SIZE);
    exchange(copy, "-_", "+/");
    if (base64_decode(copy, CURSOR_TEXT_SIZE - 1, b) != BYTES)
        return false;
    for (int i = 0; i < 8; i++)
        before = before << 8 | b[1 + i];
    pack(before, want);
    if (memcmp(b, want, BYTES) != 0 || before == 0)
        return false;
    *out = before;
    return true;
}
