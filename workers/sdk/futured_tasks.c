/* SPDX-License-Identifier: Apache-2.0 */
#include "futured_tasks.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_S 20.0 /* one request waits so long */

/* The workers of a template are forked before it is made. */
static CURL *curl;

/* Who asks. */
struct asker {
    const struct futured_host *host;
    struct futured_task *task;
    struct futured_error *error;
};

struct request {
    const char *path;
    const void *body; /* NULL: a GET */
    size_t n;
    const char *type, *key; /* key: NULL: none */
};

struct reply {
    char *bytes; /* NUL-terminated; free() */
    size_t n;
    long status;
};

static int fail(const struct asker *a, const char *code, const char *message)
{
    (void)snprintf(a->error->code, sizeof(a->error->code), "%s", code);
    (void)snprintf(a->error->message, sizeof(a->error->message), "%s", message);
    return -1;
}

/* ---- one request ------------------------------------------------------------------------------
 */

static size_t take(char *bytes, size_t size, size_t n, void *to)
{
    struct reply *r = to;
    char *more = realloc(r->bytes, r->n + size * n + 1);
    if (!more)
        return 0;
    r->bytes = more;
    memcpy(r->bytes + r->n, bytes, size * n);
    r->n += size * n;
    r->bytes[r->n] = '\0';
    return size * n;
}

/* Called by libcurl about once a second. */
static int is_cancelled(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct asker *asker = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return asker->host->cancelled(asker->task, 0);
}

static int has_address(const struct asker *a)
{
    return a->host->size >= offsetof(struct futured_host, token) + sizeof(a->host->token) &&
           *a->host->url(a->task);
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *name,
                                     const char *value)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(headers, line);
    return more ? more : headers;
}

static struct curl_slist *headers_of(const struct asker *a, const struct request *q)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "Bearer %s", a->host->token(a->task));
    struct curl_slist *headers = add_header(NULL, "Authorization", text);
    if (q->body)
        headers = add_header(headers, "Content-Type", q->type);
    if (q->key) {
        (void)snprintf(text, sizeof(text), "\"%s\"", q->key);
        headers = add_header(headers, "Idempotency-Key", text);
    }
    return headers;
}

/* The address may be a socket's path. OpenSSL's own variable names the certificates to trust. */
static void set_address(const struct asker *a, const char *path)
{
    char url[1024];
    const char *base = a->host->url(a->task);
    int is_unix = strncmp(base, "unix:", 5) == 0;
    (void)snprintf(url, sizeof(url), "%s%s", is_unix ? "http://localhost" : base, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (is_unix)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, base + 5);
    if (getenv("SSL_CERT_FILE"))
        curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
}

static int perform(const struct asker *a, const struct request *q, struct reply *out)
{
    struct curl_slist *headers = headers_of(a, q);
    curl_easy_reset(curl);
    set_address(a, q->path);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_cancelled);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, a);
    if (q->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, q->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->n);
    }
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    curl_slist_free_all(headers);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return fail(a, "cancelled", "the task was cancelled");
    return rc == CURLE_OK ? 0 : fail(a, "unreachable", curl_easy_strerror(rc));
}

/* What the daemon says of a request that it has not carried out. */
static int read_problem(const struct asker *a, const struct reply *r)
{
    json_t *p = json_loadb(r->bytes, r->n, 0, NULL);
    const char *code = json_string_value(json_object_get(p, "code"));
    const char *detail = json_string_value(json_object_get(p, "detail"));
    const char *own = json_string_value(json_object_get(json_object_get(p, "error"), "message"));
    (void)fail(a, code ? code : "unreachable",
               own      ? own
               : detail ? detail
                        : "what answered is not futured");
    json_decref(p);
    return -1;
}

/* 0: out is the answer of a request that was carried out, for free(). */
static int ask(const struct asker *a, const struct request *q, struct reply *out)
{
    *out = (struct reply){0};
    if (!has_address(a))
        return fail(a, "no_address", "this task was given no address of the daemon");
    if (!curl && !(curl = curl_easy_init()))
        return fail(a, "no_memory", "libcurl has no memory");
    int rc = perform(a, q, out);
    if (rc == 0 && !out->bytes)
        out->bytes = calloc(1, 1); /* an empty answer is one, too */
    if (rc == 0 && !out->bytes)
        rc = fail(a, "no_memory", "there is no memory for the answer");
    if (rc == 0 && out->status >= 300)
        rc = read_problem(a, out);
    if (rc != 0)
        free(out->bytes);
    return rc;
}

/* ---- submitting -------------------------------------------------------------------------------
 */

static int read_id(const struct asker *a, const struct reply *r, char id[FUTURED_ID_SIZE])
{
    json_t *answer = json_loadb(r->bytes, r->n, 0, NULL);
    const char *text = json_string_value(json_object_get(answer, "id"));
    int is_one = text && strlen(text) == FUTURED_ID_SIZE - 1;
    if (is_one)
        memcpy(id, text, FUTURED_ID_SIZE);
    json_decref(answer);
    return is_one ? 0 : fail(a, "unreachable", "what answered is not futured");
}

int futured_task_submit(const struct futured_host *host, struct futured_task *task,
                        const struct futured_child *child, char id[FUTURED_ID_SIZE],
                        struct futured_error *error)
{
    struct asker a = {host, task, error};
    char path[512];
    struct reply reply;
    char *name = curl_easy_escape(NULL, child->handler, 0);
    int n = snprintf(path, sizeof(path), "/v1/tasks/%s%s%s", name ? name : "",
                     child->options ? "?" : "", child->options ? child->options : "");
    curl_free(name);
    if (n < 0 || (size_t)n >= sizeof(path) ||
        (child->key && (strlen(child->key) > 200 || strpbrk(child->key, "\"\\\r\n"))))
        return fail(&a, "invalid", "the handler, key or options cannot be sent");
    struct request q = {path, child->n ? child->input : "", child->n,
                        child->type ? child->type : "application/json", child->key};
    if (ask(&a, &q, &reply) != 0)
        return -1;
    int rc = read_id(&a, &reply, id);
    free(reply.bytes);
    return rc;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 1: all are done, 0: not yet. */
static int wait_once(const struct asker *a, json_t *body, double seconds)
{
    struct reply reply;
    json_object_set_new(body, "timeout", json_real(seconds));
    char *text = json_dumps(body, JSON_COMPACT);
    if (!text)
        return fail(a, "no_memory", "there is no memory for the ids");
    struct request q = {"/v1/wait", text, strlen(text), "application/json", NULL};
    int rc = ask(a, &q, &reply);
    free(text);
    if (rc != 0)
        return -1;
    json_t *answer = json_loadb(reply.bytes, reply.n, 0, NULL);
    json_t *rest = json_object_get(answer, "not_done");
    rc = json_is_array(rest) ? json_array_size(rest) == 0
                             : fail(a, "unreachable", "what answered is not futured");
    json_decref(answer);
    free(reply.bytes);
    return rc;
}

/* Between two requests: one that was to wait came back at once, since too many wait already. */
static void pause_after(const struct asker *a, double began_s, double seconds)
{
    if (now_s() - began_s < seconds / 2)
        (void)a->host->cancelled(a->task, 1000);
}

int futured_task_wait(const struct futured_host *host, struct futured_task *task,
                      const char *const *ids, size_t n, double seconds, struct futured_error *error)
{
    struct asker a = {host, task, error};
    double end = now_s() + seconds, rest, began;
    json_t *all = json_array();
    int rc;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, json_string(ids[i]));
    json_t *body = json_pack("{s:o}", "ids", all);
    if (!body || json_array_size(all) != n) {
        json_decref(body);
        return fail(&a, "invalid", "that is no list of ids");
    }
    do {
        rest = seconds < 0 ? POLL_S : end - now_s();
        rest = rest < 0 ? 0 : rest < POLL_S ? rest : POLL_S;
        began = now_s();
        rc = wait_once(&a, body, rest);
        if (rc == 0)
            pause_after(&a, began, rest);
    } while (rc == 0 && (seconds < 0 || now_s() < end));
    json_decref(body);
    return rc;
}

void *futured_task_result(const struct futured_host *host, struct futured_task *task,
                          const char *id, size_t *n, struct futured_error *error)
{
    struct asker a = {host, task, error};
    char path[128];
    struct reply reply;
    struct request q = {.path = path};
    double began;
    (void)snprintf(path, sizeof(path), "/v1/futures/%.64s/result?wait=%d", id, (int)POLL_S);
    while (began = now_s(), ask(&a, &q, &reply) != 0) {
        if (strcmp(error->code, "not_done") != 0)
            return NULL;
        pause_after(&a, began, POLL_S);
    }
    *n = reply.n;
    return reply.bytes;
}

/* ---- both -------------------------------------------------------------------------------------
 */

int futured_task_map(const struct futured_host *host, struct futured_task *task,
                     const struct futured_child *children, size_t n, void **results, size_t *sizes,
                     struct futured_error *error)
{
    struct asker a = {host, task, error};
    char(*ids)[FUTURED_ID_SIZE] = calloc(n + 1, sizeof(*ids));
    size_t done = 0;
    int rc = ids ? 0 : fail(&a, "no_memory", "there is no memory for the ids");
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = futured_task_submit(host, task, &children[i], ids[i], error);
    for (; rc == 0 && done < n; done += rc == 0) {
        results[done] = futured_task_result(host, task, ids[done], &sizes[done], error);
        rc = results[done] ? 0 : -1;
    }
    while (rc != 0 && done > 0)
        free(results[--done]);
    free(ids);
    return rc;
}
