/* GET /metrics: OpenMetrics 1.0 where the client asks for it, else the text format 0.0.4 of
 * Prometheus, which differs in the name of a counter, the units and the end. */
#include "api/resources/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/rows.h"
#include "api/resources/stats.h"
#include "core/mem.h"
#include "core/proc.h"

#define OPEN_METRICS "application/openmetrics-text"
#define NAMES_MAX 50 /* queues, and limits, that have series of their own */

struct page {
    struct buf *out;
    const struct api *api;
    struct stats_numbers numbers;
    struct proc_stat me; /* of the daemon */
    bool has_me, is_open_metrics;
    const struct store_queue_list *queues; /* while those are written */
    const struct store_limit_list *limits; /* likewise */
};

/* ---- one metric ------------------------------------------------------------------------------ */

enum kind { KIND_GAUGE, KIND_COUNTER, KIND_HISTOGRAM };

static const char *const kind_names[] = {"gauge", "counter", "histogram"};

/* When a metric is written: what it is read from is there then. */
enum stage { STAGE_QUEUES, STAGE_LIMITS, STAGE_REST };

/* One that is no row of the table of stats. */
struct metric {
    const char *name;
    enum kind kind;
    enum stage stage;
    const char *labels; /* their names, for the documents */
    void (*write)(struct page *p, const struct metric *m);
    const char *help;
};

static const char *total(enum kind kind)
{
    return kind == KIND_COUNTER ? "_total" : "";
}

static void write_unit(struct page *p, const char *name)
{
    static const char *const units[] = {"seconds", "bytes"};
    const char *last = strrchr(name, '_');
    for (size_t i = 0; last && i < FUT_COUNT(units); i++) {
        if (strcmp(last + 1, units[i]) == 0)
            buf_printf(p->out, "# UNIT futured_%s %s\n", name, units[i]);
    }
}

static void write_head(struct page *p, const char *name, enum kind kind, const char *help)
{
    const char *suffix = p->is_open_metrics ? "" : total(kind);
    buf_printf(p->out, "# HELP futured_%s%s %s\n", name, suffix, help);
    buf_printf(p->out, "# TYPE futured_%s%s %s\n", name, suffix, kind_names[kind]);
    if (p->is_open_metrics)
        write_unit(p, name);
}

/* labels: a="b",c="d" or "". */
static void write_sample(struct page *p, const char *name, const char *suffix, const char *labels,
                         double value)
{
    buf_printf(p->out, "futured_%s%s", name, suffix);
    if (labels[0])
        buf_printf(p->out, "{%s}", labels);
    buf_printf(p->out, " %.15g\n", value);
}

static void write_histogram(struct page *p, const char *name, const char *labels,
                            const struct histogram *h)
{
    char with_bound[256];
    uint64_t n = 0;
    const char *comma = labels[0] ? "," : "";
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        n += histogram_count(h, i);
        (void)snprintf(with_bound, sizeof(with_bound), "%s%sle=\"%g\"", labels, comma,
                       (double)histogram_bound_us(i) / 1e6);
        write_sample(p, name, "_bucket", with_bound, (double)n);
    }
    n += histogram_count(h, HISTOGRAM_BOUNDS);
    (void)snprintf(with_bound, sizeof(with_bound), "%s%sle=\"+Inf\"", labels, comma);
    write_sample(p, name, "_bucket", with_bound, (double)n);
    write_sample(p, name, "_sum", labels, (double)histogram_sum_us(h) / 1e6);
    write_sample(p, name, "_count", labels, (double)n);
}

/* ---- the rows of stats ----------------------------------------------------------------------- */

static enum kind kind_of(const struct stats_row *row)
{
    return row->kind == STATS_COUNTER ? KIND_COUNTER : KIND_GAUGE;
}

static bool has_number(const struct stats_row *row, enum lane lane, enum task_state state)
{
    bool by_lane = row->split == STATS_LANE || row->split == STATS_LANE_STATE;
    bool is_final = task_state_is_final(state);
    if (!by_lane && lane != LANE_IO)
        return false;
    return row->split == STATS_LANE_STATE  ? !is_final
           : row->split == STATS_END_STATE ? is_final
                                           : state == TASK_QUEUED;
}

static void write_labels(char *out, size_t size, const struct stats_row *row, enum lane lane,
                         enum task_state state)
{
    out[0] = '\0';
    if (row->split == STATS_LANE)
        (void)snprintf(out, size, "lane=\"%s\"", lane_name(lane));
    else if (row->split == STATS_LANE_STATE)
        (void)snprintf(out, size, "lane=\"%s\",state=\"%s\"", lane_name(lane),
                       task_state_name(state));
    else if (row->split == STATS_END_STATE)
        (void)snprintf(out, size, "state=\"%s\"", task_state_name(state));
}

static void write_row(struct page *p, const struct stats_row *row)
{
    char labels[64];
    write_head(p, row->metric, kind_of(row), row->help);
    for_each_lane (l) {
        for (int i = 0; i < TASK_STATE_COUNT; i++) {
            enum task_state state = (enum task_state)i;
            if (!has_number(row, l, state))
                continue;
            write_labels(labels, sizeof(labels), row, l, state);
            write_sample(p, row->metric, total(kind_of(row)), labels,
                         row->read(&p->numbers, l, state));
        }
    }
}

static bool is_shown(const struct page *p, const struct stats_row *row)
{
    bool is_of_pools = row->section && strcmp(row->section, "pools") == 0;
    return row->metric && (p->numbers.has_pools || !is_of_pools);
}

/* ---- the other metrics ----------------------------------------------------------------------- */

static void write_build(struct page *p, const struct metric *m)
{
    char labels[128];
    (void)snprintf(labels, sizeof(labels), "version=\"%s\"", p->api->cfg.version);
    write_sample(p, m->name, "", labels, 1);
}

static void write_ends(struct page *p, const struct metric *m)
{
    char labels[64];
    for (unsigned i = 0; i <= END_CODE_COUNT; i++) {
        const char *code = i < END_CODE_COUNT ? end_code_text((enum end_code)i) : "other";
        if (!p->numbers.store.ended_by[i])
            continue;
        (void)snprintf(labels, sizeof(labels), "code=\"%s\"", code);
        write_sample(p, m->name, "_total", labels, (double)p->numbers.store.ended_by[i]);
    }
}

static void write_lanes(struct page *p, const struct metric *m, const struct histogram *by_lane)
{
    char labels[64];
    for_each_lane (l) {
        (void)snprintf(labels, sizeof(labels), "lane=\"%s\"", lane_name(l));
        write_histogram(p, m->name, labels, &by_lane[l]);
    }
}

static void write_waits(struct page *p, const struct metric *m)
{
    write_lanes(p, m, store_durations(p->api->cfg.store)->wait);
}

static void write_runs(struct page *p, const struct metric *m)
{
    write_lanes(p, m, store_durations(p->api->cfg.store)->run);
}

static void write_commits(struct page *p, const struct metric *m)
{
    write_histogram(p, m->name, "", &store_durations(p->api->cfg.store)->commit);
}

static void write_syncs(struct page *p, const struct metric *m)
{
    const struct histogram *syncs = store_log_syncs(p->api->cfg.store);
    if (syncs)
        write_histogram(p, m->name, "", syncs);
}

static void write_deaths(struct page *p, const struct metric *m)
{
    static const char *const labels[POOL_DEATHS] = {"reason=\"exit\"", "reason=\"signal\"",
                                                    "reason=\"unknown\""};
    for (int i = 0; p->numbers.has_pools && i < POOL_DEATHS; i++)
        write_sample(p, m->name, "_total", labels[i], (double)p->numbers.pools.died_by[i]);
}

static void write_spans(struct page *p, const struct metric *m)
{
    const struct span_view *spans = &p->api->cfg.spans;
    struct span_stats n;
    if (!spans->read)
        return;
    spans->read(spans->ctx, &n);
    write_sample(p, m->name, "_total", "result=\"sent\"", (double)n.sent);
    write_sample(p, m->name, "_total", "result=\"dropped\"", (double)n.dropped);
    write_sample(p, m->name, "_total", "result=\"refused\"", (double)n.refused);
}

static void write_waiting_spans(struct page *p, const struct metric *m)
{
    const struct span_view *spans = &p->api->cfg.spans;
    struct span_stats n;
    if (!spans->read)
        return;
    spans->read(spans->ctx, &n);
    write_sample(p, m->name, "", "", (double)n.waiting);
}

static size_t fewer(size_t n)
{
    return n < NAMES_MAX ? n : NAMES_MAX;
}

static uint64_t count_live(const struct store_queue_status *q, enum task_state state)
{
    return q->live[LANE_IO][state] + q->live[LANE_CPU][state];
}

static void write_queue_tasks(struct page *p, const struct metric *m)
{
    static const enum task_state states[] = {TASK_QUEUED, TASK_RUNNING};
    char labels[TASK_QUEUE_MAX + 64];
    for (size_t i = 0; i < fewer(p->queues->n); i++) {
        const struct store_queue_status *q = &p->queues->queues[i];
        for (size_t s = 0; s < FUT_COUNT(states); s++) {
            (void)snprintf(labels, sizeof(labels), "queue=\"%s\",state=\"%s\"", q->queue.name,
                           task_state_name(states[s]));
            write_sample(p, m->name, "", labels, (double)count_live(q, states[s]));
        }
    }
}

static void write_queue_pauses(struct page *p, const struct metric *m)
{
    char labels[TASK_QUEUE_MAX + 64];
    for (size_t i = 0; i < fewer(p->queues->n); i++) {
        const struct store_queue_status *q = &p->queues->queues[i];
        (void)snprintf(labels, sizeof(labels), "queue=\"%s\"", q->queue.name);
        write_sample(p, m->name, "", labels, q->pause.since_wall_ms != 0);
    }
}

static void write_limit_samples(struct page *p, const struct metric *m,
                                double (*read)(const struct store_limit_use *use))
{
    char labels[TASK_LIMIT_NAME_MAX + 64];
    for (size_t i = 0; i < fewer(p->limits->n); i++) {
        const struct store_limit_status *l = &p->limits->limits[i];
        (void)snprintf(labels, sizeof(labels), "limit=\"%s\"", l->limit.name);
        write_sample(p, m->name, "", labels, read(&l->use));
    }
}

static double waiting_of(const struct store_limit_use *use)
{
    return (double)use->waiting;
}

static double running_of(const struct store_limit_use *use)
{
    return (double)use->running;
}

static double is_closed_of(const struct store_limit_use *use)
{
    return use->is_closed;
}

static void write_limit_waits(struct page *p, const struct metric *m)
{
    write_limit_samples(p, m, waiting_of);
}

static void write_limit_runs(struct page *p, const struct metric *m)
{
    write_limit_samples(p, m, running_of);
}

static void write_limit_closings(struct page *p, const struct metric *m)
{
    write_limit_samples(p, m, is_closed_of);
}

static void route_labels(const struct page *p, size_t row, char *out, size_t size)
{
    const struct route_table *t = p->api->routes;
    const struct route *route = row < t->n ? &t->rows[row] : NULL;
    (void)snprintf(out, size, "method=\"%s\",route=\"%s\"",
                   route ? route_method_name(route->method) : "", route ? route->pattern : "");
}

static void write_answers(struct page *p, const struct metric *m)
{
    char labels[200];
    for (size_t row = 0; row <= p->api->routes->n; row++) {
        const struct http_answers *a = &p->api->answers[row];
        route_labels(p, row, labels, sizeof(labels));
        size_t len = strlen(labels);
        for (size_t i = 0; i < FUT_COUNT(a->by_class); i++) {
            uint64_t n = atomic_load_explicit(&a->by_class[i], memory_order_relaxed);
            (void)snprintf(labels + len, sizeof(labels) - len,
                           i ? ",status=\"%zuxx\"" : ",status=\"none\"", i);
            if (n)
                write_sample(p, m->name, "_total", labels, (double)n);
        }
    }
}

static void write_requests(struct page *p, const struct metric *m)
{
    char labels[200];
    for (size_t row = 0; row <= p->api->routes->n; row++) {
        const struct histogram *took = &p->api->answers[row].took;
        uint64_t n = 0;
        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
            n += histogram_count(took, i);
        route_labels(p, row, labels, sizeof(labels));
        if (n)
            write_histogram(p, m->name, labels, took);
    }
}

static void write_cpu(struct page *p, const struct metric *m)
{
    if (p->has_me)
        write_sample(p, m->name, "_total", "", (double)p->me.cpu_ms / 1000);
}

static void write_memory(struct page *p, const struct metric *m)
{
    if (p->has_me)
        write_sample(p, m->name, "", "", (double)p->me.rss_bytes);
}

static void write_descriptors(struct page *p, const struct metric *m)
{
    write_sample(p, m->name, "", "", proc_count(getpid(), "fd"));
}

static const struct metric metrics[] = {
    {"queue_tasks", KIND_GAUGE, STAGE_QUEUES, "`queue`, `state`", write_queue_tasks,
     "Tasks that wait and run, of the 50 queues that have most, of the first 1,000 by name."},
    {"queue_paused", KIND_GAUGE, STAGE_QUEUES, "`queue`", write_queue_pauses,
     "1 while the queue is paused, else 0; of these queues."},
    {"limit_waiting", KIND_GAUGE, STAGE_LIMITS, "`limit`", write_limit_waits,
     "Tasks that wait for the limit, of the 50 for which most do; over all keys."},
    {"limit_running", KIND_GAUGE, STAGE_LIMITS, "`limit`", write_limit_runs,
     "Tasks that run under it, of these limits."},
    {"limit_closed", KIND_GAUGE, STAGE_LIMITS, "`limit`", write_limit_closings,
     "1 while it lets no task start, else 0; of these limits."},
    {"build_info", KIND_GAUGE, STAGE_REST, "`version`", write_build, "1; which version this is."},
    {"cpu_seconds", KIND_COUNTER, STAGE_REST, "", write_cpu,
     "CPU time of the daemon, without its worker processes and programs."},
    {"resident_memory_bytes", KIND_GAUGE, STAGE_REST, "", write_memory,
     "Memory of the daemon, likewise."},
    {"open_descriptors", KIND_GAUGE, STAGE_REST, "", write_descriptors,
     "Its open files and sockets."},
    {"attempts_failed", KIND_COUNTER, STAGE_REST, "`code`", write_ends,
     "Attempts and tasks that ended otherwise than well, by error code; a handler's own codes "
     "count as other."},
    {"task_wait_seconds", KIND_HISTOGRAM, STAGE_REST, "`lane`", write_waits,
     "From a task's submission, or the time before which it was not to begin, to its first "
     "attempt."},
    {"task_run_seconds", KIND_HISTOGRAM, STAGE_REST, "`lane`", write_runs,
     "The attempt with which a task ended."},
    {"store_commit_seconds", KIND_HISTOGRAM, STAGE_REST, "", write_commits,
     "Commits, which wait for the disk."},
    {"store_fsync_seconds", KIND_HISTOGRAM, STAGE_REST, "", write_syncs,
     "Each fsync of the log of the latest changes; SQLite alone."},
    {"workers_died", KIND_COUNTER, STAGE_REST, "`reason`", write_deaths,
     "Worker processes that died unasked: exit, signal or unknown."},
    {"otlp_spans", KIND_COUNTER, STAGE_REST, "`result`", write_spans,
     "Spans for the collector of FUTURED_OTLP_URL: sent, dropped as it was slow or away, or "
     "refused "
     "by it."},
    {"otlp_spans_waiting", KIND_GAUGE, STAGE_REST, "", write_waiting_spans,
     "Spans in memory that are not sent yet."},
    {"http_answers", KIND_COUNTER, STAGE_REST, "`method`, `route`, `status`", write_answers,
     "Answers by route and hundreds of the status; none: the client left before."},
    {"http_request_seconds", KIND_HISTOGRAM, STAGE_REST, "`method`, `route`", write_requests,
     "From the head of a request to the end of its answer, but for those that wait for a task, "
     "and streams."},
};

/* ---- the page -------------------------------------------------------------------------------- */

static void drop_queues(struct request *r)
{
    free(r->op.queue_list.queues);
    free(r->op.queue_list.fair);
}

static void drop_limits(struct request *r)
{
    free(r->op.limit_list.limits);
    free(r->op.limit_list.keys);
}

static int by_unfinished(const void *a, const void *b)
{
    uint64_t x = count_live(a, TASK_QUEUED) + count_live(a, TASK_RUNNING),
             y = count_live(b, TASK_QUEUED) + count_live(b, TASK_RUNNING);
    return x < y ? 1 : x > y ? -1 : 0;
}

static int by_waiting(const void *a, const void *b)
{
    const struct store_limit_status *x = a, *y = b;
    return x->use.waiting < y->use.waiting ? 1 : x->use.waiting > y->use.waiting ? -1 : 0;
}

static void write_stage(struct page *p, enum stage stage)
{
    for (size_t i = 0; i < FUT_COUNT(metrics); i++) {
        if (metrics[i].stage != stage)
            continue;
        write_head(p, metrics[i].name, metrics[i].kind, metrics[i].help);
        metrics[i].write(p, &metrics[i]);
    }
}

static void write_rest(struct request *r)
{
    struct page *p = r->work;
    stats_read(r->api, &p->numbers);
    p->has_me = proc_stat_read(getpid(), &p->me);
    for (size_t i = 0; i < stats_table.n; i++) {
        if (is_shown(p, &stats_table.rows[i]))
            write_row(p, &stats_table.rows[i]);
    }
    write_stage(p, STAGE_REST);
    if (p->is_open_metrics)
        buf_puts(p->out, "# EOF\n");
    request_reply_bytes(r, 200,
                        p->is_open_metrics ? OPEN_METRICS "; version=1.0.0; charset=utf-8"
                                           : "text/plain; version=0.0.4; charset=utf-8",
                        r->out.data, r->out.len);
}

/* A store that cannot answer now keeps nobody from the rest. */
static void got_limits(struct request *r)
{
    struct page *p = r->work;
    struct store_limit_list *o = &r->op.limit_list;
    if (o->op.rc == 0) {
        if (o->n)
            qsort(o->limits, o->n, sizeof(o->limits[0]), by_waiting);
        p->limits = o;
        write_stage(p, STAGE_LIMITS);
    }
    write_rest(r);
}

static void got_queues(struct request *r)
{
    struct page *p = r->work;
    struct store_queue_list *o = &r->op.queue_list;
    if (o->op.rc == 0) {
        if (o->n)
            qsort(o->queues, o->n, sizeof(o->queues[0]), by_unfinished);
        p->queues = o;
        write_stage(p, STAGE_QUEUES);
    }
    request_drop_op(r);
    r->op.limit_list = (struct store_limit_list){.name = NULL};
    request_post(r, &store_verb_limit_list, drop_limits, got_limits);
}

void metrics_get(struct request *r)
{
    const char *accept = http_header(r, "Accept");
    struct page *p = arena_alloc(&r->arena, sizeof(*p));
    p->out = &r->out;
    p->api = r->api;
    p->is_open_metrics = accept && strstr(accept, OPEN_METRICS);
    r->work = p;
    r->op.queue_list = (struct store_queue_list){.limit = STORE_LIST_MAX};
    request_post(r, &store_verb_queue_list, drop_queues, got_queues);
}

/* ---- the documents --------------------------------------------------------------------------- */

static void dump(const char *name, enum kind kind, const char *labels, const char *help)
{
    (void)printf("| `futured_%s%s` | %s | %s | %s |\n", name, total(kind), kind_names[kind], labels,
                 help);
}

void metrics_dump(void)
{
    static const char *const labels[] = {
        [STATS_WHOLE] = "",
        [STATS_LANE] = "`lane`",
        [STATS_LANE_STATE] = "`lane`, `state`",
        [STATS_END_STATE] = "`state`",
    };
    (void)printf("| metric | type | labels | what it is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < stats_table.n; i++) {
        const struct stats_row *row = &stats_table.rows[i];
        if (row->metric)
            dump(row->metric, kind_of(row), labels[row->split], row->help);
    }
    for (size_t i = 0; i < FUT_COUNT(metrics); i++)
        dump(metrics[i].name, metrics[i].kind, metrics[i].labels, metrics[i].help);
}
