#include "api/text/params.h"

#include <string.h>
#include <strings.h>

#include "core/number.h"

#define DIGITS "0123456789"

bool params_decode(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (*s != '%') {
            *to++ = *s;
            continue;
        }
        int high = number_hex(s[1]), low = high < 0 ? -1 : number_hex(s[2]);
        if (low < 0 || high + low == 0)
            return false;
        *to++ = (char)(high << 4 | low);
        s += 2;
    }
    *to = '\0';
    return true;
}

bool params_decode_form(char *s)
{
    for (char *plus = strchr(s, '+'); plus; plus = strchr(plus, '+'))
        *plus = ' ';
    return params_decode(s);
}

bool params_next(const char **query, struct params_pair *out)
{
    const char *at = *query;
    size_t n = strcspn(at, "&"), name = strcspn(at, "=&");
    if (!*at)
        return false;
    *out =
        (struct params_pair){at, name < n ? at + name + 1 : "", name, name < n ? n - name - 1 : 0};
    *query = at + n + (at[n] == '&');
    return true;
}

void params_encode(struct buf *out, const char *s)
{
    static const char safe[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "-._~,";
    static const char hex[] = "0123456789ABCDEF";
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (strchr(safe, c))
            buf_putc(out, *s);
        else
            buf_put(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

/* The value of one preference `name [= value] [; …]` when its name is "wait". */
static int wait_value(const char *pref, size_t n, int64_t *out_ms)
{
    char text[64]; /* more digits than a program prints */
    const char *end = memchr(pref, ';', n);
    n = end ? (size_t)(end - pref) : n;
    while (n && strchr(" \t", pref[n - 1]))
        n--;
    if (n < 4 || strncasecmp(pref, "wait", 4) != 0 || (n > 4 && !strchr(" \t=", pref[4])))
        return FUT_ERR_NOT_FOUND;
    const char *at = pref + 4 + strspn(pref + 4, " \t");
    if (at >= pref + n || *at != '=')
        return FUT_ERR_INVAL;
    at += 1 + strspn(at + 1, " \t\"");
    size_t len = at < pref + n ? (size_t)(pref + n - at) : 0;
    if (len && at[len - 1] == '"')
        len--;
    if (len >= sizeof(text))
        return FUT_ERR_INVAL;
    memcpy(text, at, len);
    text[len] = '\0';
    return number_parse_seconds(text, PARAMS_WAIT_MAX_MS, out_ms) ? 0 : FUT_ERR_INVAL;
}

int params_prefer_wait(const char *header, int64_t *out_ms)
{
    while (*header) {
        header += strspn(header, " \t,");
        size_t n = strcspn(header, ",");
        int rc = n ? wait_value(header, n, out_ms) : FUT_ERR_NOT_FOUND;
        if (rc != FUT_ERR_NOT_FOUND)
            return rc;
        header += n;
    }
    return FUT_ERR_NOT_FOUND;
}

bool params_type_ok(const char *type)
{
    size_t n = 0;
    for (; type[n]; n++) {
        if (type[n] < 0x20 || type[n] > 0x7E || n >= TASK_TYPE_MAX)
            return false;
    }
    return n > 0;
}

static bool is_hex_id(const char *text, size_t n)
{
    return strspn(text, DIGITS "abcdef") == n && strspn(text, "0") < n;
}

const char *params_traceparent(const char *text)
{
    bool ok = text && strlen(text) == 55 && memcmp(text, "00-", 3) == 0 && text[35] == '-' &&
              is_hex_id(text + 3, 32) && is_hex_id(text + 36, 16) && text[52] == '-' &&
              strspn(text + 53, DIGITS "abcdef") == 2;
    return ok ? text : NULL;
}

bool params_url_ok(const char *text)
{
    size_t scheme = strncasecmp(text, "http://", 7) == 0    ? 7
                    : strncasecmp(text, "https://", 8) == 0 ? 8
                                                            : 0;
    if (!scheme || strlen(text) > PARAMS_URL_MAX || strcspn(text + scheme, "/?#") == 0)
        return false;
    for (; *text; text++) {
        if ((unsigned char)*text <= 0x20 || *text == 0x7F)
            return false;
    }
    return true;
}
