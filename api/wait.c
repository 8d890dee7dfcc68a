#include "api/wait.h"

#include <stdio.h>

#include "api/http_loop.h"
#include "api/params.h"
#include "api/server_internal.h"
#include "core/mem.h"

static bool refuse(struct request *r, enum problem_code code, const char *name, const char *value)
{
    struct problem p;
    problem_set(&p, code, "\"%s\" must be a number of seconds such as 30 or 0.5, not \"%.64s\".",
                name, value);
    problem_set_parameter(&p, name);
    request_problem(r, &p);
    return false;
}

bool wait_parse(struct request *r)
{
    const char *arg = request_arg(r, "wait");
    const char *prefer = arg ? NULL : http_header(r, "Prefer");
    int64_t ms = 0;
    if (arg && !params_seconds(arg, &ms))
        return refuse(r, PROBLEM_INVALID_PARAMETER, "wait", arg);
    if (prefer) {
        int rc = params_prefer_wait(prefer, &ms);
        if (rc == FUT_ERR_INVAL)
            return refuse(r, PROBLEM_INVALID_HEADER, "Prefer: wait", prefer);
        r->wait_from_prefer = rc == 0;
    }
    r->wait_ms = ms < r->api->cfg.max_wait_ms ? ms : r->api->cfg.max_wait_ms;
    return true;
}

static void wake(struct waiter *w)
{
    struct request *r = FUT_CONTAINER(w, struct request, waiter);
    http_loop_wake(r->loop, r);
}

void wait_open(struct request *r, struct task_id id)
{
    if (!r->wait_ms || atomic_load(&r->api->is_released))
        return;
    r->link.id = id;
    r->wait_refused = !waiter_open(&r->api->waiters, &r->waiter, &r->link, 1, 1, wake);
}

/* The end of a wait is never an error: when the store cannot tell (it is stopping), what is known
 * is the answer. Only a future that was deleted meanwhile is gone. */
static void reread(struct request *r)
{
    if (r->op.base.rc == FUT_ERR_NOT_FOUND) {
        request_fail(r, FUT_ERR_NOT_FOUND);
        return;
    }
    if (r->op.base.rc == 0)
        request_take_task(r);
    r->after_wait(r);
}

/* Woken by the end of the task, the deadline, a hang-up, or a release. */
static void woken(struct request *r)
{
    waiter_unlink(&r->api->waiters, &r->waiter);
    if (r->link.is_done && r->link.task.spec) {
        task_release(&r->task);
        r->task = r->link.task;
        r->link.task = (struct task){0};
        r->after_wait(r);
    } else if (r->is_hung_up || request_try_get(r, r->task.spec->id, reread) != 0) {
        r->after_wait(r); /* a hang-up: what is known is good enough, nobody reads it */
    }
}

void wait_go_on(struct request *r, request_step *after)
{
    r->after_wait = after;
    if (r->waiter.is_open && !task_state_is_final(r->task.state))
        request_sleep(r, r->wait_ms, woken);
    else
        after(r);
}

static void first_read(struct request *r)
{
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    request_take_task(r);
    wait_go_on(r, r->after_wait);
}

void wait_read(struct request *r, struct task_id id, request_step *after)
{
    wait_open(r, id);
    r->after_wait = after;
    request_get(r, id, first_read);
}

void wait_add_headers(struct request *r)
{
    if (r->wait_refused) {
        request_add_retry_after(r, 1);
    } else if (r->wait_from_prefer) {
        int rest = (int)(r->wait_ms % 1000);
        (void)snprintf(r->applied, sizeof(r->applied), rest ? "wait=%lld.%03d" : "wait=%lld",
                       (long long)(r->wait_ms / 1000), rest);
        request_add_header(r, "Preference-Applied", r->applied);
    }
}
