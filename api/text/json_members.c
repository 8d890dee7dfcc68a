#include "api/text/json_members.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "api/text/json_text.h"
#include "core/err.h"
#include "core/json_quoted.h"

#define NAMES_MAX 32 /* of all objects that are open at once */
#define DIGITS_MAX                                                                                 \
    15 /* a number of so many is within a double's bounds, and exact if it is whole */

struct name {
    const char *text;
    size_t len;
};

struct scan {
    const char *p, *end;
    int depth;
    size_t n_names;
    struct name names[NAMES_MAX];
};

/* ---- pieces ---------------------------------------------------------------------------------- */

static char peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : '\0'; /* a NUL byte is refused like the end */
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

/* At the opening quote. */
static bool skip_string(struct scan *s)
{
    const char *from = s->p;
    s->p = json_quoted_skip_plain(from + 1, s->end);
    if (take(s, '"'))
        return true;
    s->p = from + json_quoted_skip(from, (size_t)(s->end - from), 0);
    return json_quoted_ok(from, (size_t)(s->p - from));
}

/* Digits, and how many; 0 when there are none or too many. */
static size_t skip_digits(struct scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    size_t n = (size_t)(s->p - from);
    return n <= DIGITS_MAX ? n : 0;
}

/* One without an exponent. */
static bool skip_number(struct scan *s)
{
    (void)take(s, '-'); /* optional */
    bool begins_with_0 = peek(s) == '0';
    size_t n = skip_digits(s);
    if (n == 0 || (begins_with_0 && n > 1) || (take(s, '.') && skip_digits(s) == 0))
        return false;
    return peek(s) != 'e' && peek(s) != 'E';
}

static bool skip_word(struct scan *s, const char *word, size_t n)
{
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* ---- objects and arrays ---------------------------------------------------------------------- */

static bool skip_value(struct scan *s);

/* A name and its colon. `first`: where the names of this object begin, each of which is another. */
static bool skip_name(struct scan *s, size_t first)
{
    skip_space(s);
    if (peek(s) != '"' || s->n_names == NAMES_MAX)
        return false;
    struct name *name = &s->names[s->n_names++];
    name->text = s->p + 1;
    s->p = json_quoted_skip_plain(name->text, s->end);
    name->len = (size_t)(s->p - name->text);
    for (const struct name *other = &s->names[first]; other < name; other++) {
        if (other->len == name->len && memcmp(other->text, name->text, name->len) == 0)
            return false;
    }
    if (!take(s, '"'))
        return false;
    skip_space(s);
    return take(s, ':');
}

/* Behind the opening bracket. Every value ends at a comma or at the closing one. */
static bool skip_elements(struct scan *s, bool is_object)
{
    size_t first = s->n_names;
    char closing = is_object ? '}' : ']';
    if (++s->depth > JSON_TEXT_DEPTH_MAX)
        return false;
    skip_space(s);
    if (!take(s, closing)) {
        do {
            if ((is_object && !skip_name(s, first)) || !skip_value(s))
                return false;
        } while (take(s, ','));
        if (!take(s, closing))
            return false;
    }
    s->depth--;
    s->n_names = first;
    return true;
}

/* And the white space around it. */
static bool skip_value(struct scan *s)
{
    bool ok = false;
    skip_space(s);
    switch (peek(s)) {
    case '"': ok = skip_string(s); break;
    case '{':
    case '[':
        s->p++;
        ok = skip_elements(s, s->p[-1] == '{');
        break;
    case 't': ok = skip_word(s, "true", 4); break;
    case 'f': ok = skip_word(s, "false", 5); break;
    case 'n': ok = skip_word(s, "null", 4); break;
    default: ok = skip_number(s);
    }
    skip_space(s);
    return ok;
}

/* ---- the members ----------------------------------------------------------------------------- */

/* Without the white space behind it. */
static size_t len_of_value(const char *value, const char *end)
{
    while (end > value && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\t'))
        end--;
    return (size_t)(end - value);
}

static bool read_member(struct scan *s, struct json_member *out)
{
    if (!skip_name(s, 0))
        return false;
    const struct name *name = &s->names[s->n_names - 1];
    skip_space(s);
    const char *value = s->p;
    if (!skip_value(s))
        return false;
    *out = (struct json_member){name->text, value, name->len, len_of_value(value, s->p)};
    return true;
}

bool json_members_find(const char *text, size_t n, struct json_member out[JSON_MEMBERS_MAX],
                       size_t *out_n)
{
    struct scan s;
    size_t found = 0;
    s.p = text;
    s.end = text + n;
    s.depth = 1;
    s.n_names = 0;
    skip_space(&s);
    if (!take(&s, '{'))
        return false;
    do {
        if (found == JSON_MEMBERS_MAX || !read_member(&s, &out[found++]))
            return false;
    } while (take(&s, ','));
    if (!take(&s, '}'))
        return false;
    skip_space(&s);
    if (s.p != s.end)
        return false;
    *out_n = found;
    return true;
}

static json_t *whole_number(const char *text, size_t n)
{
    int64_t value = 0;
    if (n > DIGITS_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return NULL;
        value = value * 10 + (text[i] - '0');
    }
    return json_real((double)value);
}

json_t *json_members_value(const struct json_member *m)
{
    switch (*m->value) {
    case '"':
        return memchr(m->value, '\\', m->value_len)
                   ? NULL
                   : json_stringn_nocheck(m->value + 1, m->value_len - 2);
    case 't': return json_true();
    case 'f': return json_false();
    case 'n': return json_null();
    default: return whole_number(m->value, m->value_len);
    }
}
