#include "api/text/cursor.h"

#include <string.h>

#define VERSION 1
#define BYTES 12 /* version, 8 of the key, 3 of the check sum: no padding in base64 */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* FNV-1a over the first nine bytes. */
static uint32_t check_sum(const unsigned char *bytes)
{
    uint32_t sum = 2166136261u;
    for (int i = 0; i < 9; i++)
        sum = (sum ^ bytes[i]) * 16777619u;
    return sum;
}

static void pack(uint64_t before, unsigned char out[BYTES])
{
    out[0] = VERSION;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (unsigned char)(before >> (56 - 8 * i));
    uint32_t sum = check_sum(out);
    for (int i = 0; i < 3; i++)
        out[9 + i] = (unsigned char)(sum >> (24 - 8 * i));
}

void cursor_format(uint64_t before, char out[CURSOR_TEXT_SIZE])
{
    unsigned char b[BYTES];
    pack(before, b);
    for (int i = 0; i < BYTES; i += 3) {
        uint32_t three = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];
        for (int k = 0; k < 4; k++)
            *out++ = digits[three >> (18 - 6 * k) & 63];
    }
    *out = '\0';
}

bool cursor_parse(const char *text, uint64_t *out)
{
    unsigned char b[BYTES] = {0}, want[BYTES];
    uint64_t before = 0;
    if (strlen(text) != CURSOR_TEXT_SIZE - 1)
        return false;
    for (int i = 0; i < CURSOR_TEXT_SIZE - 1; i++) {
        const char *at = strchr(digits, text[i]);
        if (!at)
            return false;
        unsigned v = (unsigned)(at - digits);
        for (int bit = 0; bit < 6; bit++) {
            int place = i * 6 + bit;
            b[place / 8] |= (unsigned char)((v >> (5 - bit) & 1) << (7 - place % 8));
        }
    }
    for (int i = 0; i < 8; i++)
        before = before << 8 | b[1 + i];
    pack(before, want);
    if (memcmp(b, want, BYTES) != 0 || before == 0)
        return false;
    *out = before;
    return true;
}
