#include "tests/support/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define PATH_SIZE 1024

static struct http_reply call_path(const char *base, const char *method, const char *fmt,
                                   va_list ap) __attribute__((format(printf, 3, 0)));

static struct http_reply call_path(const char *base, const char *method, const char *fmt,
                                   va_list ap)
{
    char path[PATH_SIZE];
    (void)vsnprintf(path, sizeof(path), fmt, ap);
    return http_call(base, &(struct http_request){.method = method, .path = path});
}

struct http_reply api_get(const char *base, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct http_reply r = call_path(base, "GET", fmt, ap);
    va_end(ap);
    return r;
}

struct http_reply api_delete(const char *base, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct http_reply r = call_path(base, "DELETE", fmt, ap);
    va_end(ap);
    return r;
}

struct http_reply api_post(const char *base, const char *path, const char *body)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct http_request req = {.method = "POST", .path = path};
    if (body) {
        req.headers = headers;
        req.body = body;
        req.body_len = strlen(body);
    }
    return http_call(base, &req);
}

static FUT_NORETURN void fail_reply(const char *what, const struct http_reply *r)
{
    fail("%s: status %d (%s) %s", what, r->status, r->error ? r->error : "answered", r->body);
}

void api_submit(const char *base, const char *json, char out_id[ID_TEXT_SIZE])
{
    struct http_reply r = api_post(base, "/v1/tasks", json);
    if (r.status != 202 && r.status != 200)
        fail_reply(json, &r);
    (void)snprintf(out_id, ID_TEXT_SIZE, "%s", api_str(r.json, "id"));
    http_reply_release(&r);
}

int api_cancel(const char *base, const char *id)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "/v1/futures/%s/cancel", id);
    struct http_reply r = api_post(base, path, NULL);
    int status = r.status;
    http_reply_release(&r);
    return status;
}

static json_t *read_future(const char *base, const char *id, const char *query)
{
    struct http_reply r = api_get(base, "/v1/futures/%s%s", id, query);
    if (r.status != 200 || !r.json)
        fail_reply(id, &r);
    json_t *future = json_incref(r.json);
    http_reply_release(&r);
    return future;
}

json_t *api_future(const char *base, const char *id)
{
    return read_future(base, id, "");
}

json_t *api_done(const char *base, const char *id)
{
    int64_t deadline_mono_ms = clock_mono_ms() + 2LL * WAIT_LONG_MS;
    json_t *future = read_future(base, id, "?wait=30");
    while (!json_is_true(json_object_get(future, "done"))) {
        if (clock_mono_ms() > deadline_mono_ms)
            fail("%s was still %s after two minutes", id, api_str(future, "state"));
        json_decref(future);
        future = read_future(base, id, "?wait=30");
    }
    return future;
}

void api_expect_end(const char *base, const char *id, const char *state, const char *code)
{
    json_t *f = api_done(base, id);
    if (strcmp(api_str(f, "state"), state) != 0 || strcmp(api_str(f, "error.code"), code) != 0)
        fail("not %s %s: %s", state, code, json_dumps(f, 0));
    json_decref(f);
}

json_t *api_run(const char *base, const char *json)
{
    char id[ID_TEXT_SIZE];
    api_submit(base, json, id);
    return api_done(base, id);
}

char *api_result(const char *base, const char *id)
{
    struct http_reply r = api_get(base, "/v1/futures/%s/result", id);
    if (r.status != 200)
        fail_reply(id, &r);
    char *text = xstrdup(r.body);
    http_reply_release(&r);
    return text;
}

json_t *api_batch(const char *base, const char *json)
{
    struct http_reply r = api_post(base, "/v1/batches", json);
    if (r.status != 202 || !r.json)
        fail_reply("a batch", &r);
    json_t *made = json_incref(r.json);
    http_reply_release(&r);
    return made;
}

struct awaited {
    const char *base, *id, *path, *text;
    json_t *future; /* as last seen; owned */
};

static bool has_text(void *ctx)
{
    struct awaited *a = ctx;
    json_decref(a->future);
    a->future = api_future(a->base, a->id);
    return strstr(api_str(a->future, a->path), a->text) != NULL;
}

json_t *api_wait_text(const char *base, const char *id, const char *path, const char *text)
{
    struct awaited a = {base, id, path, text, NULL};
    if (!wait_until(has_text, &a, WAIT_LONG_MS))
        fail("%s did not become %s within a minute: %s", path, text,
             json_dumps(a.future, JSON_COMPACT));
    return a.future;
}

void api_wait_state(const char *base, const char *id, const char *state)
{
    json_decref(api_wait_text(base, id, "state", state));
}

void api_patch_pool(const char *base, const char *lane, const char *json)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "/v1/pools/%s", lane);
    struct http_reply r = http_call(
        base, &(struct http_request){
                  .method = "PATCH", .path = path, .body = json, .body_len = strlen(json)});
    if (r.status != 200)
        fail_reply(json, &r);
    http_reply_release(&r);
}

json_t *api_at(const json_t *object, const char *path)
{
    char key[64];
    json_t *at = NULL;
    while (object && *path) {
        size_t len = strcspn(path, ".");
        (void)snprintf(key, sizeof(key), "%.*s", (int)len, path);
        object = at = json_object_get(object, key);
        path += path[len] == '.' ? len + 1 : len;
    }
    return at;
}

const char *api_str(const json_t *object, const char *path)
{
    const char *s = json_string_value(api_at(object, path));
    return s ? s : "";
}

json_int_t api_int(const json_t *object, const char *path)
{
    const json_t *n = api_at(object, path);
    return json_is_integer(n) ? json_integer_value(n) : -1;
}

json_int_t api_pool_int(const char *base, const char *lane, const char *key)
{
    struct http_reply r = api_get(base, "/v1/pools");
    json_int_t found = -1;
    json_t *pool;
    size_t i;
    json_array_foreach (json_object_get(r.json, "pools"), i, pool) {
        if (strcmp(api_str(pool, "lane"), lane) == 0)
            found = api_int(pool, key);
    }
    http_reply_release(&r);
    return found;
}
