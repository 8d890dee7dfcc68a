#include "api/resources/show.h"

#include <stdio.h>
#include <string.h>

#include "api/http/mhd.h"
#include "api/http/shared.h"
#include "api/resources/future_json.h"
#include "api/resources/version.h"
#include "api/resources/wait.h"

void show_look(const struct request *r, struct waiting_scene *out)
{
    waiting_for_look(out, r->api->cfg.store, &r->api->cfg.pools, &r->api->cfg.nodes,
                     atomic_load(&r->api->is_quiesced));
}

/* ---- what else is read ----------------------------------------------------------------------- */

static void go_on(struct request *r)
{
    request_step *after = r->after_gather;
    r->after_gather = NULL;
    after(r);
}

/* Whether a read that gave rc, done or refused, ends the request. What is deleted is not missing.
 */
static bool gives_up(struct request *r, int rc)
{
    if (!r->gathers_all || rc == 0 || rc == FUT_ERR_NOT_FOUND)
        return false;
    r->after_gather = NULL;
    request_not_posted(r, rc);
    return true;
}

static void take_attempts(struct request *r)
{
    store_attempts_free(r->attempts, r->n_attempts);
    r->attempts = r->op.attempts.attempts;
    r->n_attempts = r->op.attempts.n;
    r->drop_op = NULL;
}

static void got_attempts(struct request *r)
{
    if (gives_up(r, r->op.base.rc))
        return;
    if (r->op.base.rc == 0)
        take_attempts(r);
    go_on(r);
}

/* Are there ends of attempts beside the end in hand? Those of running, succeeded or failed first
 * attempts there are not. */
static bool may_have_attempts(const struct task *t)
{
    bool between = t->state == TASK_SCHEDULED || t->state == TASK_QUEUED;
    return t->attempt > 1 || (t->attempt == 1 && (between || t->state == TASK_CANCELLED));
}

static void drop_attempts(struct request *r)
{
    store_attempts_free(r->op.attempts.attempts, r->op.attempts.n);
    r->op.attempts.attempts = NULL;
    r->op.attempts.n = 0;
}

static int try_attempts(struct request *r)
{
    request_drop_op(r);
    r->op.attempts = (struct store_attempts){.id = r->task.spec->id};
    return request_try_post(r, &store_verb_attempts, drop_attempts, got_attempts);
}

static void gather_attempts(struct request *r)
{
    bool needed = may_have_attempts(&r->task);
    int rc = needed ? try_attempts(r) : 0;
    if (!gives_up(r, rc) && (!needed || rc != 0))
        go_on(r);
}

static void got_callback(struct request *r)
{
    if (gives_up(r, r->op.base.rc))
        return;
    if (r->op.base.rc == 0) {
        request_take_callback(r, &r->op.get.task);
    }
    gather_attempts(r);
}

static void gather_callback(struct request *r)
{
    struct task_id id = r->task.spec->callback;
    int rc = id.hi ? request_try_get_whole(r, id, got_callback) : 0;
    if (!gives_up(r, rc) && (!id.hi || rc != 0))
        gather_attempts(r);
}

static void got_report(struct request *r)
{
    if (gives_up(r, r->op.base.rc))
        return;
    if (r->op.base.rc == 0)
        request_take_task(r);
    gather_callback(r);
}

/* The snapshot that wakes a waiter says nothing of reports. How far a task came that did not
 * succeed is worth another read. */
static void gather(struct request *r, request_step *after)
{
    bool needed = !r->reported_is_known && r->task.state != TASK_SUCCEEDED && r->task.attempt;
    r->after_gather = after;
    int rc = needed ? request_try_get(r, r->task.spec->id, got_report) : 0;
    if (!gives_up(r, rc) && (!needed || rc != 0))
        gather_callback(r);
}

void show_gather(struct request *r, request_step *after)
{
    r->gathers_all = false;
    gather(r, after);
}

void show_gather_all(struct request *r, request_step *after)
{
    r->gathers_all = true;
    gather(r, after);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void add_headers(struct request *r)
{
    bool may_be_cached = r->method & (METHOD_GET | METHOD_HEAD);
    request_add_header(r, "ETag", r->etag);
    if (may_be_cached)
        request_add_header(r, "Cache-Control", "no-cache");
    if (may_be_cached && r->route->params[0]) /* knows wait, so Prefer too */
        request_add_header(r, "Vary", "Prefer");
    wait_add_headers(r);
}

void show_reply(struct request *r, unsigned status)
{
    struct waiting_scene scene;
    const struct waiting_scene *seen = NULL;
    version_make(r);
    add_headers(r);
    if (!task_state_is_final(r->task.state)) {
        show_look(r, &scene);
        scene.reported = r->reported_is_known ? &r->reported : NULL;
        seen = &scene;
    }
    future_json_write_view(&r->out, &(struct future_view){.task = &r->task,
                                                          .reported = version_reported(r),
                                                          .callback = r->callback,
                                                          .attempts = r->attempts,
                                                          .n_attempts = r->n_attempts,
                                                          .scene = seen});
    request_reply_json(r, status);
}

void show_reply_or_unchanged(struct request *r)
{
    if (!http_header(r, "If-None-Match") || !version_is_known(r)) {
        show_reply(r, 200);
        return;
    }
    add_headers(r);
    request_reply_empty(r, 304);
}

bool show_read_fields(struct request *r, unsigned *out)
{
    const char *text = request_arg(r, "fields");
    if (!text || future_json_fields(text, out))
        return true;
    return request_refuse_arg(r, "fields", FUTURE_JSON_FIELDS);
}
