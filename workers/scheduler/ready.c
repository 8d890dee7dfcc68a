/* ready: claimed tasks that wait for a slot. Slots would stand empty while the store brings the
 * next tasks; so a lane whose attempts are short claims a window of tasks ahead: for each slot as
 * many as it runs during a few commits where attempts are short, and one where a commit
 * is a part of them worth saving.
 * These count as running in the store, hence three cautions: what waits too long is given back
 * uncharged; beside a task that a daemon has died with nothing is claimed ahead; and where tasks
 * that run once come, which fail with the daemon, one is for each slot. */
#include <stdio.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "storage/limit.h"
#include "workers/scheduler/internal.h"

#define SHORT_US 4000   /* an attempt below this is not much longer than a commit */
#define MEDIUM_US 50000 /* up to here a slot that stands empty during a commit is felt */
#define WINDOW_US 16000 /* of short attempts, claimed ahead for each slot */
#define WINDOW_PER_SLOT 64u
#define WINDOW_MAX 256u
#define ONCE_RECENT 1000u /* so many tasks after one that runs once no more of these come */
#define REFILL_US 1000    /* a claim is answered within this, mostly */
/* Where programs run, this is known late, and more ends than others wait for: clients may have
 * nothing else to submit for. */
#define PROGRAMS_REFILL_US 3000
#define WAIT_MS 250LL /* then the slots are not what they seemed */

uint32_t ready_window(const struct scheduler *s, enum lane lane)
{
    const struct lane_slots *slots = &s->lanes[lane];
    uint32_t per_slot = 1;
    if (slots->ran_us >= MEDIUM_US || s->suspects)
        return 0;
    if (slots->ran_us < SHORT_US && slots->since_once >= ONCE_RECENT)
        per_slot = slots->ran_us > WINDOW_US / WINDOW_PER_SLOT
                       ? (uint32_t)(WINDOW_US / slots->ran_us)
                       : WINDOW_PER_SLOT;
    return slots->capacity < WINDOW_MAX / per_slot ? slots->capacity * per_slot : WINDOW_MAX;
}

bool ready_lasts(const struct scheduler *s, enum lane lane)
{
    const struct lane_slots *slots = &s->lanes[lane];
    uint64_t ready_us = lane_ready(slots) * (uint64_t)slots->ran_us;
    uint64_t refill_us = slots->programs ? PROGRAMS_REFILL_US : REFILL_US;
    return ready_window(s, lane) && lane_taken(slots) == slots->capacity &&
           ready_us >= refill_us * slots->capacity;
}

/* ---- giving back ---- */

/* An offered one that begins just now is none of those any more: it runs on. */
static void give_back(const struct lane_slots *slots, enum attempt_state state)
{
    for (struct attempt *a; (a = attempt_first(slots, state)) != NULL;) {
        if (state == ATTEMPT_OFFERED)
            a->kind->recall(a);
        if (a->state != ATTEMPT_RUNNING)
            attempt_stop(a, STOP_RELEASED);
    }
}

static bool is_full(const struct lane_slots *slots)
{
    return lane_taken(slots) >= slots->capacity;
}

/* Since when the one that waits longest for a slot does so. */
static bool oldest(const struct lane_slots *slots, int64_t *out_mono_ms)
{
    const struct attempt *a = attempt_first(slots, ATTEMPT_OFFERED);
    if (!a)
        a = attempt_first(slots, ATTEMPT_WAITING);
    /* With a free slot a suspect waits for the others to be gone, which is soon. */
    const struct attempt *b = is_full(slots) ? attempt_first(slots, ATTEMPT_SUSPECT) : NULL;
    if (!a || (b && b->ready_mono_ms < a->ready_mono_ms))
        a = b;
    if (a)
        *out_mono_ms = a->ready_mono_ms;
    return a != NULL;
}

/* The window stays shut until attempts have proved short again. */
static void on_time(struct loop_timer *t)
{
    struct lane_slots *slots = FUT_CONTAINER(t, struct lane_slots, ready_timer);
    int64_t since_ms;
    if (!oldest(slots, &since_ms) || clock_mono_ms() < since_ms + WAIT_MS)
        return; /* ready_begin sets it anew */
    slots->ran_us = WAIT_MS * 1000;
    give_back(slots, ATTEMPT_OFFERED);
    give_back(slots, ATTEMPT_WAITING);
    if (is_full(slots))
        give_back(slots, ATTEMPT_SUSPECT);
}

/* What no slot is for any more. */
static void give_back_unwanted(struct scheduler *s)
{
    bool all = atomic_load_explicit(&s->claims_stopped, memory_order_relaxed);
    for_each_lane (l) {
        if (!all && !s->lanes[l].is_paused)
            continue;
        give_back(&s->lanes[l], ATTEMPT_BLOCKED);
        give_back(&s->lanes[l], ATTEMPT_OFFERED);
        give_back(&s->lanes[l], ATTEMPT_WAITING);
        give_back(&s->lanes[l], ATTEMPT_PENDING);
        give_back(&s->lanes[l], ATTEMPT_SUSPECT);
    }
}

/* ---- coming ---- */

void ready_init(struct scheduler *s)
{
    for_each_lane (l) {
        s->lanes[l].ready_timer.fn = on_time;
        s->lanes[l].ran_us = WAIT_MS * 1000;
        s->lanes[l].since_once = ONCE_RECENT;
    }
}

void ready_add(struct scheduler *s, const struct task *task)
{
    struct attempt *a = attempt_new(s, task);
    struct lane_slots *slots = attempt_slots(a);
    if (task->spec->once)
        slots->since_once = 0;
    else if (slots->since_once < ONCE_RECENT)
        slots->since_once++;
    if (cancels_take(s, task->spec->id, task->attempt))
        attempt_stop(a, STOP_CANCELLED);
}

/* ---- beginning ---- */

static const struct attempt_kind *kind_of(const struct handler *h, enum lane lane)
{
    if (h->is_worker)
        return &attempt_worker_kind;
    if (h->exec)
        return &attempt_exec_kind;
    return lane == LANE_IO ? &attempt_thread_kind : &attempt_worker_kind;
}

static void begin(struct attempt *a)
{
    char message[TASK_HANDLER_MAX + 64];
    attempt_begin(a);
    if (a->handler) {
        a->kind = kind_of(a->handler, attempt_lane(a));
        a->kind->start(a);
        return;
    }
    (void)snprintf(message, sizeof(message), "no handler is called \"%.*s\" any more",
                   TASK_HANDLER_MAX, a->apply.task.spec->handler);
    attempt_end(a, RUN_FAILED, task_outcome_error(end_code_text(END_UNKNOWN_HANDLER), message));
}

/* Of those that were given ahead, the one that waits longest and could begin elsewhere. */
static struct attempt *find_misplaced(const struct lane_slots *slots)
{
    struct attempt *a = attempt_first(slots, ATTEMPT_OFFERED);
    while (a && !a->kind->is_misplaced(a))
        a = attempt_next(a);
    return a;
}

/* Offered ones come before those that nobody has. */
static void begin_offered(struct lane_slots *slots)
{
    struct attempt *a;
    while (!is_full(slots) && (a = find_misplaced(slots)) != NULL) {
        a->kind->recall(a);
        if (a->state != ATTEMPT_WAITING)
            return; /* it has begun where it was */
        begin(a);
    }
}

static bool is_offered(struct attempt *a)
{
    const struct attempt_kind *kind = a->handler ? kind_of(a->handler, attempt_lane(a)) : NULL;
    return kind && kind->offer && kind->offer(a);
}

/* In the order in which they would begin. */
static void offer(struct scheduler *s, enum lane lane)
{
    struct lane_slots *slots = &s->lanes[lane];
    struct attempt *a;
    if (lane_taken(slots) != slots->capacity || !ready_window(s, lane))
        return;
    while ((a = attempt_first(slots, ATTEMPT_WAITING)) != NULL && is_offered(a))
        ;
}

/* False: it waits on, or was given back: at once when that is certain to last, as it must not stand
 * in the way of others. */
static bool callback_may_begin(struct attempt *a)
{
    const struct lane_slots *slots = attempt_slots(a);
    uint32_t same = 0;
    bool is_slow = false;
    int64_t slow_since_us = clock_mono_us() - CALLBACK_WAIT_MS * 1000;
    for (uint32_t i = 0; i < CALLBACK_SLOTS; i++) {
        const struct attempt *other = slots->callbacks[i];
        if (!other || other->receiver != a->receiver)
            continue;
        same++;
        is_slow = is_slow || other->started_mono_us <= slow_since_us;
    }
    if (same >= CALLBACKS_PER_RECEIVER) {
        if (is_slow || a->state == ATTEMPT_SUSPECT)
            attempt_defer(a);
        return false;
    }
    if (slots->callbacks_running < CALLBACK_SLOTS)
        return true;
    attempt_stop(a, STOP_RELEASED);
    return false;
}

/* A limit of it was closed since it was claimed. */
static bool is_shut_out(const struct attempt *a)
{
    const char *limits = a->apply.task.spec->limits;
    struct store_limit_closed closed;
    return limits && store_limit_closed(a->s->cfg.store, limits, &closed) && closed.is_shut;
}

/* False: it waits on, or was given back. */
static bool may_begin(struct attempt *a)
{
    if (a->is_callback)
        return callback_may_begin(a);
    if (!session_slots_has_free(a))
        return false;
    if (is_shut_out(a)) {
        attempt_stop(a, STOP_RELEASED);
        return false;
    }
    if (a->program && a->program->is_leaving)
        return true;
    if (a->program)
        return worker_program_takes_now(a->program) &&
               !worker_set_still_runs(a->s->workers, a->apply.task.spec->id);
    if (!a->handler || !a->handler->exec)
        return true;
    enum exec_hold_answer answer = exec_holds_ask(&a->s->holds, a->handler->info.name);
    if (answer == EXEC_HOLD_HELD)
        attempt_stop(a, STOP_RELEASED);
    else if (answer == EXEC_HOLD_NONE)
        a->s->holds_changed = a->s->holds_changed || exec_holds_count(&a->s->holds);
    return answer == EXEC_HOLD_NONE;
}

static void begin_waiting(struct lane_slots *slots, enum attempt_state state)
{
    struct attempt *next;
    for (struct attempt *a = attempt_first(slots, state); a && !is_full(slots); a = next) {
        next = attempt_next(a);
        if (may_begin(a)) /* else it must not keep a slot from others */
            begin(a);
    }
}

static void begin_callbacks(struct scheduler *s, struct lane_slots *slots)
{
    struct attempt *next;
    for (struct attempt *a = attempt_first(slots, ATTEMPT_PENDING); a; a = next) {
        next = attempt_next(a);
        if (may_begin(a))
            begin(a);
    }
    size_t pending = slots->in[ATTEMPT_PENDING].len;
    if (slots->callbacks_running >= CALLBACK_SLOTS || pending >= CALLBACKS_PENDING) {
        s->holds_changed |= !slots->callbacks_full; /* claims with the store would bring more */
        slots->callbacks_full = true;
    } else if (slots->callbacks_running <= CALLBACK_SLOTS / 2 && pending <= CALLBACKS_PENDING / 2) {
        slots->callbacks_full = false;
    }
}

static void watch_oldest(struct scheduler *s, struct lane_slots *slots)
{
    int64_t since_ms;
    if (!oldest(slots, &since_ms))
        loop_timer_clear(s->loop, &slots->ready_timer);
    else if (!heap_is_linked(&slots->ready_timer.node))
        loop_timer_set(s->loop, &slots->ready_timer, since_ms + WAIT_MS);
}

static bool suspect_runs(const struct scheduler *s)
{
    size_t waiting = 0;
    for_each_lane (l)
        waiting += s->lanes[l].in[ATTEMPT_SUSPECT].len;
    return s->suspects > waiting;
}

void ready_begin(struct scheduler *s)
{
    size_t waiting = 0;
    give_back_unwanted(s);
    for_each_lane (l) {
        struct lane_slots *slots = &s->lanes[l];
        begin_callbacks(s, slots);
        if (lane_taken(slots) > slots->capacity) /* none is to begin at the next end */
            attempt_exec_recall_line(slots);
        begin_offered(slots);
        begin_waiting(slots, ATTEMPT_WAITING);
        if (suspect_runs(s)) { /* what an earlier claim has brought */
            give_back(slots, ATTEMPT_OFFERED);
            give_back(slots, ATTEMPT_WAITING);
        }
        offer(s, l);
        waiting += slots->in[ATTEMPT_WAITING].len + slots->in[ATTEMPT_OFFERED].len;
    }
    for_each_lane (l) {
        if (!waiting)
            begin_waiting(&s->lanes[l], ATTEMPT_SUSPECT);
        watch_oldest(s, &s->lanes[l]);
    }
}
