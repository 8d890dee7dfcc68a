#include "api/resources/rows.h"

#include <string.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/json_out.h"
#include "core/mem.h"
#include "storage/node.h"

/* ---- health ---------------------------------------------------------------------------------- */

void admin_healthz(struct request *r)
{
    buf_puts(&r->out, "{\"status\":\"ok\"}");
    request_reply_json(r, 200);
}

/* False when ready; else why not. */
static bool is_not_ready(const struct api *a, struct problem *p)
{
    struct store_stats s;
    const char *stuck = atomic_load(&a->stuck);
    const struct pool_view *pools = &a->cfg.pools;
    struct pool_broken shortage;
    bool is_attached = atomic_load(&a->is_attached);
    if (is_attached)
        store_stats(a->cfg.store, &s);
    if (atomic_load(&a->is_quiesced))
        problem_set(p, PROBLEM_NOT_READY, "The daemon is shutting down.");
    else if (!is_attached)
        problem_set(p, PROBLEM_NOT_READY, "%s", REQUEST_EARLY);
    else if (!atomic_load(&a->is_ready))
        problem_set(p, PROBLEM_NOT_READY, "The daemon has not started everything yet.");
    else if (s.health != 0)
        problem_set(p, PROBLEM_NOT_READY, "The store fails: store: %s", fut_err_name(s.health));
    else if (pools->shortage && pools->shortage(pools->ctx, &shortage))
        problem_set(p, PROBLEM_NOT_READY, "No program can be started: %s", shortage.words);
    else if (stuck)
        problem_set(p, PROBLEM_NOT_READY, "The module \"%s\" gives no sign of life.", stuck);
    else
        return false;
    return true;
}

void admin_readyz(struct request *r)
{
    struct problem p;
    if (is_not_ready(r->api, &p)) {
        request_problem(r, &p);
        return;
    }
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "status", "ready");
    if (store_is_draining(r->api->cfg.store))
        json_out_bool(&r->out, "draining", true);
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

/* api/openapi.json, put in by the linker. */
extern const char openapi_json_start[], openapi_json_end[];

void admin_openapi(struct request *r)
{
    request_add_header(r, "Cache-Control", "no-cache");
    request_reply_bytes(r, 200, CONTENT_JSON, openapi_json_start,
                        (uintptr_t)openapi_json_end - (uintptr_t)openapi_json_start);
}

/* The type of each problem is a link to here. */
void admin_problem(struct request *r)
{
    struct problem p;
    enum problem_code code;
    if (!problem_parse(r->captures[0], &code)) {
        problem_set(&p, PROBLEM_UNKNOWN_PROBLEM, "No problem is called \"%.64s\".", r->captures[0]);
        request_problem(r, &p);
        return;
    }
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "code", problem_name(code));
    json_out_str(&r->out, "title", problem_title(code));
    json_out_uint(&r->out, "status", problem_status(code));
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

/* ---- who asks -------------------------------------------------------------------------------- */

void admin_access(struct request *r)
{
    static const enum auth_scope all[] = {AUTH_READ, AUTH_SUBMIT, AUTH_ADMIN, AUTH_CODE};
    unsigned scopes = r->scopes;
    if (!r->api->cfg.auth)
        scopes |= AUTH_ADMIN;
    if (scopes & AUTH_ADMIN)
        scopes |= AUTH_READ | AUTH_SUBMIT;
    buf_putc(&r->out, '{');
    json_out_bool(&r->out, "tokens", r->api->cfg.auth != NULL);
    json_out_key(&r->out, "scopes");
    buf_putc(&r->out, '[');
    for (size_t i = 0; i < FUT_COUNT(all); i++) {
        const char *name = auth_scope_name(all[i]);
        if (!(scopes & (unsigned)all[i]))
            continue;
        json_out_comma(&r->out);
        json_out_text(&r->out, name, strlen(name));
    }
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}

/* ---- what can be asked ------------------------------------------------------------------------
 */

static void write_route(struct buf *out, const struct route *row)
{
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_str(out, "method", route_method_name(row->method));
    json_out_str(out, "path", row->pattern);
    json_out_str(out, "summary", row->summary);
    buf_putc(out, '}');
}

/* Browsers are led to the page. */
void admin_root(struct request *r)
{
    const struct route_table *t = r->api->routes;
    const char *accept = http_header(r, "Accept");
    request_add_header(r, "Vary", "Accept");
    if (accept && strstr(accept, "text/html")) {
        ui_lead(r);
        return;
    }
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "name", "futured");
    json_out_str(&r->out, "version", r->api->cfg.version);
    json_out_str(&r->out, "description", "/v1/openapi.json");
    json_out_key(&r->out, "routes");
    buf_putc(&r->out, '[');
    for (size_t i = 0; i < t->n; i++)
        write_route(&r->out, &t->rows[i]);
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}
