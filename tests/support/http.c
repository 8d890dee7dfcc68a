#include "tests/support/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/fail.h"
#include "tests/support/text.h"

#define TIMEOUT_MS 120000

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static pthread_key_t handle_key; /* each thread's handle, which keeps its connection alive */

static void free_handle(void *handle)
{
    curl_easy_cleanup(handle);
}

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        pthread_key_create(&handle_key, free_handle) != 0)
        fail("curl_global_init");
}

static CURL *take_handle(void)
{
    (void)pthread_once(&curl_once, init_curl);
    CURL *c = pthread_getspecific(handle_key);
    if (c) {
        curl_easy_reset(c);
        return c;
    }
    c = curl_easy_init();
    if (!c || pthread_setspecific(handle_key, c) != 0)
        fail("curl_easy_init");
    return c;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    buf_put(ctx, bytes, size * n);
    return size * n;
}

/* Interim answers (1xx) have heads of their own: the last one counts. */
static size_t on_head(char *bytes, size_t size, size_t n, void *ctx)
{
    struct buf *head = ctx;
    if (size * n >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
        buf_release(head);
    buf_put(head, bytes, size * n);
    return size * n;
}

static struct curl_slist *make_headers(const struct http_request *req)
{
    /* Without "Expect:", curl waits for 100 Continue before it sends a large body. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (const char *const *h = req->headers; h && *h; h++)
        list = curl_slist_append(list, *h);
    return list;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(c, option, value) != CURLE_OK)                                        \
            fail("curl option " #option);                                                          \
    } while (0)

static void set_options(CURL *c, const struct http_request *req, const char *url)
{
    SET(CURLOPT_URL, url);
    SET(CURLOPT_CUSTOMREQUEST, req->method);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)(req->timeout_ms ? req->timeout_ms : TIMEOUT_MS));
    if (strcmp(req->method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    if (req->body) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
        SET(CURLOPT_POSTFIELDS, req->body);
    } else if (strcmp(req->method, "POST") == 0) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        SET(CURLOPT_POSTFIELDS, "");
    }
}

static void set_sinks(CURL *c, struct buf *head, struct buf *body, struct curl_slist *headers)
{
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, head);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, body);
}

static void take_text(struct buf *b, char **out, size_t *out_len)
{
    buf_put(b, "", 0);
    *out = buf_take(b, out_len);
}

static void parse_json(struct http_reply *r)
{
    char type[128];
    if (http_header(r, "Content-Type", type, sizeof(type)) && strstr(type, "json"))
        r->json = json_loadb(r->body, r->body_len, JSON_DECODE_ANY, NULL);
}

struct http_reply http_call(const char *base, const struct http_request *req)
{
    struct http_reply r = {0};
    struct buf head = BUF_INIT, body = BUF_INIT;
    size_t head_len;
    long status = 0;
    CURL *c = take_handle();
    char *url = text_printf("%s%s", base, req->path);
    struct curl_slist *headers = make_headers(req);
    set_options(c, req, url);
    set_sinks(c, &head, &body, headers);
    CURLcode rc = curl_easy_perform(c);
    if (rc == CURLE_OK)
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    else
        r.error = xstrdup(curl_easy_strerror(rc));
    r.status = (int)status;
    take_text(&head, &r.head, &head_len);
    take_text(&body, &r.body, &r.body_len);
    parse_json(&r);
    curl_slist_free_all(headers);
    free(url);
    return r;
}

void http_reply_release(struct http_reply *r)
{
    free(r->head);
    free(r->body);
    free(r->error);
    json_decref(r->json);
    *r = (struct http_reply){0};
}

char *http_header(const struct http_reply *r, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    for (const char *line = strchr(r->head, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
            continue;
        const char *value = line + name_len + 1;
        value += strspn(value, " \t");
        (void)snprintf(out, size, "%.*s", (int)strcspn(value, "\r\n"), value);
        return out;
    }
    return NULL;
}

struct http_pending {
    pthread_t thread;
    const char *base;
    const struct http_request *req;
    struct http_reply reply;
};

static void *run_pending(void *arg)
{
    struct http_pending *p = arg;
    p->reply = http_call(p->base, p->req);
    return NULL;
}

struct http_pending *http_begin(const char *base, const struct http_request *req)
{
    struct http_pending *p = xnew(struct http_pending);
    p->base = base;
    p->req = req;
    thread_start(&p->thread, "http", run_pending, p);
    return p;
}

struct http_reply http_finish(struct http_pending **p)
{
    thread_join((*p)->thread);
    struct http_reply reply = (*p)->reply;
    free(*p);
    *p = NULL;
    return reply;
}
