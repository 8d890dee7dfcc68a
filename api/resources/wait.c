#include "api/resources/wait.h"

#include "api/http/loop.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/idempotency.h"
#include "api/resources/version.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/number.h"

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
    if (arg && !number_parse_seconds(arg, PARAMS_WAIT_MAX_MS, &ms))
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

void wait_open(struct request *r, struct task_id id)
{
    if (!r->wait_ms || atomic_load(&r->api->is_released))
        return;
    r->link.id = id;
    r->wait_until_mono_ms = clock_mono_ms() + r->wait_ms;
    r->wait_refused = !waiter_open(
        &r->api->waiters, &r->waiter, &r->link, 1,
        &(struct waiter_wish){.need = 1, .wants_news = r->watches, .wake = request_wake});
}

static void woken(struct request *r);

/* Whoever watches sees versions; a report that changed none is slept over. */
static bool sleeps_on(struct request *r)
{
    return r->watches && !r->is_hung_up && clock_mono_ms() < r->wait_until_mono_ms &&
           !atomic_load(&r->api->is_released);
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
    if (r->op.base.rc == 0 && sleeps_on(r))
        wait_go_on(r, r->after_wait);
    else
        r->after_wait(r);
}

static void stop_listening(struct request *r)
{
    bool is_done;
    if (!r->watches)
        waiter_unlink(&r->api->waiters, &r->waiter);
    while (r->watches && waiter_take_news(&r->api->waiters, &r->waiter, &is_done))
        ;
}

/* Woken by the end of the task, a report, the deadline, a hang-up, or a release. */
static void woken(struct request *r)
{
    stop_listening(r);
    if (!r->watches && r->link.is_done && r->waiter.task.spec) {
        task_release(&r->task);
        r->task = r->waiter.task;
        r->waiter.task = (struct task){0};
        r->reported_is_known = false;
        r->after_wait(r);
    } else if (r->is_hung_up || request_try_get(r, r->task.spec->id, reread) != 0) {
        r->after_wait(r); /* a hang-up: what is known is good enough, nobody reads it */
    }
}

void wait_go_on(struct request *r, request_step *after)
{
    int64_t remaining = r->wait_until_mono_ms - clock_mono_ms();
    bool is_news = task_state_is_final(r->task.state) || (r->watches && !version_is_known(r));
    r->after_wait = after;
    if (r->waiter.is_open && !is_news)
        sleep_until_woken(r, remaining > 0 ? remaining : 0, woken);
    else
        after(r);
}

static void first_read(struct request *r)
{
    if (r->op.base.rc == FUT_ERR_NOT_FOUND && (r->route->flags & ROUTE_SUBMITS)) {
        idempotency_refuse_deleted(r, "future");
        return;
    }
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

/* "wait=30", "wait=0.500": in the arena. */
static const char *applied(struct request *r)
{
    struct buf text = BUF_INIT;
    int rest = (int)(r->wait_ms % 1000);
    buf_puts(&text, "wait=");
    buf_put_int(&text, r->wait_ms / 1000);
    if (rest)
        buf_printf(&text, ".%03d", rest);
    const char *copy = arena_strndup(&r->arena, text.data, text.len);
    buf_release(&text);
    return copy;
}

void wait_add_headers(struct request *r)
{
    if (r->wait_refused) {
        request_add_retry_after(r, 1);
    } else if (r->wait_from_prefer) {
        request_add_header(r, "Preference-Applied", applied(r));
    }
}
