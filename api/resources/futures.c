#include "api/resources/futures.h"

#include <stdio.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/resources/future_json.h"
#include "api/resources/rows.h"
#include "api/resources/show.h"
#include "api/resources/wait.h"
#include "core/end_codes.h"

#define CHANGE_TRIES 1000 /* a change that comes too late is made again from the newest state */

bool futures_read_id(struct request *r, struct task_id *out)
{
    struct problem p;
    if (id_parse(r->captures[0], out))
        return true;
    problem_set(&p, PROBLEM_UNKNOWN_FUTURE, "No future has the id \"%.64s\".", r->captures[0]);
    request_problem(r, &p);
    return false;
}

static void reply_read(struct request *r)
{
    show_gather_all(r, show_reply_or_unchanged);
}

/* A client that names the version it has is answered when there is another one. */
void futures_get(struct request *r)
{
    struct task_id id;
    r->watches = http_header(r, "If-None-Match") != NULL;
    if (futures_read_id(r, &id) && wait_parse(r))
        wait_read(r, id, reply_read);
}

/* ---- the bare result ------------------------------------------------------------------------- */

/* Bytes with a 2xx are the result and nothing else: whoever pipes them on looks at no more. */
static void reply_not_done(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_NOT_DONE,
                "The future is %s and has no result yet; ?wait=SECONDS waits for it.",
                task_state_name(r->task.state));
    p.retry_after_s = 1;
    if (!r->wait_refused) /* which would say Retry-After as well */
        wait_add_headers(r);
    request_problem(r, &p);
}

static void reply_bytes(struct request *r)
{
    const struct task_outcome *o = r->task.outcome;
    wait_add_headers(r);
    request_add_sandbox(r);
    request_reply_bytes(r, 200, o->type && *o->type ? o->type : CONTENT_BYTES, o->body,
                        o->body_len);
}

static void reply_no_result(struct request *r, enum problem_code code)
{
    struct problem p;
    struct buf error = BUF_INIT;
    const struct task_outcome *o = r->task.outcome;
    problem_set(&p, code, "%.500s", o->message ? o->message : "The task has no result.");
    future_json_write_error(&error, o, NULL);
    p.error = &error;
    wait_add_headers(r);
    request_problem(r, &p);
    buf_release(&error);
}

static void reply_failed(struct request *r)
{
    reply_no_result(r, PROBLEM_TASK_FAILED);
}

static void reply_cancelled(struct request *r)
{
    reply_no_result(r, PROBLEM_TASK_CANCELLED);
}

static void reply_result(struct request *r)
{
    static request_step *const by_state[TASK_STATE_COUNT] = {
        [TASK_SCHEDULED] = reply_not_done, [TASK_QUEUED] = reply_not_done,
        [TASK_RUNNING] = reply_not_done,   [TASK_SUCCEEDED] = reply_bytes,
        [TASK_FAILED] = reply_failed,      [TASK_CANCELLED] = reply_cancelled,
    };
    FUT_ASSERT(!task_state_is_final(r->task.state) || r->task.outcome != NULL);
    by_state[r->task.state](r);
}

void futures_result(struct request *r)
{
    struct task_id id;
    if (futures_read_id(r, &id) && wait_parse(r))
        wait_read(r, id, reply_result);
}

/* ---- the data of a failure ------------------------------------------------------------------- */

static void reply_error(struct request *r)
{
    struct problem p;
    const struct task_outcome *o = r->task.outcome;
    if (!task_state_is_final(r->task.state)) {
        reply_not_done(r);
        return;
    }
    if (r->task.state == TASK_FAILED && o->type) {
        reply_bytes(r);
        return;
    }
    problem_set(&p, PROBLEM_NO_ERROR_DATA,
                "The future is %s; a failure has data where its program gave some.",
                task_state_name(r->task.state));
    request_problem(r, &p);
}

void futures_error(struct request *r)
{
    struct task_id id;
    if (futures_read_id(r, &id) && wait_parse(r))
        wait_read(r, id, reply_error);
}

/* ---- the checkpoint -------------------------------------------------------------------------- */

static void reply_checkpoint(struct request *r)
{
    struct problem p;
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    request_take_task(r);
    const struct task_checkpoint *c = r->task.checkpoint;
    if (!c) {
        problem_set(&p, PROBLEM_NO_CHECKPOINT, "The future is %s and has no checkpoint.",
                    task_state_name(r->task.state));
        request_problem(r, &p);
        return;
    }
    request_add_header(r, "Cache-Control", "no-cache");
    request_add_sandbox(r);
    request_reply_bytes(r, 200, c->type, c->body, c->len);
}

void futures_checkpoint(struct request *r)
{
    struct task_id id;
    if (futures_read_id(r, &id))
        request_get_checkpoint(r, id, reply_checkpoint);
}

/* ---- the input ------------------------------------------------------------------------------- */

static void reply_input(struct request *r)
{
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    request_take_task(r);
    const struct task_spec *s = r->task.spec;
    request_add_header(r, "Cache-Control", "no-cache");
    request_add_sandbox(r);
    request_reply_bytes(r, 200, s->input_type && *s->input_type ? s->input_type : CONTENT_BYTES,
                        s->input, s->input_len);
}

void futures_input(struct request *r)
{
    struct task_id id;
    if (!futures_read_id(r, &id))
        return;
    int rc = request_try_get_whole(r, id, reply_input);
    if (rc != 0)
        request_not_posted(r, rc);
}

/* ---- cancel ---------------------------------------------------------------------------------- */

static void cancel_read(struct request *r);

static void reply_shown(struct request *r)
{
    show_reply(r, 200);
}

static void reply_future(struct request *r)
{
    show_gather(r, reply_shown);
}

static void cancelled(struct request *r)
{
    int rc = r->op.base.rc;
    request_take_task(r);
    if (rc == FUT_ERR_STALE && ++r->tries < CHANGE_TRIES)
        request_get(r, r->task.spec->id, cancel_read);
    else if (rc != 0)
        request_fail(r, rc);
    else
        reply_future(r);
}

static void reply_too_late(struct request *r)
{
    struct problem p;
    if (r->task.state == TASK_CANCELLED) {
        reply_future(r);
        return;
    }
    problem_set(&p, PROBLEM_ALREADY_DONE, "The future is %s already.",
                task_state_name(r->task.state));
    request_problem(r, &p);
}

/* Says which it was: nothing had begun, or an attempt is being stopped, which takes a program as
 * long as it takes to end. */
static struct task_outcome *why_cancelled(const struct task *t)
{
    char text[96];
    if (t->state == TASK_RUNNING)
        (void)snprintf(
            text, sizeof(text),
            "The task was cancelled by a client while attempt %u ran; it is being stopped.",
            (unsigned)t->attempt);
    else
        (void)snprintf(text, sizeof(text), "The task was cancelled by a client while it was %s.",
                       task_state_name(t->state));
    return task_outcome_error(end_code_text(END_CANCELLED), text);
}

/* What waits may begin between the reading and the commit: then the change is stale, and the state
 * is looked at once more. */
static bool refuse_running(struct request *r)
{
    struct problem p;
    bool also_running = true;
    if (!request_read_flag(r, "running", &also_running))
        return true;
    if (also_running || r->task.state != TASK_RUNNING)
        return false;
    problem_set(&p, PROBLEM_ALREADY_RUNNING,
                "Attempt %u of the future runs, and only a future that waits was to be cancelled.",
                (unsigned)r->task.attempt);
    request_problem(r, &p);
    return true;
}

static void cancel_read(struct request *r)
{
    struct task_change change;
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    request_take_task(r);
    if (refuse_running(r))
        return;
    task_outcome_unref(r->outcome); /* of a try that came too late */
    r->outcome = why_cancelled(&r->task);
    if (task_apply(&r->task, EVENT_CANCEL, &(struct task_in){.outcome = r->outcome}, &change) !=
        0) {
        reply_too_late(r);
        return;
    }
    request_apply(r, &change, cancelled);
}

static void tree_read(struct request *r)
{
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    request_take_task(r);
    reply_future(r);
}

static void tree_cancelled(struct request *r)
{
    struct task_id id = r->op.tree_cancel.id;
    if (r->op.base.rc != 0)
        request_fail(r, r->op.base.rc);
    else
        request_get(r, id, tree_read);
}

void futures_cancel(struct request *r)
{
    struct task_id id;
    bool also_running = true, is_tree = false;
    if (!futures_read_id(r, &id) || !request_read_flag(r, "running", &also_running) ||
        !request_read_flag(r, "tree", &is_tree))
        return;
    if (is_tree && !also_running) {
        (void)request_refuse_arg(r, "running", "true beside \"tree\"");
        return;
    }
    if (!is_tree) {
        request_get(r, id, cancel_read);
        return;
    }
    r->op.tree_cancel = (struct store_tree_cancel){.id = id};
    request_post(r, &store_verb_tree_cancel, NULL, tree_cancelled);
}

/* ---- retry ----------------------------------------------------------------------------------- */

static void retry_read(struct request *r);

static void reply_queued(struct request *r)
{
    show_reply(r, 202);
}

static void refuse_unique(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_CONFLICT,
                "Another unfinished task has its \"unique\" key \"%.255s\" by now.",
                r->task.spec->unique ? r->task.spec->unique : "");
    problem_set_field(&p, "unique");
    request_problem(r, &p);
}

static void refuse_parent(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_PARENT_FAILED,
                "A future that it waits for (\"after\") has ended otherwise, or was deleted; give "
                "that one another life, and this one lives again with it.");
    request_problem(r, &p);
}

static void revived(struct request *r)
{
    int rc = r->op.base.rc;
    request_take_task(r);
    if (rc == FUT_ERR_STALE && ++r->tries < CHANGE_TRIES)
        request_get(r, r->task.spec->id, retry_read);
    else if (rc == FUT_ERR_CONFLICT)
        refuse_unique(r);
    else if (rc == FUT_ERR_STATE)
        refuse_parent(r);
    else if (rc != 0)
        request_fail(r, rc);
    else
        show_gather(r, reply_queued);
}

static void refuse_state(struct request *r)
{
    struct problem p;
    bool done = task_state_is_final(r->task.state);
    problem_set(&p, done ? PROBLEM_ALREADY_DONE : PROBLEM_NOT_DONE,
                "Only a future that failed or was cancelled can be given another life; this one "
                "is %s.",
                task_state_name(r->task.state));
    request_problem(r, &p);
}

static void retry_read(struct request *r)
{
    struct task_change change;
    int rc = r->op.base.rc;
    if (rc != 0) {
        request_fail(r, rc);
        return;
    }
    request_take_task(r);
    if (task_apply(&r->task, EVENT_REVIVE, NULL, &change) != 0) {
        refuse_state(r);
        return;
    }
    bool is_fresh = false;
    if (request_read_flag(r, "fresh", &is_fresh))
        request_revive(r, &change, is_fresh, revived);
}

void futures_retry(struct request *r)
{
    struct task_id id;
    bool is_fresh;
    if (futures_read_id(r, &id) && request_read_flag(r, "fresh", &is_fresh))
        request_get(r, id, retry_read);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static void deleted(struct request *r)
{
    struct problem p;
    int rc = r->op.base.rc;
    if (rc == FUT_ERR_STATE) {
        problem_set(&p, PROBLEM_NOT_DONE,
                    "Only a future that is done can be deleted; cancel it first.");
        request_problem(r, &p);
    } else if (rc != 0) {
        request_fail(r, rc);
    } else {
        request_reply_empty(r, 204);
    }
}

void futures_delete(struct request *r)
{
    struct task_id id;
    if (!futures_read_id(r, &id))
        return;
    r->op.del = (struct store_delete){.id = id};
    request_post(r, &store_verb_delete, NULL, deleted);
}
