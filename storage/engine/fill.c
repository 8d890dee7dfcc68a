/* fill: puts the results of other tasks in place of the references to them in a task's input. A
 * reader thread. Each result is read once, and only what is used of it is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/end_codes.h"
#include "core/id.h"
#include "core/json_walk.h"
#include "core/mem.h"
#include "core/result_ref.h"
#include "storage/engine/internal.h"
#include "storage/results.h"

/* Bytes of results that pointers are looked for in, for one input. */
#define WALK_MAX ((size_t)256 << 20)

struct part {
    struct result_ref ref; /* borrowed */
    size_t place;          /* among the references */
    char *bytes;
    size_t len;
};

struct filling {
    struct store_fill *o;
    struct part *parts;
    size_t n;
    size_t total;  /* bytes of the input as far as it is made */
    size_t walked; /* of results that pointers were looked for in */
};

static int refuse(struct filling *f, enum end_code code, const char *text)
{
    f->o->refused = task_outcome_error(end_code_text(code), text);
    return FUT_ERR_INVAL;
}

static int refuse_size(struct filling *f)
{
    char text[160];
    (void)snprintf(text, sizeof(text),
                   "With the results that it refers to, the input would have more than %zu bytes.",
                   f->o->max_bytes);
    return refuse(f, END_INPUT_TOO_LARGE, text);
}

static int refuse_result(struct filling *f, const struct part *p, const char *why)
{
    char text[400];
    (void)snprintf(text, sizeof(text), "The result of %.64s cannot be used: %.300s", p->ref.parent,
                   why);
    return refuse(f, END_UNRESOLVED_INPUT, text);
}

static int keep(struct filling *f, struct part *p, const char *bytes, size_t n)
{
    f->total += n;
    if (f->total > f->o->max_bytes)
        return refuse_size(f);
    p->bytes = xmalloc(n + 1);
    p->len = n;
    memcpy(p->bytes, bytes, n);
    return 0;
}

/* There is no such value. */
static int take_default(struct filling *f, struct part *p, const char *why)
{
    return p->ref.missing ? keep(f, p, p->ref.missing, p->ref.missing_len)
                          : refuse_result(f, p, why);
}

/* Takes what p wants of the result. */
static int take_part(struct filling *f, struct part *p, const struct task_outcome *result)
{
    const char *found, *body = (const char *)result->body;
    char why[256];
    size_t n;
    f->walked += *p->ref.pointer ? result->body_len : 0;
    if (f->walked > WALK_MAX)
        return refuse(f, END_INPUT_TOO_LARGE,
                      "The pointers of the input look through more than 256 MiB of results.");
    if (!json_walk_point(body, result->body_len, p->ref.pointer, &found, &n)) {
        (void)snprintf(why, sizeof(why), "it has nothing at \"%.200s\".", p->ref.pointer);
        return take_default(f, p, why);
    }
    return keep(f, p, found, n);
}

static const char *why_unusable(const struct task *t, char *text, size_t size)
{
    const struct task_outcome *o = t->outcome;
    if (t->state != TASK_SUCCEEDED || !o)
        (void)snprintf(text, size, "it is %s.", task_state_name(t->state));
    else if (!task_type_is_json(o->type ? o->type : CONTENT_BYTES) || !o->body_len)
        (void)snprintf(text, size, "it is %s, and no JSON.", o->type ? o->type : CONTENT_BYTES);
    else
        return NULL;
    return text;
}

/* The parts that want something of the same parent: `n` of them. */
static int take_parts(struct filling *f, const struct backend_ops *ops, struct backend_reader *r,
                      struct part *parts, size_t n)
{
    struct store_get get = {.reported = {.progress = -1}};
    char text[200];
    const char *why = NULL;
    int rc = id_parse(parts->ref.parent, &get.id) ? ops->get(r, &get) : FUT_ERR_NOT_FOUND;
    if (rc == FUT_ERR_NOT_FOUND)
        why = "it was deleted, or has expired.";
    else if (rc == 0)
        why = why_unusable(&get.task, text, sizeof(text));
    else
        return rc;
    rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = why ? take_default(f, &parts[i], why) : take_part(f, &parts[i], get.task.outcome);
    task_release(&get.task);
    store_reported_release(&get.reported);
    return rc;
}

static int by_parent(const void *a_, const void *b_)
{
    const struct part *a = a_, *b = b_;
    int order = strcmp(a->ref.parent, b->ref.parent);
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

static int by_place(const void *a_, const void *b_)
{
    const struct part *a = a_, *b = b_;
    return (a->place > b->place) - (a->place < b->place);
}

static int take_all(struct filling *f, const struct backend_ops *ops, struct backend_reader *r)
{
    int rc = 0;
    qsort(f->parts, f->n, sizeof(*f->parts), by_parent);
    for (size_t i = 0, next; rc == 0 && i < f->n; i = next) {
        next = i + 1;
        while (next < f->n && strcmp(f->parts[i].ref.parent, f->parts[next].ref.parent) == 0)
            next++;
        rc = take_parts(f, ops, r, &f->parts[i], next - i);
    }
    return rc;
}

static void put_together(struct filling *f)
{
    const struct task_spec *template = f->o->spec;
    struct task_spec filled = *template;
    struct buf out = BUF_INIT;
    size_t at = 0;
    buf_reserve(&out, f->total);
    qsort(f->parts, f->n, sizeof(*f->parts), by_place);
    for (size_t i = 0; i < f->n; i++) {
        const struct part *p = &f->parts[i];
        buf_put(&out, template->input + at, p->ref.begin - at);
        buf_put(&out, p->bytes, p->len);
        at = p->ref.end;
    }
    buf_put(&out, template->input + at, template->input_len - at);
    filled.input = (const unsigned char *)out.data;
    filled.input_len = out.len;
    f->o->filled = task_spec_new(&filled);
    buf_release(&out);
}

static void prepare_fill(struct store_op *op)
{
    struct store_fill *o = FUT_CONTAINER(op, struct store_fill, op);
    o->filled = NULL;
    o->refused = NULL;
}

static int read_fill(const struct backend_ops *ops, struct backend_reader *r, struct store_op *op)
{
    struct store_fill *o = FUT_CONTAINER(op, struct store_fill, op);
    struct filling f = {.o = o, .total = o->spec->input_len};
    struct result_refs refs;
    int rc = result_ref_find((const char *)o->spec->input, o->spec->input_len, &refs);
    if (rc != 0)
        rc = refuse(&f, END_UNRESOLVED_INPUT, refs.why);
    f.n = refs.n;
    f.parts = xcalloc(f.n + 1, sizeof(*f.parts));
    for (size_t i = 0; i < f.n; i++) {
        f.parts[i] = (struct part){.ref = refs.items[i], .place = i};
        f.total -= refs.items[i].end - refs.items[i].begin;
    }
    if (rc == 0)
        rc = take_all(&f, ops, r);
    if (rc == 0)
        put_together(&f);
    for (size_t i = 0; i < f.n; i++)
        free(f.parts[i].bytes);
    free(f.parts);
    result_ref_release(&refs);
    return rc;
}

const struct store_verb store_verb_fill = {.prepare = prepare_fill, .read = read_fill};
