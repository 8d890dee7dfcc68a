#include "api/json_in.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"

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
        if (depth > JSON_IN_DEPTH_MAX) {
            problem_set(p, PROBLEM_TOO_DEEP, "The JSON is nested more than %d levels deep.",
                        JSON_IN_DEPTH_MAX);
            find_place(text, i, &p->line, &p->column);
            p->limit = JSON_IN_DEPTH_MAX;
            return FUT_ERR_INVAL;
        }
        i++;
    }
    return 0;
}

static json_t *parse(const char *text, size_t n, struct problem *p)
{
    json_error_t err;
    if (strspn(text, " \t\r\n") >= n) {
        problem_set(p, PROBLEM_BAD_JSON, "The body is empty; a JSON value was expected.");
        p->line = p->column = 1;
        return NULL;
    }
    if (check_depth(text, n, p) != 0)
        return NULL;
    json_t *root = json_loadb(text, n, PARSE_FLAGS, &err);
    if (!root) {
        int line = err.line > 0 ? err.line : 1, column = err.column > 0 ? err.column : 1;
        problem_set(p, PROBLEM_BAD_JSON, "Line %d, column %d: %s.", line, column, err.text);
        p->line = line;
        p->column = column;
    }
    return root;
}

int json_in_check(const char *text, size_t n, struct problem *p)
{
    json_t *root = parse(n ? text : "", n, p);
    if (!root)
        return FUT_ERR_INVAL;
    json_decref(root);
    return 0;
}

/* ---- where a member's bytes are -------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(const char *text, size_t n, size_t at)
{
    while (at < n && is_space(text[at]))
        at++;
    return at;
}

/* Behind the value at `at`, in a text that jansson accepted. */
static size_t skip_value(const char *text, size_t n, size_t at)
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
            while (at < n && !is_space(text[at]) && text[at] != ',' && text[at] != '}')
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
static void find_member(const char *text, size_t n, const char *key, const char **out,
                        size_t *out_n)
{
    size_t at = skip_space(text, n, 0) + 1;
    while (at < n) {
        size_t name = skip_space(text, n, at);
        size_t name_end = skip_string(text, n, name);
        size_t value = skip_space(text, n, skip_space(text, n, name_end) + 1);
        size_t end = skip_value(text, n, value);
        if (key_is(text + name, name_end - name, key)) {
            *out = text + value;
            *out_n = end - value;
            return;
        }
        at = skip_space(text, n, end) + 1;
    }
    FUT_BUG("a parsed member is not in the text");
}

/* ---- the fields of a task -------------------------------------------------------------------- */

struct decode {
    const char *text;
    size_t n;
    struct json_in_task *out;
    struct problem *p;
};

struct field {
    const char *name;
    const char *allowed; /* goes on "…must be" */
    int (*set)(struct decode *d, const struct field *f, const json_t *v);
};

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    FUT_BUG("JSON type");
}

static int wrong_type(struct decode *d, const struct field *f, const json_t *v)
{
    problem_set(d->p, PROBLEM_WRONG_TYPE, "\"%s\" must be %s, not %s.", f->name, f->allowed,
                type_name(v));
    problem_set_field(d->p, f->name);
    return FUT_ERR_INVAL;
}

static int bad_value(struct decode *d, const struct field *f, const char *came)
{
    problem_set(d->p, PROBLEM_INVALID_VALUE, "\"%s\" must be %s, not %.64s.", f->name, f->allowed,
                came);
    problem_set_field(d->p, f->name);
    return FUT_ERR_INVAL;
}

static int bad_number(struct decode *d, const struct field *f, double came)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%.15g", came);
    return bad_value(d, f, text);
}

static int set_handler(struct decode *d, const struct field *f, const json_t *v)
{
    if (!json_is_string(v))
        return wrong_type(d, f, v);
    const char *name = json_string_value(v);
    if (strlen(name) != json_string_length(v) || !task_handler_name_ok(name))
        return bad_value(d, f, "this text");
    d->out->handler = name;
    return 0;
}

static int set_input(struct decode *d, const struct field *f, const json_t *v)
{
    if (json_is_string(v)) {
        d->out->input = json_string_value(v);
        d->out->input_len = json_string_length(v);
        d->out->input_type = CONTENT_TEXT;
        return 0;
    }
    find_member(d->text, d->n, f->name, &d->out->input, &d->out->input_len);
    d->out->input_type = CONTENT_JSON;
    return 0;
}

static int set_lane(struct decode *d, const struct field *f, const json_t *v)
{
    if (json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return wrong_type(d, f, v);
    if (!lane_parse(json_string_value(v), &d->out->lane))
        return bad_value(d, f, json_string_value(v));
    d->out->has_lane = true;
    return 0;
}

static int set_timeout(struct decode *d, const struct field *f, const json_t *v)
{
    if (json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return wrong_type(d, f, v);
    double seconds = json_number_value(v);
    if (!(seconds > 0 && seconds * 1000 <= (double)TASK_TIMEOUT_MAX_MS))
        return bad_number(d, f, seconds);
    d->out->timeout_ms = (int64_t)ceil(seconds * 1000);
    return 0;
}

static int set_retries(struct decode *d, const struct field *f, const json_t *v)
{
    if (json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return wrong_type(d, f, v);
    double n = json_number_value(v);
    if (!(n >= 0 && n <= TASK_RETRIES_MAX && floor(n) == n))
        return bad_number(d, f, n);
    d->out->retries = (int64_t)n;
    return 0;
}

static const struct field fields[] = {
    {"handler", "a string that names a handler", set_handler},
    {"input", "any JSON value", set_input},
    {"lane", "\"io\" or \"cpu\"", set_lane},
    {"timeout", "a number of seconds over 0 and up to 86400", set_timeout},
    {"retries", "a whole number from 0 to 100", set_retries},
};

static int set_member(struct decode *d, const char *key, const json_t *v)
{
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        if (strcmp(fields[i].name, key) == 0)
            return fields[i].set(d, &fields[i], v);
    }
    problem_set(d->p, PROBLEM_UNKNOWN_FIELD,
                "\"%.64s\" is not known here; a task has \"handler\", \"input\", \"lane\", "
                "\"timeout\" and \"retries\".",
                key);
    problem_set_field(d->p, key);
    return FUT_ERR_INVAL;
}

static int set_members(struct decode *d, json_t *root)
{
    const char *key;
    json_t *v;
    if (!json_is_object(root)) {
        problem_set(d->p, PROBLEM_WRONG_TYPE, "The body must be an object, not %s.",
                    type_name(root));
        return FUT_ERR_INVAL;
    }
    json_object_foreach(root, key, v)
    {
        int rc = set_member(d, key, v);
        if (rc != 0)
            return rc;
    }
    if (!d->out->handler) {
        problem_set(d->p, PROBLEM_MISSING_FIELD,
                    "\"handler\" is missing; it names the handler that runs the task.");
        problem_set_field(d->p, "handler");
        return FUT_ERR_INVAL;
    }
    return 0;
}

int json_in_task(const char *text, size_t n, struct json_in_task *out, struct problem *p)
{
    struct json_in_task t = {.input_type = CONTENT_BYTES, .retries = -1};
    /* cppcheck-suppress ctuuninitvar ; p is written to, never read */
    struct decode d = {n ? text : "", n, &t, p};
    t.root = parse(d.text, n, p);
    if (!t.root)
        return FUT_ERR_INVAL;
    int rc = set_members(&d, t.root);
    if (rc != 0) {
        json_decref(t.root);
        return rc;
    }
    *out = t;
    return 0;
}

void json_in_task_release(struct json_in_task *t)
{
    json_decref(t->root);
    *t = (struct json_in_task){0};
}
