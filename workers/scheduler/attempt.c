/* attempt: one run of a task, from its claim to its outcome. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

static enum lane lane_of(const struct attempt *a)
{
    return a->apply.task.spec->lane;
}

static void occupy(struct attempt *a)
{
    struct lane_slots *lane = &a->s->lanes[lane_of(a)];
    atomic_fetch_add_explicit(&lane->busy, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lane->started, 1, memory_order_relaxed);
    list_push_back(&a->s->running, &a->link);
    a->started_mono_us = clock_mono_us();
}

static void free_slot(struct attempt *a)
{
    int64_t ran_us = clock_mono_us() - a->started_mono_us;
    atomic_fetch_sub_explicit(&a->s->lanes[lane_of(a)].busy, 1, memory_order_relaxed);
    list_remove(&a->s->running, &a->link);
    a->ran_ms = ran_us / 1000;
    if (a->stop == STOP_NONE)
        ready_measure(a->s, lane_of(a), ran_us);
}

static void vacate(struct attempt *a)
{
    if (a->started_mono_us)
        free_slot(a);
    else if (a->ready)
        list_remove(a->ready, &a->link);
    a->ready = NULL;
    if (a->program)
        a->program->claimed--;
    a->s->suspects -= a->apply.task.lost > 0;
    map_remove(&a->s->by_id, &a->by_id);
    loop_timer_clear(a->s->loop, &a->timer);
}

static void on_deadline(struct loop_timer *t)
{
    attempt_stop(FUT_CONTAINER(t, struct attempt, timer), STOP_TIMEOUT);
}

static void on_kill(struct loop_timer *t)
{
    struct attempt *a = FUT_CONTAINER(t, struct attempt, timer);
    a->kind->stop(a, SIGKILL);
}

static void watch_deadline(struct attempt *a)
{
    a->timer.fn = on_deadline;
    loop_timer_set(a->s->loop, &a->timer,
                   a->started_mono_us / 1000 + a->apply.task.spec->timeout_ms);
}

static void run(struct attempt *a)
{
    const struct task_spec *spec = a->apply.task.spec;
    a->kind = attempt_kind_of(a->handler, spec->lane);
    watch_deadline(a);
    a->kind->start(a);
}

static struct task_outcome *unknown_handler(const char *name)
{
    char message[TASK_HANDLER_MAX + 64];
    (void)snprintf(message, sizeof(message), "no handler is called \"%.*s\" any more",
                   TASK_HANDLER_MAX, name);
    return task_outcome_error("unknown_handler", message);
}

/* Whose turn it is next (claim_ranks). */
static void count_claimed(struct attempt *a)
{
    struct scheduler *s = a->s;
    s->served++;
    if (a->program) {
        a->program->claimed++;
        a->program->served = s->served;
    } else {
        s->lanes[lane_of(a)].others_served = s->served;
    }
}

struct attempt *attempt_new(struct scheduler *s, const struct task *task)
{
    struct attempt *a = xnew(struct attempt);
    a->s = s;
    a->apply.task = *task;
    a->handlers = handlers_ref(s->handlers);
    a->handler = handlers_find(a->handlers, task->spec->handler);
    if (a->handler && a->handler->is_worker)
        a->program = worker_set_program(s->workers, a->handler);
    count_claimed(a);
    s->suspects += task->lost > 0;
    map_put(&s->by_id, &a->by_id, task->spec->id.hi);
    report_init(&a->report, s->cfg.store, s->loop, &s->inbox, task);
    return a;
}

static void log_start(const struct attempt *a)
{
    const struct task_spec *spec = a->apply.task.spec;
    char id[ID_TEXT_SIZE];
    if (!log_wants(LOG_LEVEL_INFO))
        return;
    id_format(spec->id, id);
    log_info("task_started", LOG_STR("task", id), LOG_STR("handler", spec->handler),
             LOG_STR("lane", lane_name(spec->lane)), LOG_INT("attempt", a->apply.task.attempt),
             LOG_INT("age_ms", clock_wall_ms() - spec->created_wall_ms));
}

void attempt_begin(struct attempt *a)
{
    const char *handler = a->apply.task.spec->handler;
    occupy(a);
    log_start(a);
    if (a->handler)
        run(a);
    else
        attempt_end(a, RUN_FAILED, unknown_handler(handler));
}

void attempt_begun(struct attempt *a)
{
    list_remove(a->ready, &a->link);
    a->ready = NULL;
    occupy(a);
    log_start(a);
    watch_deadline(a);
}

static void stop_running(struct attempt *a, int signal)
{
    a->timer.fn = on_kill;
    loop_timer_set(a->s->loop, &a->timer, clock_mono_ms() + a->s->cfg.kill_grace_ms);
    a->kind->stop(a, signal);
}

static bool is_ahead(const struct attempt *a)
{
    return a->ready && a->ready == &a->s->lanes[lane_of(a)].ahead;
}

/* Nobody has it after that, or it runs, or its worker had answered for it. */
static bool was_over_already(struct attempt *a)
{
    return !worker_process_withdraw(&a->as.worker) && !map_is_linked(&a->by_id);
}

void attempt_stop(struct attempt *a, enum stop_reason reason)
{
    if (a->stop != STOP_NONE || (is_ahead(a) && was_over_already(a)))
        return;
    a->stop = reason;
    if (a->started_mono_us)
        stop_running(a, SIGTERM);
    else
        attempt_end(a, RUN_NONE, NULL);
}

/* Time is no danger to others: the attempt may put its things in order. What writes without end
 * would go on with that. */
void attempt_over(struct attempt *a, enum limit_kind limit, uint64_t cpu_ms)
{
    if (a->stop != STOP_NONE)
        return;
    a->stop = STOP_LIMIT;
    a->met = limit;
    a->met_at_cpu_ms = cpu_ms;
    stop_running(a, limit == LIMIT_CPU ? SIGTERM : SIGKILL);
}

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

/* Takes o. Why it was stopped counts, however it ended after that. */
static struct task_outcome *outcome_of(const struct attempt *a, struct task_outcome *o)
{
    char message[LIMITS_MESSAGE_SIZE];
    if (a->stop == STOP_LIMIT) {
        limits_message(&a->handler->exec->limits, a->met, message);
        return replace(o, limits_code(a->met), message, a->met_at_cpu_ms);
    }
    if (a->stop != STOP_TIMEOUT)
        return o;
    (void)snprintf(message, sizeof(message), "the attempt did not end within its timeout of %.3g s",
                   (double)a->apply.task.spec->timeout_ms / 1000.0);
    return replace(o, "timeout", message, 0);
}

struct retry_policy attempt_policy(const struct attempt *a)
{
    static const struct retry_policy unsaid;
    return retry_merge(&a->apply.task.spec->retry, a->handler ? &a->handler->info.retry : &unsaid);
}

/* A failure that the policy wants tried again is as good as a temporary one. */
static enum task_event event_of_failure(const struct attempt *a)
{
    struct retry_policy p = attempt_policy(a);
    unsigned end = a->outcome && a->outcome->code ? retry_end_of(a->outcome->code) : 0;
    return p.on & end ? EVENT_RETRY : EVENT_FAIL;
}

static enum task_event event_of(const struct attempt *a, enum run_class class)
{
    bool true_success = class == RUN_SUCCESS && a->kind && a->kind->keeps_success;
    if (a->stop == STOP_RELEASED && !true_success)
        return EVENT_RELEASE;
    if (a->stop == STOP_TIMEOUT || a->stop == STOP_LIMIT)
        return event_of_failure(a);
    switch (class) {
    case RUN_SUCCESS: return EVENT_SUCCEED;
    case RUN_TEMPORARY: return EVENT_RETRY;
    case RUN_FAILED: return event_of_failure(a);
    case RUN_NEVER:
    case RUN_NONE: return EVENT_FAIL;
    }
    FUT_BUG("class of an attempt");
}

void attempt_end(struct attempt *a, enum run_class class, struct task_outcome *outcome)
{
    vacate(a);
    a->outcome = outcome_of(a, outcome);
    if (a->stop == STOP_CANCELLED)
        finish_quietly(a);
    else
        finish_post(a, event_of(a, class));
}

struct attempt *attempt_find(struct scheduler *s, struct task_id id, uint32_t number)
{
    for (struct map_node *n = map_get(&s->by_id, id.hi); n; n = map_next_same(n)) {
        struct attempt *a = FUT_CONTAINER(n, struct attempt, by_id);
        if (id_equal(a->apply.task.spec->id, id) && a->apply.task.attempt == number)
            return a;
    }
    return NULL;
}

void attempt_free(struct attempt *a)
{
    if (a->kind)
        a->kind->release(a);
    loop_timer_clear(a->s->loop, &a->timer);
    report_release(&a->report);
    task_outcome_unref(a->outcome);
    task_release(&a->apply.task);
    handlers_unref(a->handlers);
    free(a);
}

void attempt_release_orphans(struct scheduler *s)
{
    struct list_node *next;
    for (struct list_node *n = list_first(&s->running); n; n = next) {
        struct attempt *a = FUT_CONTAINER(n, struct attempt, link);
        next = list_next(&s->running, n);
        if (!a->kind->needs_fork_server)
            continue;
        a->kind->abandon(a);
        next = list_next(&s->running, n); /* its worker may have begun another one */
        if (a->stop == STOP_NONE)
            a->stop = STOP_RELEASED;
        attempt_end(a, RUN_NONE, NULL);
    }
}
