#include "api/resources/batches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/batch_json.h"
#include "api/resources/callback_task.h"
#include "api/resources/idempotency.h"
#include "api/text/batch_in.h"
#include "api/text/json_out.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "core/mem.h"

#define PAGE 500
#define NDJSON_TYPE "application/x-ndjson"
#define FIRST_ROOM 64
#define NDJSON_BODIES 16 /* a body of lines may have so many times the bytes of another */

/* What a submission is made of; r->work. */
struct work {
    struct request *r;
    struct store_batch batch;
    struct task *tasks; /* on the heap until the request ends */
    size_t n, cap;
    struct task *callbacks; /* likewise; of some of the tasks */
    size_t n_callbacks, cap_callbacks;
    bool has_unique;
    const char *traceparent;
    struct batch_lines lines;    /* while r->sink takes the body */
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

static int refuse(struct problem *p, enum problem_code code, const char *field, const char *fmt,
                  const char *arg)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "%s \"%.64s\" %s", field, arg, fmt);
    problem_set(p, code, "%s", text);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

/* ---- from JSON to tasks ---------------------------------------------------------------------- */

/* The id of the task that tells url of the next one's end. */
static struct task_id add_callback(struct work *w, struct task_id after, const char *url)
{
    if (w->n_callbacks == w->cap_callbacks) {
        w->cap_callbacks = w->cap_callbacks ? w->cap_callbacks * 2 : FIRST_ROOM;
        w->callbacks = xrealloc(w->callbacks, w->cap_callbacks * sizeof(*w->callbacks));
    }
    struct task *callback = &w->callbacks[w->n_callbacks++];
    callback_task_make(callback, id_new(), after, url);
    return callback->spec->id;
}

static void add_task(struct work *w, const struct handler_info *h, const struct json_in_task *in)
{
    struct task_id id = id_new();
    if (w->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : FIRST_ROOM;
        w->tasks = xrealloc(w->tasks, w->cap * sizeof(*w->tasks));
    }
    w->tasks[w->n] = (struct task){.state = TASK_QUEUED};
    w->tasks[w->n].spec = task_spec_new(&(struct task_spec){
        .id = id,
        .lane = in->has_lane ? in->lane : h->lane,
        .retries = in->retries >= 0 ? (uint32_t)in->retries : h->retries,
        .retry = in->retry,
        .timeout_ms = in->timeout_ms ? in->timeout_ms : h->timeout_ms,
        .created_wall_ms = w->batch.created_wall_ms,
        .handler = h->name,
        .input_type = in->input_type,
        .input = (const unsigned char *)(in->input_len ? in->input : ""),
        .input_len = in->input_len,
        .batch = w->batch.id,
        .batch_pos = (uint32_t)w->n,
        .callback = in->callback_url ? add_callback(w, id, in->callback_url) : (struct task_id){0},
        .unique = in->unique,
        .traceparent = w->traceparent,
    });
    w->has_unique |= in->unique != NULL;
    w->n++;
}

static int take_task(void *ctx, const struct json_in_task *in, struct problem *p)
{
    struct work *w = ctx;
    const struct handler_info *h =
        catalog_find_public(catalog_lend_to(&w->r->api->catalog, &w->r->catalog), in->handler);
    if (!h)
        return refuse(p, PROBLEM_UNKNOWN_HANDLER_NAME, "handler",
                      "is not known; GET /v1/handlers lists what is.", in->handler);
    if (in->has_lane && in->lane != h->lane && !h->any_lane)
        return refuse(p, PROBLEM_LANE_FIXED, "lane", "is not where this handler runs.",
                      lane_name(in->lane));
    add_task(w, h, in);
    return 0;
}

static void drop_work(struct request *r)
{
    struct work *w = r->work;
    for (size_t i = 0; i < w->n; i++)
        task_release(&w->tasks[i]);
    for (size_t i = 0; i < w->n_callbacks; i++)
        task_release(&w->callbacks[i]);
    free(w->tasks);
    free(w->callbacks);
    idempotency_drop(&w->print);
    w->tasks = w->callbacks = NULL;
    w->n = w->n_callbacks = 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void begin_answer(struct request *r, const struct store_batch *b)
{
    static const char path[] = "/v1/batches/";
    char id[ID_TEXT_SIZE];
    id_format(b->id, id);
    request_add_location(r, path, id);
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "id", id);
    json_out_uint(&r->out, "total", b->total);
    json_out_bool(&r->out, "fail_fast", b->fail_fast);
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
    buf_puts(&r->out, "]}");
    request_reply_json(r, 202);
}

/* ---- a submission that was made before ------------------------------------------------------- */

static void replay_page(struct request *r);

static void read_page(struct request *r, uint32_t from)
{
    struct work *w = r->work;
    r->op.members =
        (struct store_members){.id = w->batch.id, .from = from, .limit = PAGE, .tasks = w->page};
    request_members(r, replay_page);
}

static void replay_page(struct request *r)
{
    struct store_members *o = &r->op.members;
    uint32_t next = 0;
    if (o->op.rc != 0) {
        r->out.len = 0;
        batches_fail(r, o->op.rc);
        return;
    }
    for (size_t i = 0; i < o->n; i++) {
        next = o->tasks[i].spec->batch_pos + 1;
        add_id(r, o->tasks[i].spec->id);
        task_release(&o->tasks[i]);
    }
    r->drop_op = NULL;
    if (o->n == PAGE)
        read_page(r, next);
    else
        end_answer(r);
}

static void replay_begin(struct request *r)
{
    struct work *w = r->work;
    if (r->op.base.rc != 0) {
        batches_fail(r, r->op.base.rc);
        return;
    }
    w->batch = r->op.batch_get.batch;
    w->page = arena_alloc(&r->arena, PAGE * sizeof(*w->page));
    idempotency_add_replayed(r);
    begin_answer(r, &w->batch);
    read_page(r, 0);
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
    if (rc == FUT_ERR_CONFLICT) {
        refuse_conflict(r, w);
    } else if (rc != 0) {
        request_fail(r, rc);
    } else if (r->op.submit.submitted == STORE_REPLAYED) {
        struct task_id id = r->op.submit.existing;
        drop_work(r);
        request_batch_get(r, id, replay_begin);
    } else {
        buf_reserve(&r->out, w->n * (ID_TEXT_SIZE + 2) + 128);
        begin_answer(r, &w->batch);
        for (size_t i = 0; i < w->n; i++)
            add_id(r, w->tasks[i].spec->id);
        end_answer(r);
    }
}

static bool read_fail_fast(struct request *r, bool *out)
{
    struct problem p;
    const char *text = request_arg(r, "fail_fast");
    if (!text)
        return true;
    *out = strcmp(text, "true") == 0;
    if (*out || strcmp(text, "false") == 0)
        return true;
    problem_set(&p, PROBLEM_INVALID_PARAMETER,
                "\"fail_fast\" must be \"true\" or \"false\", not \"%.64s\".", text);
    problem_set_parameter(&p, "fail_fast");
    request_problem(r, &p);
    return false;
}

static struct work *new_work(struct request *r)
{
    struct work *w = arena_alloc(&r->arena, sizeof(*w));
    const char *trace = http_header(r, "traceparent");
    *w = (struct work){.r = r, .batch = {.id = id_new(), .created_wall_ms = clock_wall_ms()}};
    w->traceparent = trace && params_traceparent_ok(trace) ? trace : NULL;
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
    if (!type || strncasecmp(type, NDJSON_TYPE, strlen(NDJSON_TYPE)) != 0)
        return;
    struct work *w = new_work(r);
    w->lines = (struct batch_lines){
        .in = {.each = take_task, .ctx = w}, .rest = &r->body, .max_line_bytes = max};
    w->print = idempotency_begin(r);
    r->body_limit = max * NDJSON_BODIES;
    r->sink = take_lines;
    r->keeps_body = false;
}

static int read_json(struct request *r, struct work *w, struct problem *p)
{
    struct batch_in in = {.each = take_task, .ctx = w, .fail_fast = w->batch.fail_fast};
    int rc = batch_in_json(r->body.len ? r->body.data : "", r->body.len, &in, p);
    w->batch.fail_fast = in.fail_fast;
    return rc;
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
    bool has_key;
    if (!read_fail_fast(r, &w->batch.fail_fast) ||
        idempotency_read(r, w->print, &r->key, &has_key) != 0)
        return;
    if (r->refusal) {
        request_problem(r, r->refusal);
        return;
    }
    if ((r->sink ? batch_in_end(&w->lines, &p) : read_json(r, w, &p)) != 0) {
        request_problem(r, &p);
        return;
    }
    buf_release(&r->body);
    w->batch.total = (uint32_t)w->n;
    r->op.submit = (struct store_submit){.tasks = join(w),
                                         .n = w->n + w->n_callbacks,
                                         .batch = &w->batch,
                                         .key = has_key ? &r->key : NULL};
    request_submit_many(r, drop_work, submitted);
}

/* ---- reading and cancelling ------------------------------------------------------------------ */

static void reply_batch(struct request *r)
{
    if (r->op.base.rc != 0) {
        batches_fail(r, r->op.base.rc);
        return;
    }
    batch_json_write(&r->out, &r->op.batch_get.batch);
    request_reply_json(r, 200);
}

void batches_get(struct request *r)
{
    struct task_id id;
    if (batches_read_id(r, &id))
        request_batch_get(r, id, reply_batch);
}

static void cancelled(struct request *r)
{
    struct task_id id = r->op.batch_cancel.id;
    if (r->op.base.rc != 0)
        batches_fail(r, r->op.base.rc);
    else
        request_batch_get(r, id, reply_batch);
}

void batches_cancel(struct request *r)
{
    struct task_id id;
    if (batches_read_id(r, &id))
        request_batch_cancel(r, id, cancelled);
}
