#include "tests/unit/api/fixture.h"

#include <stdarg.h>

/* ---- the daemon's side ----------------------------------------------------------------------- */

static const struct handler_info fixture_handlers[] = {
    {.name = "echo",
     .kind = "builtin",
     .description = "Returns its input.",
     .lane = LANE_IO,
     .any_lane = true,
     .timeout_ms = 60000},
    {.name = "fail",
     .kind = "exec",
     .description = "Fails.",
     .lane = LANE_IO,
     .timeout_ms = 1500,
     .retries = 2,
     .retry = {.on = RETRY_TEMPORARY | RETRY_EXIT, .first_ms = 500},
     .limits = {.cpu_ms = 1500, .memory_bytes = 64 << 20}},
    {.name = "hold",
     .kind = "builtin",
     .description = "Runs until it is cancelled.",
     .lane = LANE_CPU,
     .timeout_ms = 60000},
};
const struct catalog fixture_catalog = {fixture_handlers, FUT_COUNT(fixture_handlers), NULL};

struct finish {
    struct store_apply apply;
    struct task_outcome *outcome;
};

static void finished(struct store_op *op)
{
    struct finish *f = FUT_CONTAINER(op, struct finish, apply.op);
    task_release(&f->apply.task);
    task_outcome_unref(f->outcome);
    free(f);
}

static struct task_outcome *echo_outcome(const struct task *t)
{
    return task_outcome_new(&(struct task_outcome){.type = t->spec->input_type,
                                                   .body = t->spec->input,
                                                   .body_len = t->spec->input_len,
                                                   .exit_code = -1,
                                                   .log = "note",
                                                   .log_len = 4});
}

static struct task_outcome *fail_outcome(void)
{
    return task_outcome_new(&(struct task_outcome){.code = "signal",
                                                   .message = "it crashed",
                                                   .exit_code = -1,
                                                   .signal = 11,
                                                   .log = "bad \xff byte",
                                                   .log_len = 10});
}

/* Takes *t. "hold" stays running. */
static void work(struct store *s, struct task *t)
{
    bool fails = strcmp(t->spec->handler, "fail") == 0;
    struct finish *f;
    if (strcmp(t->spec->handler, "hold") == 0) {
        task_release(t);
        return;
    }
    f = xnew(struct finish);
    f->outcome = fails ? fail_outcome() : echo_outcome(t);
    f->apply.task = *t;
    ck_assert_int_eq(task_apply(t, fails ? EVENT_FAIL : EVENT_SUCCEED,
                                &(struct task_in){.outcome = f->outcome}, &f->apply.change),
                     0);
    if (store_post(s, &store_verb_apply, &f->apply.op, finished) != 0)
        finished(&f->apply.op);
}

static void claimed(struct store_op *op)
{
    struct worker *w = FUT_CONTAINER(op, struct worker, claim.op);
    for (size_t i = 0; i < w->claim.n; i++)
        work(w->store, &w->tasks[i]);
    w->claim.n = 0;
    if (op->rc != FUT_ERR_CLOSED)
        (void)!store_post(w->store, &store_verb_claim, &w->claim.op,
                          claimed); /* refused only at the end */
}

void fixture_work(struct fixture *f)
{
    for_each_lane (l) {
        struct worker *w = &f->workers[l];
        *w = (struct worker){.store = f->store};
        w->claim = (struct store_claim){.lane = l, .max = CLAIM_MAX, .tasks = w->tasks};
        ck_assert_int_eq(store_post(f->store, &store_verb_claim, &w->claim.op, claimed), 0);
    }
}

void fixture_start_with(struct fixture *f, const struct api_config *tweak, uint64_t max_queued)
{
    struct store_config sc = {.backend = STORE_FAULT_PREFIX "memory",
                              .path = "",
                              .readers = 2,
                              .max_queued = max_queued,
                              .retention_ms = 3600000};
    struct fut_errbuf err = {""};
    struct api_config ac = *tweak;
    *f = (struct fixture){0};
    ck_assert_int_eq(store_open(&sc, &f->store, &err), 0);
    ac.store = f->store;
    ac.listen = ac.listen ? ac.listen : "127.0.0.1:0";
    ac.catalog = &fixture_catalog;
    ac.version = "test";
    f->api = api_new(&ac);
    store_start(f->store);
    if (api_start(f->api, &err) != 0)
        ck_abort_msg("%s", err.text);
    api_set_ready(f->api, true);
    f->port = (uint16_t)strtoul(strrchr(api_address(f->api, 0), ':') + 1, NULL, 10);
}

const struct api_config fixture_config = {.threads = 2,
                                          .max_connections = 2000,
                                          .max_body_bytes = 100000,
                                          .max_header_bytes = 3584,
                                          .max_wait_ms = 50000};

void fixture_start(struct fixture *f)
{
    fixture_start_with(f, &fixture_config, 100000);
    fixture_work(f);
}

void fixture_stop(struct fixture *f)
{
    api_quiesce(f->api);
    store_stop_claims(f->store);
    api_release_waiters(f->api);
    store_stop(f->store);
    api_stop(f->api, 5000);
    api_free(&f->api);
    store_close(&f->store);
}

/* ---- the client's side ----------------------------------------------------------------------- */

int client_connect(const struct fixture *f)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

void client_send(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t done = send(fd, bytes, n, MSG_NOSIGNAL);
        ck_assert_int_gt(done, 0);
        bytes += done;
        n -= (size_t)done;
    }
}

void client_ask(int fd, const char *line, const char *headers, const char *body)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s HTTP/1.1\r\nHost: localhost\r\n%s", line, headers);
    if (body)
        buf_printf(&b, "Content-Length: %zu\r\n", strlen(body));
    buf_printf(&b, "\r\n%s", body ? body : "");
    client_send(fd, b.data, b.len);
    buf_release(&b);
}

static bool read_head(int fd, struct reply *out)
{
    size_t n = 0;
    while (n < 4 || memcmp(out->head + n - 4, "\r\n\r\n", 4) != 0) {
        ck_assert_uint_lt(n, sizeof(out->head) - 1);
        if (recv(fd, out->head + n, 1, 0) != 1)
            return false;
        n++;
    }
    out->head[n] = '\0';
    return true;
}

struct reply client_read_head_only(int fd)
{
    struct reply r = {0};
    if (read_head(fd, &r))
        r.status = (int)strtol(r.head + 9, NULL, 10);
    return r;
}

struct reply client_read(int fd)
{
    struct reply r = client_read_head_only(fd);
    const char *len = strstr(r.head, "Content-Length: ");
    r.len = len ? strtoul(len + 16, NULL, 10) : 0;
    r.body = xcalloc(1, r.len + 1);
    for (size_t got = 0; got < r.len;) {
        ssize_t n = recv(fd, r.body + got, r.len - got, 0);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    return r;
}

struct reply client_do(int fd, const char *line, const char *headers, const char *body)
{
    client_ask(fd, line, headers, body);
    return client_read(fd);
}

struct reply ask(const struct fixture *f, const char *line, const char *headers, const char *body)
{
    int fd = client_connect(f);
    struct reply r = client_do(fd, line, headers, body);
    ck_assert_int_eq(close(fd), 0);
    return r;
}

bool reply_has(const struct reply *r, const char *text)
{
    return strstr(r->head, text) || (r->body && strstr(r->body, text));
}

void expect_(struct reply r, const char *file, int line, int status, const char *a, const char *b,
             const char *c)
{
    const char *texts[] = {a, b, c};
    bool ok = r.status == status;
    for (int i = 0; i < 3; i++)
        ok = ok && (!texts[i] || reply_has(&r, texts[i]));
    if (!ok)
        ck_abort_msg("%s:%d: wanted %d with \"%s\" \"%s\" \"%s\", got\n%s%s", file, line, status,
                     a ? a : "", b ? b : "", c ? c : "", r.head, r.body ? r.body : "");
    free(r.body);
}

void submit(int fd, const char *json, char out[64])
{
    struct reply r = client_do(fd, "POST /v1/tasks", "", json);
    const char *at = strstr(r.head, "Location: ");
    ck_assert_int_eq(r.status, 202);
    ck_assert_ptr_nonnull(at);
    (void)snprintf(out, 64, "%.*s", (int)strcspn(at + 10, "\r"), at + 10);
    free(r.body);
}

const char *line_of(char *out, size_t cap, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(out, cap, fmt, ap);
    va_end(ap);
    return out;
}

void await_stats(const struct fixture *f, const char *text)
{
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    for (;;) {
        struct reply r = ask(f, "GET /v1/stats", "", NULL);
        bool found = reply_has(&r, text);
        if (!found && clock_mono_ms() > deadline)
            ck_abort_msg("never saw %s in %s", text, r.body);
        free(r.body);
        if (found)
            return;
    }
}
