#include "api/resources/submission.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/json_in.h"
#include "api/text/json_members.h"
#include "api/text/json_text.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "core/json_quoted.h"
#include "core/mem.h"
#include "core/number.h"
#include "core/result_ref.h"
#include "core/retry.h"

#define SHORTEST_S 0.001 /* what a limit of time has at least */
#define BYTES_MAX 1e15   /* that are exact as a number of JSON */

/* Where a field may stand, as bits of its row. */
#define IN_TASK 1u   /* a task as an object */
#define IN_SHARED 2u /* a map's members beside its inputs */
#define IN_QUERY 4u
#define IN_PROMISE 8u
#define IN_MEMBER 16u /* a task of a batch as an object */
#define IN_THEN 32u   /* what runs behind a batch */
#define IN_FRAME 64u  /* the line of a frame, beside what a task of a batch has */

/* What is read, and the text of it: NULL where there is no input. */
struct reading {
    struct submission *s;
    const char *text;
    size_t n;
};

/* ---- the fields ------------------------------------------------------------------------------ */

static int set_handler(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (!task_handler_name_ok(json_string_value(v)))
        return json_in_bad_value(f, "this text", p);
    d->s->handler = json_string_value(v);
    return 0;
}

static int set_input(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    const char *bytes;
    size_t n;
    (void)p;
    json_text_find_member(d->text, d->n, f->name, &bytes, &n);
    submission_input_set(d->s, v, bytes, n);
    d->s->has_refs = !json_is_string(v) && result_ref_may_be_in(bytes, n);
    return 0;
}

static int set_base64(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    const char *quoted;
    size_t n;
    (void)v; /* the tree does not have long strings (json_text_parse_tasks) */
    json_text_find_member(d->text, d->n, f->name, &quoted, &n);
    return submission_input_decode(d->s, quoted, n, p);
}

static int set_type(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (!params_type_ok(json_string_value(v)))
        return json_in_bad_value(f, json_string_value(v), p);
    d->s->said_type = json_string_value(v);
    return 0;
}

static int set_n_bytes(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    double n = json_number_value(v);
    if (!(n >= 0 && n <= BYTES_MAX && floor(n) == n))
        return json_in_bad_number(f, n, p);
    d->s->has_bytes = true;
    d->s->n_bytes = (size_t)n;
    return 0;
}

static int set_lane(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (!lane_parse(json_string_value(v), &d->s->lane))
        return json_in_bad_value(f, json_string_value(v), p);
    d->s->has_lane = true;
    return 0;
}

static int set_timeout(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    double seconds = json_number_value(v);
    if (!(seconds > 0 && seconds * 1000 <= (double)TASK_TIMEOUT_MAX_MS))
        return json_in_bad_number(f, seconds, p);
    d->s->timeout_ms = number_ms(seconds);
    return 0;
}

static int set_seconds(double least, int64_t *out, const struct json_in_field *f, const json_t *v,
                       struct problem *p)
{
    double seconds = json_number_value(v);
    if (!(seconds >= least && seconds * 1000 <= (double)TASK_DELAY_MAX_MS))
        return json_in_bad_number(f, seconds, p);
    *out = number_ms(seconds);
    return 0;
}

static int set_delay(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    return set_seconds(0, &d->s->times.delay_ms, f, v, p);
}

static int set_run_at(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    int64_t at;
    if (!clock_parse_rfc3339(json_string_value(v), &at))
        return json_in_bad_value(f, json_string_value(v), p);
    d->s->times.run_at_wall_ms = at > 1 ? at : 1; /* 0 is not said */
    return 0;
}

static int set_expires(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    return set_seconds(SHORTEST_S, &d->s->times.expires_in_ms, f, v, p);
}

static int set_deadline(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    return set_seconds(SHORTEST_S, &d->s->times.deadline_ms, f, v, p);
}

static int set_retries(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    double n = json_number_value(v);
    if (!(n >= 0 && n <= TASK_RETRIES_MAX && floor(n) == n))
        return json_in_bad_number(f, n, p);
    d->s->retries = (int64_t)n;
    return 0;
}

static int set_once(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    (void)f, (void)p;
    d->s->once = json_is_true(v);
    return 0;
}

static int refuse_retry(const struct retry_json_error *err, struct problem *p)
{
    if (err->unknown)
        problem_set(p, PROBLEM_UNKNOWN_FIELD, "\"%s.%.64s\" is not known here; it must be %s.",
                    err->field, err->unknown, err->allowed);
    else
        problem_set(p, PROBLEM_INVALID_VALUE, "\"%s\" must be %s.", err->field, err->allowed);
    problem_set_field(p, err->field);
    return FUT_ERR_INVAL;
}

static int set_retry_on(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    struct retry_json_error err;
    (void)f;
    return retry_json_on(v, &d->s->retry, &err) == 0 ? 0 : refuse_retry(&err, p);
}

static int set_backoff(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    struct retry_json_error err;
    (void)f;
    return retry_json_backoff(v, &d->s->retry, &err) == 0 ? 0 : refuse_retry(&err, p);
}

static int set_unique(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    size_t n = json_string_length(v);
    if (n < 1 || n > TASK_KEY_MAX)
        return json_in_bad_value(f, "this text", p);
    d->s->unique = json_string_value(v);
    return 0;
}

static int set_name(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (!task_handler_name_ok(json_string_value(v)))
        return json_in_bad_value(f, json_string_value(v), p);
    d->s->name = json_string_value(v);
    return 0;
}

static int set_after(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    (void)f;
    (void)p;
    d->s->after = v; /* the root keeps it; graph.c reads it */
    return 0;
}

static int set_then_on(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    const char *on = json_string_value(v);
    if (strcmp(on, "success") != 0 && strcmp(on, "done") != 0)
        return json_in_bad_value(f, on, p);
    d->s->then_on = on;
    return 0;
}

static int set_url(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    const char **out_url = to;
    if (!params_url_ok(json_string_value(v)))
        return json_in_bad_value(f, json_string_value(v), p);
    *out_url = json_string_value(v);
    return 0;
}

int submission_read_callback(const json_t *v, const char **out_url, struct problem *p)
{
    static const struct json_in_field members[] = {
        {"callback.url", "an http:// or https:// URL", JSON_IN_STRING, false, 0, set_url},
    };
    static const struct json_in_object object = {"a callback", "callback.", members,
                                                 FUT_COUNT(members), 0};
    const char *url = NULL;
    if (json_in_read(&object, v, &url, p) != 0)
        return FUT_ERR_INVAL;
    if (url) {
        *out_url = url;
        return 0;
    }
    problem_set(p, PROBLEM_MISSING_FIELD, "\"callback.url\" is missing.");
    problem_set_field(p, members[0].name);
    return FUT_ERR_INVAL;
}

static int set_queue(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    const char *name = json_string_value(v);
    if (!task_queue_name_ok(name))
        return json_in_bad_value(f, name, p);
    d->s->queue = name;
    return 0;
}

static int set_fair_key(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    size_t n = json_string_length(v);
    if (n < 1 || n > TASK_FAIR_KEY_MAX)
        return json_in_bad_value(f, "this text", p);
    d->s->fair_key = json_string_value(v);
    return 0;
}

static int set_priority(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    double n = json_number_value(v);
    if (!(n >= -TASK_PRIORITY_MAX && n <= TASK_PRIORITY_MAX && floor(n) == n))
        return json_in_bad_number(f, n, p);
    d->s->priority = (int)n;
    return 0;
}

static int set_callback(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    (void)f;
    return submission_read_callback(v, &d->s->callback_url, p);
}

static int refuse_limit(size_t i, const char *why, struct problem *p)
{
    char field[40];
    (void)snprintf(field, sizeof(field), "limits[%zu]", i);
    problem_set(p, PROBLEM_INVALID_VALUE, "\"%s\" %s", field, why);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

static int set_limit(struct task_limits *to, size_t i, const json_t *v, struct problem *p)
{
    const json_t *key = json_object_get(v, "key");
    const char *name = json_string_value(json_is_object(v) ? json_object_get(v, "name") : v);
    if (!name || !task_limit_name_ok(name) ||
        (json_is_object(v) && json_object_size(v) != (key ? 2 : 1)))
        return refuse_limit(i, "must be the name of a limit, or an object of \"name\" and \"key\".",
                            p);
    if (key && (!json_is_string(key) || strlen(json_string_value(key)) != json_string_length(key) ||
                !task_limit_key_ok(json_string_value(key))))
        return refuse_limit(i, "must have a \"key\" of 1 to 64 bytes without control characters.",
                            p);
    if (task_limits_add(to, name, key ? json_string_value(key) : "") != 0)
        return refuse_limit(i, "names a limit that is named already.", p);
    return 0;
}

static int set_limits(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (json_array_size(v) > TASK_LIMITS_MAX) {
        (void)json_in_bad_number(f, (double)json_array_size(v), p);
        p->limit = TASK_LIMITS_MAX;
        return FUT_ERR_INVAL;
    }
    d->s->limits.n = 0;
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (set_limit(&d->s->limits, i, json_array_get(v, i), p) != 0)
            return FUT_ERR_INVAL;
    }
    return 0;
}

static int set_needs(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    struct task_needs needs;
    int rc = submission_task_needs(v, &needs);
    if (rc == 0) {
        d->s->needs = v;
        return 0;
    }
    problem_set(p, PROBLEM_INVALID_VALUE,
                rc == FUT_ERR_FULL ? "\"needs\" may name %d labels."
                                   : "\"needs\" must be labels of nodes, each of 1 to %d of A-Z a-z"
                                     " 0-9 . _ -",
                rc == FUT_ERR_FULL ? TASK_NEEDS_MAX : TASK_LABEL_MAX);
    problem_set_field(p, f->name);
    p->limit = rc == FUT_ERR_FULL ? TASK_NEEDS_MAX : TASK_LABEL_MAX;
    return FUT_ERR_INVAL;
}

static int set_session(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    return id_parse(json_string_value(v), &d->s->session)
               ? 0
               : json_in_bad_value(f, json_string_value(v), p);
}

#define IN_ALL (IN_TASK | IN_MEMBER | IN_THEN | IN_SHARED | IN_QUERY)

static const struct json_in_field fields[] = {
    {"handler", "a string that names a handler", JSON_IN_STRING, false,
     IN_TASK | IN_MEMBER | IN_THEN | IN_SHARED, set_handler},
    {"input", "any JSON value", JSON_IN_ANY, false, IN_TASK | IN_MEMBER | IN_THEN, set_input},
    {"lane", "\"io\" or \"cpu\"", JSON_IN_STRING, true, IN_ALL, set_lane},
    {"timeout", "a number of seconds over 0 and up to 86400", JSON_IN_NUMBER, true, IN_ALL,
     set_timeout},
    {"delay", "a number of seconds from 0 to 31622400", JSON_IN_NUMBER, true, IN_ALL, set_delay},
    {"run_at", "a time as RFC 3339 writes it, like 2027-01-31T08:00:00Z", JSON_IN_STRING, true,
     IN_ALL, set_run_at},
    {"expires_in", "a number of seconds from 0.001 to 31622400", JSON_IN_NUMBER, true, IN_ALL,
     set_expires},
    {"deadline", "a number of seconds from 0.001 to 31622400", JSON_IN_NUMBER, true, IN_ALL,
     set_deadline},
    {"timeout", "a number of seconds from 0.001 to 31622400", JSON_IN_NUMBER, true, IN_PROMISE,
     set_deadline},
    {"retries", "a whole number from 0 to 100", JSON_IN_NUMBER, true, IN_ALL, set_retries},
    {"once", "true or false", JSON_IN_BOOL, true, IN_ALL, set_once},
    {"retry_on", "an array of " RETRY_WORDS, JSON_IN_ARRAY, true,
     IN_TASK | IN_MEMBER | IN_THEN | IN_SHARED, set_retry_on},
    {"backoff", "an object of \"first\", \"max\" and \"jitter\"", JSON_IN_OBJECT, true,
     IN_TASK | IN_MEMBER | IN_THEN | IN_SHARED, set_backoff},
    {"queue", "a name of 1 to 64 of A-Z a-z 0-9 . _ -", JSON_IN_STRING, true, IN_ALL, set_queue},
    {"priority", "a whole number from -100 to 100", JSON_IN_NUMBER, true, IN_ALL, set_priority},
    {"fair_key", "a string of 1 to 128 bytes", JSON_IN_STRING, true, IN_ALL, set_fair_key},
    {"limits", "an array of at most 4 limits", JSON_IN_ARRAY, true,
     IN_TASK | IN_MEMBER | IN_THEN | IN_SHARED, set_limits},
    {"needs", "an array of at most 8 labels", JSON_IN_ARRAY, true,
     IN_TASK | IN_MEMBER | IN_THEN | IN_SHARED, set_needs},
    {"needs", "a comma list of at most 8 labels", JSON_IN_STRING, true, IN_QUERY, set_needs},
    {"unique", "a string of 1 to 255 bytes", JSON_IN_STRING, true,
     IN_TASK | IN_MEMBER | IN_THEN | IN_PROMISE, set_unique},
    {"callback", "an object with \"url\"", JSON_IN_OBJECT, true,
     IN_TASK | IN_MEMBER | IN_THEN | IN_PROMISE, set_callback},
    {"after", "an array of ids, names, and objects of \"id\" and \"on\"", JSON_IN_ARRAY, true,
     IN_TASK | IN_MEMBER, set_after},
    {"name", "1 to 64 letters, digits, \".\", \"_\" or \"-\"", JSON_IN_STRING, true, IN_MEMBER,
     set_name},
    {"session", "the id of a session", JSON_IN_STRING, true, IN_TASK | IN_QUERY, set_session},
    {"on", "\"success\" or \"done\"", JSON_IN_STRING, true, IN_THEN, set_then_on},
    {"base64", "a string of bytes in base64", JSON_IN_STRING, false, IN_TASK | IN_MEMBER | IN_THEN,
     set_base64},
    {"content_type", "a content type of 1 to 127 characters", JSON_IN_STRING, true,
     IN_TASK | IN_MEMBER | IN_THEN, set_type},
    {"bytes", "a whole number of bytes", JSON_IN_NUMBER, false, IN_FRAME, set_n_bytes},
};

/* ---- reading --------------------------------------------------------------------------------- */

static struct submission unsaid(void)
{
    return (struct submission){.input_type = CONTENT_BYTES, .retries = -1};
}

static bool has_handler(const struct submission *s, unsigned where)
{
    return s->handler || where & (IN_QUERY | IN_PROMISE);
}

static int read_members(const json_t *v, const char *what, unsigned where, struct reading *d,
                        struct problem *p)
{
    struct json_in_object object = {what, "", fields, FUT_COUNT(fields), where};
    if (json_in_read(&object, v, d, p) != 0)
        return FUT_ERR_INVAL;
    if (has_handler(d->s, where))
        return 0;
    problem_set(p, PROBLEM_MISSING_FIELD,
                "\"handler\" is missing; it names the handler that runs the task.");
    problem_set_field(p, "handler");
    return FUT_ERR_INVAL;
}

static bool take_member(struct reading *d, unsigned where, const struct json_member *m)
{
    const struct json_in_object object = {"", "", fields, FUT_COUNT(fields), where};
    const struct json_in_field *f = json_in_find(&object, m->name, m->name_len);
    struct problem p;
    if (f && f->set == set_input) {
        submission_input_plain(d->s, m->value, m->value_len);
        return true;
    }
    json_t *v = f ? json_members_value(m) : NULL;
    return v && json_array_append_new(d->s->root, v) == 0 && json_in_set(f, v, d, &p) == 0;
}

/* The way of most bodies, without a tree. False: it is to be read by the tree, and refused there if
 * it is wrong. */
static bool read_plain(struct reading *d, unsigned where)
{
    struct json_member members[JSON_MEMBERS_MAX];
    size_t n;
    if (!json_members_find(d->text, d->n, members, &n))
        return false;
    d->s->root = json_array(); /* which owns the values */
    for (size_t i = 0; i < n; i++) {
        if (!take_member(d, where, &members[i]))
            return false;
    }
    return has_handler(d->s, where);
}

static int read_object(const char *text, size_t n, const char *what, unsigned where,
                       struct submission *out, struct problem *p)
{
    struct submission s = unsaid();
    /* cppcheck-suppress ctuuninitvar ; p is written to, never read */
    struct reading d = {&s, n ? text : "", n};
    if (read_plain(&d, where) && submission_input_check(&s, p) == 0) {
        *out = s;
        return 0;
    }
    submission_release(&s);
    s = unsaid();
    s.root = json_text_parse_tasks(d.text, n, p);
    if (!s.root)
        return FUT_ERR_INVAL;
    int rc = read_members(s.root, what, where, &d, p);
    if (rc == 0)
        rc = submission_input_check(&s, p);
    if (rc != 0)
        submission_release(&s);
    else
        *out = s;
    return rc;
}

int submission_read(const char *text, size_t n, struct submission *out, struct problem *p)
{
    return read_object(text, n, "a task", IN_TASK, out, p);
}

int submission_read_member(const char *text, size_t n, struct submission *out, struct problem *p)
{
    return read_object(text, n, "a task of a batch", IN_MEMBER, out, p);
}

int submission_read_frame(const char *text, size_t n, struct submission *out, struct problem *p)
{
    return read_object(text, n, "the line of a frame", IN_MEMBER | IN_FRAME, out, p);
}

int submission_read_then(const char *text, size_t n, struct submission *out, struct problem *p)
{
    static const char all[] = "{\"$results\":true}";
    int rc = read_object(text, n, "a batch's \"then\"", IN_THEN, out, p);
    if (rc == 0 && !out->input) {
        out->input = all;
        out->input_len = sizeof(all) - 1;
        out->input_type = CONTENT_JSON;
        out->has_refs = true;
    }
    return rc;
}

int submission_read_promise(const char *text, size_t n, struct submission *out, struct problem *p)
{
    static const char nothing[] = "{}";
    int rc = read_object(n ? text : nothing, n ? n : sizeof(nothing) - 1, "a promise", IN_PROMISE,
                         out, p);
    if (rc == 0)
        out->is_promise = true;
    return rc;
}

int submission_read_shared(const struct json_t *members, struct submission *out, struct problem *p)
{
    struct submission s = unsaid();
    struct reading d = {&s, NULL, 0};
    if (read_members(members, "a map", IN_SHARED, &d, p) != 0)
        return FUT_ERR_INVAL;
    *out = s;
    return 0;
}

/* The value as the field wants it, or as text, which is refused then. What a query says need not be
 * UTF-8. */
static json_t *value_of(const struct json_in_field *f, const char *text)
{
    double number;
    bool is_number = f->type == JSON_IN_NUMBER && number_parse(text, &number);
    if (f->type == JSON_IN_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        return json_boolean(*text == 't');
    return is_number ? json_real(number) : json_string_nocheck(text);
}

/* The query is the same object in another spelling. */
int submission_read_query(submission_arg *arg, void *ctx, struct submission *out, struct problem *p)
{
    struct submission s = unsaid();
    struct reading d = {&s, NULL, 0};
    s.root = json_object();
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        const char *text = fields[i].tags & IN_QUERY ? arg(ctx, fields[i].name) : NULL;
        if (text)
            (void)json_object_set_new(s.root, fields[i].name, value_of(&fields[i], text));
    }
    if (read_members(s.root, "a query", IN_QUERY, &d, p) != 0) {
        p->code = PROBLEM_INVALID_PARAMETER;
        problem_set_parameter(p, p->field);
        problem_set_field(p, "");
        submission_release(&s);
        return FUT_ERR_INVAL;
    }
    *out = s;
    return 0;
}

void submission_release(struct submission *s)
{
    json_decref(s->root);
    buf_release(&s->decoded);
    *s = (struct submission){0};
}
