#include "api/resources/batches.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http/dispatch.h"
#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/callback_task.h"
#include "api/resources/events.h"
#include "api/resources/graph.h"
#include "api/resources/idempotency.h"
#include "api/resources/rows.h"
#include "api/resources/sessions.h"
#include "api/resources/show.h"
#include "api/resources/submission.h"
#include "api/text/batch_in.h"
#include "api/text/json_out.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "core/mem.h"

#define PAGE 500
#define NDJSON_TYPE "application/x-ndjson"
#define FIRST_CAPACITY 64
#define NDJSON_BODIES 16 /* a body of lines may have so many times the bytes of another */

/* What a submission is made of; r->work. */
struct work {
    struct request *r;
    struct store_batch batch;
    struct task *tasks; /* on the heap until the request ends */
    size_t n, cap;
    struct task *callbacks; /* likewise; of some of the tasks, and of the batch */
    size_t n_callbacks, cap_callbacks;
    const char *then; /* the text of what runs behind them; NULL: nothing does */
    size_t then_len;
    struct graph graph; /* what they say of each other, until it is resolved */
    struct store_edge *edges;
    size_t n_edges;
    bool has_unique;
    struct submission shared; /* of a map, while it is read */
    const char *traceparent;
    bool is_session; /* the tasks join one: batch is that, and not written */
    bool has_limit;  /* which has a limit */
    char session_limit[STORE_SESSION_LIMIT_SIZE];
    bool wants_events;           /* the answer is the stream of the batch, */
    unsigned fields;             /* with these members of its futures; 0: all */
    size_t remaining;            /* ids of an answer that is given again */
    struct batch_lines lines;    /* while r->sink takes the body */
    struct buf head;             /* of a frame: its line */
    struct submission framed;    /* which says this; its bytes are yet to come */
    struct evp_md_ctx_st *print; /* of the same; NULL without a key */
    struct task *page;           /* to read the ids of a batch that is there already */
};

/* ---- refusals -------------------------------------------------------------------------------- */

void batches_fail(struct request *r, int rc)
{
    struct problem p;
    if (rc != FUT_ERR_NOT_FOUND) {
        request_fail(r, rc);
        return;
    }
    problem_set(&p, PROBLEM_UNKNOWN_BATCH,
                "No batch has this id; it may have expired with its futures.");
    request_problem(r, &p);
}

bool batches_read_id(struct request *r, struct task_id *out)
{
    struct problem p;
    if (id_parse(r->captures[0], out))
        return true;
    problem_set(&p, PROBLEM_UNKNOWN_BATCH, "No batch has the id \"%.64s\".", r->captures[0]);
    request_problem(r, &p);
    return false;
}

/* ---- from JSON to tasks ---------------------------------------------------------------------- */

static struct task *next_slot(struct task **tasks, size_t *n, size_t *cap)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : FIRST_CAPACITY;
        *tasks = xrealloc(*tasks, *cap * sizeof(**tasks));
    }
    return &(*tasks)[(*n)++];
}

static int add_task(struct work *w, const struct submission *s, struct problem *p)
{
    const struct handler_info *h;
    struct task callback;
    struct submission_rules rules = submission_check_rules(w->r);
    rules.in_session = w->has_limit;
    if (submission_check(s, &rules, false, &h, p) != 0 ||
        graph_add(&w->graph, w->n, s->name, s->after, p) != 0)
        return FUT_ERR_INVAL;
    struct submission_frame frame = {.id = id_new(),
                                     .batch = w->batch.id,
                                     .in_session = w->is_session,
                                     .session_limit = w->has_limit ? w->session_limit : NULL,
                                     .batch_pos = (uint32_t)w->n,
                                     .parent = w->batch.parent,
                                     .created_wall_ms = w->batch.created_wall_ms,
                                     .store = w->r->api->cfg.store,
                                     .traceparent = w->traceparent};
    submission_task_make(s, h, &frame, next_slot(&w->tasks, &w->n, &w->cap), &callback);
    if (callback.spec)
        *next_slot(&w->callbacks, &w->n_callbacks, &w->cap_callbacks) = callback;
    w->has_unique |= s->unique != NULL;
    return 0;
}

static int take_task(void *ctx, const char *text, size_t n, struct problem *p)
{
    struct submission s;
    if (submission_read_member(text, n, &s, p) != 0)
        return FUT_ERR_INVAL;
    int rc = add_task(ctx, &s, p);
    submission_release(&s);
    return rc;
}

/* What it says points into its text, which is kept. */
static int take_head(void *ctx, const char *text, size_t n, size_t *out_bytes, struct problem *p)
{
    struct work *w = ctx;
    w->head.len = 0;
    buf_put(&w->head, text, n);
    if (submission_read_frame(w->head.data, n, &w->framed, p) != 0)
        return FUT_ERR_INVAL;
    if (w->framed.has_bytes) {
        *out_bytes = w->framed.n_bytes;
        return 0;
    }
    int rc = add_task(w, &w->framed, p);
    submission_release(&w->framed);
    return rc;
}

static int take_bytes(void *ctx, const char *bytes, size_t n, struct problem *p)
{
    struct work *w = ctx;
    int rc = submission_input_bytes(&w->framed, bytes, n, p);
    if (rc == 0)
        rc = add_task(w, &w->framed, p);
    submission_release(&w->framed);
    return rc;
}

static int add_batch_callback(struct work *w, const char *url, struct problem *p)
{
    struct submission_rules rules = submission_check_rules(w->r);
    struct task *callback;
    if (submission_check_url(&rules, url, p) != 0)
        return FUT_ERR_INVAL;
    w->batch.callback = id_new();
    callback = next_slot(&w->callbacks, &w->n_callbacks, &w->cap_callbacks);
    callback_task_make(callback, w->batch.callback, w->batch.id, url, w->traceparent);
    return 0;
}

static int take_callback(void *ctx, const json_t *value, struct problem *p)
{
    const char *url;
    return submission_read_callback(value, &url, p) == 0 ? add_batch_callback(ctx, url, p)
                                                         : FUT_ERR_INVAL;
}

static int take_then(void *ctx, const char *text, size_t n, struct problem *p)
{
    struct work *w = ctx;
    (void)p;
    w->then = text; /* read when all members are there */
    w->then_len = n;
    return 0;
}

/* Puts it behind the members. */
static int make_then(struct work *w, const struct submission *s, struct problem *p)
{
    const struct handler_info *h;
    struct task callback, then;
    enum store_on on = STORE_ON_SUCCESS;
    struct submission_rules rules = submission_check_rules(w->r);
    if (submission_check(s, &rules, false, &h, p) != 0)
        return FUT_ERR_INVAL;
    if (s->then_on)
        FUT_MUST(graph_parse_on(s->then_on, &on));
    struct submission_frame frame = {.id = id_new(),
                                     .parent = w->batch.parent,
                                     .created_wall_ms = w->batch.created_wall_ms,
                                     .store = w->r->api->cfg.store,
                                     .traceparent = w->traceparent};
    submission_task_make(s, h, &frame, &then, &callback);
    if (callback.spec)
        *next_slot(&w->callbacks, &w->n_callbacks, &w->cap_callbacks) = callback;
    w->has_unique |= s->unique != NULL;
    w->batch.then = frame.id;
    *next_slot(&w->tasks, &w->n, &w->cap) = then;
    return graph_add_then(&w->graph, w->n - 1, w->n - 1, on, p);
}

static int add_then(struct work *w, struct problem *p)
{
    struct submission s;
    if (!w->then)
        return 0;
    int rc = submission_read_then(w->then, w->then_len, &s, p);
    if (rc == 0) {
        rc = make_then(w, &s, p);
        submission_release(&s);
    }
    if (rc != 0) {
        char field[sizeof(p->field)];
        (void)snprintf(field, sizeof(field), "then%s%.50s", p->field[0] ? "." : "", p->field);
        problem_set_field(p, field);
    }
    return rc;
}

static int take_shared(void *ctx, const json_t *members, struct problem *p)
{
    struct work *w = ctx;
    return submission_read_shared(members, &w->shared, p);
}

static int take_input(void *ctx, const json_t *value, const char *text, size_t n, struct problem *p)
{
    struct work *w = ctx;
    submission_input_set(&w->shared, value, text, n);
    return add_task(w, &w->shared, p);
}

static const struct batch_in_taker taker = {.callback = take_callback,
                                            .then = take_then,
                                            .task = take_task,
                                            .shared = take_shared,
                                            .input = take_input,
                                            .head = take_head,
                                            .bytes = take_bytes};

static void drop_work(struct request *r)
{
    struct work *w = r->work;
    for (size_t i = 0; i < w->n; i++)
        task_release(&w->tasks[i]);
    for (size_t i = 0; i < w->n_callbacks; i++)
        task_release(&w->callbacks[i]);
    free(w->tasks);
    free(w->callbacks);
    free(w->edges);
    w->edges = NULL;
    graph_release(&w->graph);
    submission_release(&w->framed);
    buf_release(&w->head);
    idempotency_drop(&w->print);
    w->tasks = w->callbacks = NULL;
    w->n = w->n_callbacks = 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void begin_answer(struct request *r, const struct store_batch *b)
{
    const struct work *w = r->work;
    char id[ID_TEXT_SIZE];
    id_format(b->id, id);
    request_add_location(r, w->is_session ? "/v1/sessions/" : "/v1/batches/", id);
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "id", id);
    json_out_uint(&r->out, "total", b->total);
    if (!w->is_session)
        json_out_bool(&r->out, "fail_fast", b->fail_fast);
    if (b->then.hi) {
        id_format(b->then, id);
        json_out_str(&r->out, "then", id);
    }
    json_out_key(&r->out, "ids");
    buf_putc(&r->out, '[');
}

static void add_id(struct request *r, struct task_id id)
{
    char text[ID_TEXT_SIZE];
    id_format(id, text);
    json_out_comma(&r->out);
    buf_putc(&r->out, '"');
    buf_put(&r->out, text, sizeof(text) - 1);
    buf_putc(&r->out, '"');
}

static void end_answer(struct request *r)
{
    const struct work *w = r->work;
    buf_puts(&r->out, "]}");
    if (!w->wants_events) {
        request_reply_json(r, 202);
        return;
    }
    struct buf json = r->out;
    r->out = (struct buf)BUF_INIT;
    struct task_id id = w->batch.id;
    unsigned fields = w->fields;
    request_drop_op(r);
    events_of_accepted(r, id, fields, &json);
    buf_release(&json);
}

/* ---- a submission that was made before ------------------------------------------------------- */

static void replay_page(struct request *r);

static void read_page(struct request *r, uint32_t from)
{
    struct work *w = r->work;
    r->op.members = (struct store_members){
        .id = w->batch.id,
        .from = from,
        .page = {.limit = w->remaining < PAGE ? w->remaining : PAGE, .tasks = w->page}};
    request_members(r, replay_page);
}

static void replay_page(struct request *r)
{
    struct work *w = r->work;
    const struct store_page *p = &r->op.members.page;
    uint32_t next = 0;
    if (r->op.base.rc != 0) {
        r->out.len = 0;
        batches_fail(r, r->op.base.rc);
        return;
    }
    w->remaining -= p->n;
    for (size_t i = 0; i < p->n; i++) {
        next = p->tasks[i].spec->batch_pos + 1;
        add_id(r, p->tasks[i].spec->id);
        task_release(&p->tasks[i]);
    }
    r->drop_op = NULL;
    if (p->is_full && w->remaining)
        read_page(r, next);
    else
        end_answer(r);
}

static void replay_begin(struct request *r)
{
    struct work *w = r->work;
    if (r->op.base.rc == FUT_ERR_NOT_FOUND) {
        idempotency_refuse_deleted(r, "batch");
        return;
    }
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    uint32_t from = 0;
    if (w->is_session) { /* the key stands for the first of the tasks */
        from = r->op.get.task.spec->batch_pos;
        w->remaining = w->batch.total;
        request_drop_op(r);
    } else {
        w->batch = r->op.batch_get.batch;
        w->remaining = SIZE_MAX;
    }
    w->page = arena_alloc(&r->arena, PAGE * sizeof(*w->page));
    idempotency_add_replayed(r);
    begin_answer(r, &w->batch);
    read_page(r, from);
}

/* ---- POST ------------------------------------------------------------------------------------ */

/* Which of the two keys it was shows in what was sent. */
static void refuse_conflict(struct request *r, const struct work *w)
{
    struct problem p;
    if (!w->has_unique || r->op.submit.key) {
        request_fail(r, FUT_ERR_CONFLICT);
        return;
    }
    problem_set(&p, PROBLEM_CONFLICT,
                "One of the \"unique\" keys belongs to an unfinished task, or was given twice; "
                "nothing was stored.");
    problem_set_field(&p, "unique");
    request_problem(r, &p);
}

static void submitted(struct request *r)
{
    struct work *w = r->work;
    int rc = r->op.base.rc;
    if (rc == FUT_ERR_STALE) {
        dispatch_refuse_ended(r);
    } else if (r->op.submit.session_rc != 0) {
        sessions_fail(r, r->op.submit.session_rc);
    } else if (rc == FUT_ERR_CONFLICT) {
        refuse_conflict(r, w);
    } else if (rc == FUT_ERR_TOO_BIG) {
        submission_check_queue_refused(r);
    } else if (w->n_edges && (rc == FUT_ERR_NOT_FOUND || rc == FUT_ERR_STATE)) {
        submission_check_graph_refused(r);
    } else if (rc != 0) {
        request_fail(r, rc);
    } else if (r->op.submit.submitted == STORE_REPLAYED) {
        struct task_id id = r->op.submit.existing;
        drop_work(r);
        if (w->is_session)
            request_get(r, id, replay_begin);
        else
            request_batch_get(r, id, replay_begin);
    } else {
        buf_reserve(&r->out, w->batch.total * (ID_TEXT_SIZE + 2) + 256);
        begin_answer(r, &w->batch);
        for (size_t i = 0; i < w->batch.total; i++)
            add_id(r, w->tasks[i].spec->id);
        end_answer(r);
    }
}

/* For bodies of lines, in which nothing stands beside the tasks. */
static bool read_callback_url(struct request *r, const char **out)
{
    struct problem p;
    *out = request_arg(r, "callback");
    if (!*out || params_url_ok(*out))
        return true;
    problem_set(&p, PROBLEM_INVALID_PARAMETER,
                "\"callback\" must be an http:// or https:// URL, not \"%.64s\".", *out);
    problem_set_parameter(&p, "callback");
    request_problem(r, &p);
    return false;
}

/* An attempt would lend its slot before it knows what was accepted: it asks in two steps. */
static bool read_events(struct request *r, struct work *w)
{
    if (!request_read_flag(r, "events", &w->wants_events) || !show_read_fields(r, &w->fields))
        return false;
    if (w->wants_events ? !r->attempt.task.hi : !w->fields)
        return true;
    struct problem p;
    const char *name = w->wants_events ? "events" : "fields";
    problem_set(&p, PROBLEM_INVALID_PARAMETER,
                w->wants_events ? "An attempt reads the events of its batch by their own address."
                                : "\"fields\" is for the events that \"events=true\" asks for.");
    problem_set_parameter(&p, name);
    request_problem(r, &p);
    return false;
}

static struct work *new_work(struct request *r)
{
    struct work *w = arena_alloc(&r->arena, sizeof(*w));
    *w = (struct work){
        .r = r,
        .batch = {.id = id_new(), .created_wall_ms = clock_wall_ms(), .parent = r->attempt.task}};
    w->traceparent = params_traceparent(http_header(r, "traceparent"));
    if (r->captures[0]) {
        w->is_session = true;
        if (!id_parse(r->captures[0], &w->batch.id))
            w->batch.id = (struct task_id){0};
        w->has_limit = sessions_find_limit(r, w->batch.id, w->session_limit);
    }
    r->work = w;
    r->drop_op = drop_work;
    return w;
}

static void take_lines(struct request *r, const char *bytes, size_t n)
{
    struct work *w = r->work;
    struct problem p;
    idempotency_put(w->print, bytes, n);
    if (batch_in_put(&w->lines, bytes, n, &p) != 0)
        request_refuse_body(r, &p);
}

void batches_open(struct request *r)
{
    const char *type = http_header(r, "Content-Type");
    size_t max = r->api->cfg.max_body_bytes;
    bool is_framed = type && strncasecmp(type, FRAMES_TYPE, strlen(FRAMES_TYPE)) == 0;
    if (!is_framed && (!type || strncasecmp(type, NDJSON_TYPE, strlen(NDJSON_TYPE)) != 0))
        return;
    struct work *w = new_work(r);
    w->lines = (struct batch_lines){.in = {.taker = &taker, .ctx = w},
                                    .rest = &r->body,
                                    .max_line_bytes = max,
                                    .is_framed = is_framed};
    w->print = idempotency_begin(r);
    r->body_limit = max * NDJSON_BODIES;
    r->sink = take_lines;
    r->keeps_body = false;
}

static int read_json(struct request *r, struct work *w, struct problem *p)
{
    struct batch_in in = {.taker = &taker, .ctx = w, .fail_fast = w->batch.fail_fast};
    int rc = batch_in_json(r->body.len ? r->body.data : "", r->body.len, &in, p);
    w->batch.fail_fast = in.fail_fast;
    return rc;
}

/* A session has no end that somebody could be told of, or that something could wait for. */
static int check_session(const struct work *w, struct problem *p)
{
    const char *field = w->batch.callback.hi ? "callback"
                        : w->then            ? "then"
                        : w->batch.fail_fast ? "fail_fast"
                                             : NULL;
    if (!w->is_session || !field)
        return 0;
    problem_set(p, PROBLEM_UNKNOWN_FIELD, "\"%s\" is for batches; a session has none.", field);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

/* The callbacks go behind the members: both are one submission, in one array that borrows. */
static struct task *join(struct work *w)
{
    if (w->n_callbacks == 0)
        return w->tasks;
    struct task *all = arena_alloc(&w->r->arena, (w->n + w->n_callbacks) * sizeof(*all));
    memcpy(all, w->tasks, w->n * sizeof(*all));
    memcpy(all + w->n, w->callbacks, w->n_callbacks * sizeof(*all));
    return all;
}

void batches_post(struct request *r)
{
    struct work *w = r->work ? r->work : new_work(r);
    struct problem p;
    const char *callback_url;
    if (w->is_session && !w->batch.id.hi) {
        sessions_fail(r, FUT_ERR_NOT_FOUND);
        return;
    }
    if (!request_read_flag(r, "fail_fast", &w->batch.fail_fast) ||
        !read_callback_url(r, &callback_url) || !read_events(r, w) ||
        idempotency_read(r, w->print) != 0)
        return;
    if (r->refusal) {
        request_problem(r, r->refusal);
        return;
    }
    if ((r->sink ? batch_in_end(&w->lines, &p) : read_json(r, w, &p)) != 0 ||
        (callback_url && !w->batch.callback.hi && add_batch_callback(w, callback_url, &p) != 0)) {
        request_problem(r, &p);
        return;
    }
    w->batch.total = (uint32_t)w->n;
    if (check_session(w, &p) != 0 || add_then(w, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    if (graph_resolve(&w->graph, w->tasks, w->n, &w->edges, &w->n_edges, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    graph_release(&w->graph);
    buf_release(&r->body);
    r->op.submit =
        (struct store_submit){.tasks = join(w),
                              .n = w->n + w->n_callbacks,
                              .batch = w->is_session ? NULL : &w->batch,
                              .session = w->is_session ? w->batch.id : (struct task_id){0},
                              .n_members = w->batch.total,
                              .parent = r->attempt.task,
                              .parent_attempt = r->attempt.attempt,
                              .edges = w->edges,
                              .n_edges = w->n_edges,
                              .key = r->key};
    request_post(r, &store_verb_submit, drop_work, submitted);
}
