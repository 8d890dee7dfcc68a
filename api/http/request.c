#include "api/http/request.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/loop.h"
#include "api/http/shared.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/ends.h"

#define SPARE_MAX 256         /* ended requests that a loop keeps */
#define SPARE_BUF_BYTES 16384 /* a reused request keeps no bigger buffer */
#define RETRY_AFTER_MAX_S 3600
#define RETRY_AFTER_BYTES 12
#define CIRCLE_NAMED 8           /* tasks of a circle that a problem names */
#define RETRY_AFTER_UNKNOWN_S 60 /* the queue is full and nothing drains it */

/* ---- life ------------------------------------------------------------------------------------ */

struct request *request_new(struct http_loop *loop)
{
    struct request *r = loop->spare;
    struct buf body = BUF_INIT, out = BUF_INIT;
    struct arena arena = {NULL};
    if (r) {
        loop->spare = r->next_spare;
        loop->n_spare--;
        body = r->body;
        out = r->out;
        arena = r->arena;
    } else {
        r = xmalloc(sizeof(*r));
    }
    *r = (struct request){.api = loop->api, .loop = loop, .body = body, .out = out, .arena = arena};
    (void)atomic_fetch_add_explicit(&loop->open, 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&loop->requests, 1, memory_order_relaxed);
    return r;
}

static void count(atomic_size_t *n, bool was, bool is)
{
    if (was != is)
        (void)atomic_fetch_add_explicit(n, is ? (size_t)1 : SIZE_MAX, memory_order_relaxed);
}

void request_move(struct request *r, enum request_state to)
{
    enum request_state from = r->state;
    if (!request_state_may(from, to))
        FUT_BUG("a request may not move so");
    count(&r->loop->suspended, request_state_is_suspended(from), request_state_is_suspended(to));
    count(&r->loop->polled, request_state_is_polled(from), request_state_is_polled(to));
    r->state = to;
}

static void shrink(struct buf *b)
{
    b->len = 0;
    if (b->cap > SPARE_BUF_BYTES)
        buf_release(b);
}

/* A client may reset its connection between an operation and the step that follows it. */
void request_drop_op(struct request *r)
{
    if (r->drop_op)
        r->drop_op(r);
    r->drop_op = NULL;
}

void request_take_callback(struct request *r, struct task *callback)
{
    if (r->callback)
        task_release(r->callback);
    else if (callback->spec)
        r->callback = arena_alloc(&r->arena, sizeof(*r->callback));
    if (r->callback)
        *r->callback = *callback;
    *callback = (struct task){0};
}

static void let_go(struct request *r)
{
    request_take_slot(r);
    request_drop_op(r);
    if (r->reader)
        feed_leave(&r->api->feed, r->reader);
    if (r->wants_ends)
        store_want_ends(r->api->cfg.store, false);
    waiter_close(&r->api->waiters, &r->waiter);
    catalog_unref(&r->catalog);
    task_release(&r->task);
    request_take_callback(r, &(struct task){0});
    store_attempts_free(r->attempts, r->n_attempts);
    store_reported_release(&r->reported);
    task_outcome_unref(r->outcome);
    arena_reset(&r->arena);
    shrink(&r->body);
    shrink(&r->out);
    budget_return(&r->api->budget, &r->share);
}

static void delete (struct request *r)
{
    buf_release(&r->body);
    buf_release(&r->out);
    arena_release(&r->arena);
    free(r);
}

void request_end(struct request *r)
{
    struct http_loop *l = r->loop;
    request_move(r, REQUEST_ENDED);
    (void)atomic_fetch_sub_explicit(&l->open, 1, memory_order_relaxed);
    let_go(r);
    if (l->n_spare == SPARE_MAX) {
        delete (r);
        return;
    }
    r->next_spare = l->spare;
    l->spare = r;
    l->n_spare++;
}

void request_free_spares(struct http_loop *l)
{
    while (l->spare) {
        struct request *r = l->spare;
        l->spare = r->next_spare;
        delete (r);
    }
    l->n_spare = 0;
}

/* ---- waking ---------------------------------------------------------------------------------- */

/* Any thread: the request is the loop's from here on. Once for each wait. */
void request_become_ready(struct request *r)
{
    mailbox_push(&r->loop->ready, &r->ready);
}

void request_wake(struct waiter *w)
{
    request_become_ready(FUT_CONTAINER(w, struct request, waiter));
}

static void op_done(struct store_op *op)
{
    request_become_ready(FUT_CONTAINER(op, struct request, op.base));
}

/* ---- what came ------------------------------------------------------------------------------- */

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

bool request_read_filter(struct request *r, struct task_filter *out)
{
    const char *allowed;
    *out = task_filter_all;
    for (const struct request_pair *a = r->args; a; a = a->next) {
        if (task_filter_set(out, a->name, a->value, &allowed) == FUT_ERR_INVAL)
            return request_refuse_arg(r, a->name, allowed);
    }
    return true;
}

void request_write_client(const struct request *r, char *out, size_t size)
{
    if (*r->principal)
        (void)snprintf(out, size, "token %s", r->principal);
    else
        (void)snprintf(out, size, "client");
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

void request_add_sandbox(struct request *r)
{
    request_add_header(r, "Content-Security-Policy", "sandbox");
    request_add_header(r, "X-Content-Type-Options", "nosniff");
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

static void answer(struct request *r, unsigned status, const void *bytes, size_t n)
{
    r->status = status;
    r->bytes = bytes;
    r->n_bytes = n;
    request_move(r, REQUEST_ANSWERED);
}

void request_reply_bytes(struct request *r, unsigned status, const char *type, const void *bytes,
                         size_t n)
{
    request_add_header(r, "Content-Type", type);
    answer(r, status, bytes, n);
}

void request_reply_json(struct request *r, unsigned status)
{
    buf_putc(&r->out, '\n');
    request_reply_bytes(r, status, CONTENT_JSON, r->out.data, r->out.len);
}

void request_reply_empty(struct request *r, unsigned status)
{
    answer(r, status, "", 0);
}

static void add_challenge(struct request *r, const char *scope)
{
    char value[96];
    int n = snprintf(value, sizeof(value),
                     "Bearer realm=\"futured\", error=\"insufficient_scope\", scope=\"%s\"", scope);
    request_add_header(r, "WWW-Authenticate", arena_strndup(&r->arena, value, (size_t)n));
}

void request_problem(struct request *r, const struct problem *p)
{
    if (r->is_stream) {
        request_move(r, REQUEST_STREAM_BROKEN);
        return;
    }
    r->out.len = 0;
    problem_write(&r->out, p);
    buf_putc(&r->out, '\n');
    if (p->retry_after_s)
        request_add_retry_after(r, p->retry_after_s);
    if (p->scope)
        add_challenge(r, p->scope);
    request_reply_bytes(r, problem_status(p->code), "application/problem+json", r->out.data,
                        r->out.len);
}

/* Seconds until a tenth of the queue is free, at the rate at which it drains now. */
static unsigned drain_seconds(const struct store_stats *s)
{
    uint64_t waiting = 0;
    for_each_lane (l)
        waiting += s->live[l][TASK_QUEUED] + s->live[l][TASK_SCHEDULED];
    double capacity = (double)s->max_queued * 0.9;
    double surplus = (double)waiting > capacity ? (double)waiting - capacity : 1;
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

bool request_read_flag(struct request *r, const char *name, bool *out)
{
    const char *text = request_arg(r, name);
    if (!text)
        return true;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return request_refuse_arg(r, name, "\"true\" or \"false\"");
    *out = strcmp(text, "true") == 0;
    return true;
}

/* At most one line a second for each loop, whatever fails. */
static void log_failure(struct request *r, int rc)
{
    int64_t now = clock_mono_ms();
    if (r->loop->logged_mono_ms && now - r->loop->logged_mono_ms < 1000)
        return;
    r->loop->logged_mono_ms = now;
    log_error("request_failed", LOG_STR("path", r->path), LOG_STR("err", fut_err_name(rc)));
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
        log_failure(r, rc);
    request_problem(r, &p);
}

void request_refuse_bytes(struct request *r, const char *what)
{
    struct problem p;
    problem_set(&p, PROBLEM_BUSY, "%s", what);
    p.limit = r->api->budget.max;
    p.retry_after_s = 1;
    request_problem(r, &p);
}

void request_refuse_answer(struct request *r)
{
    r->status = 0;
    r->headers = NULL;
    request_forget_out(r);
    task_release(&r->task);
    request_refuse_bytes(r, "Too many bytes of other answers are in memory, waiting for their "
                            "readers.");
}

/* ---- streams --------------------------------------------------------------------------------- */

void request_forget_out(struct request *r)
{
    shrink(&r->out);
    r->taken = 0;
}

/* ---- sleeping -------------------------------------------------------------------------------- */

bool request_lends(const struct request *r)
{
    return r->lends && r->lends->ids;
}

void request_take_slot(struct request *r)
{
    if (!request_lends(r))
        return;
    attempt_token_go_on(r->api->cfg.attempts, r->lends);
    *r->lends = (struct attempt_wait){0};
}

/* ---- store operations ------------------------------------------------------------------------ */

int request_post_op(struct request *r, const struct store_verb *verb, struct store_op *op,
                    store_done *done, void (*drop)(struct request *r), request_step *next)
{
    r->drop_op = drop;
    r->next = next; /* before the post: from then on the request may become ready */
    request_move(r, REQUEST_POSTED);
    int rc = store_post(r->api->cfg.store, verb, op, done);
    if (rc != 0) {
        r->next = NULL;
        request_move(r, REQUEST_RUNNING);
    }
    return rc;
}

int request_try_post(struct request *r, const struct store_verb *verb,
                     void (*drop)(struct request *r), request_step *next)
{
    return request_post_op(r, verb, &r->op.base, op_done, drop, next);
}

void request_post(struct request *r, const struct store_verb *verb, void (*drop)(struct request *r),
                  request_step *next)
{
    int rc = request_try_post(r, verb, drop, next);
    if (rc != 0)
        request_not_posted(r, rc);
}

void request_not_posted(struct request *r, int rc)
{
    struct problem p;
    if (rc != FUT_ERR_FULL) {
        request_fail(r, rc);
        return;
    }
    problem_set(&p, PROBLEM_BUSY, "Too many operations wait for the store; nothing was stored.");
    p.retry_after_s = 1;
    request_problem(r, &p);
}

void request_submit(struct request *r, struct task_id session, request_step *next)
{
    size_t n = r->callback && r->callback->spec ? 2 : 1;
    struct task *tasks = arena_alloc(&r->arena, n * sizeof(*tasks)); /* borrows both references */
    tasks[0] = r->task;
    if (n == 2)
        tasks[1] = *r->callback;
    request_drop_op(r);
    r->op.submit = (struct store_submit){.tasks = tasks,
                                         .n = n,
                                         .session = session,
                                         .n_members = session.hi ? 1 : 0,
                                         .key = r->key,
                                         .edges = r->edges,
                                         .n_edges = r->n_edges,
                                         .parent = r->attempt.task,
                                         .parent_attempt = r->attempt.attempt};
    request_post(r, &store_verb_submit, NULL, next);
}

static void drop_apply(struct request *r)
{
    task_release(&r->op.apply.task);
}

void request_apply(struct request *r, const struct task_change *change, request_step *next)
{
    request_drop_op(r);
    r->op.apply = (struct store_apply){.change = *change, .task = r->task};
    r->task = (struct task){0};
    request_post(r, &store_verb_apply, drop_apply, next);
}

static void drop_revive(struct request *r)
{
    task_release(&r->op.revive.task);
}

void request_revive(struct request *r, const struct task_change *change, bool is_fresh,
                    request_step *next)
{
    request_drop_op(r);
    r->op.revive = (struct store_revive){.change = *change, .is_fresh = is_fresh, .task = r->task};
    r->task = (struct task){0};
    request_post(r, &store_verb_revive, drop_revive, next);
}

static void drop_get(struct request *r)
{
    task_release(&r->op.get.task);
    store_reported_release(&r->op.get.reported);
}

/* On the store's thread: a large result counts from here on, or is let go at once. The loop may be
 * busy, and must not find results by the hundred that it cannot send. */
static void get_done(struct store_op *op)
{
    struct request *r = FUT_CONTAINER(op, struct request, op.base);
    const struct task_outcome *o = r->op.get.task.outcome;
    const struct task_checkpoint *c = r->op.get.task.checkpoint;
    const struct task_spec *s = r->op.get.with_input ? r->op.get.task.spec : NULL;
    size_t bytes = (o ? o->body_len : 0) + (c && c->body ? c->len : 0) + (s ? s->input_len : 0);
    if (op->rc == 0 && bytes && request_is_refusable(r) &&
        !budget_grow(&r->api->budget, &r->share, bytes)) {
        drop_get(r);
        r->next = request_refuse_answer;
    }
    request_become_ready(r);
}

static int try_get(struct request *r, struct store_get what, request_step *next)
{
    request_drop_op(r);
    r->op.get = what;
    return request_post_op(r, &store_verb_get, &r->op.base, get_done, drop_get, next);
}

int request_try_get(struct request *r, struct task_id id, request_step *next)
{
    return try_get(r, (struct store_get){.id = id}, next);
}

int request_try_get_whole(struct request *r, struct task_id id, request_step *next)
{
    return try_get(r, (struct store_get){.id = id, .with_input = true}, next);
}

void request_get(struct request *r, struct task_id id, request_step *next)
{
    int rc = request_try_get(r, id, next);
    if (rc != 0)
        request_not_posted(r, rc);
}

void request_get_checkpoint(struct request *r, struct task_id id, request_step *next)
{
    int rc = try_get(r, (struct store_get){.id = id, .with_checkpoint = true}, next);
    if (rc != 0)
        request_not_posted(r, rc);
}

static void drop_members(struct request *r)
{
    store_page_release(&r->op.members.page);
}

void request_members(struct request *r, request_step *next)
{
    request_post(r, &store_verb_members, drop_members, next);
}

void request_batch_get(struct request *r, struct task_id id, request_step *next)
{
    request_drop_op(r);
    r->op.batch_get = (struct store_batch_get){.id = id};
    request_post(r, &store_verb_batch_get, NULL, next);
}

void request_take_task(struct request *r)
{
    struct task *from = &r->op.get.task;
    if (r->drop_op == drop_apply)
        from = &r->op.apply.task;
    else if (r->drop_op == drop_revive)
        from = &r->op.revive.task;
    if (from == &r->op.get.task && r->drop_op == drop_get) {
        store_reported_release(&r->reported);
        r->reported = r->op.get.reported;
        r->op.get.reported = (struct store_reported){.progress = -1};
        r->reported_is_known = true;
    }
    task_release(&r->task);
    r->task = *from;
    *from = (struct task){0};
    r->drop_op = NULL;
}
