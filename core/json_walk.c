#include "core/json_walk.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_quoted.h"
#include "core/mem.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t json_walk_mark(const char *text, size_t n)
{
    return n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

size_t json_walk_skip_space(const char *text, size_t n, size_t at)
{
    if (at == 0)
        at = json_walk_mark(text, n);
    while (at < n && is_space(text[at]))
        at++;
    return at;
}

size_t json_walk_skip_value(const char *text, size_t n, size_t at)
{
    int depth = 0;
    do {
        char c = at < n ? text[at] : '\0';
        if (c == '"') {
            at = json_quoted_skip(text, n, at);
        } else if (c == '[' || c == '{') {
            depth++;
            at++;
        } else if (c == ']' || c == '}') {
            depth--;
            at++;
        } else if (depth > 0) {
            at++;
        } else {
            while (at < n && !is_space(text[at]) && text[at] != ',' && text[at] != '}' &&
                   text[at] != ']')
                at++;
        }
    } while (depth > 0 && at < n);
    return at;
}

/* One with escapes is decoded first. */
bool json_walk_is(const char *quoted, size_t n, const char *key, size_t key_len)
{
    if (!memchr(quoted, '\\', n))
        return n == key_len + 2 && memcmp(quoted + 1, key, key_len) == 0;
    json_t *s = json_loadb(quoted, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same =
        s && json_string_length(s) == key_len && memcmp(json_string_value(s), key, key_len) == 0;
    json_decref(s);
    return same;
}

/* From a name at *at on: where the first value with this name begins, and *at there as well; n:
 * there is none. */
static size_t next_value(const char *text, size_t n, const char *key, size_t key_len, size_t *at)
{
    size_t name;
    while ((name = json_walk_skip_space(text, n, *at)) < n && text[name] == '"') {
        size_t name_end = json_quoted_skip(text, n, name);
        size_t value = json_walk_skip_space(text, n, json_walk_skip_space(text, n, name_end) + 1);
        *at = value;
        if (json_walk_is(text + name, name_end - name, key, key_len))
            return value;
        *at = json_walk_skip_space(text, n, json_walk_skip_value(text, n, value)) + 1;
    }
    return n;
}

size_t json_walk_find(const char *text, size_t n, const char *key)
{
    size_t at = json_walk_skip_space(text, n, 0) + 1;
    return next_value(text, n, key, strlen(key), &at);
}

bool json_walk_member(const char *text, size_t n, const char *key, const char **out, size_t *out_n)
{
    size_t value = json_walk_find(text, n, key);
    if (value >= n)
        return false;
    *out = text + value;
    *out_n = json_walk_skip_value(text, n, value) - value;
    return true;
}

/* ---- pointers -------------------------------------------------------------------------------- */

bool json_walk_pointer_ok(const char *pointer)
{
    if (*pointer && *pointer != '/')
        return false;
    for (const char *at = pointer; (at = strchr(at, '~')) != NULL; at++) {
        if (at[1] != '0' && at[1] != '1')
            return false;
    }
    return true;
}

/* The part that begins at *pointer, behind its slash, decoded: free() it. Moves *pointer behind it.
 */
static char *next_part(const char **pointer, size_t *out_n)
{
    size_t len = strcspn(*pointer, "/"), n = 0;
    char *part = xmalloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        bool is_escape = (*pointer)[i] == '~';
        i += is_escape;
        part[n++] = (char)(!is_escape ? (*pointer)[i] : (*pointer)[i] == '0' ? '~' : '/');
    }
    part[n] = '\0';
    *pointer += len;
    *out_n = n;
    return part;
}

static bool find_element(const char *text, size_t n, const char *index, const char **out,
                         size_t *out_n)
{
    char *end;
    if (!*index || strspn(index, "0123456789") != strlen(index) || strlen(index) > 9 ||
        (index[0] == '0' && index[1]))
        return false;
    unsigned long wanted = strtoul(index, &end, 10), i = 0;
    size_t at = json_walk_skip_space(text, n, json_walk_skip_space(text, n, 0) + 1);
    while (at < n && text[at] != ']') {
        size_t behind = json_walk_skip_value(text, n, at);
        if (i++ == wanted) {
            *out = text + at;
            *out_n = behind - at;
            return true;
        }
        at = json_walk_skip_space(text, n, behind);
        if (at < n && text[at] == ',')
            at = json_walk_skip_space(text, n, at + 1);
    }
    return false;
}

/* Of two, the last. */
static bool find_member(const char *text, size_t n, const char *key, size_t key_len,
                        const char **out, size_t *out_n)
{
    size_t at = json_walk_skip_space(text, n, 0) + 1, value;
    bool found = false;
    while ((value = next_value(text, n, key, key_len, &at)) < n) {
        size_t end = json_walk_skip_value(text, n, value);
        *out = text + value;
        *out_n = end - value;
        at = json_walk_skip_space(text, n, end) + 1;
        found = true;
    }
    return found;
}

static bool find_part(const char *text, size_t n, const char *part, size_t part_len,
                      const char **out, size_t *out_n)
{
    size_t at = json_walk_skip_space(text, n, 0);
    if (at < n && text[at] == '{')
        return find_member(text, n, part, part_len, out, out_n);
    return at < n && text[at] == '[' && find_element(text, n, part, out, out_n);
}

bool json_walk_point(const char *text, size_t n, const char *pointer, const char **out,
                     size_t *out_n)
{
    bool found = true;
    size_t begin = json_walk_skip_space(text, n, 0);
    size_t end = json_walk_skip_value(text, n, begin);
    text += begin;
    n = end - begin;
    while (found && *pointer) {
        size_t len;
        pointer++;
        char *part = next_part(&pointer, &len);
        found = find_part(text, n, part, len, &text, &n);
        free(part);
    }
    if (found) {
        *out = text;
        *out_n = n;
    }
    return found;
}
