#include "workers/base/json_check.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "core/json_quoted.h"
#include "core/number.h"
#include "core/utf8.h"

struct scan {
    const unsigned char *p, *end;
    size_t depth;
    uint64_t is_object[JSON_CHECK_DEPTH / 64]; /* one bit per open bracket */
};

static int peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : -1;
}

static bool take(struct scan *s, char c)
{
    if (peek(s) != c)
        return false;
    s->p++;
    return true;
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool escape(struct scan *s)
{
    int c = peek(s);
    if (c < 0 || !c || !strchr("\"\\/bfnrtu", c))
        return false;
    s->p++;
    for (int i = 0; c == 'u' && i < 4; i++, s->p++) {
        if (peek(s) < 0 || number_hex((char)peek(s)) < 0)
            return false;
    }
    return true;
}

static bool string(struct scan *s)
{
    if (!take(s, '"'))
        return false;
    for (;;) {
        s->p =
            (const unsigned char *)json_quoted_skip_plain((const char *)s->p, (const char *)s->end);
        int c = peek(s);
        size_t len = c >= 0x80 ? utf8_len(s->p, (size_t)(s->end - s->p)) : 0;
        if (!len && c != '"' && c != '\\')
            return false;
        s->p += len ? len : 1;
        if (c == '"')
            return true;
        if (c == '\\' && !escape(s))
            return false;
    }
}

static bool digits(struct scan *s)
{
    const unsigned char *from = s->p;
    while (is_digit(peek(s)))
        s->p++;
    return s->p > from;
}

static bool number(struct scan *s)
{
    (void)take(s, '-'); /* optional */
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            (void)take(s, '-');
        return digits(s);
    }
    return true;
}

static bool literal(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

static bool scalar(struct scan *s)
{
    switch (peek(s)) {
    case '"': return string(s);
    case 't': return literal(s, "true");
    case 'f': return literal(s, "false");
    case 'n': return literal(s, "null");
    default: return number(s);
    }
}

static bool push(struct scan *s, bool object)
{
    if (s->depth == JSON_CHECK_DEPTH)
        return false;
    uint64_t bit = 1ULL << (s->depth % 64);
    uint64_t *word = &s->is_object[s->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    s->depth++;
    return true;
}

static bool key(struct scan *s)
{
    skip_space(s);
    if (!string(s))
        return false;
    skip_space(s);
    return take(s, ':');
}

/* At a value. Opens brackets until it stands behind a scalar or an empty pair. */
static bool value(struct scan *s)
{
    for (;;) {
        skip_space(s);
        bool object = peek(s) == '{';
        if (!object && peek(s) != '[')
            return scalar(s);
        s->p++;
        if (!push(s, object))
            return false;
        skip_space(s);
        if (peek(s) == (object ? '}' : ']'))
            return true;
        if (object && !key(s))
            return false;
    }
}

/* Behind a value: closes what ends here. True with *more set when another value must follow. */
static bool after_value(struct scan *s, bool *more)
{
    *more = false;
    for (;;) {
        skip_space(s);
        if (!s->depth)
            return s->p == s->end;
        bool object = s->is_object[(s->depth - 1) / 64] >> ((s->depth - 1) % 64) & 1;
        if (take(s, ',')) {
            *more = true;
            return !object || key(s);
        }
        if (!take(s, object ? '}' : ']'))
            return false;
        s->depth--;
    }
}

bool json_check(const void *bytes, size_t n)
{
    static const unsigned char nothing[1];
    const unsigned char *from = bytes ? bytes : nothing;
    struct scan s = {.p = from, .end = from + n};
    bool more = true;
    while (more) {
        if (!value(&s) || !after_value(&s, &more))
            return false;
    }
    return true;
}
