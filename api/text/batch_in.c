#include "api/text/batch_in.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "api/text/json_text.h"
#include "core/json_walk.h"
#include "core/mem.h"

/* ---- refusals -------------------------------------------------------------------------------- */

static int refuse(struct problem *p, enum problem_code code, const char *field, const char *what)
{
    problem_set(p, code, "%s", what);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

static int refuse_size(struct problem *p)
{
    problem_set(p, PROBLEM_BATCH_TOO_LARGE, "A batch has at most %d tasks; nothing was stored.",
                BATCH_IN_MAX);
    p->limit = BATCH_IN_MAX;
    return FUT_ERR_INVAL;
}

static int refuse_empty(struct problem *p, const char *field)
{
    return refuse(p, PROBLEM_INVALID_VALUE, field, "A batch has at least one task.");
}

/* Puts where the task stands before what is wrong with it. */
static int at_place(struct problem *p, const char *place)
{
    char text[sizeof(p->detail)], field[sizeof(p->field)];
    (void)snprintf(text, sizeof(text), "%s: %.600s", place, p->detail);
    (void)snprintf(field, sizeof(field), "%.30s%s%.40s", place, p->field[0] ? "." : "", p->field);
    memcpy(p->detail, text, sizeof(text));
    problem_set_field(p, field);
    p->line = p->column = 0; /* they were of the part */
    return FUT_ERR_INVAL;
}

/* ---- the parts of a JSON body ---------------------------------------------------------------- */

struct body {
    const char *text;
    size_t n;
    json_t *root;
    struct batch_in *b;
    struct problem *p;
};

/* Walks an array in the text; *at begins behind the bracket. The bytes of the next element. */
static const char *next_element(const char *text, size_t n, size_t *at, size_t *out_n)
{
    size_t from = json_walk_skip_space(text, n, *at);
    size_t end = json_walk_skip_value(text, n, from);
    *at = json_walk_skip_space(text, n, end) + 1; /* behind the comma */
    *out_n = end - from;
    return text + from;
}

typedef int element_fn(const struct body *d, const char *bytes, size_t n, const json_t *v);

/* Hands over the elements of an array member with their bytes in the text. A refusal is told with
 * its place; of the first element only when it is its own: inputs share all else of the task. */
static int each_element(const struct body *d, const char *name, bool is_own, element_fn *take)
{
    const json_t *elements = json_object_get(d->root, name);
    const char *bytes;
    size_t len, at = json_walk_find(d->text, d->n, name) + 1;
    for (size_t i = 0; i < json_array_size(elements); i++) {
        char place[32];
        bytes = next_element(d->text, d->n, &at, &len);
        if (take(d, bytes, len, json_array_get(elements, i)) == 0)
            continue;
        (void)snprintf(place, sizeof(place), "%s[%zu]", name, i);
        return is_own || i ? at_place(d->p, place) : FUT_ERR_INVAL;
    }
    return 0;
}

static int check_array(const struct body *d, const char *name, const json_t *v)
{
    if (!json_is_array(v))
        return refuse(d->p, PROBLEM_WRONG_TYPE, name, "It must be an array.");
    if (json_array_size(v) > BATCH_IN_MAX)
        return refuse_size(d->p);
    return json_array_size(v) ? 0 : refuse_empty(d->p, name);
}

/* What a batch says of itself, in each form. */
static const char *const batch_members[] = {"fail_fast", "callback", "then"};

static int read_then(const struct body *d)
{
    const json_t *v = json_object_get(d->root, "then");
    const char *text;
    size_t n;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return refuse(d->p, PROBLEM_WRONG_TYPE, "then", "\"then\" must be a task, an object.");
    json_text_find_member(d->text, d->n, "then", &text, &n);
    return d->b->taker->then(d->b->ctx, text, n, d->p) == 0 ? 0 : at_place(d->p, "then");
}

static int read_batch(const struct body *d)
{
    const json_t *v = json_object_get(d->root, "fail_fast");
    const json_t *callback = json_object_get(d->root, "callback");
    if (v && !json_is_boolean(v))
        return refuse(d->p, PROBLEM_WRONG_TYPE, "fail_fast",
                      "\"fail_fast\" must be true or false.");
    if (v)
        d->b->fail_fast = json_is_true(v);
    if (callback && !json_is_null(callback) && !json_is_object(callback))
        return refuse(d->p, PROBLEM_WRONG_TYPE, "callback",
                      "\"callback\" must be an object with \"url\".");
    if (json_is_object(callback) && d->b->taker->callback(d->b->ctx, callback, d->p) != 0)
        return FUT_ERR_INVAL;
    return read_then(d);
}

/* ---- {"handler","inputs"} -------------------------------------------------------------------- */

/* What all tasks of a map share: the body without the rest. */
static int take_shared(const struct body *d)
{
    json_t *shared = json_copy(d->root);
    (void)json_object_del(shared, "inputs");
    for (size_t i = 0; i < FUT_COUNT(batch_members); i++)
        (void)json_object_del(shared, batch_members[i]);
    int rc = d->b->taker->shared(d->b->ctx, shared, d->p);
    json_decref(shared); /* its members belong to the root as well */
    return rc;
}

static int take_input(const struct body *d, const char *bytes, size_t n, const json_t *v)
{
    int rc = d->b->taker->input(d->b->ctx, v, bytes, n, d->p);
    d->b->n += rc == 0;
    return rc;
}

static int read_map(const struct body *d)
{
    if (check_array(d, "inputs", json_object_get(d->root, "inputs")) != 0 || read_batch(d) != 0 ||
        take_shared(d) != 0)
        return FUT_ERR_INVAL;
    return each_element(d, "inputs", false, take_input);
}

/* ---- {"tasks"} ------------------------------------------------------------------------------- */

static int take_task(const struct body *d, const char *bytes, size_t n, const json_t *v)
{
    (void)v;
    int rc = d->b->taker->task(d->b->ctx, bytes, n, d->p);
    d->b->n += rc == 0;
    return rc;
}

static bool is_batch_member(const char *key)
{
    for (size_t i = 0; i < FUT_COUNT(batch_members); i++)
        if (strcmp(key, batch_members[i]) == 0)
            return true;
    return false;
}

static int read_tasks(const struct body *d)
{
    const char *key;
    json_t *v;
    json_object_foreach (d->root, key, v) {
        if (strcmp(key, "tasks") == 0 || is_batch_member(key))
            continue;
        problem_set(d->p, PROBLEM_UNKNOWN_FIELD,
                    "\"%.64s\" is not known here; a batch of \"tasks\" has \"fail_fast\", "
                    "\"callback\" and \"then\" beside.",
                    key);
        problem_set_field(d->p, key);
        return FUT_ERR_INVAL;
    }
    if (check_array(d, "tasks", json_object_get(d->root, "tasks")) != 0 || read_batch(d) != 0)
        return FUT_ERR_INVAL;
    return each_element(d, "tasks", true, take_task);
}

static int read_body(const struct body *d)
{
    if (!json_is_object(d->root))
        return refuse(d->p, PROBLEM_WRONG_TYPE, "", "The body must be an object.");
    if (json_object_get(d->root, "tasks"))
        return read_tasks(d);
    if (json_object_get(d->root, "inputs"))
        return read_map(d);
    return refuse(d->p, PROBLEM_MISSING_FIELD, "tasks",
                  "A batch has \"tasks\", or \"handler\" and \"inputs\".");
}

int batch_in_json(const char *text, size_t n, struct batch_in *b, struct problem *p)
{
    struct body d = {n ? text : "", n, NULL, b, p};
    d.root = json_text_parse_tasks(d.text, n, p);
    if (!d.root)
        return FUT_ERR_INVAL;
    int rc = read_body(&d);
    json_decref(d.root);
    return rc;
}

/* ---- NDJSON ---------------------------------------------------------------------------------- */

static int read_line(struct batch_in *b, const char *line, size_t n, int number, struct problem *p)
{
    if (b->n == BATCH_IN_MAX)
        return refuse_size(p);
    if (b->taker->task(b->ctx, line, n, p) == 0) {
        b->n++;
        return 0;
    }
    static const char own[] = "Line 1, "; /* as the line by itself sees its place */
    bool has_column = strncmp(p->detail, own, sizeof(own) - 1) == 0;
    char text[sizeof(p->detail)];
    (void)snprintf(text, sizeof(text), has_column ? "Line %d, %.600s" : "Line %d: %.600s", number,
                   has_column ? p->detail + sizeof(own) - 1 : p->detail);
    memcpy(p->detail, text, sizeof(text));
    p->line = number; /* the column, if any, is of this line */
    return FUT_ERR_INVAL;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int at_frame(const struct batch_lines *l, struct problem *p)
{
    char place[32];
    (void)snprintf(place, sizeof(place), "frames[%zu]", l->in.n);
    return at_place(p, place);
}

/* Its bytes are here: n of them. */
static int end_frame(struct batch_lines *l, const char *bytes, size_t n, struct problem *p)
{
    l->is_in_bytes = false;
    if (l->in.taker->bytes(l->in.ctx, bytes, n, p) != 0)
        return at_frame(l, p);
    l->in.n++;
    return 0;
}

static int refuse_bytes(const struct batch_lines *l, size_t n, struct problem *p)
{
    problem_set(p, PROBLEM_BODY_TOO_LARGE, "\"bytes\" is %zu; allowed: up to %zu.", n,
                l->max_line_bytes);
    problem_set_field(p, "bytes");
    p->limit = l->max_line_bytes;
    return at_frame(l, p);
}

static int read_head(struct batch_lines *l, const char *line, size_t n, struct problem *p)
{
    size_t bytes = BATCH_IN_NO_BYTES;
    if (l->in.n == BATCH_IN_MAX)
        return refuse_size(p);
    if (l->in.taker->head(l->in.ctx, line, n, &bytes, p) != 0)
        return at_frame(l, p);
    if (bytes == BATCH_IN_NO_BYTES) {
        l->in.n++;
        return 0;
    }
    if (bytes > l->max_line_bytes)
        return refuse_bytes(l, bytes, p);
    l->is_in_bytes = true;
    l->wanted = bytes;
    return bytes ? 0 : end_frame(l, "", 0, p);
}

/* Takes what belongs to the frame from the *n bytes at *bytes. */
static int put_bytes(struct batch_lines *l, const char **bytes, size_t *n, struct problem *p)
{
    size_t missing = l->wanted - l->rest->len, taken = *n < missing ? *n : missing;
    const char *whole = *bytes;
    if (taken < l->wanted) {
        buf_put(l->rest, *bytes, taken);
        whole = l->rest->data;
    }
    *bytes += taken;
    *n -= taken;
    if (taken < missing)
        return 0;
    l->rest->len = 0;
    return end_frame(l, whole, l->wanted, p);
}

static int refuse_cut(const struct batch_lines *l, struct problem *p)
{
    problem_set(p, PROBLEM_INVALID_VALUE, "\"bytes\" is %zu, and the body ends after %zu of them.",
                l->wanted, l->rest->len);
    problem_set_field(p, "bytes");
    return at_frame(l, p);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int refuse_line(const struct batch_lines *l, struct problem *p)
{
    problem_set(p, PROBLEM_BODY_TOO_LARGE, "Line %d has more than %zu bytes; nothing was stored.",
                l->number + 1, l->max_line_bytes);
    p->line = l->number + 1;
    p->limit = l->max_line_bytes;
    return FUT_ERR_INVAL;
}

/* Joins what came of the line with the n bytes that end it. */
static int end_line(struct batch_lines *l, const char *bytes, size_t n, struct problem *p)
{
    if (n > l->max_line_bytes - l->rest->len)
        return refuse_line(l, p);
    if (l->rest->len) {
        buf_put(l->rest, bytes, n);
        bytes = l->rest->data;
        n = l->rest->len;
        l->rest->len = 0;
    }
    l->number += l->number < INT_MAX - 1;
    if (json_walk_skip_space(bytes, n, 0) == n)
        return 0; /* a blank line */
    return l->is_framed ? read_head(l, bytes, n, p) : read_line(&l->in, bytes, n, l->number, p);
}

int batch_in_put(struct batch_lines *l, const char *bytes, size_t n, struct problem *p)
{
    while (n) {
        if (l->is_in_bytes) {
            if (put_bytes(l, &bytes, &n, p) != 0)
                return FUT_ERR_INVAL;
            continue;
        }
        const char *nl = memchr(bytes, '\n', n);
        if (!nl)
            break;
        size_t len = (size_t)(nl - bytes);
        if (end_line(l, bytes, len, p) != 0)
            return FUT_ERR_INVAL;
        bytes += len + 1;
        n -= len + 1;
    }
    if (n > l->max_line_bytes - l->rest->len)
        return refuse_line(l, p);
    if (n)
        buf_put(l->rest, bytes, n);
    return 0;
}

int batch_in_end(struct batch_lines *l, struct problem *p)
{
    if (!l->is_in_bytes && end_line(l, "", 0, p) != 0)
        return FUT_ERR_INVAL;
    if (l->is_in_bytes)
        return refuse_cut(l, p);
    return l->in.n ? 0 : refuse_empty(p, "");
}
