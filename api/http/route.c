#include "api/http/route.h"

#include <string.h>

#include "api/resources/admin.h"
#include "api/resources/batch_results.h"
#include "api/resources/batches.h"
#include "api/resources/events.h"
#include "api/resources/future_log.h"
#include "api/resources/future_retry.h"
#include "api/resources/futures.h"
#include "api/resources/handler_list.h"
#include "api/resources/listing.h"
#include "api/resources/pools.h"
#include "api/resources/tasks.h"
#include "api/resources/wait_many.h"
#include "api/resources/workers.h"
#include "core/mem.h"

static const struct route routes[] = {
    {METHOD_POST, "/v1/tasks", tasks_post, ROUTE_SUBMITS | ROUTE_HAS_BODY, " wait ", AUTH_SUBMIT,
     NULL},
    {METHOD_POST, "/v1/tasks/{handler}", tasks_post_handler, ROUTE_SUBMITS | ROUTE_HAS_BODY,
     " wait lane timeout retries ", AUTH_SUBMIT, NULL},
    {METHOD_GET, "/v1/futures", listing_get, 0, " state handler lane limit cursor ", AUTH_READ,
     NULL},
    {METHOD_GET, "/v1/futures/{id}", futures_get, 0, " wait ", AUTH_READ, NULL},
    {METHOD_DELETE, "/v1/futures/{id}", futures_delete, 0, "", AUTH_ADMIN, NULL},
    {METHOD_GET, "/v1/futures/{id}/result", futures_result, 0, " wait ", AUTH_READ, NULL},
    {METHOD_GET, "/v1/futures/{id}/log", future_log_get, 0, " from wait ", AUTH_READ, NULL},
    {METHOD_POST, "/v1/futures/{id}/cancel", futures_cancel, 0, "", AUTH_SUBMIT, NULL},
    {METHOD_POST, "/v1/futures/{id}/retry", future_retry_post, ROUTE_SUBMITS, "", AUTH_SUBMIT,
     NULL},
    {METHOD_POST, "/v1/batches", batches_post, ROUTE_SUBMITS | ROUTE_HAS_BODY, " fail_fast ",
     AUTH_SUBMIT, batches_open},
    {METHOD_GET, "/v1/batches/{id}", batches_get, 0, "", AUTH_READ, NULL},
    {METHOD_GET, "/v1/batches/{id}/results", batch_results_get, 0, " wait ", AUTH_READ, NULL},
    {METHOD_GET, "/v1/batches/{id}/events", events_batch, 0, "", AUTH_READ, NULL},
    {METHOD_POST, "/v1/batches/{id}/cancel", batches_cancel, 0, "", AUTH_SUBMIT, NULL},
    {METHOD_POST, "/v1/wait", wait_many_post, ROUTE_HAS_BODY, "", AUTH_READ, NULL},
    {METHOD_POST, "/v1/as_completed", events_as_completed, ROUTE_HAS_BODY, "", AUTH_READ, NULL},
    {METHOD_GET, "/v1/handlers", handler_list_get, 0, "", AUTH_READ, NULL},
    {METHOD_GET, "/v1/pools", pools_get, 0, "", AUTH_READ, NULL},
    {METHOD_PATCH, "/v1/pools/{lane}", pools_patch, ROUTE_HAS_BODY, "", AUTH_ADMIN, NULL},
    {METHOD_GET, "/v1/workers", workers_get, 0, "", AUTH_READ, NULL},
    {METHOD_GET, "/v1/stats", admin_stats, 0, "", AUTH_READ, NULL},
    {METHOD_GET, "/v1/openapi.json", admin_openapi, 0, "", AUTH_OPEN, NULL},
    {METHOD_GET, "/healthz", admin_healthz, 0, "", AUTH_OPEN, NULL},
    {METHOD_GET, "/readyz", admin_readyz, 0, "", AUTH_OPEN, NULL},
    {METHOD_GET, "/problems/{code}", admin_problem, 0, "", AUTH_OPEN, NULL},
};

static const struct {
    const char *name;
    enum route_method method;
} methods[] = {
    {"GET", METHOD_GET},     {"POST", METHOD_POST},     {"HEAD", METHOD_HEAD},
    {"PATCH", METHOD_PATCH}, {"DELETE", METHOD_DELETE}, {"OPTIONS", METHOD_OPTIONS},
};

enum route_method route_method_parse(const char *method)
{
    for (size_t i = 0; i < FUT_COUNT(methods); i++) {
        if (strcmp(methods[i].name, method) == 0)
            return methods[i].method;
    }
    return METHOD_OTHER;
}

/* Segment by segment; a {name} takes one segment that is not empty. */
static bool path_matches(const char *pattern, const char *path, struct route_capture *captures)
{
    while (*pattern && *path == '/') {
        size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");
        if (*pattern == '{') {
            if (have == 0)
                return false;
            *captures++ = (struct route_capture){path, have};
        } else if (want != have || memcmp(pattern, path, have) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return !*pattern && !*path;
}

void route_find(enum route_method method, const char *path, struct route_match *out)
{
    enum route_method wanted = method == METHOD_HEAD ? METHOD_GET : method;
    *out = (struct route_match){0};
    for (size_t i = 0; i < FUT_COUNT(routes); i++) {
        struct route_capture captures[ROUTE_CAPTURES_MAX] = {{0}};
        if (!path_matches(routes[i].pattern, path, captures))
            continue;
        out->allowed |= (unsigned)routes[i].method | METHOD_OPTIONS;
        if (routes[i].method != wanted)
            continue;
        out->route = &routes[i];
        memcpy(out->captures, captures, sizeof(captures));
        return;
    }
}

void route_write_allow(struct buf *out, unsigned allowed)
{
    static const enum route_method order[] = {METHOD_GET,   METHOD_HEAD,   METHOD_POST,
                                              METHOD_PATCH, METHOD_DELETE, METHOD_OPTIONS};
    const char *comma = "";
    if (allowed & METHOD_GET)
        allowed |= METHOD_HEAD;
    for (size_t i = 0; i < FUT_COUNT(order); i++) {
        for (size_t k = 0; k < FUT_COUNT(methods); k++) {
            if (methods[k].method != order[i] || !(allowed & (unsigned)order[i]))
                continue;
            buf_puts(out, comma);
            buf_puts(out, methods[k].name);
            comma = ", ";
        }
    }
}

bool route_knows_param(const struct route *r, const char *name)
{
    size_t n = strlen(name);
    const char *at = r->params;
    while (n && !strchr(name, ' ') && (at = strstr(at, name))) {
        if (at > r->params && at[-1] == ' ' && at[n] == ' ')
            return true;
        at += n;
    }
    return false;
}
