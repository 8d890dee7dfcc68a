/* slots: how many slots a lane has, whether it is paused, and which handlers there are. Any thread
 * may ask for a change; the plan has it at once, and the scheduler's thread makes it true in its
 * next turn. Making a lane smaller ends nothing that runs: slots go as their attempts end. */
#include <stdlib.h>
#include <string.h>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define REFUSED_FIRST_MS 1000
#define REFUSED_LAST_MS 60000

/* ---- the scheduler's thread: the plan becomes true ---- */

/* A slot that is taken back may be reserved by a claim already. */
static void take_back(struct scheduler *s, enum lane lane)
{
    const struct lane_slots *slots = &s->lanes[lane];
    uint64_t have = (uint64_t)lane_taken(slots) + slots->reserved;
    if (slots->reserved && have > slots->capacity + ready_window(s, lane))
        slots_recall(s, lane);
}

void slots_follow_waits(struct scheduler *s)
{
    void *owner;
    bool waits;
    while (attempt_token_take_change(s->cfg.tokens, &owner, &waits)) {
        struct attempt *a = owner;
        attempt_lend(a, waits);
        if (!waits)
            take_back(s, attempt_lane(a));
    }
}

static void recalled(struct store_op *op)
{
    free(FUT_CONTAINER(op, struct store_recall, op));
}

void slots_recall(struct scheduler *s, enum lane lane)
{
    struct store_recall *o = xnew(struct store_recall);
    o->lane = lane;
    if (store_post(s->cfg.store, &store_verb_recall, &o->op, recalled) != 0)
        recalled(&o->op); /* it is closing: the claims end, too */
}

/* What could be had stays; the system is asked for the rest again. */
static void get_threads(struct scheduler *s, uint32_t wanted)
{
    struct lane_slots *slots = &s->lanes[LANE_IO];
    uint32_t has = thread_pool_resize(s->pool, wanted);
    s->threads = has;
    slots->capacity = has;
    atomic_store(&slots->refused, wanted - has);
    if (has == wanted) {
        slots->refused_pause_ms = 0;
        loop_timer_clear(s->loop, &slots->refused_timer);
        return;
    }
    slots->refused_pause_ms =
        backoff_next_ms(slots->refused_pause_ms, REFUSED_FIRST_MS, REFUSED_LAST_MS);
    loop_timer_set(s->loop, &slots->refused_timer, clock_mono_ms() + slots->refused_pause_ms);
    log_warn("threads_refused", LOG_INT("wanted", wanted), LOG_INT("threads", has),
             LOG_INT("again_ms", slots->refused_pause_ms));
}

/* Threads beyond the capacity are started when callbacks run beside as many tasks: one thread with
 * its open connections serves both as long as it can. */
void slots_start_threads(struct scheduler *s)
{
    const struct lane_slots *slots = &s->lanes[LANE_IO];
    uint32_t needed = atomic_load_explicit(&slots->busy, memory_order_relaxed) -
                      atomic_load_explicit(&slots->lent, memory_order_relaxed) +
                      slots->callbacks_running;
    if (slots->callbacks_running && needed > s->threads)
        s->threads = thread_pool_resize(s->pool, needed);
}

static uint32_t planned(const struct lane_slots *slots)
{
    return slots->capacity + atomic_load_explicit(&slots->refused, memory_order_relaxed);
}

static void on_refused_time(struct loop_timer *t)
{
    struct lane_slots *slots = FUT_CONTAINER(t, struct lane_slots, refused_timer);
    get_threads(FUT_CONTAINER(slots, struct scheduler, lanes[LANE_IO]), planned(slots));
}

void slots_started(struct scheduler *s)
{
    get_threads(s, planned(&s->lanes[LANE_IO]));
}

static void resize(struct scheduler *s, enum lane lane, uint32_t capacity)
{
    struct lane_slots *slots = &s->lanes[lane];
    uint32_t before = slots->capacity;
    if (capacity == planned(slots))
        return;
    if (lane == LANE_IO) {
        get_threads(s, capacity);
    } else {
        slots->capacity = capacity;
        worker_set_resize(s->workers, capacity);
    }
    log_info("pool_resized", LOG_STR("lane", lane_name(lane)), LOG_INT("capacity", slots->capacity),
             LOG_INT("before", before));
    if (slots->capacity < before)
        slots_recall(s, lane); /* what waits for the slots of before must not bring so many */
}

static void set_pause(struct scheduler *s, enum lane lane, const struct pool_pause *p)
{
    bool is_paused = p->since_wall_ms != 0;
    if (is_paused == s->lanes[lane].is_paused)
        return;
    s->lanes[lane].is_paused = is_paused;
    log_info(is_paused ? "pool_paused" : "pool_resumed", LOG_STR("lane", lane_name(lane)),
             LOG_STR("by", p->by), LOG_STR("reason", p->reason));
    if (is_paused)
        slots_recall(s, lane);
}

static void take_handlers(struct scheduler *s, const struct handlers *handlers)
{
    worker_set_reload(s->workers, handlers);
    exec_holds_reload(&s->holds, handlers);
    s->holds_changed = true;
    handlers_unref(s->handlers);
    s->handlers = handlers;
}

static void apply_plan(struct scheduler *s)
{
    struct lane_plan lanes[LANE_COUNT];
    mutex_lock(&s->plan.mu);
    memcpy(lanes, s->plan.lanes, sizeof(lanes));
    const struct handlers *handlers = s->plan.handlers;
    s->plan.handlers = NULL;
    mutex_unlock(&s->plan.mu);
    if (handlers)
        take_handlers(s, handlers);
    for_each_lane (l) {
        resize(s, l, lanes[l].capacity);
        set_pause(s, l, &lanes[l].pause);
    }
}

static void on_change(struct mailbox_call *item)
{
    struct scheduler *s = FUT_CONTAINER(item, struct scheduler, plan.item);
    atomic_store(&s->plan.is_told, false);
    if (s->started && !s->quit)
        apply_plan(s);
}

static void plan_pause(struct lane_plan *plan, bool is_paused)
{
    if (is_paused == plan->configured_pause)
        return;
    plan->configured_pause = is_paused;
    plan->pause = (struct pool_pause){.since_wall_ms = is_paused ? clock_wall_ms() : 0,
                                      .by = "configuration"};
}

/* mu held. */
static void plan_lane(struct lane_plan *plan, uint32_t configured, bool is_paused)
{
    if (configured != plan->configured)
        plan->configured = plan->capacity = configured;
    plan_pause(plan, is_paused);
}

static void plan_lanes(struct scheduler *s, const struct scheduler_plan *p)
{
    const uint32_t slots[] = {[LANE_IO] = p->max_threads, [LANE_CPU] = p->max_workers};
    for_each_lane (l)
        plan_lane(&s->plan.lanes[l], slots[l], p->paused & 1u << l);
}

void slots_init(struct scheduler *s)
{
    mutex_init(&s->plan.mu);
    s->plan.item.fn = on_change;
    s->lanes[LANE_IO].refused_timer.fn = on_refused_time;
    s->handlers = handlers_ref(s->cfg.handlers);
    exec_holds_init(&s->holds, s->handlers);
    plan_lanes(s, &(struct scheduler_plan){.max_threads = s->cfg.max_threads,
                                           .max_workers = s->cfg.max_workers,
                                           .paused = s->cfg.paused});
    for_each_lane (l) {
        s->lanes[l].capacity = s->plan.lanes[l].capacity;
        s->lanes[l].is_paused = s->plan.lanes[l].pause.since_wall_ms != 0;
    }
}

void slots_free(struct scheduler *s)
{
    loop_timer_clear(s->loop, &s->lanes[LANE_IO].refused_timer);
    exec_holds_release(&s->holds);
    handlers_unref(s->handlers);
    handlers_unref(s->plan.handlers);
    mutex_destroy(&s->plan.mu);
}

static void tell(struct scheduler *s)
{
    if (!atomic_exchange(&s->plan.is_told, true))
        mailbox_push(&s->inbox, &s->plan.item.link);
}

/* ---- any thread ---- */

void slots_change(void *ctx, enum lane lane, const struct pool_wish *wish)
{
    struct scheduler *s = ctx;
    struct lane_plan *plan = &s->plan.lanes[lane];
    FUT_ASSERT(wish->capacity <= pool_lane_max(lane));
    mutex_lock(&s->plan.mu);
    if (wish->sets_capacity)
        plan->capacity = wish->capacity ? wish->capacity : plan->configured;
    if (wish->sets_pause)
        plan->pause = wish->pause;
    mutex_unlock(&s->plan.mu);
    tell(s);
}

void slots_plan(struct scheduler *s, const struct scheduler_plan *plan)
{
    const struct handlers *handlers = handlers_ref(plan->handlers);
    mutex_lock(&s->plan.mu);
    const struct handlers *unused = s->plan.handlers;
    s->plan.handlers = handlers;
    plan_lanes(s, plan);
    mutex_unlock(&s->plan.mu);
    handlers_unref(unused);
    tell(s);
}

void slots_read(struct scheduler *s, enum lane lane, struct pool_lane *out)
{
    const struct lane_slots *slots = &s->lanes[lane];
    mutex_lock(&s->plan.mu);
    out->capacity = s->plan.lanes[lane].capacity;
    out->configured = s->plan.lanes[lane].configured;
    out->pause = s->plan.lanes[lane].pause;
    mutex_unlock(&s->plan.mu);
    out->busy = atomic_load_explicit(&slots->busy, memory_order_relaxed);
    out->lent = atomic_load_explicit(&slots->lent, memory_order_relaxed);
    out->started = atomic_load_explicit(&slots->started, memory_order_relaxed);
    out->refused = atomic_load(&slots->refused);
    out->capacity -= out->refused < out->capacity ? out->refused : out->capacity;
    out->claimed = atomic_load_explicit(&slots->claimed, memory_order_relaxed);
    out->unsaved = atomic_load(&slots->unsaved);
    out->unsaved_rc = atomic_load(&slots->unsaved_rc);
}
