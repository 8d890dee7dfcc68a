#include "core/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define EXACT_MAX 9007199254740992.0 /* 2^53: whole numbers up to here are exact in a double */

/* Bytes of the number at the begin of text; 0: there is none. */
static size_t number_len(const char *text)
{
    const char *at = text + (*text == '-');
    size_t whole = strspn(at, DIGITS), fraction = 0;
    at += whole;
    if (*at == '.') {
        fraction = strspn(at + 1, DIGITS);
        if (!fraction)
            return 0; /* "5." is no number in JSON */
        at += 1 + fraction;
    }
    if (!whole && !fraction)
        return 0;
    if (*at == 'e' || *at == 'E') {
        const char *digits = at + 1 + (at[1] == '+' || at[1] == '-');
        if (!strspn(digits, DIGITS))
            return 0;
        at = digits + strspn(digits, DIGITS);
    }
    return (size_t)(at - text);
}

bool number_scan(const char *text, const char **out_end, double *out)
{
    size_t n = number_len(text);
    char *end;
    if (!n)
        return false;
    double v = strtod(text, &end); /* stops where the grammar does, but for "0x" */
    if (text[(size_t)(text[0] == '-')] == '0' && end > text + n) {
        v = 0;
        end = (char *)(uintptr_t)(text + n);
    }
    if (!isfinite(v))
        return false;
    *out_end = end;
    *out = v;
    return true;
}

bool number_parse(const char *text, double *out)
{
    const char *end;
    double v;
    if (!number_scan(text, &end, &v) || *end)
        return false;
    *out = v;
    return true;
}

static bool parse_digits(const char *text, uint64_t *out)
{
    uint64_t v = 0;
    for (; *text; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool number_parse_uint(const char *text, uint64_t max, uint64_t *out)
{
    double d;
    uint64_t v;
    if (*text && !text[strspn(text, DIGITS)]) {
        if (!parse_digits(text, &v))
            return false;
    } else {
        if (!number_parse(text, &d) || !(d >= 0 && d <= EXACT_MAX) || floor(d) != d)
            return false;
        v = (uint64_t)d;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

bool number_parse_seconds(const char *text, int64_t max_ms, int64_t *out_ms)
{
    double seconds;
    if (!number_parse(text, &seconds) || !(seconds >= 0 && seconds * 1000 <= (double)max_ms))
        return false;
    *out_ms = number_ms(seconds);
    return true;
}

int64_t number_ms(double seconds)
{
    double ms = seconds * 1000, near = round(ms);
    bool is_near = fabs(ms - near) <= 1e-6 + ms * 1e-12;
    return is_near && (near > 0 || ms == 0) ? (int64_t)near : (int64_t)ceil(ms);
}

int number_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}
