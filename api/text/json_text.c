#include "api/text/json_text.h"

#include <jansson.h>
#include <string.h>

#include "core/err.h"

#define PARSE_FLAGS                                                                                \
    (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

/* ---- the text -------------------------------------------------------------------------------- */

/* Place of the byte `at`: lines and characters from 1. */
static void find_place(const char *text, size_t at, int *line, int *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

/* Behind the string whose opening quote is at `at`; n when it has no end. */
static size_t skip_string(const char *text, size_t n, size_t at)
{
    for (at++; at < n && text[at] != '"'; at++) {
        if (text[at] == '\\')
            at++;
    }
    return at < n ? at + 1 : n;
}

/* Only counts brackets outside strings: the grammar is jansson's. */
static int check_depth(const char *text, size_t n, struct problem *p)
{
    int depth = 0;
    for (size_t i = 0; i < n;) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, n, i);
            continue;
        }
        if (c == '[' || c == '{')
            depth++;
        else if (c == ']' || c == '}')
            depth--;
        if (depth > JSON_TEXT_DEPTH_MAX) {
            problem_set(p, PROBLEM_TOO_DEEP, "The JSON is nested more than %d levels deep.",
                        JSON_TEXT_DEPTH_MAX);
            find_place(text, i, &p->line, &p->column);
            p->limit = JSON_TEXT_DEPTH_MAX;
            return FUT_ERR_INVAL;
        }
        i++;
    }
    return 0;
}

/* jansson swallows a NUL behind a number or a word, which would stay in the bytes of the input. */
static int check_no_nul(const char *text, size_t n, struct problem *p)
{
    const char *nul = memchr(text, '\0', n);
    if (!nul)
        return 0;
    int line, column;
    find_place(text, (size_t)(nul - text), &line, &column);
    problem_set(p, PROBLEM_BAD_JSON, "Line %d, column %d: a NUL byte.", line, column);
    p->line = line;
    p->column = column;
    return FUT_ERR_INVAL;
}

json_t *json_text_parse(const char *text, size_t n, struct problem *p)
{
    json_error_t err;
    if (json_text_skip_space(text, n, 0) == n) {
        problem_set(p, PROBLEM_BAD_JSON, "The body is empty; a JSON value was expected.");
        p->line = p->column = 1;
        return NULL;
    }
    if (check_no_nul(text, n, p) != 0 || check_depth(text, n, p) != 0)
        return NULL;
    size_t mark = json_text_mark(text, n);
    json_t *root = json_loadb(text + mark, n - mark, PARSE_FLAGS, &err);
    if (!root) {
        int line = err.line > 0 ? err.line : 1, column = err.column > 0 ? err.column : 1;
        problem_set(p, PROBLEM_BAD_JSON, "Line %d, column %d: %s.", line, column, err.text);
        p->line = line;
        p->column = column;
    }
    return root;
}

/* ---- where a member's bytes are -------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t json_text_mark(const char *text, size_t n)
{
    return n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

size_t json_text_skip_space(const char *text, size_t n, size_t at)
{
    if (at == 0)
        at = json_text_mark(text, n);
    while (at < n && is_space(text[at]))
        at++;
    return at;
}

/* Behind the value at `at`, in a text that jansson accepted. */
size_t json_text_skip_value(const char *text, size_t n, size_t at)
{
    int depth = 0;
    do {
        char c = at < n ? text[at] : '\0';
        if (c == '"') {
            at = skip_string(text, n, at);
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

/* Compares a quoted key as it was written; one with escapes is decoded first. */
static bool key_is(const char *quoted, size_t n, const char *key)
{
    if (!memchr(quoted, '\\', n))
        return n == strlen(key) + 2 && memcmp(quoted + 1, key, n - 2) == 0;
    json_t *s = json_loadb(quoted, n, JSON_DECODE_ANY, NULL);
    bool same = s && strcmp(json_string_value(s), key) == 0;
    json_decref(s);
    return same;
}

/* The bytes of a top-level member that is known to be there. */
void json_text_find_member(const char *text, size_t n, const char *key, const char **out,
                           size_t *out_n)
{
    size_t at = json_text_skip_space(text, n, 0) + 1;
    while (at < n) {
        size_t name = json_text_skip_space(text, n, at);
        size_t name_end = skip_string(text, n, name);
        size_t value = json_text_skip_space(text, n, json_text_skip_space(text, n, name_end) + 1);
        size_t end = json_text_skip_value(text, n, value);
        if (key_is(text + name, name_end - name, key)) {
            *out = text + value;
            *out_n = end - value;
            return;
        }
        at = json_text_skip_space(text, n, end) + 1;
    }
    FUT_BUG("a parsed member is not in the text");
}
