#include "api/http/request.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/loop.h"
#include "api/http/shared.h"
#include "core/clock.h"
#include "core/mem.h"

#define SPARE_BUF_BYTES 16384 /* a reused request keeps no bigger buffer */
#define RETRY_AFTER_MAX_S 3600
#define RETRY_AFTER_BYTES 12
#define RETRY_AFTER_UNKNOWN_S 60 /* the queue is full and nothing drains it */

struct request *request_new(struct api *api, struct http_loop *loop, struct request *spare)
{
    struct buf body = BUF_INIT, out = BUF_INIT;
    if (spare) {
        body = spare->body;
        out = spare->out;
    } else {
        spare = xmalloc(sizeof(*spare));
    }
    *spare = (struct request){.api = api, .loop = loop, .body = body, .out = out};
    return spare;
}

static void shrink(struct buf *b)
{
    b->len = 0;
    if (b->cap > SPARE_BUF_BYTES)
        buf_release(b);
}

/* A request may end between the operation and the step that follows it: its client reset the
 * connection, and the library does not call us again. */
void request_drop_op(struct request *r)
{
    if (r->drop_op)
        r->drop_op(r);
    r->drop_op = NULL;
}

void request_clear(struct request *r)
{
    request_drop_op(r);
    waiter_close(&r->api->waiters, &r->waiter);
    catalog_unref(&r->catalog);
    task_release(&r->task);
    task_release(&r->callback);
    store_attempts_free(r->attempts, r->n_attempts);
    free((char *)(uintptr_t)r->note.message);
    task_outcome_unref(r->outcome);
    r->outcome = NULL;
    arena_release(&r->arena);
    shrink(&r->body);
    shrink(&r->out);
    budget_return(&r->api->budget, &r->share);
}

void request_delete(struct request *r)
{
    buf_release(&r->body);
    buf_release(&r->out);
    free(r);
}

void request_wake(struct waiter *w)
{
    struct request *r = FUT_CONTAINER(w, struct request, waiter);
    http_loop_wake(r->loop, r);
}

void request_drop_body(struct request *r)
{
    buf_release(&r->body);
    budget_return(&r->api->budget, &r->share);
}

void request_forget_body(struct request *r)
{
    r->keeps_body = false;
    r->sink = NULL;
    request_drop_body(r);
    request_drop_op(r); /* nothing was posted yet: it is the sink's */
}

void request_refuse_body(struct request *r, const struct problem *p)
{
    request_forget_body(r);
    r->refusal = arena_alloc(&r->arena, sizeof(*p));
    *r->refusal = *p;
}

static void append(struct request *r, struct request_pair **list, const char *name,
                   const char *value)
{
    struct request_pair *p = arena_alloc(&r->arena, sizeof(*p));
    while (*list)
        list = &(*list)->next;
    *p = (struct request_pair){NULL, name, value};
    *list = p;
}

void request_add_arg(struct request *r, const char *name, const char *value)
{
    append(r, &r->args, name, value);
}

const char *request_arg(const struct request *r, const char *name)
{
    for (const struct request_pair *a = r->args; a; a = a->next) {
        if (strcmp(a->name, name) == 0)
            return a->value;
    }
    return NULL;
}

/* ---- answers --------------------------------------------------------------------------------- */

bool request_is_refusable(const struct request *r)
{
    return r->method == METHOD_GET && !r->is_stream;
}

void request_add_header(struct request *r, const char *name, const char *value)
{
    append(r, &r->headers, name, value);
}

void request_add_location(struct request *r, const char *path, const char *id)
{
    size_t n = strlen(path), id_len = strlen(id);
    char *text = arena_alloc(&r->arena, n + id_len + 1);
    memcpy(text, path, n + 1);
    memcpy(text + n, id, id_len + 1);
    request_add_header(r, "Location", text);
}

void request_add_retry_after(struct request *r, unsigned seconds)
{
    char *text = arena_alloc(&r->arena, RETRY_AFTER_BYTES);
    (void)snprintf(text, RETRY_AFTER_BYTES, "%u", seconds);
    request_add_header(r, "Retry-After", text);
}

void request_reply_bytes(struct request *r, unsigned status, const char *type, const void *bytes,
                         size_t n)
{
    FUT_ASSERT(r->status == 0);
    request_add_header(r, "Content-Type", type);
    r->status = status;
    r->bytes = bytes;
    r->n_bytes = n;
}

void request_reply_json(struct request *r, unsigned status)
{
    buf_putc(&r->out, '\n');
    request_reply_bytes(r, status, CONTENT_JSON, r->out.data, r->out.len);
}

void request_reply_empty(struct request *r, unsigned status)
{
    FUT_ASSERT(r->status == 0);
    r->status = status;
    r->bytes = "";
    r->n_bytes = 0;
}

void request_problem(struct request *r, const struct problem *p)
{
    if (r->is_stream) {
        request_stream_break(r);
        return;
    }
    r->out.len = 0;
    problem_write(&r->out, p);
    buf_putc(&r->out, '\n');
    if (p->retry_after_s)
        request_add_retry_after(r, p->retry_after_s);
    request_reply_bytes(r, problem_status(p->code), "application/problem+json", r->out.data,
                        r->out.len);
}

/* Seconds until a tenth of the queue is free, at the rate at which it drains now. */
static unsigned drain_seconds(const struct store_stats *s)
{
    uint64_t waiting = 0;
    for (int l = 0; l < LANE_COUNT; l++)
        waiting += s->live[l][TASK_QUEUED] + s->live[l][TASK_SCHEDULED];
    double room = (double)s->max_queued * 0.9;
    double surplus = (double)waiting > room ? (double)waiting - room : 1;
    if (s->drain_per_s <= 0.001)
        return RETRY_AFTER_UNKNOWN_S;
    double seconds = ceil(surplus / s->drain_per_s);
    return seconds < 1 ? 1 : seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : (unsigned)seconds;
}

bool request_refuse_arg(struct request *r, const char *name, const char *allowed)
{
    struct problem p;
    problem_set(&p, PROBLEM_INVALID_PARAMETER, "\"%s\" must be %s, not \"%.64s\".", name, allowed,
                request_arg(r, name));
    problem_set_parameter(&p, name);
    request_problem(r, &p);
    return false;
}

void request_fail(struct request *r, int rc)
{
    struct problem p;
    problem_from_err(&p, rc);
    if (p.code == PROBLEM_QUEUE_FULL) {
        struct store_stats s;
        store_stats(r->api->cfg.store, &s);
        p.retry_after_s = drain_seconds(&s);
        p.limit = s.max_queued;
    }
    if (rc == FUT_ERR_IO || rc == FUT_ERR_NO_SPACE || rc == FUT_ERR_READ_ONLY ||
        p.code == PROBLEM_INTERNAL)
        http_loop_log_failure(r->loop, r, rc);
    request_problem(r, &p);
}

/* ---- streams --------------------------------------------------------------------------------- */

void request_stream(struct request *r, const char *type, request_step *next)
{
    FUT_ASSERT(r->status == 0);
    request_add_header(r, "Content-Type", type);
    r->status = 200;
    r->is_stream = r->goes_on = true;
    r->next = next;
}

void request_stream_more(struct request *r, request_step *next)
{
    r->goes_on = true;
    r->next = next;
}

void request_stream_end(struct request *r)
{
    r->is_ended = true;
}

void request_stream_break(struct request *r)
{
    r->is_broken = true;
}

void request_forget_out(struct request *r)
{
    shrink(&r->out);
    r->taken = 0;
}

/* ---- sleeping -----------------------------------------------------------------------------------
 */

void request_sleep(struct request *r, int64_t ms, request_step *next)
{
    r->next = next;
    r->wants_sleep = true;
    r->wake_mono_ms = clock_mono_ms() + ms;
}
