#include "api/resources/batch_json.h"

#include <math.h>

#include "api/text/json_out.h"
#include "core/clock.h"

/* Futures that expired were done. */
static uint64_t count_done(const struct store_batch *b)
{
    uint64_t live = b->counts[TASK_SCHEDULED] + b->counts[TASK_QUEUED] + b->counts[TASK_RUNNING];
    return b->total > live ? b->total - live : 0;
}

static void write_counts(struct buf *out, const struct store_batch *b)
{
    json_out_key(out, "counts");
    buf_putc(out, '{');
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        json_out_uint(out, task_state_name((enum task_state)i), b->counts[i]);
    buf_putc(out, '}');
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

void batch_json_write(struct buf *out, const struct store_batch *b)
{
    char id[ID_TEXT_SIZE];
    uint64_t done = count_done(b);
    id_format(b->id, id);
    buf_putc(out, '{');
    json_out_str(out, "id", id);
    json_out_uint(out, "total", b->total);
    json_out_bool(out, "done", done == b->total);
    json_out_uint(out, "finished", done);
    write_counts(out, b);
    json_out_key(out, "progress");
    buf_printf(out, "%.6g", b->total ? (double)done / (double)b->total : 1.0);
    write_pace(out, b, done);
    json_out_bool(out, "fail_fast", b->fail_fast);
    json_out_bool(out, "cancelling", b->cancelling);
    json_out_time(out, "created_at", b->created_wall_ms);
    json_out_time(out, "finished_at", done == b->total ? b->finished_wall_ms : 0);
    buf_putc(out, '}');
}
