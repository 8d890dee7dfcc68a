/* queues: named queues: what is said of them, and how they stand. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/request_large.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/rows.h"
#include "api/resources/settings.h"
#include "api/resources/wait.h"
#include "api/text/json_in.h"
#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/number.h"

#define DEFAULT_LIMIT 100
#define AGE_AFTER_MAX_S 2592000.0   /* 30 days */
#define RETENTION_MAX_S 315360000.0 /* 3650 days, as FUTURED_RETENTION */

/* ---- what is asked for ----------------------------------------------------------------------- */

struct asked {
    struct settings_limit limit;
    struct settings_pause pause;
    double weight;
    int64_t age_after_ms, retention_ms;
    bool has_weight, has_age, has_retention;
    struct store_fair_weight *fair; /* in the request's arena */
    size_t n_fair;
    bool has_fair;
    struct request *r;
};

static int set_weight(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    a->weight = json_number_value(v);
    a->has_weight = true;
    return a->weight >= STORE_WEIGHT_MIN && a->weight <= STORE_WEIGHT_MAX
               ? 0
               : json_in_bad_number(f, a->weight, p);
}

/* A number of seconds, or null: *out_ms stays as it is. */
static int read_seconds(const struct json_in_field *f, const json_t *v, double min, double max,
                        int64_t *out_ms, struct problem *p)
{
    double seconds = json_number_value(v);
    if (json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return json_in_wrong_type(f, v, p);
    if (!(seconds >= min && seconds <= max))
        return json_in_bad_number(f, seconds, p);
    *out_ms = number_ms(seconds);
    return 0;
}

static int set_age(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    a->has_age = true;
    return read_seconds(f, v, 0.001, AGE_AFTER_MAX_S, &a->age_after_ms, p);
}

static int set_retention(void *to, const struct json_in_field *f, const json_t *v,
                         struct problem *p)
{
    struct asked *a = to;
    a->has_retention = true;
    return read_seconds(f, v, 1, RETENTION_MAX_S, &a->retention_ms, p);
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

static int refuse_weights(const char *why, uint64_t limit, struct problem *p)
{
    problem_set(p, PROBLEM_INVALID_VALUE, "\"fair_weights\" %s", why);
    problem_set_field(p, "fair_weights");
    p->limit = limit;
    return FUT_ERR_INVAL;
}

/* null: the key has no weight any more. */
static int set_fair(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    const char *key;
    json_t *weight;
    (void)f;
    a->has_fair = true;
    if (json_object_size(v) > STORE_FAIR_WEIGHTS_MAX)
        return refuse_weights("may have 1000 keys.", STORE_FAIR_WEIGHTS_MAX, p);
    a->fair = arena_alloc(&a->r->arena, (json_object_size(v) + 1) * sizeof(*a->fair));
    json_object_foreach ((json_t *)(uintptr_t)v, key, weight) {
        struct store_fair_weight *one = &a->fair[a->n_fair++];
        size_t n = strlen(key);
        one->weight = json_number_value(weight);
        if (n < 1 || n > TASK_FAIR_KEY_MAX)
            return refuse_weights("has keys of 1 to 128 bytes.", TASK_FAIR_KEY_MAX, p);
        if (!json_is_null(weight) &&
            !(one->weight >= STORE_WEIGHT_MIN && one->weight <= STORE_WEIGHT_MAX))
            return refuse_weights("must give each key a number from 0.001 to 1000, or null.", 0, p);
        memcpy(one->key, key, n + 1);
    }
    return 0;
}

static const struct json_in_field members[] = {
    {"weight", "a number from 0.001 to 1000", JSON_IN_NUMBER, false, 0, set_weight},
    {"max_running", SETTINGS_MAX_RUNNING, JSON_IN_ANY, false, 0, settings_set_max},
    {"rate", SETTINGS_RATE, JSON_IN_ANY, false, 0, settings_set_rate},
    {"age_after", "a number of seconds from 0.001 to 2592000, or null", JSON_IN_ANY, false, 0,
     set_age},
    {"retention", "a number of seconds from 1 to 315360000, or null", JSON_IN_ANY, false, 0,
     set_retention},
    {"fair_weights", "an object of fairness keys and their weights", JSON_IN_OBJECT, false, 0,
     set_fair},
    {"paused", "true or false", JSON_IN_BOOL, false, 0, set_paused},
    {"reason", "a string of at most 200 bytes", JSON_IN_STRING, false, 0, set_reason},
};

static int read_text(struct request *r, struct asked *a, struct problem *p)
{
    static const struct json_in_object object = {"a queue", "", members, FUT_COUNT(members), 0};
    json_t *root = json_text_parse(r->body.len ? r->body.data : "", r->body.len, p);
    int rc = root ? json_in_read(&object, root, a, p) : FUT_ERR_INVAL;
    json_decref(root);
    return rc == 0 ? settings_finish_pause(r, &a->pause, p) : rc;
}

/* False: the request was answered. */
static bool read_body(struct request *r, struct asked *a)
{
    struct problem p;
    *a = (struct asked){.weight = 1, .r = r};
    a->limit.is = (struct store_limit){.rate_per_ms = 1000, .rate_burst = 1};
    if (read_text(r, a, &p) == 0)
        return true;
    request_problem(r, &p);
    return false;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void open_object(struct buf *out, const char *key)
{
    json_out_key(out, key);
    buf_putc(out, '{');
}

static void write_counts(struct buf *out, const uint64_t *live)
{
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        if (!task_state_is_final((enum task_state)s))
            json_out_uint(out, task_state_name((enum task_state)s), live[s]);
    }
}

static void write_lanes(struct buf *out, const struct store_queue_status *q)
{
    uint64_t both[TASK_STATE_COUNT];
    for (int s = 0; s < TASK_STATE_COUNT; s++)
        both[s] = q->live[LANE_IO][s] + q->live[LANE_CPU][s];
    write_counts(out, both);
    open_object(out, "lanes");
    for_each_lane (lane) {
        open_object(out, lane_name(lane));
        write_counts(out, q->live[lane]);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

static void write_starts(struct buf *out, const struct store_queue_status *q)
{
    json_out_key(out, "started_per_s");
    buf_printf(out, "%.4g", q->started_per_s);
    json_out_key(out, "wait");
    if (!q->starts) {
        buf_puts(out, "null");
        return;
    }
    buf_putc(out, '{');
    json_out_seconds(out, "p50", q->wait_p50_ms);
    json_out_seconds(out, "p95", q->wait_p95_ms);
    json_out_uint(out, "starts", q->starts);
    buf_putc(out, '}');
}

/* 0: null. */
static void write_seconds(struct buf *out, const char *key, int64_t ms)
{
    json_out_key(out, key);
    if (ms)
        buf_printf(out, "%.15g", (double)ms / 1000);
    else
        buf_puts(out, "null");
}

/* Those of all from the first on that are of the queue; returns how many. */
static size_t write_nodes(struct buf *out, const struct store_queue_node *all, size_t n,
                          size_t queue)
{
    size_t i = 0;
    json_out_key(out, "nodes");
    buf_putc(out, '[');
    for (; i < n && all[i].queue == queue; i++) {
        json_out_comma(out);
        buf_putc(out, '{');
        json_out_str(out, "name", all[i].name);
        json_out_uint(out, "running", all[i].running[LANE_IO] + all[i].running[LANE_CPU]);
        open_object(out, "lanes");
        for_each_lane (lane) {
            open_object(out, lane_name(lane));
            json_out_uint(out, "running", all[i].running[lane]);
            buf_putc(out, '}');
        }
        buf_puts(out, "}}");
    }
    buf_putc(out, ']');
    return i;
}

static void write_queue(struct buf *out, const struct store_queue_status *q, int64_t oldest_ms)
{
    json_out_str(out, "name", q->queue.name);
    json_out_key(out, "weight");
    buf_printf(out, "%.15g", q->queue.weight);
    settings_write_limit(out, &q->queue.limit);
    write_seconds(out, "age_after", q->queue.age_after_ms);
    write_seconds(out, "retention", q->queue.retention_ms);
    settings_write_pause(out, &q->pause);
    json_out_bool(out, "closed", q->is_closed);
    json_out_time(out, "opens_at", q->opens_wall_ms);
    write_lanes(out, q);
    json_out_time(out, "oldest_queued_at", oldest_ms);
    write_starts(out, q);
}

static void write_fair(struct buf *out, const struct store_fair_weight *fair, size_t n)
{
    open_object(out, "fair_weights");
    for (size_t i = 0; i < n; i++) {
        json_out_comma(out);
        json_out_text(out, fair[i].key, strlen(fair[i].key));
        buf_printf(out, ":%.15g", fair[i].weight);
    }
    buf_putc(out, '}');
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What the steps of one request hand on; in its arena. */
struct reading {
    struct store_queue_status *queues;
    struct store_fair_weight *fair;
    size_t n, n_fair;
    int64_t *oldest_ms;
    bool is_one, is_change, is_new, has_more;
    bool waits; /* until nothing of the paused queue runs */
};

static void fail(struct request *r, int rc)
{
    struct problem p;
    if (rc == FUT_ERR_NOT_FOUND) {
        problem_set(&p, PROBLEM_UNKNOWN_QUEUE,
                    "No queue is called \"%.64s\"; GET /v1/queues lists those that have tasks, or "
                    "of which something is said.",
                    r->captures[0]);
        request_problem(r, &p);
    } else {
        request_fail(r, rc);
    }
}

/* Without the nodes while the database does not tell of them. */
static void write_all(struct request *r, const struct reading *w)
{
    const struct store_queue_nodes *o = &r->op.queue_nodes;
    size_t at = 0;
    buf_puts(&r->out, "{\"queues\":[");
    for (size_t i = 0; i < w->n; i++) {
        json_out_comma(&r->out);
        buf_putc(&r->out, '{');
        write_queue(&r->out, &w->queues[i], w->oldest_ms[i]);
        if (o->op.rc == 0)
            at += write_nodes(&r->out, o->nodes + at, o->n_nodes - at, i);
        buf_putc(&r->out, '}');
    }
    buf_putc(&r->out, ']');
    json_out_str(&r->out, "next_cursor", w->has_more ? w->queues[w->n - 1].queue.name : NULL);
    buf_putc(&r->out, '}');
}

static void got_nodes(struct request *r)
{
    const struct reading *w = r->work;
    const struct store_queue_nodes *o = &r->op.queue_nodes;
    if (w->is_one) {
        wait_add_headers(r);
        buf_putc(&r->out, '{');
        write_queue(&r->out, &w->queues[0], w->oldest_ms[0]);
        if (o->op.rc == 0)
            (void)write_nodes(&r->out, o->nodes, o->n_nodes, 0);
        write_fair(&r->out, w->fair, w->n_fair);
        buf_putc(&r->out, '}');
    } else {
        write_all(r, w);
    }
    request_reply_json(r, w->is_new ? 201 : 200);
}

static void drop_nodes(struct request *r)
{
    free(r->op.queue_nodes.nodes);
}

static void got_oldest(struct request *r)
{
    const struct reading *w = r->work;
    if (r->op.base.rc != 0) {
        fail(r, r->op.base.rc);
        return;
    }
    request_drop_op(r);
    r->op.queue_nodes = (struct store_queue_nodes){.queues = w->queues, .n = w->n};
    request_post(r, &store_verb_queue_nodes, drop_nodes, got_nodes);
}

static void drop_list(struct request *r)
{
    free(r->op.queue_list.queues);
    free(r->op.queue_list.fair);
}

static uint64_t running(const struct store_queue_status *q)
{
    return q->live[LANE_IO][TASK_RUNNING] + q->live[LANE_CPU][TASK_RUNNING];
}

static void read_list(struct request *r);

static void woken(struct request *r)
{
    struct reading *w = r->work;
    waiter_unlink(&r->api->waiters, &r->waiter);
    w->waits = false;
    read_list(r);
}

static void got_list(struct request *r)
{
    const struct store_queue_list *o = &r->op.queue_list;
    struct reading *w = r->work;
    if (o->op.rc != 0) {
        fail(r, o->op.rc);
        return;
    }
    int64_t remaining = r->wait_until_mono_ms - clock_mono_ms();
    if (w->waits && r->waiter.is_open && running(&o->queues[0])) {
        request_drop_op(r);
        sleep_until_woken(r, remaining > 0 ? remaining : 0, woken);
        return;
    }
    w->n = o->n;
    w->n_fair = o->n_fair;
    w->has_more = o->has_more;
    w->queues = arena_alloc(&r->arena, (o->n + 1) * sizeof(*w->queues));
    w->fair = arena_alloc(&r->arena, (o->n_fair + 1) * sizeof(*w->fair));
    w->oldest_ms = arena_alloc(&r->arena, (o->n + 1) * sizeof(*w->oldest_ms));
    memcpy(w->queues, o->queues, o->n * sizeof(*w->queues));
    if (o->n_fair)
        memcpy(w->fair, o->fair, o->n_fair * sizeof(*w->fair));
    request_drop_op(r);
    r->op.queue_oldest =
        (struct store_queue_oldest){.queues = w->queues, .n = w->n, .wall_ms = w->oldest_ms};
    request_post(r, &store_verb_queue_oldest, NULL, got_oldest);
}

static void read_list(struct request *r)
{
    request_drop_op(r);
    r->op.queue_list = (struct store_queue_list){
        .name = r->captures[0], .shows_any = ((struct reading *)r->work)->is_change};
    request_post(r, &store_verb_queue_list, drop_list, got_list);
}

static struct reading *new_reading(struct request *r, bool is_one)
{
    struct reading *w = arena_alloc(&r->arena, sizeof(*w));
    *w = (struct reading){.is_one = is_one};
    r->work = w;
    return w;
}

static bool check_name(struct request *r)
{
    if (task_queue_name_ok(r->captures[0]))
        return true;
    fail(r, FUT_ERR_NOT_FOUND);
    return false;
}

void queues_get(struct request *r)
{
    if (!check_name(r))
        return;
    (void)new_reading(r, true);
    read_list(r);
}

void queues_list(struct request *r)
{
    const char *limit_text = request_arg(r, "limit"), *cursor = request_arg(r, "cursor");
    uint64_t limit = DEFAULT_LIMIT;
    if (limit_text && (!number_parse_uint(limit_text, STORE_LIST_MAX, &limit) || limit < 1)) {
        (void)request_refuse_arg(r, "limit", "a whole number from 1 to 1000");
        return;
    }
    if (cursor && !task_queue_name_ok(cursor)) {
        (void)request_refuse_arg(r, "cursor", "a next_cursor as a page of this list gave it");
        return;
    }
    (void)new_reading(r, false);
    r->op.queue_list = (struct store_queue_list){.after = cursor, .limit = (size_t)limit};
    request_post(r, &store_verb_queue_list, drop_list, got_list);
}

/* ---- changing -------------------------------------------------------------------------------- */

static void was_set(struct request *r)
{
    const struct store_queue_set *o = &r->large->queue_set;
    struct reading *w = r->work;
    struct problem p;
    if (o->op.rc == FUT_ERR_FULL) {
        problem_set(&p, PROBLEM_TOO_MANY, "There are %d queues already, the most there may be.",
                    STORE_QUEUES_MAX);
        p.limit = STORE_QUEUES_MAX;
        request_problem(r, &p);
    } else if (o->op.rc == FUT_ERR_TOO_BIG) {
        (void)refuse_weights("would have more than 1000 keys.", STORE_FAIR_WEIGHTS_MAX, &p);
        request_problem(r, &p);
    } else if (o->op.rc != 0) {
        fail(r, o->op.rc);
    } else {
        w->is_new = w->is_new && o->is_new;
        read_list(r);
    }
}

/* is_whole: what the body does not say holds no longer, but for a pause. */
static void set(struct request *r, const struct asked *a, bool is_whole)
{
    struct reading *w = new_reading(r, true);
    struct store_queue_set o = {.queue = {.weight = a->weight,
                                          .limit = a->limit.is,
                                          .age_after_ms = a->age_after_ms,
                                          .retention_ms = a->retention_ms},
                                .pause = a->pause.is,
                                .fair = a->fair,
                                .n_fair = a->n_fair,
                                .is_all_fair = is_whole};
    memcpy(o.queue.name, r->captures[0], strlen(r->captures[0]) + 1);
    o.sets = (is_whole || a->has_weight ? STORE_QUEUE_WEIGHT : 0u) |
             (is_whole || a->limit.has_max ? STORE_QUEUE_MAX_RUNNING : 0u) |
             (is_whole || a->limit.has_rate ? STORE_QUEUE_RATE : 0u) |
             (is_whole || a->has_age ? STORE_QUEUE_AGE : 0u) |
             (is_whole || a->has_retention ? STORE_QUEUE_RETENTION : 0u) |
             (a->pause.is_said ? STORE_QUEUE_PAUSE : 0u);
    w->is_change = true;
    w->is_new = is_whole;
    w->waits = a->pause.is_paused && r->wait_ms > 0;
    if (w->waits)
        wait_open(r, store_pause_id(STORE_PAUSE_QUEUE, r->captures[0]));
    request_large(r)->queue_set = o;
    request_large_post(r, &store_verb_queue_set, NULL, was_set);
}

static void change(struct request *r, bool is_whole)
{
    struct asked a;
    struct problem p;
    if (!task_queue_name_ok(r->captures[0])) {
        problem_set(&p, PROBLEM_INVALID_PATH,
                    "A queue's name has 1 to 64 of a-z A-Z 0-9 . _ and -.");
        request_problem(r, &p);
        return;
    }
    if (wait_parse(r) && read_body(r, &a))
        set(r, &a, is_whole);
}

void queues_put(struct request *r)
{
    change(r, true);
}

void queues_patch(struct request *r)
{
    change(r, false);
}

static void dropped(struct request *r)
{
    if (r->op.base.rc != 0)
        fail(r, r->op.base.rc);
    else
        request_reply_empty(r, 204);
}

void queues_delete(struct request *r)
{
    if (!check_name(r))
        return;
    r->op.queue_drop = (struct store_queue_drop){.name = r->captures[0]};
    request_post(r, &store_verb_queue_drop, NULL, dropped);
}

void queues_purge(struct request *r)
{
    const char *dry = request_arg(r, "dry_run");
    if (!check_name(r))
        return;
    if (dry && strcmp(dry, "true") != 0 && strcmp(dry, "false") != 0)
        (void)request_refuse_arg(r, "dry_run", "true or false");
    else
        operations_purge_queue(r, r->captures[0], dry && strcmp(dry, "true") == 0);
}
