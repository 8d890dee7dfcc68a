#include "api/resources/pools.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "core/clock.h"
#include "core/mem.h"

/* ---- what is asked for ------------------------------------------------------------------------
 */

struct asked {
    struct pool_wish wish;
    enum lane lane;
    bool is_paused, has_reason;
};

static int refuse(const char *field, enum problem_code code, struct problem *p)
{
    problem_set_field(p, field);
    p->code = code;
    return FUT_ERR_INVAL;
}

static int set_capacity(struct asked *a, const json_t *v, struct problem *p)
{
    uint32_t max = pool_lane_max(a->lane);
    double n = json_number_value(v);
    a->wish.sets_capacity = true;
    if (json_is_null(v))
        return 0;
    problem_set(p, PROBLEM_WRONG_TYPE,
                "\"capacity\" must be a whole number from 1 to %u, or null for what is configured; "
                "to run nothing, set \"paused\".",
                max);
    if (!json_is_number(v))
        return refuse("capacity", PROBLEM_WRONG_TYPE, p);
    p->limit = max;
    if (!(n >= 1 && n <= max) || n != (double)(uint32_t)n)
        return refuse("capacity", PROBLEM_INVALID_VALUE, p);
    a->wish.capacity = (uint32_t)n;
    return 0;
}

static int set_paused(struct asked *a, const json_t *v, struct problem *p)
{
    problem_set(p, PROBLEM_WRONG_TYPE, "\"paused\" must be true or false.");
    if (!json_is_boolean(v))
        return refuse("paused", PROBLEM_WRONG_TYPE, p);
    a->wish.sets_pause = true;
    a->is_paused = json_is_true(v);
    return 0;
}

static int set_reason(struct asked *a, const json_t *v, struct problem *p)
{
    struct pool_pause *pause = &a->wish.pause;
    problem_set(p, PROBLEM_WRONG_TYPE, "\"reason\" must be a string of at most %d bytes.",
                POOL_REASON_SIZE - 1);
    if (!json_is_string(v))
        return refuse("reason", PROBLEM_WRONG_TYPE, p);
    p->limit = POOL_REASON_SIZE - 1;
    if (json_string_length(v) >= POOL_REASON_SIZE ||
        strlen(json_string_value(v)) != json_string_length(v))
        return refuse("reason", PROBLEM_INVALID_VALUE, p);
    memcpy(pause->reason, json_string_value(v), json_string_length(v));
    a->has_reason = true;
    return 0;
}

static const struct {
    const char *name;
    int (*set)(struct asked *a, const json_t *v, struct problem *p);
} members[] = {{"capacity", set_capacity}, {"paused", set_paused}, {"reason", set_reason}};

static int set_member(struct asked *a, const char *key, const json_t *v, struct problem *p)
{
    for (size_t i = 0; i < FUT_COUNT(members); i++) {
        if (strcmp(members[i].name, key) == 0)
            return members[i].set(a, v, p);
    }
    problem_set(p, PROBLEM_UNKNOWN_FIELD,
                "\"%.64s\" is not known here; known are \"capacity\", \"paused\" and \"reason\".",
                key);
    return refuse(key, PROBLEM_UNKNOWN_FIELD, p);
}

static int check_whole(const struct asked *a, struct problem *p)
{
    if (a->has_reason && !a->is_paused) {
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "\"reason\" is for a pause: it goes with \"paused\": true.");
        return refuse("reason", PROBLEM_INVALID_VALUE, p);
    }
    if (!a->wish.sets_capacity && !a->wish.sets_pause) {
        problem_set(p, PROBLEM_MISSING_FIELD,
                    "The body must have \"capacity\" or \"paused\", or both.");
        return refuse("capacity", PROBLEM_MISSING_FIELD, p);
    }
    return 0;
}

static int set_members(struct asked *a, json_t *root, struct problem *p)
{
    const char *key;
    json_t *v;
    if (!json_is_object(root)) {
        problem_set(p, PROBLEM_WRONG_TYPE, "The body must be an object.");
        return FUT_ERR_INVAL;
    }
    json_object_foreach (root, key, v) {
        if (set_member(a, key, v, p) != 0)
            return FUT_ERR_INVAL;
    }
    return check_whole(a, p);
}

int pools_read_wish(const char *text, size_t n, enum lane lane, struct pool_wish *out,
                    bool *out_paused, struct problem *p)
{
    struct asked a = {.lane = lane};
    json_t *root = json_text_parse(n ? text : "", n, p);
    if (!root)
        return FUT_ERR_INVAL;
    int rc = set_members(&a, root, p);
    json_decref(root);
    *out = a.wish;
    *out_paused = a.is_paused;
    return rc;
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

void pools_write_pause(struct buf *out, const struct pool_pause *p)
{
    json_out_time(out, "paused_at", p->since_wall_ms);
    json_out_str(out, "paused_by", p->by);
    if (*p->reason)
        json_out_str(out, "reason", p->reason);
}

void pools_write_unsaved(struct buf *out, const struct pool_lane *p)
{
    struct problem why;
    json_out_uint(out, "unsaved", p->unsaved);
    if (p->unsaved == 0)
        return;
    problem_from_err(&why, p->unsaved_rc);
    json_out_str(out, "unsaved_error", problem_name(why.code));
}

static void write_pool(struct buf *b, enum lane lane, const struct pool_stats *pools,
                       const struct store_stats *store)
{
    const struct pool_lane *p = &pools->lanes[lane];
    buf_putc(b, '{');
    json_out_str(b, "lane", lane_name(lane));
    json_out_uint(b, "capacity", p->capacity);
    json_out_uint(b, "configured", p->configured);
    json_out_uint(b, "max", pool_lane_max(lane));
    json_out_uint(b, "busy", p->busy);
    json_out_uint(b, "queued", store->live[lane][TASK_QUEUED]);
    json_out_uint(b, "started", p->started);
    pools_write_unsaved(b, p);
    json_out_bool(b, "paused", p->pause.since_wall_ms != 0);
    if (p->pause.since_wall_ms)
        pools_write_pause(b, &p->pause);
    buf_putc(b, '}');
}

static void look(const struct request *r, struct pool_stats *pools, struct store_stats *store)
{
    const struct pool_view *view = &r->api->cfg.pools;
    view->read(view->ctx, pools);
    store_stats(r->api->cfg.store, store);
}

void pools_get(struct request *r)
{
    struct pool_stats pools;
    struct store_stats store;
    buf_puts(&r->out, "{\"pools\":[");
    if (r->api->cfg.pools.read) {
        look(r, &pools, &store);
        for (int l = 0; l < LANE_COUNT; l++) {
            json_out_comma(&r->out);
            write_pool(&r->out, (enum lane)l, &pools, &store);
        }
    }
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}

/* ---- changing ---------------------------------------------------------------------------------
 */

static void sign(struct pool_pause *pause, const struct request *r)
{
    pause->since_wall_ms = clock_wall_ms();
    if (*r->principal)
        (void)snprintf(pause->by, sizeof(pause->by), "token %s", r->principal);
    else
        (void)snprintf(pause->by, sizeof(pause->by), "client");
}

static void change(struct request *r, enum lane lane, const struct pool_wish *wish)
{
    const struct pool_view *view = &r->api->cfg.pools;
    struct pool_stats pools;
    struct store_stats store;
    view->change(view->ctx, lane, wish);
    look(r, &pools, &store);
    write_pool(&r->out, lane, &pools, &store);
    request_reply_json(r, 200);
}

void pools_patch(struct request *r)
{
    struct pool_wish wish;
    struct problem p;
    enum lane lane;
    bool is_paused;
    if (!r->api->cfg.pools.change || !lane_parse(r->captures[0], &lane)) {
        problem_set(&p, PROBLEM_UNKNOWN_POOL,
                    "No pool is called \"%.64s\"; GET /v1/pools lists them.", r->captures[0]);
        request_problem(r, &p);
        return;
    }
    if (pools_read_wish(r->body.data, r->body.len, lane, &wish, &is_paused, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    if (is_paused)
        sign(&wish.pause, r);
    change(r, lane, &wish);
}
