/* submission_check: what a submission says, checked against its handler and against the rules. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/graph.h"
#include "api/resources/submission.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/result_ref.h"
#include "storage/store.h"

#define HANDLERS_SHOWN 20

static int refuse_handler(const char *name, const struct catalog *c, bool is_in_path,
                          struct problem *p)
{
    struct buf known = BUF_INIT;
    for (size_t i = 0; i < c->n && i < HANDLERS_SHOWN; i++)
        if (!c->items[i].is_internal)
            buf_printf(&known, "%s%s", known.len ? ", " : "", c->items[i].name);
    problem_set(p, is_in_path ? PROBLEM_UNKNOWN_HANDLER : PROBLEM_UNKNOWN_HANDLER_NAME,
                "No handler is called \"%.64s\"; known are %.500s%s.", name,
                known.len ? known.data : "none", c->n > HANDLERS_SHOWN ? " and more" : "");
    if (!is_in_path)
        problem_set_field(p, "handler");
    buf_release(&known);
    return FUT_ERR_INVAL;
}

static int refuse_times(const char *field, const char *why, struct problem *p)
{
    problem_set(p, PROBLEM_INVALID_VALUE, "\"%s\" %s", field, why);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

/* A task that could never run is a mistake. */
static int check_times(const struct task_times *t, struct problem *p)
{
    int64_t wait_ms = t->run_at_wall_ms ? t->run_at_wall_ms - clock_wall_ms() : t->delay_ms;
    if (t->delay_ms && t->run_at_wall_ms)
        return refuse_times("run_at", "cannot stand beside \"delay\".", p);
    if (t->expires_in_ms && t->expires_in_ms <= wait_ms)
        return refuse_times("expires_in", "would be over before the task may begin.", p);
    if (t->deadline_ms && t->deadline_ms <= wait_ms)
        return refuse_times("deadline", "would be over before the task may begin.", p);
    return 0;
}

/* What runs a promise: nothing. */
static const struct handler_info promise = {.name = "promise", .lane = LANE_IO, .timeout_ms = 1};

static int refuse_limit_name(const struct task_limit *l, enum problem_code code, const char *why,
                             struct problem *p)
{
    problem_set(p, code, "The limit \"%s\" %s", l->name, why);
    problem_set_field(p, "limits");
    return FUT_ERR_INVAL;
}

static int check_handler_limits(const struct submission *s, const struct handler_info *h,
                                const struct submission_rules *rules, struct problem *p)
{
    struct task_limits all, more;
    size_t refused = 0;
    int rc = submission_task_limits(s, h, rules->store, &all, &refused);
    if (rc == 0)
        return 0;
    FUT_MUST(task_limits_read(h->task_limits, &more) == 0);
    if (rc == FUT_ERR_INVAL)
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "\"limits\" must name the limit \"%s\" with a key: \"%s\" runs under it.",
                    more.items[refused].name, h->name);
    else
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "\"limits\" may name %d limits less those of \"%s\", which are %zu.",
                    TASK_LIMITS_MAX, h->name, more.n);
    problem_set_field(p, "limits");
    p->limit = rc == FUT_ERR_INVAL ? 0 : TASK_LIMITS_MAX;
    return FUT_ERR_INVAL;
}

static int check_session_limit(const struct submission *s, const struct handler_info *h,
                               const struct submission_rules *rules, struct problem *p)
{
    struct task_limits all;
    size_t refused;
    if (submission_task_limits(s, h, rules->store, &all, &refused) == 0 && all.n < TASK_LIMITS_MAX)
        return 0;
    problem_set(p, PROBLEM_INVALID_VALUE,
                "\"limits\" may name %d limits in a session, which has one of its own.",
                TASK_LIMITS_MAX - 1);
    problem_set_field(p, "limits");
    p->limit = TASK_LIMITS_MAX - 1;
    return FUT_ERR_INVAL;
}

static int check_limits(const struct submission *s, const struct handler_info *h,
                        const struct submission_rules *rules, struct problem *p)
{
    for (size_t i = 0; i < s->limits.n; i++) {
        const struct task_limit *l = &s->limits.items[i];
        bool per_key;
        if (!rules->store || !store_limit_find(rules->store, l->name, &per_key))
            return refuse_limit_name(l, PROBLEM_UNKNOWN_LIMIT_NAME,
                                     "is not defined; GET /v1/limits lists those that are.", p);
        if (per_key && !*l->key)
            return refuse_limit_name(l, PROBLEM_INVALID_VALUE,
                                     "counts by key: name it as {\"name\":…,\"key\":…}.", p);
        if (!per_key && *l->key)
            return refuse_limit_name(l, PROBLEM_INVALID_VALUE, "has no keys.", p);
    }
    if (h->task_limits && check_handler_limits(s, h, rules, p) != 0)
        return FUT_ERR_INVAL;
    return rules->in_session ? check_session_limit(s, h, rules, p) : 0;
}

static int check_input(const struct submission *s, const struct handler_info *h, bool is_in_path,
                       struct problem *p)
{
    const char *field, *allowed;
    char path[64];
    if (!h->check_input || h->check_input(s->input, s->input_len, &field, &allowed) == 0)
        return 0;
    (void)snprintf(path, sizeof(path), "%s%s", is_in_path ? "" : "input.", field);
    problem_set(p, PROBLEM_INVALID_VALUE, "\"%s\" must be %s.", path, allowed);
    problem_set_field(p, path);
    return FUT_ERR_INVAL;
}

int submission_check_refs(struct submission *s, struct problem *p)
{
    struct result_refs refs;
    if (!s->has_refs)
        return 0;
    int rc = result_ref_find(s->input, s->input_len, &refs);
    s->has_refs = false;
    if (rc == 0 && refs.n == 0) {
        result_ref_release(&refs);
        return 0;
    }
    result_ref_release(&refs);
    problem_set(p, PROBLEM_INVALID_VALUE,
                "\"input\" refers to a result, and this task waits for no other.");
    problem_set_field(p, "input");
    return FUT_ERR_INVAL;
}

int submission_check_url(const struct submission_rules *rules, const char *url, struct problem *p)
{
    if (!rules->allows_url || rules->allows_url(rules->allow, url))
        return 0;
    problem_set(p, PROBLEM_INVALID_VALUE,
                "\"callback.url\" must be a URL that this daemon may call: see "
                "FUTURED_HTTP_PREFIXES and FUTURED_HTTP_NETWORKS.");
    problem_set_field(p, "callback.url");
    return FUT_ERR_INVAL;
}

int submission_check(const struct submission *s, const struct submission_rules *rules,
                     bool is_in_path, const struct handler_info **out, struct problem *p)
{
    const struct handler_info *h =
        s->is_promise ? &promise : catalog_find_public(rules->catalog, s->handler);
    if (!h)
        return refuse_handler(s->handler, rules->catalog, is_in_path, p);
    if (h->takes_code && rules->no_code) {
        problem_set(p, PROBLEM_FORBIDDEN,
                    "\"%s\" runs what it is sent; that needs a token with the scope \"code\".",
                    h->name);
        p->scope = "code";
        if (!is_in_path)
            problem_set_field(p, "handler");
        return FUT_ERR_INVAL;
    }
    if (s->has_lane && s->lane != h->lane && !h->any_lane) {
        problem_set(p, PROBLEM_LANE_FIXED, "\"%s\" runs on the %s lane only.", h->name,
                    lane_name(h->lane));
        problem_set_field(p, "lane");
        return FUT_ERR_INVAL;
    }
    if (s->callback_url && submission_check_url(rules, s->callback_url, p) != 0)
        return FUT_ERR_INVAL;
    if (s->once && s->retries >= 0)
        return refuse_times("retries", "cannot stand beside \"once\".", p);
    if (check_times(&s->times, p) != 0 || check_limits(s, h, rules, p) != 0 ||
        (!rules->no_input && check_input(s, h, is_in_path, p) != 0))
        return FUT_ERR_INVAL;
    *out = h;
    return 0;
}

struct submission_rules submission_check_rules(struct request *r)
{
    return (struct submission_rules){.catalog = catalog_lend_to(&r->api->catalog, &r->catalog),
                                     .allows_url = r->api->cfg.allows_url,
                                     .allow = r->api->cfg.allow,
                                     .store = r->api->cfg.store,
                                     .no_code = !(r->scopes & AUTH_CODE)};
}

/* ---- what the store refuses ------------------------------------------------------------------ */

void submission_check_queue_refused(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_INVALID_VALUE,
                "\"queue\" names a new queue, and there are %d with unfinished tasks, which is "
                "the most; nothing was stored.",
                STORE_QUEUES_MAX);
    problem_set_field(&p, "queue");
    p.limit = STORE_QUEUES_MAX;
    request_problem(r, &p);
}

void submission_check_graph_refused(struct request *r)
{
    struct problem p;
    graph_refused(&r->op.submit, &p);
    request_problem(r, &p);
}
