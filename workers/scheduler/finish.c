/* finish: an attempt is over; the store must know, and the record is kept until it does. */
#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define RETRY_FIRST_MS 1000
#define RETRY_LAST_MS 30000

static void bury(struct loop_dead *dead)
{
    attempt_free(FUT_CONTAINER(dead, struct attempt, dead));
}

static struct lane_slots *slots_of(const struct attempt *a)
{
    return &a->s->lanes[a->apply.task.spec->lane];
}

static void forget(struct attempt *a)
{
    if (a->retry_ms)
        (void)atomic_fetch_sub(&slots_of(a)->unsaved, 1);
    list_remove(&a->s->finishing, &a->link);
    loop_defer(a->s->loop, &a->dead, bury);
}

static void log_end(const struct attempt *a, const char *event, enum task_state state,
                    const char *code)
{
    const struct task_spec *spec = a->apply.task.spec;
    char id[ID_TEXT_SIZE];
    if (!log_wants(LOG_LEVEL_INFO))
        return;
    id_format(spec->id, id);
    log_info(event, LOG_STR("task", id), LOG_STR("handler", spec->handler),
             LOG_STR("lane", lane_name(spec->lane)), LOG_INT("attempt", a->apply.task.attempt),
             LOG_STR("state", task_state_name(state)), LOG_INT("ms", a->ran_ms),
             LOG_STR("code", code ? code : "ok"));
}

static void log_settled(const struct attempt *a)
{
    enum task_state state = a->apply.change.to_state;
    const char *code = a->outcome ? a->outcome->code : NULL;
    if (task_state_is_final(state))
        log_end(a, "task_done", state, code);
    else if (state == TASK_SCHEDULED)
        log_end(a, "task_retry", state, code);
    else
        log_end(a, "task_released", state, "released");
}

static void log_lost(const struct attempt *a, int rc)
{
    char id[ID_TEXT_SIZE];
    id_format(a->apply.task.spec->id, id);
    log_warn("finish_lost", LOG_STR("task", id), LOG_STR("error", fut_err_name(rc)));
}

static void post(struct attempt *a);

static void on_retry(struct loop_timer *t)
{
    post(FUT_CONTAINER(t, struct attempt, timer));
}

static void retry_later(struct attempt *a, int rc)
{
    atomic_store(&slots_of(a)->unsaved_rc, rc); /* before the number that it belongs to */
    if (a->retry_ms == 0)
        (void)atomic_fetch_add(&slots_of(a)->unsaved, 1);
    a->retry_ms = backoff_next_ms(a->retry_ms, RETRY_FIRST_MS, RETRY_LAST_MS);
    a->timer.fn = on_retry;
    loop_timer_set(a->s->loop, &a->timer, clock_mono_ms() + a->retry_ms);
    log_warn("finish_failed", LOG_STR("error", fut_err_name(rc)), LOG_INT("again_ms", a->retry_ms),
             LOG_INT("waiting", a->s->finishing.len));
}

static bool may_pass(int rc)
{
    return rc == FUT_ERR_IO || rc == FUT_ERR_NO_SPACE || rc == FUT_ERR_READ_ONLY ||
           rc == FUT_ERR_FULL || rc == FUT_ERR_BUSY;
}

static void settled(struct attempt *a, int rc)
{
    a->s->posted--;
    if (may_pass(rc)) {
        retry_later(a, rc);
        return;
    }
    if (rc == 0)
        log_settled(a);
    else if (rc == FUT_ERR_STALE || rc == FUT_ERR_NOT_FOUND)
        log_debug("finish_stale", LOG_INT("key", a->apply.task.spec->id.hi));
    else
        log_lost(a, rc);
    forget(a);
}

static void on_settled(struct inbox_item *item)
{
    struct attempt *a = FUT_CONTAINER(item, struct attempt, item);
    settled(a, a->apply.op.rc);
}

/* The store's writer thread. That it went well is no reason to wake anybody: a commit ends many,
 * and often brings new tasks, which come last. */
static void apply_done(struct store_op *op)
{
    struct attempt *a = FUT_CONTAINER(op, struct attempt, apply.op);
    a->item.fn = on_settled;
    (op->rc == 0 ? inbox_push_quietly : inbox_push)(&a->s->inbox, &a->item);
}

/* What it said last comes first: when the future is done its log is complete. */
static void post(struct attempt *a)
{
    a->s->posted++;
    report_flush(&a->report);
    int rc = store_apply(a->s->cfg.store, &a->apply, apply_done);
    if (rc != 0)
        settled(a, rc);
}

static uint32_t next_random(struct scheduler *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random;
}

/* Before it is done, and at once: this number may run again, and no other. */
static void log_release(const struct attempt *a)
{
    char id[ID_TEXT_SIZE];
    if (!log_wants(LOG_LEVEL_DEBUG))
        return;
    id_format(a->apply.task.spec->id, id);
    log_debug("task_releases", LOG_STR("task", id), LOG_INT("attempt", a->apply.task.attempt));
    log_flush();
}

void finish_post(struct attempt *a, enum task_event ev)
{
    struct task *t = &a->apply.task;
    struct task_in in = {.outcome = a->outcome};
    if (ev == EVENT_RETRY) {
        struct retry_policy p = attempt_policy(a);
        in.due_in_ms = retry_wait_ms(&p, t->attempt - t->past, next_random(a->s));
    }
    if (task_apply(t, ev, &in, &a->apply.change) != 0)
        FUT_BUG("a claimed task is not running");
    if (ev == EVENT_RELEASE)
        log_release(a);
    list_push_back(&a->s->finishing, &a->link);
    post(a);
}

void finish_quietly(struct attempt *a)
{
    log_end(a, "task_done", TASK_CANCELLED, "cancelled");
    list_push_back(&a->s->finishing, &a->link);
    forget(a);
}
