#include "api/resources/future_retry.h"

#include <string.h>

#include "api/http/request.h"
#include "api/resources/callback_task.h"
#include "api/resources/futures.h"
#include "api/resources/show.h"

#define TRIES 1000 /* each one lost means that the future moved on meanwhile */

static void future_read(struct request *r);

static void reply_shown(struct request *r)
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

static void revived(struct request *r)
{
    int rc = r->op.base.rc;
    request_take_task(r);
    task_release(&r->callback); /* read again, as it stands */
    if (rc == FUT_ERR_STALE && ++r->tries < TRIES)
        request_get(r, r->task.spec->id, future_read);
    else if (rc == FUT_ERR_CONFLICT)
        refuse_unique(r);
    else if (rc != 0)
        request_fail(r, rc);
    else
        show_gather(r, reply_shown);
}

static void revive(struct request *r)
{
    struct task_change change;
    FUT_MUST(task_apply(&r->task, EVENT_REVIVE, NULL, &change) == 0);
    request_revive(r, &change, revived);
}

/* A callback that is deleted already is not called again. */
static void callback_read(struct request *r)
{
    if (r->op.base.rc == 0)
        callback_task_renew(&r->callback, &r->op.get.task);
    if (r->op.base.rc == 0 || r->op.base.rc == FUT_ERR_NOT_FOUND)
        revive(r);
    else
        request_fail(r, r->op.base.rc);
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

static void future_read(struct request *r)
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
    if (!r->task.spec->callback.hi) {
        revive(r);
        return;
    }
    rc = request_try_get_whole(r, r->task.spec->callback, callback_read);
    if (rc != 0)
        request_fail(r, rc);
}

void future_retry_post(struct request *r)
{
    struct task_id id;
    if (futures_read_id(r, &id))
        request_get(r, id, future_read);
}
