#include "core/json_quoted.h"

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/buf.h"
#include "core/err.h"
#include "core/number.h"
#include "core/utf8.h"

/* ---- sixteen bytes at a time ---- */

#define EACH_STEP 16

typedef uint8_t sixteen __attribute__((vector_size(EACH_STEP)));

static sixteen load(const char *p)
{
    sixteen v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static sixteen is_byte(sixteen v, unsigned char value)
{
    return (sixteen)(v == value);
}

/* The place of the first byte that is not 0; EACH_STEP: none. */
static size_t first_of(sixteen found)
{
#ifdef __SSE2__
    unsigned bits = (unsigned)_mm_movemask_epi8((__m128i)found);
    return bits ? (size_t)__builtin_ctz(bits) : EACH_STEP;
#else
    size_t i = 0;
    while (i < EACH_STEP && !found[i])
        i++;
    return i;
#endif
}

static const char *skip_to_mark(const char *p, const char *end)
{
    for (; end - p >= EACH_STEP; p += EACH_STEP) {
        sixteen v = load(p);
        size_t at = first_of(is_byte(v, '"') | is_byte(v, '\\'));
        if (at < EACH_STEP)
            return p + at;
    }
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

size_t json_quoted_skip(const char *text, size_t n, size_t at)
{
    const char *end = text + n, *p = skip_to_mark(text + at + 1, end);
    while (end - p >= 2 && *p == '\\')
        p = skip_to_mark(p + 2, end);
    return p < end && *p == '"' ? (size_t)(p - text) + 1 : n;
}

const char *json_quoted_skip_plain(const char *p, const char *end)
{
    for (; end - p >= EACH_STEP; p += EACH_STEP) {
        sixteen v = load(p);
        size_t at = first_of((sixteen)(v < 0x20) | (sixteen)(v >= 0x80) | is_byte(v, '"') |
                             is_byte(v, '\\'));
        if (at < EACH_STEP)
            return p + at;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* ---- escapes
 * -----------------------------------------------------------------------------------------------------
 */

static bool read_hex(const char *p, const char *end, uint32_t *out)
{
    uint32_t value = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = number_hex(p[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

/* p: behind "\u". The code point, of two escapes where they are a pair; NULL: neither. */
static const char *read_code(const char *p, const char *end, uint32_t *out)
{
    uint32_t low;
    if (!read_hex(p, end, out) || (*out >= 0xDC00 && *out <= 0xDFFF))
        return NULL;
    p += 4;
    if (*out < 0xD800 || *out > 0xDBFF)
        return p;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !read_hex(p + 2, end, &low) || low < 0xDC00 ||
        low > 0xDFFF)
        return NULL;
    *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
    return p + 6;
}

/* p: at a backslash. Behind the escape, with what it says; NULL: it is none. */
static const char *read_escape(const char *p, const char *end, uint32_t *out)
{
    static const unsigned char codes[] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                          ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (end - p < 2)
        return NULL;
    if (p[1] == 'u')
        return read_code(p + 2, end, out);
    size_t letter = (unsigned char)p[1];
    *out = letter < sizeof(codes) ? codes[letter] : 0;
    return *out ? p + 2 : NULL;
}

/* ---- the whole string
 * -------------------------------------------------------------------------------------------- */

/* Behind the characters beyond ASCII that p begins with, one at least; NULL: it begins with none.
 */
static const char *skip_non_ascii(const char *p, const char *end)
{
    do {
        size_t len = (unsigned char)*p >= 0x80 ? utf8_len(p, (size_t)(end - p)) : 0;
        if (!len)
            return NULL;
        p += len;
    } while (p < end && (unsigned char)*p >= 0x80);
    return p;
}

size_t json_quoted_check(const char *text, size_t n)
{
    const char *p = text + 1, *end = text + n;
    uint32_t code;
    if (n < 2 || *text != '"')
        return 0;
    while ((p = json_quoted_skip_plain(p, end)) < end && *p != '"') {
        p = *p == '\\' ? read_escape(p, end, &code) : skip_non_ascii(p, end);
        if (!p)
            return 0;
    }
    return p < end ? (size_t)(p - text) + 1 : 0;
}

bool json_quoted_ok(const char *quoted, size_t n)
{
    return json_quoted_check(quoted, n) == n && n > 0;
}

/* Copies up to the next backslash, whole steps where what is behind it is written over. Moves *p;
 * to: has space for the rest of the string. */
static char *copy_plain(char *to, const char **p, const char *end)
{
    for (; end - *p >= EACH_STEP; *p += EACH_STEP, to += EACH_STEP) {
        sixteen v = load(*p);
        memcpy(to, &v, sizeof(v));
        size_t at = first_of(is_byte(v, '\\'));
        if (at < EACH_STEP) {
            *p += at;
            return to + at;
        }
    }
    while (*p < end && **p != '\\')
        *to++ = *(*p)++;
    return to;
}

void json_quoted_decode(const char *quoted, size_t n, struct buf *out)
{
    const char *p = quoted + 1, *end = quoted + n - 1;
    buf_reserve(out, n);
    char *to = out->data + out->len;
    while ((to = copy_plain(to, &p, end)), p < end) {
        uint32_t code;
        p = read_escape(p, end, &code);
        FUT_MUST(p != NULL);
        if (code < 0x80)
            *to++ = (char)code;
        else
            to += utf8_put(to, code);
    }
    out->len = (size_t)(to - out->data);
    *to = '\0';
}
