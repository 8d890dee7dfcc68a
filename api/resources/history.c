/* GET /v1/history: the last hour, from a ring of samples. */
#include "api/resources/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/rows.h"
#include "api/resources/stats.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/number.h"
#include "core/sync.h"

#define STEP_MS INT64_C(10000)
#define SAMPLES_MAX 360 /* an hour */

enum series {
    SUBMITTED_PER_S,
    SUCCEEDED_PER_S,
    FAILED_PER_S,
    CANCELLED_PER_S,
    SCHEDULED,
    QUEUED,
    RUNNING,
    WAIT_P50,
    WAIT_P95,
    RUN_P50,
    RUN_P95,
    BUSY_IO,
    BUSY_CPU,
    CAPACITY_IO,
    CAPACITY_CPU,
    WORKERS,
    FILE_BYTES,
    LOG_BYTES,
    SERIES_COUNT,
};

/* The names are part of the HTTP contract. */
static const char *const series_names[SERIES_COUNT] = {
    [SUBMITTED_PER_S] = "submitted_per_s",
    [SUCCEEDED_PER_S] = "succeeded_per_s",
    [FAILED_PER_S] = "failed_per_s",
    [CANCELLED_PER_S] = "cancelled_per_s",
    [SCHEDULED] = "scheduled",
    [QUEUED] = "queued",
    [RUNNING] = "running",
    [WAIT_P50] = "wait_p50",
    [WAIT_P95] = "wait_p95",
    [RUN_P50] = "run_p50",
    [RUN_P95] = "run_p95",
    [BUSY_IO] = "busy_io",
    [BUSY_CPU] = "busy_cpu",
    [CAPACITY_IO] = "capacity_io",
    [CAPACITY_CPU] = "capacity_cpu",
    [WORKERS] = "workers",
    [FILE_BYTES] = "file_bytes",
    [LOG_BYTES] = "log_bytes",
};

struct sample {
    int64_t at_wall_ms;
    double values[SERIES_COUNT]; /* NaN: nothing was measured */
};

/* A histogram of both lanes at one moment. */
struct counts {
    uint64_t by_bucket[HISTOGRAM_BOUNDS + 1];
};

struct history {
    struct mutex mu;
    struct sample samples[SAMPLES_MAX]; /* guarded by mu */
    size_t n;                           /* guarded by mu: samples ever taken */
    /* The sampler's own: what it saw before. */
    int64_t before_mono_ms; /* 0: nothing yet */
    struct store_stats before;
    struct counts waits_before, runs_before;
};

struct history *history_new(void)
{
    struct history *h = xnew(struct history);
    mutex_init(&h->mu);
    return h;
}

void history_free(struct history **h)
{
    if (!*h)
        return;
    mutex_destroy(&(*h)->mu);
    free(*h);
    *h = NULL;
}

/* ---- sampling -------------------------------------------------------------------------------- */

/* *before becomes what the histograms say now; *out what came since. */
static void count_since(const struct histogram lanes[LANE_COUNT], struct counts *before,
                        struct counts *out)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        uint64_t now = 0;
        for_each_lane (l)
            now += histogram_count(&lanes[l], i);
        out->by_bucket[i] = now - before->by_bucket[i];
        before->by_bucket[i] = now;
    }
}

/* In seconds, read evenly between the bounds of its bucket; NaN of no values. Beyond the last bound
 * it is that bound. */
static double quantile(const struct counts *c, double part)
{
    uint64_t all = 0;
    double seen = 0, lower = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        all += c->by_bucket[i];
    if (!all)
        return (double)NAN;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        double upper = (double)histogram_bound_us(i) / 1e6, here = (double)c->by_bucket[i];
        double wanted = part * (double)all - seen;
        if (here > 0 && wanted <= here)
            return lower + (upper - lower) * wanted / here;
        seen += here;
        lower = upper;
    }
    return lower;
}

static double live(const struct store_stats *s, enum task_state state)
{
    return (double)(s->live[LANE_IO][state] + s->live[LANE_CPU][state]);
}

/* Per second, of a counter since boot. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
    return now > before ? (double)(now - before) / seconds : 0;
}

static void fill(struct history *h, const struct api *a, double seconds, double out[SERIES_COUNT])
{
    struct stats_numbers n;
    struct counts waits, runs;
    const struct store_durations *took = store_durations(a->cfg.store);
    stats_read(a, &n);
    const struct store_stats *now = &n.store, *then = &h->before;
    const struct pool_lane *io = &n.pools.lanes[LANE_IO], *cpu = &n.pools.lanes[LANE_CPU];
    count_since(took->wait, &h->waits_before, &waits);
    count_since(took->run, &h->runs_before, &runs);
    out[SUBMITTED_PER_S] = rate(now->submitted, then->submitted, seconds);
    out[SUCCEEDED_PER_S] =
        rate(now->finished[TASK_SUCCEEDED], then->finished[TASK_SUCCEEDED], seconds);
    out[FAILED_PER_S] = rate(now->finished[TASK_FAILED], then->finished[TASK_FAILED], seconds);
    out[CANCELLED_PER_S] =
        rate(now->finished[TASK_CANCELLED], then->finished[TASK_CANCELLED], seconds);
    out[SCHEDULED] = live(now, TASK_SCHEDULED);
    out[QUEUED] = live(now, TASK_QUEUED);
    out[RUNNING] = live(now, TASK_RUNNING);
    out[WAIT_P50] = quantile(&waits, 0.5);
    out[WAIT_P95] = quantile(&waits, 0.95);
    out[RUN_P50] = quantile(&runs, 0.5);
    out[RUN_P95] = quantile(&runs, 0.95);
    out[BUSY_IO] = io->busy;
    out[BUSY_CPU] = cpu->busy;
    out[CAPACITY_IO] = io->capacity;
    out[CAPACITY_CPU] = cpu->capacity;
    out[WORKERS] = n.pools.workers_alive;
    out[FILE_BYTES] = (double)now->file_bytes;
    out[LOG_BYTES] = (double)now->log_bytes;
    h->before = *now;
}

void history_sample(const struct api *a)
{
    struct history *h = a->history;
    int64_t now = clock_mono_ms(),
            before = h->before_mono_ms ? h->before_mono_ms : a->started_mono_ms;
    struct sample s = {.at_wall_ms = clock_wall_ms()};
    if (now <= before || (h->before_mono_ms && now - before < STEP_MS))
        return;
    fill(h, a, (double)(now - before) / 1000, s.values);
    /* The ticks stay where they are, however late one of them comes. */
    h->before_mono_ms = h->before_mono_ms && now - before < 2 * STEP_MS ? before + STEP_MS : now;
    mutex_lock(&h->mu);
    h->samples[h->n++ % SAMPLES_MAX] = s;
    mutex_unlock(&h->mu);
}

/* ---- GET /v1/history ------------------------------------------------------------------------- */

static void write_value(struct buf *b, enum series i, double value)
{
    json_out_comma(b);
    if (isnan(value))
        buf_puts(b, "null");
    else
        buf_printf(b, i < SCHEDULED || (i >= WAIT_P50 && i <= RUN_P95) ? "%.4g" : "%.0f", value);
}

static void write_times(struct buf *b, const struct sample *samples, size_t n)
{
    json_out_key(b, "at");
    buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        char text[CLOCK_RFC3339_SIZE];
        clock_rfc3339(samples[i].at_wall_ms, text);
        json_out_comma(b);
        json_out_text(b, text, strlen(text));
    }
    buf_putc(b, ']');
}

static void write_samples(struct buf *b, const struct sample *samples, size_t n)
{
    json_out_seconds(b, "step", STEP_MS);
    write_times(b, samples, n);
    json_out_key(b, "series");
    buf_putc(b, '{');
    for (size_t i = 0; i < SERIES_COUNT; i++) {
        json_out_key(b, series_names[i]);
        buf_putc(b, '[');
        for (size_t k = 0; k < n; k++)
            write_value(b, (enum series)i, samples[k].values[i]);
        buf_putc(b, ']');
    }
    buf_putc(b, '}');
}

void history_get(struct request *r)
{
    struct history *h = r->api->history;
    const char *text = request_arg(r, "points");
    uint64_t wanted = SAMPLES_MAX;
    if (text && (!number_parse_uint(text, SAMPLES_MAX, &wanted) || wanted == 0)) {
        (void)request_refuse_arg(r, "points", "a number from 1 to 360");
        return;
    }
    struct sample *copy = arena_alloc(&r->arena, (size_t)wanted * sizeof(*copy));
    mutex_lock(&h->mu);
    size_t n = h->n < wanted ? h->n : (size_t)wanted;
    for (size_t i = 0; i < n; i++)
        copy[i] = h->samples[(h->n - n + i) % SAMPLES_MAX];
    mutex_unlock(&h->mu);
    buf_putc(&r->out, '{');
    write_samples(&r->out, copy, n);
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}
