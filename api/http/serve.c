#include "api/http/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/http/conn.h"
#include "api/http/dispatch.h"
#include "api/http/head.h"
#include "api/http/loop.h"
#include "api/http/mhd.h"
#include "api/http/origin.h"
#include "api/http/pending.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/number.h"

#define IDLE_TIMEOUT_S 60
#define RECORD_BYTES 64  /* what the library takes for each header */
#define ANSWER_BYTES 768 /* left for the head of the answer */
#define CORS_BYTES 1024  /* more of it for a page whose origin is named */
#define EXPOSED_HEADERS                                                                            \
    "Location, Retry-After, ETag, Link, Preference-Applied, Idempotency-Replayed, "                \
    "Futured-Coalesced, Futured-Log-Next, Futured-Log-Begin, Futured-State, WWW-Authenticate"
#define STREAM_BLOCK_BYTES 8192
#define FIRST_BODY_BYTES 4096u
#define SWALLOW_BYTES                                                                              \
    (64ULL << 20) /* of a body over the limit, read so that its client sees why                    \
                   */

/* ---- the head --------------------------------------------------------------------------------
 */

/* The library keeps a record of each header and cookie, and a copy of the cookies. */
static enum MHD_Result look_at(void *cls, enum MHD_ValueKind kind, const char *name, size_t n,
                               const char *value, size_t value_len)
{
    struct request *r = cls;
    (void)value;
    r->record_bytes += RECORD_BYTES;
    if (kind == MHD_COOKIE_KIND)
        r->record_bytes += n + value_len + 2;
    else
        r->header_names |= http_header_bit(name, n);
    return MHD_YES;
}

static size_t head_size(const struct request *r)
{
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return head ? head->header_size : 0;
}

/* The head of the answer shares the memory of the connection with that of the request: when it
 * would find too little, the refusal, which is short, comes before anything is done. */
static bool head_fits(struct request *r)
{
    size_t n = head_size(r) + r->record_bytes;
    size_t answer = ANSWER_BYTES + (r->cors_origin ? CORS_BYTES : 0);
    if (n + answer <= r->api->cfg.max_header_bytes)
        return true;
    request_forget_body(r);
    r->next = dispatch_refuse_headers;
    return false;
}

/* The version stands behind the URI and one space, unless a NUL has cut the URI short. */
static bool line_has_control(const struct http_conn *c, const char *version)
{
    bool is_cut = *version && version != c->uri + c->uri_len + 1;
    for (size_t i = 0; i < c->uri_len; i++)
        is_cut = is_cut || (c->uri[i] > 0 && c->uri[i] < 0x20) || c->uri[i] == 0x7F;
    return is_cut;
}

/* False: where the request ends is doubtful, so its refusal is the connection's last answer. */
static bool head_is_clear(struct request *r, const char *method, const char *version)
{
    struct problem p;
    const char *uri = r->peer->uri ? r->peer->uri : "";
    struct head h = {.begin = uri,
                     .end = uri + head_size(r) - strlen(method) - 1,
                     .needs_host = strcmp(version, MHD_HTTP_VERSION_1_1) == 0,
                     .line_has_control = r->peer->uri && line_has_control(r->peer, version)};
    http_read_head(r, &h);
    if (head_is_sound(&h, &p))
        return true;
    request_refuse_body(r, &p);
    r->closes = true;
    r->next = dispatch_refuse_kept;
    return false;
}

/* ---- the body -------------------------------------------------------------------------------- */

/* What Content-Length promises; 0 when there is none. The library has checked its digits. */
static uint64_t promised_bytes(struct request *r)
{
    uint64_t n = 0;
    const char *text = http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text && number_parse_uint(text, UINT64_MAX, &n) ? n : text ? UINT64_MAX : 0;
}

/* Decides what happens to the body before it comes. True: answer now, without reading it. */
static bool plan_body(struct request *r)
{
    const char *coding = http_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    size_t limit = r->body_limit;
    bool expects = http_header(r, MHD_HTTP_HEADER_EXPECT) != NULL; /* and waits with its body */
    uint64_t promised = coding ? 0 : promised_bytes(r);
    if (coding && strcasecmp(coding, "chunked") != 0) {
        r->next = dispatch_refuse_coding;
        return true;
    }
    if (r->is_refused)
        return expects;
    if (promised > limit) {
        r->next = dispatch_refuse_size;
        request_forget_body(r);
        return promised > limit + SWALLOW_BYTES || expects;
    }
    if (r->keeps_body && promised) /* a promise alone takes little memory */
        buf_reserve(&r->body, promised < FIRST_BODY_BYTES ? (size_t)promised : FIRST_BODY_BYTES);
    return false;
}

static enum MHD_Result take_body(struct request *r, const char *bytes, size_t *n)
{
    size_t limit = r->body_limit;
    r->body_seen += *n;
    if (r->body_seen > limit && r->next != dispatch_refuse_size) {
        r->next = dispatch_refuse_size;
        request_forget_body(r);
    }
    if ((r->keeps_body || r->sink) && !budget_grow(&r->api->budget, &r->share, r->body_seen)) {
        r->next = dispatch_refuse_body;
        request_forget_body(r);
    }
    if (r->body_seen > limit + SWALLOW_BYTES)
        return MHD_NO; /* chunked without end: the library allows no answer here */
    if (r->sink)
        r->sink(r, bytes, *n);
    else if (r->keeps_body)
        buf_put(&r->body, bytes, *n);
    *n = 0;
    return MHD_YES;
}

/* ---- steps and answers ----------------------------------------------------------------------- */

/* Runs the next step. False: the request waits for the store or sleeps. */
static bool run_step(struct request *r)
{
    request_step *step = r->next;
    FUT_ASSERT(step != NULL);
    r->next = NULL;
    if (request_lends(r) && !r->after_sleep) /* else it has not slept yet */
        request_take_slot(r);
    request_move(r, REQUEST_RUNNING);
    step(r);
    if (r->state == REQUEST_DROWSY)
        return !pending_sleep(r);
    if (r->state == REQUEST_POSTED) {
        pending_wait_for_store(r);
        return false;
    }
    FUT_ASSERT(request_state_is_answered(r->state)); /* else the step said nothing */
    return true;
}

/* The reader of a stream takes what the last step wrote, then the next one runs. */
static ssize_t read_stream(void *cls, uint64_t pos, char *to, size_t max)
{
    struct request *r = cls;
    (void)pos;
    while (r->taken == r->out.len && r->state != REQUEST_STREAM_BROKEN) {
        if (r->state == REQUEST_STREAM_ENDED)
            return MHD_CONTENT_READER_END_OF_STREAM;
        request_forget_out(r);
        if (!run_step(r))
            return 0; /* suspended */
    }
    if (r->state == REQUEST_STREAM_BROKEN)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = r->out.len - r->taken < max ? r->out.len - r->taken : max;
    memcpy(to, r->out.data + r->taken, n);
    r->taken += n;
    return (ssize_t)n;
}

static struct MHD_Response *make_response(struct request *r)
{
    if (r->is_stream)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream,
                                                 r, NULL);
    return MHD_create_response_from_buffer(r->n_bytes, (void *)(uintptr_t)r->bytes,
                                           MHD_RESPMEM_PERSISTENT);
}

/* Lets the page whose origin is named read the answer; caches keep answers for others apart. */
static void add_cors(struct MHD_Response *m, const struct request *r)
{
    if (origin_rules_name_any(r->api->cfg.origins))
        (void)MHD_add_response_header(m, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
    if (!r->cors_origin)
        return;
    (void)MHD_add_response_header(m, "Access-Control-Allow-Origin", r->cors_origin);
    (void)MHD_add_response_header(m, "Access-Control-Expose-Headers", EXPOSED_HEADERS);
}

static enum MHD_Result send_reply(struct request *r)
{
    struct MHD_Response *m = make_response(r);
    if (!m)
        return MHD_NO;
    for (const struct request_pair *h = r->headers; h; h = h->next)
        (void)MHD_add_response_header(m, h->name, h->value);
    add_cors(m, r);
    if (r->closes || atomic_load_explicit(&r->api->is_quiesced, memory_order_relaxed))
        (void)MHD_add_response_header(m, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result ok = MHD_queue_response(r->conn, r->status, m);
    MHD_destroy_response(m);
    return ok;
}

/* A stream has no bytes of its own here. */
static bool may_send(struct request *r)
{
    if (r->n_bytes <= BUDGET_FREE_BYTES)
        return true;
    if (request_is_refusable(r))
        return budget_grow(&r->api->budget, &r->share, r->n_bytes);
    budget_force(&r->api->budget, &r->share, r->n_bytes);
    return true;
}

/* Runs steps until the request is answered, waits for the store, or sleeps. */
static enum MHD_Result run_steps(struct request *r)
{
    do {
        if (!run_step(r))
            return MHD_YES;
    } while (!request_state_is_answered(r->state));
    if (!may_send(r)) {
        request_move(r, REQUEST_RUNNING);
        request_refuse_answer(r);
    }
    return send_reply(r);
}

static struct http_conn *conn_of(struct MHD_Connection *conn)
{
    return MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static struct request *begin(struct http_loop *l, struct MHD_Connection *conn, const char *url,
                             const char *method)
{
    struct request *r = request_new(l);
    r->conn = conn;
    r->peer = conn_of(conn);
    r->peer->request = r;
    r->query = http_conn_take_query(r->peer);
    r->method = route_method_parse(method);
    r->path = url;
    (void)MHD_get_connection_values_n(conn, MHD_HEADER_KIND | MHD_COOKIE_KIND, look_at, r);
    dispatch_begin(r);
    r->began_mono_us = clock_mono_us();
    return r;
}

/* The library calls this when the headers are there, for each part of the body, at its end, again
 * after each resume, and in each of its rounds while the request is polled. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *n_upload, void **con_cls)
{
    struct http_loop *l = cls;
    struct request *r = *con_cls;
    if (!r) {
        *con_cls = r = begin(l, conn, url, method);
        bool is_due = !head_fits(r) || !head_is_clear(r, method, version) || plan_body(r);
        return is_due ? run_steps(r) : MHD_YES;
    }
    if (r->state == REQUEST_POLLED) {
        pending_poll(r);
        return MHD_YES;
    }
    l->was_busy = true;
    if (*n_upload)
        return take_body(r, upload, n_upload);
    r->is_complete = true;
    return run_steps(r);
}

static void count_answer(const struct request *r, int64_t took_us)
{
    const struct route_table *routes = r->api->routes;
    size_t row = r->route ? (size_t)(r->route - routes->rows) : routes->n;
    struct http_answers *a = &r->api->answers[row];
    unsigned hundreds = r->status / 100;
    atomic_fetch_add_explicit(&a->by_class[hundreds < FUT_COUNT(a->by_class) ? hundreds : 0], 1,
                              memory_order_relaxed);
    if (!r->wait_ms && !r->is_stream)
        histogram_observe(&a->took, took_us);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    struct http_loop *l = cls;
    struct request *r = *con_cls;
    (void)conn;
    if (!r)
        return;
    int64_t took_us = clock_mono_us() - r->began_mono_us;
    count_answer(r, took_us);
    if (log_wants(LOG_LEVEL_DEBUG))
        log_debug("request", LOG_STR("path", r->path), LOG_INT("status", r->status),
                  LOG_INT("us", took_us), LOG_INT("end", why));
    *con_cls = NULL;
    l->was_busy = true;
    http_conn_completed(l, r->peer);
    r->peer = NULL; /* a polled one lives longer */
    pending_complete(r);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **socket_cls,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_loop *l = cls;
    bool is_new = what == MHD_CONNECTION_NOTIFY_STARTED;
    struct http_conn *c = *socket_cls;
    l->was_busy = true;
    if (is_new)
        c = http_conn_new(
            l, MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    else
        http_conn_free(l, &c);
    *socket_cls = c;
    (void)atomic_fetch_add_explicit(&l->connections, is_new ? (size_t)1 : SIZE_MAX,
                                    memory_order_relaxed);
    if (atomic_load_explicit(&l->is_closed, memory_order_relaxed))
        fd_wake(l->api->emptied_fd);
}

/* The library is about to parse the request line. What this returns becomes *con_cls. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
    (void)cls;
    http_conn_hide_query(conn_of(conn), uri);
    return NULL;
}

/* Paths stay as they came: route decodes them, each part by itself. */
static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *text)
{
    (void)cls;
    (void)conn;
    return strlen(text);
}

static void on_log(void *cls, const char *fmt, va_list ap) FUT_PRINTF(2, 0);
static void on_log(void *cls, const char *fmt, va_list ap)
{
    struct http_loop *l = cls;
    char text[256];
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        l->refused_mono_ms = clock_mono_ms();
    if (!log_wants(LOG_LEVEL_DEBUG))
        return;
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http_library", LOG_STR("text", text));
}

/* ---- the daemon ------------------------------------------------------------------------------ */

/* Suspending without the library's own eventfd (MHD_USE_ITC, which MHD_ALLOW_SUSPEND_RESUME brings
 * along): resumes come from the loop's thread just before http_daemon_run, so that a write and a
 * read per resume would wake nobody. */
#define DAEMON_FLAGS                                                                               \
    ((unsigned)MHD_USE_EPOLL | ((unsigned)MHD_ALLOW_SUSPEND_RESUME & ~(unsigned)MHD_USE_ITC) |     \
     (unsigned)MHD_USE_ERROR_LOG)

int serve_start(struct http_daemon *d, struct http_loop *l, int listen_fd, unsigned limit)
{
    d->listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
    if (d->listen_fd < 0)
        return FUT_ERR_IO;
    const char *cert = l->api->cfg.tls_cert_pem;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)l->api->cfg.tls_key_pem},
        {MHD_OPTION_END, 0, NULL},
    };
    d->mhd = MHD_start_daemon(
        DAEMON_FLAGS | (cert ? (unsigned)MHD_USE_TLS : 0u), 0, NULL, NULL, on_request, l,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, l, MHD_OPTION_ARRAY, cert ? tls : tls + 2,
        MHD_OPTION_LISTEN_SOCKET, d->listen_fd, MHD_OPTION_CONNECTION_LIMIT, limit,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        l->api->cfg.max_header_bytes, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_END);
    if (d->mhd)
        return 0;
    fd_close(&d->listen_fd);
    return FUT_ERR_IO;
}
