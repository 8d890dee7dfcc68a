#include "api/resources/rows.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/nodes.h"
#include "api/resources/settings.h"
#include "api/resources/waiting_for.h"
#include "api/text/json_in.h"
#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/proc.h"

/* ---- what is asked for ------------------------------------------------------------------------
 */

struct asked {
    struct pool_wish wish;
    enum lane lane;
    struct settings_pause pause;
};

static int refuse_capacity(const struct json_in_field *f, double came, uint32_t max,
                           struct problem *p)
{
    char allowed[160];
    struct json_in_field of_lane = *f;
    (void)snprintf(allowed, sizeof(allowed),
                   "a whole number from 1 to %u, or null for what is configured (to run nothing, "
                   "set \"paused\")",
                   max);
    of_lane.allowed = allowed;
    (void)json_in_bad_number(&of_lane, came, p);
    p->limit = max;
    return FUT_ERR_INVAL;
}

static int set_capacity(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    uint32_t max = pool_lane_max(a->lane);
    double n = json_number_value(v);
    a->wish.sets_capacity = true;
    if (json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return json_in_wrong_type(f, v, p);
    if (!(n >= 1 && n <= max) || n != (double)(uint32_t)n)
        return refuse_capacity(f, n, max, p);
    a->wish.capacity = (uint32_t)n;
    return 0;
}

static int set_paused(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f, (void)p;
    settings_read_paused(&((struct asked *)to)->pause, v);
    return 0;
}

static int set_reason(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    return settings_read_reason(&((struct asked *)to)->pause, f, v, p);
}

static const struct json_in_field members[] = {
    {"capacity", "a whole number, or null for what is configured", JSON_IN_ANY, false, 0,
     set_capacity},
    {"paused", "true or false", JSON_IN_BOOL, false, 0, set_paused},
    {"reason", "a string of at most 200 bytes", JSON_IN_STRING, false, 0, set_reason},
};

static int read_body(const struct request *r, struct asked *a, const json_t *root,
                     struct problem *p)
{
    static const struct json_in_object object = {"a change of a pool", "", members,
                                                 FUT_COUNT(members), 0};
    if (json_in_read(&object, root, a, p) != 0 || settings_finish_pause(r, &a->pause, p) != 0)
        return FUT_ERR_INVAL;
    a->wish.sets_pause = a->pause.is_said;
    a->wish.pause = a->pause.is;
    if (a->wish.sets_capacity || a->wish.sets_pause)
        return 0;
    problem_set(p, PROBLEM_MISSING_FIELD,
                "The body must have \"capacity\" or \"paused\", or both.");
    problem_set_field(p, "capacity");
    return FUT_ERR_INVAL;
}

/* 0, or FUT_ERR_INVAL with *p set. */
static int read_wish(const struct request *r, enum lane lane, struct pool_wish *out,
                     struct problem *p)
{
    struct asked a = {.lane = lane};
    json_t *root = json_text_parse(r->body.len ? r->body.data : "", r->body.len, p);
    if (!root)
        return FUT_ERR_INVAL;
    int rc = read_body(r, &a, root, p);
    json_decref(root);
    *out = a.wish;
    return rc;
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

static void write_pool(struct buf *b, enum lane lane, const struct pool_stats *pools,
                       const struct store_stats *store)
{
    const struct pool_lane *p = &pools->lanes[lane];
    buf_putc(b, '{');
    json_out_str(b, "lane", lane_name(lane));
    json_out_uint(b, "capacity", p->capacity);
    json_out_uint(b, "configured", p->configured);
    json_out_uint(b, "max", pool_lane_max(lane));
    if (p->refused) {
        json_out_uint(b, "refused", p->refused);
        json_out_str(b, "refused_reason", "the system gives no more threads now");
    }
    json_out_uint(b, "busy", p->busy);
    json_out_uint(b, "lent", p->lent);
    json_out_uint(b, "queued", store->live[lane][TASK_QUEUED]);
    json_out_uint(b, "started", p->started);
    waiting_for_write_unsaved(b, p);
    settings_write_pause(b, &p->pause);
    buf_putc(b, '}');
}

static void look(const struct request *r, struct pool_stats *pools, struct store_stats *store)
{
    const struct pool_view *view = &r->api->cfg.pools;
    view->read(view->ctx, pools);
    store_stats(r->api->cfg.store, store);
}

/* The lanes of all nodes together: slots, and attempts that run. */
struct sums {
    uint64_t slots[LANE_COUNT], running[LANE_COUNT];
};

static void write_node(struct buf *b, const struct store_node *n, struct sums *sums)
{
    json_t *load = node_load(n);
    for_each_lane (l) {
        struct node_lane of_node = node_lane_of(load, l);
        sums->slots[l] += of_node.slots;
        sums->running[l] += of_node.running;
    }
    json_out_comma(b);
    buf_putc(b, '{');
    json_out_str(b, "name", n->name);
    json_out_str(b, "state", node_state(n));
    node_write_lanes(b, load);
    buf_putc(b, '}');
    json_decref(load);
}

static void write_sums(struct buf *b, const struct sums *sums)
{
    json_out_key(b, "all");
    buf_putc(b, '{');
    for_each_lane (l) {
        json_out_key(b, lane_name(l));
        buf_putc(b, '{');
        json_out_uint(b, "slots", sums->slots[l]);
        json_out_uint(b, "running", sums->running[l]);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

/* Without the other nodes while the database does not tell of them. */
static void write_all(struct request *r)
{
    const struct store_node_list *nodes = &r->op.node_list;
    struct pool_stats pools;
    struct store_stats store;
    struct sums sums = {{0}, {0}};
    look(r, &pools, &store);
    buf_puts(&r->out, "{\"pools\":[");
    for_each_lane (l) {
        json_out_comma(&r->out);
        write_pool(&r->out, l, &pools, &store);
    }
    buf_putc(&r->out, ']');
    if (nodes->op.rc == 0) {
        json_out_key(&r->out, "nodes");
        buf_putc(&r->out, '[');
        for (size_t i = 0; i < nodes->n; i++) {
            if (nodes->nodes[i].is_live)
                write_node(&r->out, &nodes->nodes[i], &sums);
        }
        buf_putc(&r->out, ']');
        write_sums(&r->out, &sums);
    }
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

void pools_get(struct request *r)
{
    if (r->api->cfg.pools.read) {
        nodes_read(r, write_all);
        return;
    }
    buf_puts(&r->out, "{\"pools\":[]}");
    request_reply_json(r, 200);
}

/* ---- changing ---------------------------------------------------------------------------------
 */

static void change(struct request *r, enum lane lane, const struct pool_wish *wish)
{
    const struct pool_view *view = &r->api->cfg.pools;
    struct pool_stats pools;
    struct store_stats store;
    view->change(view->ctx, lane, wish);
    feed_add(&r->api->feed, FEED_POOL, lane_name(lane),
             !wish->sets_pause           ? "capacity"
             : wish->pause.since_wall_ms ? "paused"
                                         : "resumed");
    look(r, &pools, &store);
    write_pool(&r->out, lane, &pools, &store);
    request_reply_json(r, 200);
}

void pools_patch(struct request *r)
{
    struct pool_wish wish;
    struct problem p;
    enum lane lane;
    if (!r->api->cfg.pools.change || !lane_parse(r->captures[0], &lane)) {
        problem_set(&p, PROBLEM_UNKNOWN_POOL,
                    "No pool is called \"%.64s\"; GET /v1/pools lists them.", r->captures[0]);
        request_problem(r, &p);
        return;
    }
    if (read_wish(r, lane, &wish, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    change(r, lane, &wish);
}

/* ---- worker processes ------------------------------------------------------------------------ */

/* The names are part of the HTTP contract. */
static const char *const worker_states[] = {
    [POOL_WORKER_STARTING] = "starting", [POOL_WORKER_IDLE] = "idle",
    [POOL_WORKER_BUSY] = "busy",         [POOL_WORKER_TEMPLATE] = "template",
    [POOL_WORKER_LEAVING] = "leaving",   [POOL_WORKER_DYING] = "dying",
};

static void write_task(struct buf *b, const struct pool_worker *w)
{
    char id[ID_TEXT_SIZE];
    json_out_uint(b, "tasks", w->tasks);
    if (!w->task.hi)
        return;
    id_format(w->task, id);
    json_out_str(b, "task", id);
}

/* Nothing of one that is gone in this moment. */
static void write_usage(struct buf *b, const struct pool_worker *w)
{
    struct proc_stat usage;
    if (!w->pid || !proc_stat_read(w->pid, &usage))
        return;
    json_out_uint(b, "rss_bytes", usage.rss_bytes);
    json_out_seconds(b, "cpu", (int64_t)usage.cpu_ms);
}

static void write_worker(struct buf *b, const struct pool_worker *w)
{
    json_out_comma(b);
    buf_putc(b, '{');
    if (w->pid)
        json_out_int(b, "pid", w->pid);
    json_out_str(b, "program", w->program);
    json_out_str(b, "lane", lane_name(w->lane));
    json_out_str(b, "state", worker_states[w->state]);
    write_task(b, w);
    json_out_uint(b, "tasks_done", w->tasks_done);
    json_out_time(b, "started_at", w->started_wall_ms);
    write_usage(b, w);
    buf_putc(b, '}');
}

void pools_workers(struct request *r)
{
    const struct pool_view *view = &r->api->cfg.pools;
    size_t n = 0;
    struct pool_worker *all = view->workers ? view->workers(view->ctx, &n) : NULL;
    buf_puts(&r->out, "{\"workers\":[");
    for (size_t i = 0; i < n; i++)
        write_worker(&r->out, &all[i]);
    buf_puts(&r->out, "]}");
    free(all);
    request_reply_json(r, 200);
}
