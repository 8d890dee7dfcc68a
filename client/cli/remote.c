#include "client/cli/remote.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

#define DEFAULT_URL "http://127.0.0.1:8420"
#define TRIES 4 /* of a request that is safe to repeat, with pauses of 0.25 s doubling */

struct remote {
    CURL *easy[2]; /* the second one for a call from within on_bytes of the first */
    unsigned depth;
    char *url;    /* what a person sees */
    char *base;   /* what requests are built on: url, or http://localhost for a socket */
    char *socket; /* NULL: TCP */
    char *authorization;
    const char *ca_file;
};

static const char *setting(const char *option, const char *variable)
{
    const char *value = option ? option : getenv(variable);
    return value && *value ? value : NULL;
}

/* The first word of the file: what stands behind it are scopes in the daemon's own files. */
static char *read_token(const char *path, char *error, size_t error_size)
{
    char line[1024];
    FILE *f = fopen(path, "re");
    if (!f || !fgets(line, sizeof(line), f)) {
        snprintf(error, error_size, "The token file %s cannot be read: %s.", path,
                 f ? "it is empty" : strerror(errno));
        if (f)
            fclose(f);
        return NULL;
    }
    fclose(f);
    line[strcspn(line, " \t\r\n")] = '\0';
    return xstrdup(line);
}

static bool take_token(struct remote *r, const struct remote_config *cfg, char *error,
                       size_t error_size)
{
    const char *path = setting(cfg->token_file, "FUTURED_TOKEN_FILE");
    const char *direct = path ? NULL : setting(NULL, "FUTURED_TOKEN");
    char *token = path ? read_token(path, error, error_size) : direct ? xstrdup(direct) : NULL;
    if (token && asprintf(&r->authorization, "Authorization: Bearer %s", token) < 0)
        abort();
    free(token);
    return !path || r->authorization;
}

struct remote *remote_open(const struct remote_config *cfg, char *error, size_t error_size)
{
    const char *url = setting(cfg->url, "FUTURED_URL");
    struct remote *r = xnew(struct remote);
    if (!url)
        url = DEFAULT_URL;
    r->url = xstrdup(url);
    if (strncmp(url, "unix:", 5) == 0) {
        r->socket = xstrdup(url + 5);
        r->base = xstrdup("http://localhost");
    } else if (strstr(url, "://")) {
        r->base = xstrdup(url);
    } else if (asprintf(&r->base, "http://%s", url) < 0) {
        abort();
    }
    for (size_t n = strlen(r->base); n > 0 && r->base[n - 1] == '/'; n--)
        r->base[n - 1] = '\0';
    r->ca_file = setting(cfg->ca_file, "FUTURED_CA");
    for (size_t i = 0; i < FUT_COUNT(r->easy); i++) {
        r->easy[i] = curl_easy_init();
        FUT_ASSERT(r->easy[i]); /* memory alone can be missing */
    }
    if (!take_token(r, cfg, error, error_size)) {
        remote_close(r);
        return NULL;
    }
    return r;
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < FUT_COUNT(r->easy); i++)
        curl_easy_cleanup(r->easy[i]);
    free(r->authorization);
    free(r->socket);
    free(r->base);
    free(r->url);
    free(r);
}

const char *remote_url(const struct remote *r)
{
    return r->url;
}

void remote_escape(struct remote *r, struct buf *b, const char *s)
{
    char *escaped = curl_easy_escape(r->easy[0], s, (int)strlen(s));
    if (escaped)
        buf_puts(b, escaped);
    curl_free(escaped);
}

/* ---- one call -------------------------------------------------------------------------------- */

struct call {
    struct remote *r;
    CURL *easy;
    const struct remote_request *q;
    struct remote_answer *out;
    bool ended_here; /* on_bytes has had enough */
    char why[CURL_ERROR_SIZE];
};

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct call *c = ctx;
    size_t len = size * n;
    const char *colon = memchr(line, ':', len);
    if (colon) {
        const char *value = colon + 1, *end = line + len;
        while (value < end && isspace((unsigned char)*value))
            value++;
        while (end > value && isspace((unsigned char)end[-1]))
            end--;
        size_t name = (size_t)(colon - line);
        if (name == 13 && strncasecmp(line, "Futured-State", name) == 0) {
            free(c->out->state);
            c->out->state = xstrndup(value, (size_t)(end - value));
        } else if (name == 16 && strncasecmp(line, "Futured-Log-Next", name) == 0) {
            c->out->log_next = strtoll(value, NULL, 10);
        }
    }
    return len;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct call *c = ctx;
    size_t len = size * n;
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->q->on_bytes && status / 100 == 2) {
        c->ended_here = !c->q->on_bytes(c->q->ctx, bytes, len);
        return c->ended_here ? 0 : len;
    }
    buf_put(&c->out->body, bytes, len);
    return len;
}

static struct curl_slist *headers_of(struct remote *r, const struct remote_request *q)
{
    struct buf line = BUF_INIT;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (r->authorization)
        list = curl_slist_append(list, r->authorization);
    if (q->accept) {
        buf_printf(&line, "Accept: %s", q->accept);
        list = curl_slist_append(list, line.data);
    }
    line.len = 0;
    if (q->body) {
        buf_printf(&line, "Content-Type: %s", q->body_type ? q->body_type : "application/json");
        list = curl_slist_append(list, line.data);
    }
    line.len = 0;
    if (q->last_event) {
        buf_printf(&line, "Last-Event-ID: %s", q->last_event);
        list = curl_slist_append(list, line.data);
    }
    line.len = 0;
    if (q->key) {
        buf_printf(&line, "Idempotency-Key: \"%s\"", q->key);
        list = curl_slist_append(list, line.data);
    }
    buf_release(&line);
    return list;
}

static void prepare(struct call *c, const char *url, struct curl_slist *headers)
{
    CURL *e = c->easy;
    const struct remote_request *q = c->q;
    curl_easy_reset(e); /* keeps the connection */
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, q->timeout_ms);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
    if (c->r->socket)
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, c->r->socket);
    if (c->r->ca_file)
        curl_easy_setopt(e, CURLOPT_CAINFO, c->r->ca_file);
    if (q->body) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, q->body);
    } else if (q->method && strcmp(q->method, "POST") == 0) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
    }
    if (q->method)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, q->method);
}

static bool perform(struct call *c, const char *url, struct curl_slist *headers)
{
    const char *type = NULL;
    struct remote_answer *a = c->out;
    c->why[0] = '\0';
    a->body.len = 0;
    a->log_next = -1;
    prepare(c, url, headers);
    CURLcode rc = curl_easy_perform(c->easy);
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &a->status);
    if (rc != CURLE_OK && !c->ended_here) {
        a->status = 0;
        snprintf(a->error, sizeof(a->error), "%s", c->why[0] ? c->why : curl_easy_strerror(rc));
        return false;
    }
    curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
    free(a->content_type);
    a->content_type = type ? xstrdup(type) : NULL;
    return true;
}

void remote_call(struct remote *r, const struct remote_request *q, struct remote_answer *out)
{
    FUT_ASSERT(r->depth < FUT_COUNT(r->easy));
    struct call c = {.r = r, .easy = r->easy[r->depth++], .q = q, .out = out};
    struct buf url = BUF_INIT;
    struct curl_slist *headers = headers_of(r, q);
    useconds_t pause_us = 250000;
    memset(out, 0, sizeof(*out));
    buf_printf(&url, "%s%s", r->base, q->path);
    /* A lost answer may have been a commit: only what has a key is sent again. */
    for (int tries = q->key ? TRIES : 1; !perform(&c, url.data, headers) && --tries > 0;
         pause_us *= 2)
        usleep(pause_us);
    r->depth--;
    curl_slist_free_all(headers);
    buf_release(&url);
}

void remote_answer_release(struct remote_answer *a)
{
    buf_release(&a->body);
    free(a->content_type);
    free(a->state);
    memset(a, 0, sizeof(*a));
}

/* ---- a stream beside the calls --------------------------------------------------------------- */

struct remote_stream {
    CURLM *multi;
    struct call call;
    struct remote_request q;
    struct remote_answer answer; /* the body of a refusal, and headers */
    struct curl_slist *headers;
    bool is_ended;
};

struct remote_stream *remote_stream_open(struct remote *r, const struct remote_request *q)
{
    struct remote_stream *s = xnew(struct remote_stream);
    struct buf url = BUF_INIT;
    s->q = *q;
    s->call = (struct call){.r = r, .easy = curl_easy_init(), .q = &s->q, .out = &s->answer};
    s->multi = curl_multi_init();
    FUT_ASSERT(s->call.easy && s->multi); /* memory alone can be missing */
    s->headers = headers_of(r, &s->q);
    buf_printf(&url, "%s%s", r->base, q->path);
    prepare(&s->call, url.data, s->headers);
    curl_multi_add_handle(s->multi, s->call.easy);
    buf_release(&url);
    return s;
}

bool remote_stream_wait(struct remote_stream *s, int fd, int timeout_ms)
{
    struct curl_waitfd also = {.fd = fd, .events = CURL_WAIT_POLLIN};
    int running = 0;
    if (!s || s->is_ended) {
        (void)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, timeout_ms);
        return !s;
    }
    (void)curl_multi_perform(s->multi, &running);
    if (running) {
        (void)curl_multi_poll(s->multi, &also, 1, timeout_ms, NULL);
        (void)curl_multi_perform(s->multi, &running);
    }
    s->is_ended = !running;
    return running != 0;
}

long remote_stream_status(const struct remote_stream *s)
{
    long status = 0;
    curl_easy_getinfo(s->call.easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

void remote_stream_close(struct remote_stream *s)
{
    if (!s)
        return;
    curl_multi_remove_handle(s->multi, s->call.easy);
    curl_easy_cleanup(s->call.easy);
    curl_multi_cleanup(s->multi);
    curl_slist_free_all(s->headers);
    remote_answer_release(&s->answer);
    free(s);
}
