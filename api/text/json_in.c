#include "api/text/json_in.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "api/text/json_text.h"
#include "api/text/params.h"
#include "api/text/retry_in.h"
#include "core/mem.h"

int json_in_check(const char *text, size_t n, struct problem *p)
{
    json_t *root = json_text_parse(n ? text : "", n, p);
    if (!root)
        return FUT_ERR_INVAL;
    json_decref(root);
    return 0;
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
    json_text_find_member(d->text, d->n, f->name, &d->out->input, &d->out->input_len);
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

static int set_unique(struct decode *d, const struct field *f, const json_t *v)
{
    if (json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return wrong_type(d, f, v);
    size_t n = json_string_length(v);
    if (n < 1 || n > TASK_KEY_MAX || strlen(json_string_value(v)) != n)
        return bad_value(d, f, "this text");
    d->out->unique = json_string_value(v);
    return 0;
}

static int set_callback(struct decode *d, const struct field *f, const json_t *v)
{
    static const struct field url_field = {"callback.url", "an http:// or https:// URL", NULL};
    const char *key;
    json_t *member;
    if (json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return wrong_type(d, f, v);
    const json_t *url = json_object_get(v, "url");
    json_object_foreach ((json_t *)(uintptr_t)v, key, member) {
        if (strcmp(key, "url") != 0) {
            problem_set(d->p, PROBLEM_UNKNOWN_FIELD,
                        "\"callback.%.64s\" is not known here; a callback has \"url\".", key);
            problem_set_field(d->p, "callback");
            return FUT_ERR_INVAL;
        }
    }
    if (!url) {
        problem_set(d->p, PROBLEM_MISSING_FIELD, "\"callback.url\" is missing.");
        problem_set_field(d->p, url_field.name);
        return FUT_ERR_INVAL;
    }
    if (!json_is_string(url))
        return wrong_type(d, &url_field, url);
    if (strlen(json_string_value(url)) != json_string_length(url) ||
        !params_url_ok(json_string_value(url)))
        return bad_value(d, &url_field, json_string_value(url));
    d->out->callback_url = json_string_value(url);
    return 0;
}

static int set_retry_on(struct decode *d, const struct field *f, const json_t *v)
{
    if (json_is_null(v))
        return 0;
    if (!json_is_array(v))
        return wrong_type(d, f, v);
    return retry_in_on(v, &d->out->retry, d->p);
}

static int set_backoff(struct decode *d, const struct field *f, const json_t *v)
{
    if (json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return wrong_type(d, f, v);
    return retry_in_backoff(v, &d->out->retry, d->p);
}

static const struct field fields[] = {
    {"handler", "a string that names a handler", set_handler},
    {"input", "any JSON value", set_input},
    {"lane", "\"io\" or \"cpu\"", set_lane},
    {"timeout", "a number of seconds over 0 and up to 86400", set_timeout},
    {"retries", "a whole number from 0 to 100", set_retries},
    {"retry_on", "an array of words", set_retry_on},
    {"backoff", "an object of \"first\", \"max\" and \"jitter\"", set_backoff},
    {"unique", "a string of 1 to 255 bytes", set_unique},
    {"callback", "an object with \"url\"", set_callback},
};

static int set_member(struct decode *d, const char *key, const json_t *v)
{
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        if (strcmp(fields[i].name, key) == 0)
            return fields[i].set(d, &fields[i], v);
    }
    problem_set(d->p, PROBLEM_UNKNOWN_FIELD,
                "\"%.64s\" is not known here; a task has \"handler\", \"input\", \"lane\", "
                "\"timeout\", \"retries\", \"retry_on\", \"backoff\", \"unique\" and "
                "\"callback\".",
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
    json_object_foreach (root, key, v) {
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
    t.root = json_text_parse(d.text, n, p);
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
