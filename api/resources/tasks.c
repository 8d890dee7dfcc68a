#include "api/resources/rows.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http/dispatch.h"
#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/graph.h"
#include "api/resources/idempotency.h"
#include "api/resources/sessions.h"
#include "api/resources/show.h"
#include "api/resources/submission.h"
#include "api/resources/wait.h"
#include "api/text/json_in.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "core/json_walk.h"

#define FORM_TYPE "application/x-www-form-urlencoded" /* what curl -d says about any bytes */

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

static void gather_replayed(struct request *r)
{
    idempotency_add_replayed(r);
    gather(r);
}

static void gather_coalesced(struct request *r)
{
    request_add_header(r, "Futured-Coalesced", "true");
    gather(r);
}

/* The submission stands for a future that is there already: that one is the answer. */
static void answer_existing(struct request *r)
{
    struct task_id id = r->op.submit.existing;
    request_step *next =
        r->op.submit.submitted == STORE_REPLAYED ? gather_replayed : gather_coalesced;
    waiter_close(&r->api->waiters, &r->waiter);
    task_release(&r->task);
    request_take_callback(r, &(struct task){0});
    wait_read(r, id, next);
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

static void refuse_unique(struct request *r)
{
    struct problem p;
    problem_set(
        &p, PROBLEM_CONFLICT,
        "An unfinished task has this \"unique\" key, with another handler, input, option or "
        "callback; nothing was stored.");
    problem_set_field(&p, "unique");
    request_problem(r, &p);
}

/* Which of the two keys is it that is taken? In a session a unique one is no other task's. */
static bool is_about_unique(const struct request *r)
{
    const struct store_submit *o = &r->op.submit;
    return o->submitted == STORE_COALESCED || (o->session.hi && r->task.spec->unique && !o->key);
}

static void submitted(struct request *r)
{
    if (r->share.bytes)
        drop_input(r);
    if (r->op.base.rc == FUT_ERR_STALE)
        dispatch_refuse_ended(r);
    else if (r->op.submit.session_rc != 0)
        sessions_fail(r, r->op.submit.session_rc);
    else if (r->op.base.rc == FUT_ERR_CONFLICT && is_about_unique(r))
        refuse_unique(r);
    else if (r->op.base.rc == FUT_ERR_TOO_BIG)
        submission_check_queue_refused(r);
    else if (r->n_edges && (r->op.base.rc == FUT_ERR_NOT_FOUND || r->op.base.rc == FUT_ERR_STATE))
        submission_check_graph_refused(r);
    else if (r->op.base.rc != 0)
        request_fail(r, r->op.base.rc);
    else if (r->op.submit.submitted != STORE_NEW)
        answer_existing(r);
    else
        wait_go_on(r, gather);
}

/* ---- submitting ------------------------------------------------------------------------------ */

/* What the task waits for, into r->edges, which live as long as the request. */
static int read_graph(struct request *r, const struct submission *s, struct problem *p)
{
    struct graph g = {0};
    struct store_edge *edges = NULL;
    if (!json_array_size(s->after) && !s->has_refs)
        return 0;
    int rc = graph_add(&g, 0, NULL, s->after, p);
    if (rc == 0)
        rc = graph_resolve(&g, &r->task, 1, &edges, &r->n_edges, p);
    graph_release(&g);
    if (rc != 0 || !edges)
        return rc;
    r->edges = arena_alloc(&r->arena, r->n_edges * sizeof(*r->edges));
    memcpy(r->edges, edges, r->n_edges * sizeof(*r->edges));
    free(edges);
    return 0;
}

/* s is copied. The request is answered when s is refused. */
static void submit(struct request *r, const struct submission *s, bool is_in_path)
{
    const struct handler_info *h;
    struct problem p;
    struct task callback;
    struct submission_rules rules = submission_check_rules(r);
    char limit[STORE_SESSION_LIMIT_SIZE];
    bool in_session = s->session.hi != 0;
    rules.in_session = in_session && sessions_find_limit(r, s->session, limit);
    if (submission_check(s, &rules, is_in_path, &h, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    if (idempotency_read(r, NULL) != 0)
        return;
    struct submission_frame frame = {.id = id_new(),
                                     .batch = s->session,
                                     .in_session = in_session,
                                     .session_limit = rules.in_session ? limit : NULL,
                                     .parent = r->attempt.task,
                                     .created_wall_ms = clock_wall_ms(),
                                     .store = r->api->cfg.store,
                                     .traceparent =
                                         params_traceparent(http_header(r, "traceparent"))};
    submission_task_make(s, h, &frame, &r->task, &callback);
    request_take_callback(r, &callback);
    if (read_graph(r, s, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    wait_open(r, frame.id);
    request_submit(r, s->session, submitted);
}

void tasks_post(struct request *r)
{
    struct submission s;
    struct problem p;
    if (!wait_parse(r))
        return;
    if (submission_read(r->body.data, r->body.len, &s, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    submit(r, &s, false);
    submission_release(&s);
}

void tasks_post_promise(struct request *r)
{
    struct submission s;
    struct problem p;
    if (!wait_parse(r))
        return;
    if (submission_read_promise(r->body.data, r->body.len, &s, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    submit(r, &s, false);
    submission_release(&s);
}

/* ---- handler in the path --------------------------------------------------------------------- */

static const char *arg_of(void *ctx, const char *name)
{
    return request_arg(ctx, name);
}

/* The content type of the body as input. 0, or FUT_ERR_INVAL with *p set. */
static int read_type(struct request *r, struct submission *s, struct problem *p)
{
    const char *type = http_header(r, "Content-Type");
    if (!type || !*type || strncasecmp(type, FORM_TYPE, strlen(FORM_TYPE)) == 0)
        return 0;
    if (!params_type_ok(type)) {
        problem_set(p, PROBLEM_INVALID_HEADER,
                    "Content-Type must be 1 to %d printable ASCII characters.", TASK_TYPE_MAX);
        problem_set_parameter(p, "Content-Type");
        return FUT_ERR_INVAL;
    }
    s->input_type = type;
    if (!task_type_is_json(type))
        return 0;
    /* What goes in as JSON is JSON: handlers and readers rely on it. */
    size_t mark = s->input_len ? json_walk_mark(s->input, s->input_len) : 0;
    s->input += mark;
    s->input_len -= mark;
    return json_in_check(s->input, s->input_len, p);
}

void tasks_post_handler(struct request *r)
{
    struct submission s;
    struct problem p;
    if (!wait_parse(r))
        return;
    if (submission_read_query(arg_of, r, &s, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    s.handler = r->captures[0];
    s.input = r->body.data;
    s.input_len = r->body.len;
    const struct catalog *known = catalog_lend_to(&r->api->catalog, &r->catalog);
    if (!catalog_find_public(known, s.handler) || read_type(r, &s, &p) == 0)
        submit(r, &s, true);
    else
        request_problem(r, &p);
    submission_release(&s);
}
