#include "api/resources/rows.h"

#include "api/http/loop.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/json_out.h"
#include "core/clock.h"

/* ---- stats ----------------------------------------------------------------------------------- */

static void open_object(struct buf *b, const char *key)
{
    json_out_key(b, key);
    buf_putc(b, '{');
}

static void write_states(struct buf *b, const uint64_t *counts, bool want_final)
{
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        enum task_state state = (enum task_state)s;
        if (task_state_is_final(state) == want_final)
            json_out_uint(b, task_state_name(state), counts[s]);
    }
}

static void write_tasks(struct buf *b, const struct store_stats *s)
{
    open_object(b, "tasks");
    for_each_lane (l) {
        open_object(b, lane_name(l));
        write_states(b, s->live[l], false);
        buf_putc(b, '}');
    }
    json_out_uint(b, "submitted", s->submitted);
    json_out_uint(b, "claimed", s->claimed);
    write_states(b, s->finished, true);
    json_out_uint(b, "recovered", s->recovered);
    json_out_uint(b, "pruned", s->pruned);
    json_out_uint(b, "max_queued", s->max_queued);
    json_out_key(b, "drain_per_s");
    buf_printf(b, "%.1f", s->drain_per_s);
    buf_putc(b, '}');
}

static void write_store(struct buf *b, const struct store_stats *s)
{
    open_object(b, "store");
    json_out_str(b, "health", fut_err_name(s->health));
    json_out_uint(b, "commits", s->commits);
    json_out_uint(b, "ops", s->ops);
    json_out_uint(b, "file_bytes", s->file_bytes);
    json_out_uint(b, "log_bytes", s->log_bytes);
    buf_putc(b, '}');
}

static void write_pools(struct buf *b, const struct pool_view *view)
{
    struct pool_stats p = {0};
    if (!view->read)
        return;
    view->read(view->ctx, &p);
    open_object(b, "pools");
    for_each_lane (l) {
        open_object(b, lane_name(l));
        json_out_uint(b, "capacity", p.lanes[l].capacity);
        json_out_uint(b, "busy", p.lanes[l].busy);
        json_out_uint(b, "claimed", p.lanes[l].claimed);
        json_out_uint(b, "started", p.lanes[l].started);
        buf_putc(b, '}');
    }
    json_out_uint(b, "workers_alive", p.workers_alive);
    json_out_uint(b, "workers_died", p.workers_died);
    json_out_uint(b, "programs_broken", p.programs_broken);
    if (p.containment)
        json_out_str(b, "containment", p.containment);
    buf_putc(b, '}');
}

static void write_http(struct buf *b, const struct api *a)
{
    uint64_t connections = 0, requests = 0, open = 0;
    for (size_t i = 0; i < a->n_loops; i++) {
        connections += atomic_load_explicit(&a->loops[i]->connections, memory_order_relaxed);
        requests += atomic_load_explicit(&a->loops[i]->requests, memory_order_relaxed);
        open += atomic_load_explicit(&a->loops[i]->open, memory_order_relaxed);
    }
    open_object(b, "http");
    json_out_uint(b, "connections", connections);
    json_out_uint(b, "max_connections", a->cfg.max_connections);
    json_out_uint(b, "requests", requests);
    json_out_uint(b, "open_requests", open);
    json_out_uint(b, "waiters", waiters_count(&a->waiters));
    json_out_uint(b, "max_waiters", a->waiters.max);
    json_out_uint(b, "buffered_bytes", budget_used(&a->budget));
    json_out_uint(b, "max_buffered_bytes", a->budget.max);
    buf_putc(b, '}');
}

void admin_stats(struct request *r)
{
    const struct api *a = r->api;
    struct store_stats s;
    store_stats(a->cfg.store, &s);
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "version", a->cfg.version);
    json_out_seconds(&r->out, "uptime", clock_mono_ms() - a->started_mono_ms);
    write_tasks(&r->out, &s);
    write_store(&r->out, &s);
    write_pools(&r->out, &a->cfg.pools);
    write_http(&r->out, a);
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

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
    store_stats(a->cfg.store, &s);
    if (atomic_load(&a->is_quiesced))
        problem_set(p, PROBLEM_NOT_READY, "The daemon is shutting down.");
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
    buf_puts(&r->out, "{\"status\":\"ready\"}");
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

void admin_root(struct request *r)
{
    const struct route_table *t = r->api->routes;
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
