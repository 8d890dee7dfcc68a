/* batch_view: how far a batch is, its cancel, and the list of all. */
#include <math.h>
#include <string.h>

#include "api/http/request.h"
#include "api/resources/batches.h"
#include "api/resources/future_json.h"
#include "api/resources/listing.h"
#include "api/resources/rows.h"
#include "api/text/json_out.h"
#include "core/clock.h"

/* What is kept while its callback and the task behind it are read; r->work. */
struct shown {
    struct store_batch batch;
};

/* Futures that expired were done. */
static uint64_t count_done(const struct store_batch *b)
{
    uint64_t live = b->counts[TASK_SCHEDULED] + b->counts[TASK_QUEUED] + b->counts[TASK_RUNNING];
    return b->total > live ? b->total - live : 0;
}

/* Per second, since the batch came until now or its end. */
static double rate_of(const struct store_batch *b, uint64_t done, bool is_done)
{
    int64_t end = is_done && b->finished_wall_ms ? b->finished_wall_ms : clock_wall_ms();
    int64_t ms = end - b->created_wall_ms;
    return (double)done * 1000 / (double)(ms > 0 ? ms : 1);
}

static void write_pace(struct buf *out, const struct store_batch *b, uint64_t done)
{
    bool is_done = done == b->total;
    double rate = rate_of(b, done, is_done);
    json_out_key(out, "rate");
    buf_printf(out, "%.6g", rate);
    json_out_key(out, "eta");
    if (is_done || rate <= 0)
        buf_puts(out, is_done ? "0" : "null");
    else
        buf_printf(out, "%.0f", ceil((double)(b->total - done) / rate));
}

static void write_begin(struct buf *out, const struct store_batch *b, uint64_t done)
{
    char id[ID_TEXT_SIZE];
    id_format(b->id, id);
    buf_putc(out, '{');
    json_out_str(out, "id", id);
    json_out_uint(out, "total", b->total);
    json_out_bool(out, "done", done == b->total);
    json_out_uint(out, "finished", done);
}

static void write_progress(struct buf *out, const struct store_batch *b, uint64_t done)
{
    json_out_key(out, "progress");
    buf_printf(out, "%.6g", b->total ? (double)done / (double)b->total : 1.0);
}

static void write_origin(struct buf *out, const struct store_batch *b)
{
    char id[ID_TEXT_SIZE];
    json_out_bool(out, "fail_fast", b->fail_fast);
    json_out_bool(out, "cancelling", b->cancelling);
    if (b->parent.hi) {
        id_format(b->parent, id);
        json_out_str(out, "parent", id);
    }
    json_out_time(out, "created_at", b->created_wall_ms);
}

/* Counts per state, progress, rate, the time that remains; without the closing brace. */
static void write_batch(struct buf *out, const struct store_batch *b)
{
    uint64_t done = count_done(b);
    write_begin(out, b, done);
    future_json_counts(out, b->counts);
    write_progress(out, b, done);
    write_pace(out, b, done);
    write_origin(out, b);
    json_out_time(out, "finished_at", done == b->total ? b->finished_wall_ms : 0);
}

static void end_batch(struct request *r)
{
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

/* ---- the list -------------------------------------------------------------------------------- */

/* How it stands without a look at its members, which may be a million. */
static void write_row(struct buf *out, const struct store_batch_row *row)
{
    const struct store_batch *b = &row->batch;
    uint64_t done = b->total > row->unfinished ? b->total - row->unfinished : 0;
    json_out_comma(out);
    write_begin(out, b, done);
    json_out_key(out, "counts");
    buf_putc(out, '{');
    for (int i = TASK_SUCCEEDED; i < TASK_STATE_COUNT; i++)
        json_out_uint(out, task_state_name((enum task_state)i), b->counts[i]);
    buf_putc(out, '}');
    write_progress(out, b, done);
    if (row->unfinished)
        write_pace(out, b, done);
    write_origin(out, b);
    buf_putc(out, '}');
}

static void listed(struct request *r)
{
    const struct store_batch_list *o = &r->op.batch_list;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    buf_puts(&r->out, "{\"batches\":[");
    for (size_t i = 0; i < o->n; i++)
        write_row(&r->out, &o->rows[i]);
    buf_putc(&r->out, ']');
    listing_end_page(r, "/v1/batches", o->next);
}

void batch_view_list(struct request *r)
{
    struct store_batch_list o = {0};
    const char *done = request_arg(r, "done");
    bool is_done = done && strcmp(done, "true") == 0;
    if (done && !is_done && strcmp(done, "false") != 0) {
        (void)request_refuse_arg(r, "done", "true or false");
        return;
    }
    if (done)
        o.which = is_done ? STORE_BATCHES_DONE : STORE_BATCHES_UNFINISHED;
    if (!listing_read_page(r, &o.before, &o.limit))
        return;
    o.rows = arena_alloc(&r->arena, o.limit * sizeof(*o.rows));
    r->op.batch_list = o;
    request_post(r, &store_verb_batch_list, NULL, listed);
}

/* ---- one ------------------------------------------------------------------------------------- */

/* What is deleted is not missing: false, and the request is answered, when a read has failed. */
static bool was_read(struct request *r, int rc)
{
    if (rc == 0 || rc == FUT_ERR_NOT_FOUND)
        return true;
    r->out.len = 0;
    request_fail(r, rc);
    return false;
}

static void add_then_future(struct request *r)
{
    const struct task *t = &r->op.get.task;
    int rc = r->op.base.rc;
    if (!was_read(r, rc))
        return;
    if (rc == 0) {
        char id[ID_TEXT_SIZE];
        id_format(t->spec->id, id);
        json_out_key(&r->out, "then");
        buf_printf(&r->out, "{\"id\":\"%s\",\"state\":\"%s\",\"href\":\"/v1/futures/%s\"}", id,
                   task_state_name(t->state), id);
    }
    end_batch(r);
}

static void read_then(struct request *r)
{
    const struct shown *w = r->work;
    int rc = w->batch.then.hi ? request_try_get_whole(r, w->batch.then, add_then_future) : 0;
    if (was_read(r, rc) && !w->batch.then.hi)
        end_batch(r);
}

static void add_callback(struct request *r)
{
    int rc = r->op.base.rc;
    if (!was_read(r, rc))
        return;
    if (rc == 0)
        future_json_write_callback(&r->out, &r->op.get.task);
    read_then(r);
}

static void reply_batch(struct request *r)
{
    int rc = r->op.base.rc;
    if (rc != 0) {
        batches_fail(r, rc);
        return;
    }
    struct shown *w = arena_alloc(&r->arena, sizeof(*w));
    w->batch = r->op.batch_get.batch;
    r->work = w;
    write_batch(&r->out, &w->batch);
    if (!w->batch.callback.hi)
        read_then(r);
    else
        (void)was_read(r, request_try_get_whole(r, w->batch.callback, add_callback));
}

void batch_view_get(struct request *r)
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

void batch_view_cancel(struct request *r)
{
    struct task_id id;
    bool also_running = true;
    if (!batches_read_id(r, &id) || !request_read_flag(r, "running", &also_running))
        return;
    r->op.batch_cancel = (struct store_batch_cancel){.id = id, .spares_running = !also_running};
    request_post(r, &store_verb_batch_cancel, NULL, cancelled);
}
