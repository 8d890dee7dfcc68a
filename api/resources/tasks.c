#include "api/resources/tasks.h"

#include <string.h>
#include <strings.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/callback_task.h"
#include "api/resources/idempotency.h"
#include "api/resources/show.h"
#include "api/resources/wait.h"
#include "api/text/json_in.h"
#include "api/text/json_out.h"
#include "api/text/params.h"
#include "core/clock.h"

#define NAMES_SHOWN 20
#define FORM_TYPE "application/x-www-form-urlencoded" /* what curl -d says about any bytes */

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse_handler(struct request *r, const char *name, enum problem_code code)
{
    struct problem p;
    struct buf known = BUF_INIT;
    const struct catalog *c = catalog_lend_to(&r->api->catalog, &r->catalog);
    for (size_t i = 0; i < c->n && i < NAMES_SHOWN; i++)
        if (!c->items[i].is_internal)
            buf_printf(&known, "%s%s", known.len ? ", " : "", c->items[i].name);
    problem_set(&p, code, "No handler is called \"%.64s\"; known are %.500s%s.", name,
                known.len ? known.data : "none", c->n > NAMES_SHOWN ? " and more" : "");
    if (code == PROBLEM_UNKNOWN_HANDLER_NAME)
        problem_set_field(&p, "handler");
    buf_release(&known);
    request_problem(r, &p);
}

static void refuse_lane(struct request *r, const struct handler_info *h)
{
    struct problem p;
    problem_set(&p, PROBLEM_LANE_FIXED, "\"%s\" runs on the %s lane only.", h->name,
                lane_name(h->lane));
    problem_set_field(&p, "lane");
    request_problem(r, &p);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void reply(struct request *r)
{
    static const char path[] = "/v1/futures/";
    unsigned status = task_state_is_final(r->task.state) ? 200 : 202;
    char id[ID_TEXT_SIZE];
    id_format(r->task.spec->id, id);
    request_add_location(r, path, id);
    show_reply(r, status);
}

static void gather(struct request *r)
{
    show_gather(r, reply);
}

/* The submission stands for a future that is there already: that one is the answer. */
static void answer_existing(struct request *r)
{
    struct task_id id = r->op.submit.existing;
    if (r->op.submit.submitted == STORE_REPLAYED)
        idempotency_add_replayed(r);
    else
        request_add_header(r, "Futured-Coalesced", "true");
    waiter_close(&r->api->waiters, &r->waiter);
    task_release(&r->task);
    task_release(&r->callback);
    wait_read(r, id, gather);
}

/* A large input is not kept while its client waits: it is in the store. */
static void drop_input(struct request *r)
{
    struct task_spec *whole = r->task.spec, slim = *whole;
    slim.input = (const unsigned char *)"";
    slim.input_len = 0;
    r->task.spec = task_spec_new(&slim);
    task_spec_unref(whole);
    request_drop_body(r);
}

static void submitted(struct request *r)
{
    if (r->share.bytes)
        drop_input(r);
    if (r->op.base.rc != 0)
        request_fail(r, r->op.base.rc);
    else if (r->op.submit.submitted != STORE_NEW)
        answer_existing(r);
    else
        wait_go_on(r, gather);
}

/* ---- submitting ------------------------------------------------------------------------------ */

/* What a submission says beside its input; the handler's entry gives the rest. */
struct options {
    bool has_lane;
    enum lane lane;
    int64_t timeout_ms;       /* 0: not given */
    int64_t retries;          /* -1: not given */
    const char *unique;       /* or NULL */
    const char *callback_url; /* or NULL */
    struct retry_policy retry;
};

/* A malformed one is as good as none, says its specification. */
static const char *read_traceparent(struct request *r)
{
    const char *text = http_header(r, "traceparent");
    return text && params_traceparent_ok(text) ? text : NULL;
}

/* input: copied. */
static void submit(struct request *r, const struct handler_info *h, const struct options *o,
                   const char *type, const char *input, size_t n)
{
    struct task_id id = id_new(), callback = {0};
    bool has_key;
    if (o->has_lane && o->lane != h->lane && !h->any_lane) {
        refuse_lane(r, h);
        return;
    }
    if (idempotency_read(r, NULL, &r->key, &has_key) != 0)
        return;
    if (o->callback_url) {
        callback = id_new();
        callback_task_make(&r->callback, callback, id, o->callback_url);
    }
    r->task.spec = task_spec_new(&(struct task_spec){
        .id = id,
        .lane = o->has_lane ? o->lane : h->lane,
        .retries = o->retries >= 0 ? (uint32_t)o->retries : h->retries,
        .retry = o->retry,
        .timeout_ms = o->timeout_ms ? o->timeout_ms : h->timeout_ms,
        .created_wall_ms = clock_wall_ms(),
        .handler = h->name,
        .input_type = type,
        .input = (const unsigned char *)(n ? input : ""),
        .input_len = n,
        .callback = callback,
        .unique = o->unique,
        .traceparent = read_traceparent(r),
    });
    r->task.state = TASK_QUEUED;
    wait_open(r, id);
    request_submit(r, has_key ? &r->key : NULL, submitted);
}

void tasks_post(struct request *r)
{
    struct json_in_task in;
    struct problem p;
    if (!wait_parse(r))
        return;
    if (json_in_task(r->body.data, r->body.len, &in, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    const struct handler_info *h =
        catalog_find_public(catalog_lend_to(&r->api->catalog, &r->catalog), in.handler);
    struct options o = {in.has_lane, in.lane,         in.timeout_ms, in.retries,
                        in.unique,   in.callback_url, in.retry};
    if (h)
        submit(r, h, &o, in.input_type, in.input, in.input_len);
    else
        refuse_handler(r, in.handler, PROBLEM_UNKNOWN_HANDLER_NAME);
    json_in_task_release(&in);
}

/* ---- handler in the path --------------------------------------------------------------------- */

static bool read_options(struct request *r, struct options *o)
{
    const char *lane = request_arg(r, "lane"), *timeout = request_arg(r, "timeout"),
               *retries = request_arg(r, "retries");
    uint64_t n;
    if (lane && !(o->has_lane = lane_parse(lane, &o->lane)))
        return request_refuse_arg(r, "lane", "\"io\" or \"cpu\"");
    if (timeout && (!params_seconds(timeout, &o->timeout_ms) || o->timeout_ms < 1 ||
                    o->timeout_ms > TASK_TIMEOUT_MAX_MS))
        return request_refuse_arg(r, "timeout", "a number of seconds over 0 and up to 86400");
    if (retries && !params_uint(retries, TASK_RETRIES_MAX, &n))
        return request_refuse_arg(r, "retries", "a whole number from 0 to 100");
    if (retries)
        o->retries = (int64_t)n;
    return true;
}

/* The content type of the body as input; NULL when the request was answered. */
static const char *read_type(struct request *r)
{
    struct problem p;
    const char *type = http_header(r, "Content-Type");
    if (!type || !*type || strncasecmp(type, FORM_TYPE, strlen(FORM_TYPE)) == 0)
        return CONTENT_BYTES;
    if (!params_type_ok(type)) {
        problem_set(&p, PROBLEM_INVALID_HEADER,
                    "Content-Type must be 1 to %d printable ASCII characters.", TASK_TYPE_MAX);
        problem_set_parameter(&p, "Content-Type");
        request_problem(r, &p);
        return NULL;
    }
    /* What goes in as JSON is JSON: handlers and readers rely on it. */
    if (params_type_is_json(type) && json_in_check(r->body.data, r->body.len, &p) != 0) {
        request_problem(r, &p);
        return NULL;
    }
    return type;
}

void tasks_post_handler(struct request *r)
{
    const struct handler_info *h =
        catalog_find_public(catalog_lend_to(&r->api->catalog, &r->catalog), r->captures[0]);
    struct options o = {.retries = -1};
    if (!h) {
        refuse_handler(r, r->captures[0], PROBLEM_UNKNOWN_HANDLER);
        return;
    }
    if (!wait_parse(r) || !read_options(r, &o))
        return;
    const char *type = read_type(r);
    if (type)
        submit(r, h, &o, type, r->body.data, r->body.len);
}
