#include "api/text/json_text.h"

#include <jansson.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/json_quoted.h"
#include "core/json_walk.h"

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

/* Only counts brackets outside strings: the grammar is jansson's. */
static int check_depth(const char *text, size_t n, struct problem *p)
{
    int depth = 0;
    for (size_t i = 0; i < n;) {
        char c = text[i];
        if (c == '"') {
            i = json_quoted_skip(text, n, i);
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
    if (json_walk_skip_space(text, n, 0) == n) {
        problem_set(p, PROBLEM_BAD_JSON, "The body is empty; a JSON value was expected.");
        p->line = p->column = 1;
        return NULL;
    }
    if (check_no_nul(text, n, p) != 0 || check_depth(text, n, p) != 0)
        return NULL;
    size_t mark = json_walk_mark(text, n);
    json_t *root = json_loadb(text + mark, n - mark, PARSE_FLAGS, &err);
    if (!root) {
        int line = err.line > 0 ? err.line : 1, column = err.column > 0 ? err.column : 1;
        problem_set(p, PROBLEM_BAD_JSON, "Line %d, column %d: %s.", line, column, err.text);
        p->line = line;
        p->column = column;
    }
    return root;
}

/* ---- without long inputs --------------------------------------------------------------------- */

static bool is_input_key(const char *quoted, size_t n)
{
    if (n != 7 && n != 8 && !memchr(quoted, '\\', n))
        return false;
    return json_walk_is(quoted, n, "input", 5) || json_walk_is(quoted, n, "inputs", 6) ||
           json_walk_is(quoted, n, "base64", 6);
}

/* Where in the text the walk is: the brackets that are open, and whether it is inside of an input's
 * value, which began behind so many of them. */
struct walk {
    int depth, input_depth;
    bool is_input;
};

static void pass_mark(struct walk *w, char c)
{
    if (c == '[' || c == '{') {
        w->depth++;
    } else if (c == ']' || c == '}') {
        w->depth--;
        w->is_input = w->is_input && w->depth >= w->input_depth;
    } else if (c == ',' && w->depth == w->input_depth) {
        w->is_input = false;
    }
}

/* Behind the string at `at`, which is a key. */
static void pass_key(struct walk *w, const char *quoted, size_t n)
{
    if (w->is_input || !is_input_key(quoted, n))
        return;
    w->is_input = true;
    w->input_depth = w->depth;
}

/* Appends the text with "" in the place of long strings. False: it has none. The text need not be
 * JSON: what is left of it then is none either. */
static bool leave_out(const char *text, size_t n, struct buf *out)
{
    struct walk w = {0};
    size_t copied = 0;
    for (size_t at = 0; at < n;) {
        if (text[at] != '"') {
            pass_mark(&w, text[at++]);
            continue;
        }
        size_t checked = w.is_input ? json_quoted_check(text + at, n - at) : 0;
        size_t end = checked ? at + checked : json_quoted_skip(text, n, at);
        size_t next = json_walk_skip_space(text, n, end);
        bool is_key = next < n && text[next] == ':';
        if (is_key) {
            pass_key(&w, text + at, end - at);
        } else if (checked >= JSON_TEXT_LONG) {
            buf_put(out, text + copied, at - copied);
            buf_puts(out, "\"\"");
            copied = end;
        }
        at = end;
    }
    buf_put(out, text + copied, n - copied);
    return copied > 0;
}

json_t *json_text_parse_tasks(const char *text, size_t n, struct problem *p)
{
    struct buf rest = BUF_INIT;
    json_t *root = NULL;
    if (n > JSON_TEXT_LONG && leave_out(text, n, &rest))
        root = json_text_parse(rest.data, rest.len, p);
    buf_release(&rest);
    return root ? root
                : json_text_parse(text, n, p); /* a refusal tells the place in the whole text */
}

void json_text_find_member(const char *text, size_t n, const char *key, const char **out,
                           size_t *out_n)
{
    if (!json_walk_member(text, n, key, out, out_n))
        FUT_BUG("a parsed member is not in the text");
}
