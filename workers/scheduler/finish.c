/* finish: what the end of an attempt means for its task, and telling the store, again and again if
 * need be; the record is kept until the store knows. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/limit.h"
#include "workers/scheduler/internal.h"

#define RELEASE_LOG_MS 100 /* at level debug alone */
#define WARN_EVERY_MS 10000

/* ---- the end of the record ---- */

static void free_deferred(struct loop_deferred *deferred)
{
    attempt_free(FUT_CONTAINER(deferred, struct attempt, deferred));
}

static void forget(struct attempt *a)
{
    attempt_move(a, ATTEMPT_GONE);
    loop_defer(a->s->loop, &a->deferred, free_deferred);
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
             LOG_STR("code", code ? code : end_code_text(END_OK)));
}

static void log_saved(const struct attempt *a)
{
    enum task_state state = a->apply.change.to_state;
    const char *code = a->outcome ? a->outcome->code : NULL;
    if (task_state_is_final(state))
        log_end(a, "task_done", state, code);
    else if (a->apply.change.suspends)
        log_end(a, "task_suspended", state, "suspended");
    else if (a->stop == STOP_DEFERRED || (a->gate && state == TASK_SCHEDULED))
        log_end(a, "task_deferred", state, "deferred");
    else if (state == TASK_SCHEDULED)
        log_end(a, "task_retry", state, code);
    else
        log_end(a, "task_released", state, end_code_text(END_RELEASED));
}

static void log_refused(const struct attempt *a, int rc)
{
    char id[ID_TEXT_SIZE];
    id_format(a->apply.task.spec->id, id);
    log_warn("finish_lost", LOG_STR("task", id), LOG_STR("error", fut_err_name(rc)));
}

/* ---- posting ---- */

/* The first one at once, then one line for all. */
static void warn_of_failures(struct scheduler *s, const struct attempt *a, int rc)
{
    int64_t now_ms = clock_mono_ms();
    size_t waiting = 0;
    s->unwarned++;
    if (now_ms < s->warn_mono_ms)
        return;
    for_each_lane (l)
        waiting += s->lanes[l].in[ATTEMPT_SAVING].len + s->lanes[l].in[ATTEMPT_UNSAVED].len;
    log_warn("finish_failed", LOG_STR("error", fut_err_name(rc)),
             LOG_INT("again_ms", a->save_pause_ms), LOG_INT("waiting", waiting),
             LOG_INT("failures", s->unwarned));
    s->warn_mono_ms = now_ms + WARN_EVERY_MS;
    s->unwarned = 0;
}

static void try_later(struct attempt *a, int rc)
{
    atomic_store(&attempt_slots(a)->unsaved_rc, rc); /* before the number that it belongs to */
    attempt_move(a, ATTEMPT_UNSAVED);
    warn_of_failures(a->s, a, rc);
}

static void compute_change(struct attempt *a);
static void post(struct attempt *a);

static void on_answer(struct attempt *a, int rc)
{
    a->s->posted--;
    if (report_may_repeat(rc)) {
        try_later(a, rc);
        return;
    }
    if (a->suspension && (rc == FUT_ERR_INVAL || rc == FUT_ERR_CONFLICT)) {
        a->outcome = suspension_refuse(a, rc);
        a->class = RUN_NEVER;
        compute_change(a);
        post(a);
        return;
    }
    if (rc == 0)
        log_saved(a);
    else if (rc == FUT_ERR_STALE || rc == FUT_ERR_NOT_FOUND)
        log_debug("finish_stale", LOG_INT("key", a->apply.task.spec->id.hi));
    else
        log_refused(a, rc);
    forget(a);
}

static void on_answer_item(struct mailbox_call *item)
{
    struct attempt *a = FUT_CONTAINER(item, struct attempt, item);
    on_answer(a, a->apply.op.rc);
}

/* The store's writer thread. That a change went well is no reason to wake anybody: a commit ends
 * many attempts and often brings new tasks, which come last. */
static void apply_done(struct store_op *op)
{
    struct attempt *a = FUT_CONTAINER(op, struct attempt, apply.op);
    a->item.fn = on_answer_item;
    (op->rc == 0 ? mailbox_push_quietly : mailbox_push)(&a->s->inbox, &a->item.link);
}

/* What it said last goes first: when the future is done its log is complete. */
static void post(struct attempt *a)
{
    attempt_move(a, ATTEMPT_SAVING);
    a->s->posted++;
    report_flush(&a->report);
    int rc = store_post(a->s->cfg.store, &store_verb_apply, &a->apply.op, apply_done);
    if (rc != 0)
        on_answer(a, rc);
}

/* ---- what the end means ---- */

/* Takes o, whose log and costs it keeps. */
static struct task_outcome *replace(struct task_outcome *o, const char *code, const char *message,
                                    uint64_t cpu_ms)
{
    struct task_outcome *now =
        task_outcome_new(&(struct task_outcome){.code = code,
                                                .message = message,
                                                .exit_code = -1,
                                                .max_rss_kib = o ? o->max_rss_kib : 0,
                                                .cpu_ms = !cpu_ms && o ? o->cpu_ms : cpu_ms,
                                                .log = o ? o->log : "",
                                                .log_len = o ? o->log_len : 0});
    task_outcome_unref(o);
    return now;
}

/* Is it given back although code of it ran that must not run again? */
static bool is_abandoned(const struct attempt *a)
{
    return a->stop == STOP_RELEASED && a->apply.task.spec->once && a->started_mono_us &&
           !a->never_began;
}

/* Takes o. Why the attempt was stopped counts, however it ended after that. */
static struct task_outcome *outcome_of(const struct attempt *a, struct task_outcome *o)
{
    char message[LIMITS_MESSAGE_SIZE];
    if (a->stop == STOP_LIMIT) {
        limits_message(&a->handler->exec->limits, a->met, message);
        return replace(o, limits_code(a->met), message, a->met_at_cpu_ms);
    }
    if (is_abandoned(a) && a->class != RUN_SUCCESS && a->class != RUN_SUSPENDED)
        return replace(o, end_code_text(END_DAEMON_DIED),
                       "the daemon ended during the attempt, and the task runs once", 0);
    if (a->stop != STOP_TIMEOUT)
        return o;
    (void)snprintf(message, sizeof(message), "the attempt did not end within its timeout of %.3g s",
                   (double)a->apply.task.spec->timeout_ms / 1000.0);
    return replace(o, end_code_text(END_TIMEOUT), message, 0);
}

/* When a failure is tried again: the task's word, then its handler's, then the default. */
static struct retry_policy policy_of(const struct attempt *a)
{
    static const struct retry_policy unsaid;
    return retry_merge(&a->apply.task.spec->retry, a->handler ? &a->handler->info.retry : &unsaid);
}

/* A failure that the policy wants tried again is as good as a temporary one. */
static enum task_event event_of_failure(const struct attempt *a)
{
    struct retry_policy p = policy_of(a);
    unsigned end = a->outcome && a->outcome->code ? end_code_retry_on(a->outcome->code) : 0;
    return p.on & end ? EVENT_RETRY : EVENT_FAIL;
}

static enum task_event event_of(const struct attempt *a)
{
    bool true_success = a->class == RUN_SUCCESS && a->kind && a->kind->keeps_success;
    bool suspends = a->class == RUN_SUSPENDED;
    if (a->stop == STOP_RELEASED && !true_success && !suspends)
        return is_abandoned(a) ? EVENT_FAIL : EVENT_RELEASE;
    if (a->stop == STOP_DEFERRED)
        return EVENT_DEFER;
    if (a->stop == STOP_TIMEOUT || a->stop == STOP_LIMIT)
        return event_of_failure(a);
    switch (a->class) {
    case RUN_SUCCESS: return EVENT_SUCCEED;
    case RUN_TEMPORARY: return EVENT_RETRY;
    case RUN_SUSPENDED: return EVENT_SUSPEND;
    case RUN_FAILED: return event_of_failure(a);
    case RUN_NEVER:
    case RUN_NONE: return EVENT_FAIL;
    }
    FUT_BUG("class of an attempt");
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
    (void)log_flush(RELEASE_LOG_MS);
}

/* ---- a host that asks to be left alone ---- */

/* The key under which the task names this limit, or NULL. */
static const char *named_key(const struct task_limits *named, const char *limit)
{
    for (size_t i = 0; i < named->n; i++) {
        if (strcmp(named->items[i].name, limit) == 0)
            return named->items[i].key;
    }
    return NULL;
}

/* Closes the limit of the host with this end, when it is defined. The task's own failure is the
 * host's wish then: it goes back uncharged, to wait at the limit, or for as long when it does not
 * name the limit. */
static enum task_event heed_host(struct attempt *a, enum task_event ev)
{
    const char *limit = a->kind == &attempt_thread_kind ? a->as.thread.run.asked_by : NULL;
    struct task_limits named = {.n = 0};
    bool per_key;
    if (!limit || !store_limit_find(a->s->cfg.store, limit, &per_key))
        return ev;
    if (a->apply.task.spec->limits && task_limits_read(a->apply.task.spec->limits, &named) != 0)
        return ev;
    const char *key = named_key(&named, limit);
    if (!key && per_key)
        return ev;
    a->gate = xnew(struct task_limit);
    (void)snprintf(a->gate->name, sizeof(a->gate->name), "%s", limit);
    (void)snprintf(a->gate->key, sizeof(a->gate->key), "%s", key ? key : "");
    a->apply.closes = a->gate;
    a->apply.closes_for_ms = a->retry_after_ms;
    log_info("limit_closed", LOG_STR("limit", a->gate->name), LOG_STR("key", a->gate->key),
             LOG_INT("ms", a->retry_after_ms));
    if (ev != EVENT_RETRY || a->stop != STOP_NONE || a->apply.task.spec->once)
        return ev;
    return key ? EVENT_RELEASE : EVENT_DEFER;
}

static void compute_change(struct attempt *a)
{
    struct task *t = &a->apply.task;
    a->outcome = outcome_of(a, a->outcome);
    enum task_event ev = heed_host(a, event_of(a));
    struct task_in in = {.outcome = a->outcome};
    if (ev == EVENT_RETRY) {
        struct retry_policy p = policy_of(a);
        in.due_in_ms = retry_wait_ms(&p, t->attempt - t->earlier_attempts, next_random(a->s));
        if (in.due_in_ms < a->retry_after_ms)
            in.due_in_ms = a->retry_after_ms;
    }
    if (ev == EVENT_DEFER || ev == EVENT_SUSPEND)
        in.due_in_ms = a->retry_after_ms;
    if (task_apply(t, ev, &in, &a->apply.change) != 0)
        FUT_BUG("a claimed task is not running");
    if (ev == EVENT_RELEASE || ev == EVENT_DEFER || ev == EVENT_SUSPEND)
        log_release(a);
}

static void finish(struct attempt *a)
{
    bool is_new = a->save_pause_ms == 0;
    if (a->stop == STOP_CANCELLED) { /* the store knows */
        log_end(a, "task_done", TASK_CANCELLED, end_code_text(END_CANCELLED));
        forget(a);
        return;
    }
    if (is_new)
        compute_change(a);
    post(a);
}

void finish_ended(struct scheduler *s)
{
    for_each_lane (l) {
        for (struct attempt *a; (a = attempt_first(&s->lanes[l], ATTEMPT_ENDED)) != NULL;)
            finish(a);
    }
}
