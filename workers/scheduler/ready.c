/* ready: claimed tasks that wait for a slot. Where attempts are shorter than a commit, slots would
 * stand empty while the store brings the next tasks; so a lane with such attempts claims a window
 * of tasks ahead. These count as running in the store, hence two cautions: what waits too long is
 * given back uncharged, and beside a task that a daemon has died with nothing is claimed ahead. */
#include "core/clock.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define SHORT_US 2000 /* an attempt below this is shorter than a commit */
#define WINDOW_MAX 64u
#define WINDOW_PER_SLOT 8u
#define WAIT_MS 250LL /* then the slots are not what they seemed */
#define WEIGHT 8      /* of one attempt in the average: an eighth */

/* ---- how long attempts run ---- */

void ready_measure(struct scheduler *s, enum lane lane, int64_t ran_us)
{
    int64_t *average = &s->lanes[lane].ran_us;
    *average += (ran_us - *average) / WEIGHT;
}

uint32_t ready_window(const struct scheduler *s, enum lane lane)
{
    const struct lane_slots *slots = &s->lanes[lane];
    if (slots->ran_us >= SHORT_US || s->suspects)
        return 0;
    return slots->capacity < WINDOW_MAX / WINDOW_PER_SLOT ? slots->capacity * WINDOW_PER_SLOT
                                                          : WINDOW_MAX;
}

size_t ready_count(const struct scheduler *s, enum lane lane)
{
    const struct lane_slots *slots = &s->lanes[lane];
    return slots->ready.len + slots->ready_last.len + slots->ahead.len;
}

/* ---- giving back ---- */

static struct attempt *first_of(const struct list *l)
{
    struct list_node *n = list_first(l);
    return n ? FUT_CONTAINER(n, struct attempt, link) : NULL;
}

static void give_back(struct list *l)
{
    for (struct attempt *a; (a = first_of(l)) != NULL;)
        attempt_stop(a, STOP_RELEASED);
}

static bool is_full(const struct lane_slots *slots)
{
    return lane_taken(slots) >= slots->capacity;
}

/* Since when the one that waits longest for a slot does so. */
static bool oldest(const struct lane_slots *slots, int64_t *out_mono_ms)
{
    const struct attempt *a = first_of(slots->ahead.len ? &slots->ahead : &slots->ready);
    /* With a free slot it waits for the others to be gone, which is soon. */
    const struct attempt *b = is_full(slots) ? first_of(&slots->ready_last) : NULL;
    if (!a && !b)
        return false;
    if (a && b)
        *out_mono_ms = a->ready_mono_ms < b->ready_mono_ms ? a->ready_mono_ms : b->ready_mono_ms;
    else
        *out_mono_ms = a ? a->ready_mono_ms : b->ready_mono_ms;
    return true;
}

/* The window stays shut until attempts have proved short again. */
static void on_time(struct loop_timer *t)
{
    struct lane_slots *slots = FUT_CONTAINER(t, struct lane_slots, ready_timer);
    int64_t since_ms;
    if (!oldest(slots, &since_ms) || clock_mono_ms() < since_ms + WAIT_MS)
        return; /* ready_begin sets it anew */
    slots->ran_us = WAIT_MS * 1000;
    give_back(&slots->ahead);
    give_back(&slots->ready);
    if (is_full(slots))
        give_back(&slots->ready_last);
}

/* ---- coming and going ---- */

void ready_init(struct scheduler *s)
{
    for (int l = 0; l < LANE_COUNT; l++) {
        struct lane_slots *slots = &s->lanes[l];
        list_init(&slots->ready);
        list_init(&slots->ready_last);
        list_init(&slots->ahead);
        slots->ready_timer.fn = on_time;
        slots->ran_us = WAIT_MS * 1000;
    }
}

void ready_add(struct scheduler *s, const struct task *task)
{
    struct attempt *a = attempt_new(s, task);
    struct lane_slots *slots = &s->lanes[task->spec->lane];
    a->ready = task->lost ? &slots->ready_last : &slots->ready;
    a->ready_mono_ms = clock_mono_ms();
    list_push_back(a->ready, &a->link);
    if (cancels_take(s, task->spec->id, task->attempt))
        attempt_stop(a, STOP_CANCELLED);
}

/* ---- with workers that still run another one ---- */

static struct worker_program *builtins(const struct scheduler *s)
{
    return FUT_CONTAINER(list_front(worker_set_programs(s->workers)), struct worker_program, link);
}

/* They come before those that nobody has; the one that waits longest is the first. */
static void begin_ahead(struct scheduler *s, struct lane_slots *slots)
{
    struct worker_program *p = builtins(s);
    struct attempt *a;
    while (!is_full(slots) && (a = first_of(&slots->ahead)) != NULL && worker_program_idle(p) &&
           worker_process_withdraw(&a->as.worker)) {
        list_remove(a->ready, &a->link);
        a->ready = NULL;
        attempt_begin(a);
    }
}

/* In the order in which they would begin. */
static void give_ahead(struct scheduler *s, enum lane lane)
{
    struct lane_slots *slots = &s->lanes[lane];
    struct attempt *a;
    if (lane_taken(slots) != slots->capacity || !ready_window(s, lane))
        return;
    while ((a = first_of(&slots->ready)) != NULL && attempt_give_ahead(a))
        ;
}

static void begin(struct lane_slots *slots, struct list *l)
{
    for (struct list_node *n = list_first(l), *next; n && !is_full(slots); n = next) {
        struct attempt *a = FUT_CONTAINER(n, struct attempt, link);
        next = list_next(l, n);
        if (a->program && !a->program->is_leaving && !worker_program_takes_now(a->program))
            continue; /* it must not keep a slot from others */
        list_remove(l, n);
        a->ready = NULL;
        attempt_begin(a);
    }
}

static void watch(struct scheduler *s, struct lane_slots *slots)
{
    int64_t since_ms;
    if (!oldest(slots, &since_ms))
        loop_timer_clear(s->loop, &slots->ready_timer);
    else if (!heap_is_linked(&slots->ready_timer.node))
        loop_timer_set(s->loop, &slots->ready_timer, since_ms + WAIT_MS);
}

/* What no slot is for any more. */
static void give_back_unwanted(struct scheduler *s)
{
    bool all = atomic_load_explicit(&s->claims_stopped, memory_order_relaxed);
    for (int l = 0; l < LANE_COUNT; l++) {
        if (!all && !s->lanes[l].is_paused)
            continue;
        give_back(&s->lanes[l].ahead);
        give_back(&s->lanes[l].ready);
        give_back(&s->lanes[l].ready_last);
    }
}

static bool suspect_runs(const struct scheduler *s)
{
    return s->suspects > s->lanes[LANE_IO].ready_last.len + s->lanes[LANE_CPU].ready_last.len;
}

void ready_begin(struct scheduler *s)
{
    size_t waiting = 0;
    give_back_unwanted(s);
    for (int l = 0; l < LANE_COUNT; l++) {
        begin_ahead(s, &s->lanes[l]);
        begin(&s->lanes[l], &s->lanes[l].ready);
        if (suspect_runs(s)) { /* what a claim of before has brought */
            give_back(&s->lanes[l].ahead);
            give_back(&s->lanes[l].ready);
        }
        give_ahead(s, (enum lane)l);
        waiting += s->lanes[l].ready.len + s->lanes[l].ahead.len;
    }
    for (int l = 0; l < LANE_COUNT; l++) {
        if (!waiting)
            begin(&s->lanes[l], &s->lanes[l].ready_last);
        watch(s, &s->lanes[l]);
    }
}

void ready_free(struct scheduler *s)
{
    for (int l = 0; l < LANE_COUNT; l++) {
        struct lane_slots *slots = &s->lanes[l];
        struct list *lists[] = {&slots->ready, &slots->ready_last, &slots->ahead};
        for (size_t i = 0; i < FUT_COUNT(lists); i++) {
            for (struct attempt *a; (a = first_of(lists[i])) != NULL;) {
                list_remove(lists[i], &a->link);
                attempt_free(a);
            }
        }
        loop_timer_clear(s->loop, &slots->ready_timer);
    }
}
