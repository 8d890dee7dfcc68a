/* attempt: one run of a task, from its claim until the store knows how it ended. */
#include <signal.h>
#include <stdlib.h>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/scheduler/internal.h"

#define SAVE_PAUSE_FIRST_MS 1000
#define SAVE_PAUSE_LAST_MS 2000
#define DEFER_FIRST_MS 1000
#define DEFER_STEP_MS 20 /* between two that are deferred one after the other */
#define DEFER_LAST_MS 60000
#define WEIGHT 8 /* of one attempt in the average of how long they run: an eighth */

/* ---- where it stands ---- */

#define TO(state) (1u << (ATTEMPT_##state))

static const unsigned transitions[ATTEMPT_STATE_COUNT] = {
    [ATTEMPT_NEW] = TO(BLOCKED) | TO(WAITING) | TO(SUSPECT) | TO(PENDING),
    [ATTEMPT_BLOCKED] = TO(WAITING) | TO(SUSPECT) | TO(PENDING) | TO(ENDED),
    [ATTEMPT_WAITING] = TO(OFFERED) | TO(RUNNING) | TO(ENDED),
    [ATTEMPT_SUSPECT] = TO(RUNNING) | TO(ENDED),
    [ATTEMPT_PENDING] = TO(RUNNING) | TO(ENDED),
    [ATTEMPT_OFFERED] = TO(WAITING) | TO(RUNNING),
    [ATTEMPT_RUNNING] = TO(STOPPING) | TO(ENDED),
    [ATTEMPT_STOPPING] = TO(ENDED),
    [ATTEMPT_ENDED] = TO(SAVING) | TO(GONE),
    [ATTEMPT_SAVING] = TO(SAVING) | TO(UNSAVED) | TO(GONE),
    [ATTEMPT_UNSAVED] = TO(ENDED),
};

/* The states that have a property, as sets. */
#define UNBEGUN (TO(BLOCKED) | TO(WAITING) | TO(SUSPECT) | TO(PENDING))
#define CLAIMED (UNBEGUN | TO(OFFERED) | TO(RUNNING) | TO(STOPPING))
#define READY (TO(WAITING) | TO(SUSPECT) | TO(PENDING) | TO(OFFERED))
#define BUSY (TO(RUNNING) | TO(STOPPING))

static bool enters(unsigned set, enum attempt_state from, enum attempt_state to)
{
    return !(set & 1u << from) && (set & 1u << to);
}

static void count_claimed(struct attempt *a)
{
    struct scheduler *s = a->s;
    s->suspects += a->apply.task.daemon_deaths > 0;
    map_put(&s->by_id, &a->by_id, a->id.hi);
    if (a->program)
        a->program->claimed++;
}

static void count_ended(struct attempt *a)
{
    a->s->suspects -= a->apply.task.daemon_deaths > 0;
    map_remove(&a->s->by_id, &a->by_id);
    if (a->program)
        a->program->claimed--;
}

/* Puts `to` in the callback's slot that has `from`. */
static void change_callback_slot(struct lane_slots *lane, const struct attempt *from,
                                 struct attempt *to)
{
    uint32_t i = 0;
    while (i < CALLBACK_SLOTS && lane->callbacks[i] != from)
        i++;
    FUT_ASSERT(i < CALLBACK_SLOTS);
    lane->callbacks[i] = to;
    lane->callbacks_running += to ? 1u : -1u;
}

static void take_slot(struct attempt *a)
{
    struct lane_slots *lane = attempt_slots(a);
    if (a->is_callback)
        change_callback_slot(lane, NULL, a);
    else
        atomic_fetch_add_explicit(&lane->busy, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lane->started, 1, memory_order_relaxed);
    session_slots_take(a);
    a->started_mono_us = clock_mono_us();
}

void attempt_lend(struct attempt *a, bool waits)
{
    if (a->is_lent == waits || !(BUSY & 1u << a->state))
        return;
    a->is_lent = waits;
    (void)atomic_fetch_add_explicit(&attempt_slots(a)->lent, waits ? 1u : -1u,
                                    memory_order_relaxed);
    if (a->kind->lend)
        a->kind->lend(a, waits);
}

static void free_slot(struct attempt *a)
{
    struct lane_slots *lane = attempt_slots(a);
    int64_t ended_us = a->ended_mono_us ? a->ended_mono_us : clock_mono_us();
    int64_t ran_us = ended_us - a->started_mono_us;
    a->ran_ms = ran_us / 1000;
    session_slots_free(a);
    if (a->is_callback) {
        change_callback_slot(lane, a, NULL);
        return;
    }
    atomic_fetch_sub_explicit(&lane->busy, 1, memory_order_relaxed);
    if (a->stop == STOP_NONE)
        lane->ran_us += (ran_us - lane->ran_us) / WEIGHT;
}

static void count(struct attempt *a, enum attempt_state from, enum attempt_state to)
{
    bool first_refusal = to == ATTEMPT_UNSAVED && !a->save_pause_ms;
    if (enters(CLAIMED, from, to))
        count_claimed(a);
    if (enters(BUSY, from, to))
        take_slot(a);
    if (enters(BUSY, to, from))
        free_slot(a);
    if (enters(CLAIMED, to, from))
        count_ended(a);
    if (first_refusal)
        (void)atomic_fetch_add(&attempt_slots(a)->unsaved, 1);
    if (to == ATTEMPT_UNSAVED)
        a->save_pause_ms =
            backoff_next_ms(a->save_pause_ms, SAVE_PAUSE_FIRST_MS, SAVE_PAUSE_LAST_MS);
    if (from == ATTEMPT_NEW)
        atomic_fetch_add_explicit(&attempt_slots(a)->claimed, 1, memory_order_relaxed);
    if (to == ATTEMPT_GONE && a->stop != STOP_CANCELLED)
        atomic_fetch_sub_explicit(&attempt_slots(a)->claimed, 1, memory_order_relaxed);
    if (to == ATTEMPT_GONE && a->save_pause_ms)
        (void)atomic_fetch_sub(&attempt_slots(a)->unsaved, 1);
}

static void on_time(struct loop_timer *t)
{
    struct attempt *a = FUT_CONTAINER(t, struct attempt, timer);
    if (a->state == ATTEMPT_RUNNING)
        attempt_stop(a, STOP_TIMEOUT);
    else if (a->state == ATTEMPT_STOPPING)
        a->kind->stop(a, SIGKILL);
    else if (a->state == ATTEMPT_PENDING)
        attempt_defer(a);
    else if (a->state == ATTEMPT_UNSAVED)
        attempt_move(a, ATTEMPT_ENDED);
}

static void set_timer(struct attempt *a)
{
    int64_t at_ms = 0;
    if (a->state == ATTEMPT_RUNNING)
        at_ms = a->started_mono_us / 1000 + a->apply.task.spec->timeout_ms;
    else if (a->state == ATTEMPT_STOPPING)
        at_ms = clock_mono_ms() + a->s->cfg.kill_grace_ms;
    else if (a->state == ATTEMPT_PENDING)
        at_ms = a->ready_mono_ms + CALLBACK_WAIT_MS;
    else if (a->state == ATTEMPT_UNSAVED)
        at_ms = clock_mono_ms() + a->save_pause_ms;
    a->timer.fn = on_time;
    if (at_ms)
        loop_timer_set(a->s->loop, &a->timer, at_ms);
    else
        loop_timer_clear(a->s->loop, &a->timer);
}

static void enlist(struct attempt *a, enum attempt_state from)
{
    struct lane_slots *lane = attempt_slots(a);
    if (from != ATTEMPT_NEW)
        list_remove(&lane->in[from], &a->link);
    if (a->state == ATTEMPT_GONE)
        return;
    if (from == ATTEMPT_OFFERED && a->state == ATTEMPT_WAITING)
        list_push_front(&lane->in[a->state], &a->link); /* it was among the first */
    else
        list_push_back(&lane->in[a->state], &a->link);
}

void attempt_move(struct attempt *a, enum attempt_state to)
{
    enum attempt_state from = a->state;
    FUT_ASSERT(transitions[from] & 1u << to);
    a->state = to;
    if (enters(READY, from, to))
        a->ready_mono_ms = clock_mono_ms();
    enlist(a, from);
    count(a, from, to);
    set_timer(a);
}

/* ---- life ---- */

static enum attempt_state state_when_free(const struct attempt *a)
{
    return a->apply.task.daemon_deaths ? ATTEMPT_SUSPECT
           : a->is_callback            ? ATTEMPT_PENDING
                                       : ATTEMPT_WAITING;
}

/* Nothing more keeps it from a slot, or something still does. */
static void unblock(struct attempt *a)
{
    if (!a->filling && !blocked_must_wait(a))
        attempt_move(a, state_when_free(a));
}

/* That the store cannot read is no fault of the task's. */
static void on_filled(struct attempt *a, int rc, struct task_outcome *refused)
{
    if (rc == 0) {
        unblock(a);
    } else if (rc == FUT_ERR_INVAL) {
        attempt_end(a, RUN_FAILED, refused);
    } else if (rc == FUT_ERR_CLOSED) {
        attempt_stop(a, STOP_RELEASED);
    } else {
        log_warn("fill_failed", LOG_STR("error", fut_err_name(rc)));
        attempt_defer(a);
    }
}

struct attempt *attempt_new(struct scheduler *s, const struct task *task)
{
    struct attempt *a = xnew(struct attempt);
    a->s = s;
    a->apply.task = *task;
    a->id = task->spec->id;
    a->number = task->attempt;
    a->handlers = handlers_ref(s->handlers);
    a->handler = handlers_find(a->handlers, task->spec->handler);
    if (a->handler && a->handler->is_worker)
        a->program = worker_set_program(s->workers, a->handler);
    a->is_callback = a->handler && a->handler->needs_parent && task->spec->lane == LANE_IO;
    if (a->is_callback)
        a->receiver = callback_receiver(task->spec->input, task->spec->input_len);
    report_init(&a->report, s->cfg.store, s->loop, &s->inbox, task);
    bool is_filled = filling_is_needed(task), is_blocked = is_filled || blocked_must_wait(a);
    attempt_move(a, is_blocked ? ATTEMPT_BLOCKED : state_when_free(a));
    if (is_filled)
        filling_post(a, on_filled);
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
    attempt_move(a, ATTEMPT_RUNNING);
    log_start(a);
}

void attempt_restart_clock(struct attempt *a)
{
    if (a->state != ATTEMPT_RUNNING)
        return;
    a->started_mono_us = clock_mono_us();
    set_timer(a);
}

void attempt_end_token(struct attempt *a)
{
    if (a->token)
        attempt_token_end(a->s->cfg.tokens, &a->token);
}

const char *attempt_give_token(struct attempt *a, char text[ATTEMPT_TOKEN_SIZE])
{
    struct attempt_tokens *tokens = a->s->cfg.tokens;
    const char *url = tokens ? attempt_token_url(tokens) : NULL;
    attempt_end_token(a); /* of a worker that did not begin it */
    const struct attempt_who who = {.task = a->apply.task.spec->id,
                                    .attempt = a->apply.task.attempt,
                                    .lane = attempt_lane(a),
                                    .owner = a,
                                    .takes_code = a->handler->info.takes_code};
    if (url)
        a->token = attempt_token_begin(tokens, &who, text);
    return url;
}

static void set_stop(struct attempt *a, enum stop_reason reason)
{
    a->stop = reason;
    if (reason != STOP_CANCELLED)
        return;
    attempt_end_token(a); /* the store has ended it */
    atomic_fetch_sub_explicit(&attempt_slots(a)->claimed, 1, memory_order_relaxed);
}

static void stop_running(struct attempt *a, enum stop_reason reason, int signal)
{
    set_stop(a, reason);
    attempt_move(a, ATTEMPT_STOPPING);
    a->kind->stop(a, signal);
}

void attempt_stop(struct attempt *a, enum stop_reason reason)
{
    if (a->state == ATTEMPT_OFFERED)
        a->kind->recall(a);
    if (a->state == ATTEMPT_RUNNING) {
        stop_running(a, reason, SIGTERM);
    } else if (UNBEGUN & 1u << a->state) {
        set_stop(a, reason);
        attempt_end(a, RUN_NONE, NULL);
    }
}

/* Many that come back at once would be claimed and deferred again and again. */
void attempt_defer(struct attempt *a)
{
    struct lane_slots *lane = attempt_slots(a);
    int64_t now_ms = clock_mono_ms(), due_ms = lane->callback_due_mono_ms + DEFER_STEP_MS;
    if (due_ms < now_ms + DEFER_FIRST_MS)
        due_ms = now_ms + DEFER_FIRST_MS;
    if (due_ms > now_ms + DEFER_LAST_MS)
        due_ms = now_ms + DEFER_LAST_MS;
    lane->callback_due_mono_ms = due_ms;
    a->retry_after_ms = due_ms - now_ms;
    attempt_stop(a, STOP_DEFERRED);
}

/* Over a limit of time an attempt may tidy up, as that harms nobody else. One that writes without
 * end would go on with it. */
void attempt_exceeded(struct attempt *a, enum limit_kind limit, uint64_t cpu_ms)
{
    if (a->state != ATTEMPT_RUNNING)
        return;
    a->met = limit;
    a->met_at_cpu_ms = cpu_ms;
    stop_running(a, STOP_LIMIT, limit == LIMIT_CPU ? SIGTERM : SIGKILL);
}

/* One has ended, for which they may have waited. */
static void unblock_all(struct scheduler *s)
{
    for_each_lane (l) {
        struct attempt *next = NULL;
        for (struct attempt *a = attempt_first(&s->lanes[l], ATTEMPT_BLOCKED); a; a = next) {
            next = attempt_next(a);
            unblock(a);
        }
    }
}

void attempt_end(struct attempt *a, enum run_class class, struct task_outcome *outcome)
{
    a->class = class;
    a->outcome = outcome;
    storing_forget(a);
    filling_forget(a);
    attempt_end_token(a);
    attempt_lend(a, false);
    attempt_move(a, ATTEMPT_ENDED);
    unblock_all(a->s);
}

struct attempt *attempt_find(struct scheduler *s, struct task_id id, uint32_t number)
{
    for (struct map_node *n = map_get(&s->by_id, id.hi); n; n = map_next_same(n)) {
        struct attempt *a = FUT_CONTAINER(n, struct attempt, by_id);
        if (id_equal(a->id, id) && a->number == number)
            return a;
    }
    return NULL;
}

void attempt_free(struct attempt *a)
{
    if (a->kind)
        a->kind->release(a);
    loop_timer_clear(a->s->loop, &a->timer);
    storing_forget(a);
    filling_forget(a);
    attempt_end_token(a);
    report_release(&a->report);
    task_outcome_unref(a->outcome);
    task_release(&a->apply.task);
    handlers_unref(a->handlers);
    free(a->suspension);
    free(a->gate);
    free(a);
}
