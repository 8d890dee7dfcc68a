#include "daemon/spans.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/json_out.h"
#include "api/text/params.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/sync.h"
#include "storage/store.h"

#define WAITING_MAX 2048 /* spans in memory, 1.4 MB, besides those of a batch on its way */
#define RUNNING_MAX 8192 /* attempts whose end is awaited: more than lanes and lent slots give */
#define BATCH_MAX 256
#define LINGER_MS 1000 /* a span waits so long for others */
#define POST_MS 10000  /* one request */
#define CONNECT_MS 5000
#define TRIES 4
#define FIRST_BACKOFF_MS 500
#define ANSWER_MAX 4096 /* bytes that are read of an answer */
#define TRACE_SIZE 33
#define PARENT_SIZE 17
#define CODE_SIZE 65
#define MESSAGE_SIZE 201
#define SAMPLED 1u

enum span_kind { SPAN_WAIT, SPAN_RUN };

struct span {
    enum span_kind kind;
    enum task_state state; /* behind it */
    char trace[TRACE_SIZE], parent[PARENT_SIZE];
    struct task_id task;
    uint32_t attempt;
    char handler[TASK_HANDLER_MAX + 1], queue[TASK_QUEUE_MAX + 1];
    int64_t begin_wall_ms, end_wall_ms;
    char code[CODE_SIZE], message[MESSAGE_SIZE]; /* of an attempt that failed */
};

/* An attempt that runs; found by the first half of its task's id. */
struct running {
    struct map_node node;
    struct span span;
};

struct spans {
    char *url;
    pthread_t thread;
    struct map running; /* the store's writer alone */
    struct mutex mu;
    struct cond cond;
    struct span waiting[WAITING_MAX]; /* guarded by mu: a ring */
    size_t first, n;                  /* guarded by mu */
    int64_t since_mono_us;            /* guarded by mu: since when the first of them waits */
    struct span_stats stats;          /* guarded by mu; but for waiting */
    size_t sending;                   /* guarded by mu: spans of the batch that is on its way */
    int64_t stop_mono_ms;             /* guarded by mu: when sending is to end; 0: goes on */
    bool is_joined;
    struct span batch[BATCH_MAX]; /* the thread alone, as all that follows */
    CURL *easy;
    struct curl_slist *headers;
    struct buf body, answer;
    bool is_failing; /* the log says so */
};

/* ---- what becomes a span (the store's writer) ------------------------------------------------ */

static void put(struct spans *s, const struct span *span)
{
    mutex_lock(&s->mu);
    if (s->n == WAITING_MAX) {
        s->stats.dropped++;
    } else {
        if (s->n == 0)
            s->since_mono_us = clock_mono_us();
        s->waiting[(s->first + s->n++) % WAITING_MAX] = *span;
        if (s->n == 1 || s->n == BATCH_MAX)
            cond_signal(&s->cond);
    }
    mutex_unlock(&s->mu);
}

/* "00-TRACE-PARENT-FLAGS"; false when nobody wants spans of it. */
static bool read_trace(const char *traceparent, struct span *out)
{
    if (!params_traceparent(traceparent) || !(strtoul(traceparent + 53, NULL, 16) & SAMPLED))
        return false;
    (void)snprintf(out->trace, sizeof(out->trace), "%.32s", traceparent + 3);
    (void)snprintf(out->parent, sizeof(out->parent), "%.16s", traceparent + 36);
    return true;
}

/* Its wait is over, and is told for the first attempt alone: of the others the store does not keep
 * since when they waited. */
static void begin_attempt(struct spans *s, const struct task *t)
{
    struct running *r;
    struct span span = {.kind = SPAN_WAIT, .state = TASK_RUNNING, .attempt = t->attempt};
    if (!read_trace(t->spec->traceparent, &span))
        return;
    span.task = t->spec->id;
    span.begin_wall_ms = task_spec_could_begin_wall_ms(t->spec);
    span.end_wall_ms = t->started_wall_ms;
    (void)snprintf(span.handler, sizeof(span.handler), "%s", t->spec->handler);
    (void)snprintf(span.queue, sizeof(span.queue), "%s",
                   t->spec->queue ? t->spec->queue : TASK_QUEUE_DEFAULT);
    if (t->attempt == 1)
        put(s, &span);
    if (s->running.len == RUNNING_MAX)
        return;
    r = xnew(struct running);
    r->span = span;
    r->span.kind = SPAN_RUN;
    r->span.begin_wall_ms = t->started_wall_ms;
    map_put(&s->running, &r->node, span.task.hi);
}

static void end_attempt(struct spans *s, struct running *r, const struct store_change *c)
{
    const struct task_outcome *o = c->task ? c->task->outcome : c->outcome;
    int64_t ended = c->task ? c->task->finished_wall_ms : 0;
    r->span.state = c->state;
    r->span.end_wall_ms = ended ? ended : clock_wall_ms();
    if (o && o->code) {
        (void)snprintf(r->span.code, sizeof(r->span.code), "%s", o->code);
        (void)snprintf(r->span.message, sizeof(r->span.message), "%s",
                       o->message ? o->message : "");
    }
    put(s, &r->span);
    map_remove(&s->running, &r->node);
    free(r);
}

static void take_change(struct spans *s, const struct store_change *c)
{
    struct map_node *found = c->reported ? NULL : map_get(&s->running, c->id.hi);
    struct running *r = found ? FUT_CONTAINER(found, struct running, node) : NULL;
    bool is_running = !c->reported && c->state == TASK_RUNNING && c->task;
    if (r && (c->state != TASK_RUNNING || (c->task && c->task->attempt != r->span.attempt)))
        end_attempt(s, r, c);
    else if (r)
        is_running = false; /* told once more */
    if (is_running)
        begin_attempt(s, c->task);
}

static void on_change(void *ctx, const struct store_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        take_change(ctx, &changes[i]);
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void write_time(struct buf *out, const char *key, int64_t wall_ms)
{
    json_out_key(out, key);
    buf_printf(out, "\"%" PRId64 "000000\"", wall_ms > 0 ? wall_ms : 0);
}

static void write_attribute(struct buf *out, const char *key, const char *value)
{
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_str(out, "key", key);
    json_out_key(out, "value");
    buf_putc(out, '{');
    json_out_str(out, "stringValue", value);
    buf_puts(out, "}}");
}

static void write_attributes(struct buf *out, const struct span *span)
{
    char id[ID_TEXT_SIZE], attempt[16];
    id_format(span->task, id);
    (void)snprintf(attempt, sizeof(attempt), "%" PRIu32, span->attempt);
    json_out_key(out, "attributes");
    buf_putc(out, '[');
    write_attribute(out, "futured.future", id);
    write_attribute(out, "futured.handler", span->handler);
    write_attribute(out, "futured.queue", span->queue);
    write_attribute(out, "futured.attempt", attempt);
    write_attribute(out, "futured.state", task_state_name(span->state));
    if (*span->code)
        write_attribute(out, "error.type", span->code);
    buf_putc(out, ']');
}

/* Computed from task, attempt and kind, so a span that is sent again has the id that it had. */
static uint64_t id_of(const struct span *span)
{
    uint64_t hash = hash_number(hash_number(HASH_START, span->task.hi), span->task.lo);
    hash = hash_number(hash, ((uint64_t)span->attempt << 1) | span->kind);
    return hash ? hash : 1;
}

static void write_span(struct buf *out, const struct span *span)
{
    enum { INTERNAL = 1, CONSUMER = 5, ERROR = 2 }; /* as OTLP numbers them */
    char id[PARENT_SIZE], name[TASK_HANDLER_MAX + 8];
    (void)snprintf(id, sizeof(id), "%016" PRIx64, id_of(span));
    (void)snprintf(name, sizeof(name), "%s %s", span->kind == SPAN_WAIT ? "wait" : "run",
                   span->handler);
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_str(out, "traceId", span->trace);
    json_out_str(out, "spanId", id);
    json_out_str(out, "parentSpanId", span->parent);
    json_out_str(out, "name", name);
    json_out_uint(out, "kind", span->kind == SPAN_WAIT ? INTERNAL : CONSUMER);
    write_time(out, "startTimeUnixNano", span->begin_wall_ms);
    write_time(out, "endTimeUnixNano",
               span->end_wall_ms < span->begin_wall_ms ? span->begin_wall_ms : span->end_wall_ms);
    write_attributes(out, span);
    if (*span->code) {
        json_out_key(out, "status");
        buf_putc(out, '{');
        json_out_uint(out, "code", ERROR);
        json_out_str(out, "message", span->message);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

static void write_batch(struct buf *out, const struct span *spans, size_t n)
{
    out->len = 0;
    buf_puts(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    write_attribute(out, "service.name", "futured");
    write_attribute(out, "service.version", FUT_VERSION);
    buf_puts(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"futured\"},\"spans\":[");
    for (size_t i = 0; i < n; i++)
        write_span(out, &spans[i]);
    buf_puts(out, "]}]}]}");
}

/* ---- sending (the thread) -------------------------------------------------------------------- */

enum verdict { TAKEN, REFUSED, LATER };

static size_t keep_answer(char *bytes, size_t size, size_t n, void *spans)
{
    struct spans *s = spans;
    size_t space = ANSWER_MAX - s->answer.len;
    buf_put(&s->answer, bytes, size * n < space ? size * n : space);
    return size * n;
}

/* libcurl asks at least once a second. */
static int wants_end(void *spans, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct spans *s = spans;
    (void)a, (void)b, (void)c, (void)d;
    mutex_lock(&s->mu);
    bool is_time = s->stop_mono_ms && clock_mono_ms() >= s->stop_mono_ms;
    mutex_unlock(&s->mu);
    return is_time;
}

#define SET(option, value) FUT_MUST(curl_easy_setopt(s->easy, option, value) == CURLE_OK)

static void prepare(struct spans *s)
{
    s->easy = curl_easy_init();
    s->headers = curl_slist_append(NULL, "Content-Type: application/json");
    s->headers = curl_slist_append(s->headers, "Expect:");
    FUT_MUST(s->easy && s->headers);
    SET(CURLOPT_URL, s->url);
    SET(CURLOPT_HTTPHEADER, s->headers);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_USERAGENT, "futured/" FUT_VERSION);
    SET(CURLOPT_TIMEOUT_MS, (long)POST_MS);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(CURLOPT_WRITEFUNCTION, keep_answer);
    SET(CURLOPT_WRITEDATA, (void *)s);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, wants_end);
    SET(CURLOPT_XFERINFODATA, (void *)s);
    SET(CURLOPT_QUICK_EXIT, 1L);
}

/* A collector may take some and refuse others. */
static uint64_t count_rejected(const struct buf *answer)
{
    json_t *root = json_loadb(answer->data ? answer->data : "", answer->len, 0, NULL);
    const json_t *n = json_object_get(json_object_get(root, "partialSuccess"), "rejectedSpans");
    int64_t rejected = json_is_string(n) ? (int64_t)strtoll(json_string_value(n), NULL, 10)
                                         : (int64_t)json_integer_value(n);
    json_decref(root);
    return rejected > 0 ? (uint64_t)rejected : 0;
}

/* The log has a line when it begins to fail and one when it works again. */
static void tell(struct spans *s, CURLcode rc, long status)
{
    bool fails = rc != CURLE_OK || status / 100 != 2;
    if (fails && !s->is_failing)
        log_warn("spans_not_sent", LOG_STR("url", s->url), LOG_INT("status", status),
                 LOG_STR("reason",
                         rc == CURLE_OK ? "the collector refuses them" : curl_easy_strerror(rc)));
    else if (!fails && s->is_failing)
        log_info("spans_sent_again", LOG_STR("url", s->url));
    s->is_failing = fails;
}

static enum verdict post(struct spans *s)
{
    long status = 0;
    s->answer.len = 0;
    SET(CURLOPT_POSTFIELDS, s->body.data);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->body.len);
    CURLcode rc = curl_easy_perform(s->easy);
    if (rc == CURLE_OK)
        (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    tell(s, rc, status);
    if (rc == CURLE_OK && status / 100 == 2)
        return TAKEN;
    return rc == CURLE_OK && status != 429 && status != 502 && status != 503 && status != 504
               ? REFUSED
               : LATER;
}

/* False: it is time to end. */
static bool pause_for(struct spans *s, int64_t ms)
{
    int64_t end = clock_mono_us() + ms * 1000;
    mutex_lock(&s->mu);
    while (!s->stop_mono_ms && cond_wait_until(&s->cond, &s->mu, end))
        ;
    bool is_time = s->stop_mono_ms && clock_mono_ms() >= s->stop_mono_ms;
    mutex_unlock(&s->mu);
    return !is_time;
}

static void send_batch(struct spans *s, size_t n)
{
    enum verdict verdict = LATER;
    write_batch(&s->body, s->batch, n);
    for (int i = 0; verdict == LATER && i < TRIES; i++) {
        if (i > 0 && !pause_for(s, (int64_t)FIRST_BACKOFF_MS << (i - 1)))
            break;
        verdict = post(s);
    }
    uint64_t rejected = verdict == TAKEN ? count_rejected(&s->answer) : 0;
    rejected = rejected < n ? rejected : n;
    mutex_lock(&s->mu);
    s->stats.sent += verdict == TAKEN ? n - rejected : 0;
    s->stats.refused += verdict == REFUSED ? n : rejected;
    s->stats.dropped += verdict == LATER ? n : 0;
    s->sending = 0;
    mutex_unlock(&s->mu);
}

/* Waits for a batch and moves it to s->batch; 0: all is done, or it is time to end. */
static size_t take_batch(struct spans *s)
{
    size_t n = 0;
    mutex_lock(&s->mu);
    while (
        !s->stop_mono_ms && s->n < BATCH_MAX &&
        cond_wait_until(&s->cond, &s->mu, s->n ? s->since_mono_us + (int64_t)LINGER_MS * 1000 : -1))
        ;
    for (; s->n && n < BATCH_MAX; s->n--) {
        s->batch[n++] = s->waiting[s->first];
        s->first = (s->first + 1) % WAITING_MAX;
    }
    s->since_mono_us = clock_mono_us();
    s->sending = n;
    if (s->stop_mono_ms && clock_mono_ms() >= s->stop_mono_ms) {
        s->stats.dropped += n + s->n;
        s->sending = s->n = n = 0;
    }
    mutex_unlock(&s->mu);
    return n;
}

static void *run(void *spans)
{
    struct spans *s = spans;
    prepare(s);
    for (size_t n; (n = take_batch(s)) > 0;)
        send_batch(s, n);
    curl_easy_cleanup(s->easy);
    curl_slist_free_all(s->headers);
    buf_release(&s->body);
    buf_release(&s->answer);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* What libcurl reads of a URL; free with curl_url_cleanup; NULL: it is none. */
static CURLU *parse(const char *url)
{
    CURLU *u = curl_url();
    FUT_MUST(u);
    if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
        return u;
    curl_url_cleanup(u);
    return NULL;
}

static bool has(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool is_there = curl_url_get(u, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return is_there;
}

bool spans_url_ok(const char *url)
{
    CURLU *u = params_url_ok(url) ? parse(url) : NULL;
    bool ok =
        u && !has(u, CURLUPART_USER) && !has(u, CURLUPART_PASSWORD) && !has(u, CURLUPART_FRAGMENT);
    curl_url_cleanup(u);
    return ok;
}

static char *with_path(const char *url)
{
    CURLU *u = parse(url);
    char *path = NULL, *whole = NULL;
    FUT_MUST(u && curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK);
    if (strcmp(path, "/") == 0)
        FUT_MUST(curl_url_set(u, CURLUPART_PATH, "/v1/traces", 0) == CURLUE_OK);
    FUT_MUST(curl_url_get(u, CURLUPART_URL, &whole, 0) == CURLUE_OK);
    char *out = xstrdup(whole);
    curl_free(whole);
    curl_free(path);
    curl_url_cleanup(u);
    return out;
}

int spans_start(const char *url, struct spans **out, struct fut_errbuf *err)
{
    FUT_MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    struct spans *s = xnew(struct spans);
    s->url = with_path(url);
    map_init(&s->running);
    mutex_init(&s->mu);
    cond_init(&s->cond);
    int rc = thread_try_start(&s->thread, "spans", run, s);
    if (rc != 0) {
        s->is_joined = true;
        spans_free(&s);
        return fut_fail(err, rc, "no thread can be had for FUTURED_OTLP_URL");
    }
    *out = s;
    return 0;
}

void spans_listen(struct spans *s, struct store *store)
{
    store_listen(store, on_change, s);
}

static void read_stats(void *spans, struct span_stats *out)
{
    struct spans *s = spans;
    mutex_lock(&s->mu);
    *out = s->stats;
    out->waiting = s->n + s->sending;
    mutex_unlock(&s->mu);
}

struct span_view spans_view(struct spans *s)
{
    return (struct span_view){.ctx = s, .read = s ? read_stats : NULL};
}

void spans_stop(struct spans *s, int64_t max_ms)
{
    struct span_stats stats;
    if (!s || s->is_joined)
        return;
    mutex_lock(&s->mu);
    s->stop_mono_ms = clock_mono_ms() + max_ms;
    cond_broadcast(&s->cond);
    mutex_unlock(&s->mu);
    thread_join(s->thread);
    s->is_joined = true;
    read_stats(s, &stats);
    if (stats.dropped || stats.refused)
        log_warn("spans_dropped", LOG_INT("dropped", stats.dropped),
                 LOG_INT("refused", stats.refused), LOG_INT("sent", stats.sent));
}

static void free_running(struct map_node *node)
{
    free(FUT_CONTAINER(node, struct running, node));
}

void spans_free(struct spans **sp)
{
    struct spans *s = *sp;
    if (!s)
        return;
    spans_stop(s, 0);
    map_drain(&s->running, free_running);
    cond_destroy(&s->cond);
    mutex_destroy(&s->mu);
    free(s->url);
    free(s);
    *sp = NULL;
}
