/* claims: takes tasks from the store. Each free slot of a lane, and each place in its window of
 * ready tasks, is reserved by exactly one claim; a claim that waits in the store keeps what it
 * reserved, so a lane never gets more than that. */
#include <stdlib.h>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_LAST_MS 30000

struct claim {
    struct store_claim op;
    struct scheduler *s;
    struct list_node link;
    struct mailbox_call item;
    struct exclusions exclusions;
    bool is_callbacks; /* it is for callbacks alone, in their own slots */
    struct task tasks[];
};

/* Nothing to do: claims_post sees in each turn that the pause is over. */
static void on_pause_end(struct loop_timer *t)
{
    (void)t;
}

/* Looks again when a hold ends: claims may take those tasks then. */
static void on_hold_time(struct loop_timer *t)
{
    FUT_CONTAINER(t, struct scheduler, hold_timer)->holds_changed = true;
}

void claims_init(struct scheduler *s)
{
    list_init(&s->claims);
    s->hold_timer.fn = on_hold_time;
    for_each_lane (l)
        s->lanes[l].claim_pause.fn = on_pause_end;
}

static void claim_forget(struct claim *c)
{
    struct lane_slots *slots = &c->s->lanes[c->op.lane];
    if (c->is_callbacks) {
        slots->callbacks_reserved -= (uint32_t)c->op.max;
    } else if ((slots->reserved -= (uint32_t)c->op.max) == 0) {
        slots->excluded = 0;
        slots->is_recalling = false;
    }
    list_remove(&c->s->claims, &c->link);
    exclusions_release(&c->exclusions);
    free(c);
}

/* FUT_ERR_CLOSED is the store stopping; anything else may pass, so claim again after a while. */
static void claim_failed(struct scheduler *s, enum lane lane, int rc)
{
    struct lane_slots *slots = &s->lanes[lane];
    if (rc == FUT_ERR_CLOSED) {
        atomic_store(&s->claims_stopped, true);
        return;
    }
    slots->claim_pause_ms = backoff_next_ms(slots->claim_pause_ms, PAUSE_FIRST_MS, PAUSE_LAST_MS);
    loop_timer_set(s->loop, &slots->claim_pause, clock_mono_ms() + slots->claim_pause_ms);
    log_warn("claim_failed", LOG_STR("lane", lane_name(lane)), LOG_STR("error", fut_err_name(rc)),
             LOG_INT("again_ms", slots->claim_pause_ms));
}

static void on_claimed(struct mailbox_call *item)
{
    struct claim *c = FUT_CONTAINER(item, struct claim, item);
    struct scheduler *s = c->s;
    enum lane lane = c->op.lane;
    int rc = c->op.op.rc;
    for (size_t i = 0; rc == 0 && i < c->op.n; i++)
        ready_add(s, &c->tasks[i]);
    claim_forget(c);
    if (rc == 0)
        s->lanes[lane].claim_pause_ms = 0;
    else
        claim_failed(s, lane, rc);
}

/* The store's writer thread. */
static void claim_done(struct store_op *op)
{
    struct claim *c = FUT_CONTAINER(op, struct claim, op.op);
    c->item.fn = on_claimed;
    mailbox_push(&c->s->inbox, &c->item.link);
}

/* Takes what *e owns. */
static void post(struct scheduler *s, enum lane lane, uint32_t n, const struct exclusions *e,
                 bool is_callbacks)
{
    struct claim *c = xcalloc(1, sizeof(*c) + n * sizeof(c->tasks[0]));
    c->exclusions = *e;
    c->is_callbacks = is_callbacks;
    c->op.handlers = e->handlers;
    c->op.n_handlers = e->n;
    c->op.is_only = e->is_only;
    s->lanes[lane].excluded |= e->excluded;
    c->s = s;
    c->op.lane = lane;
    c->op.max = n;
    c->op.tasks = c->tasks;
    list_push_back(&s->claims, &c->link);
    *(is_callbacks ? &s->lanes[lane].callbacks_reserved : &s->lanes[lane].reserved) += n;
    int rc = store_post(s->cfg.store, &store_verb_claim, &c->op.op, claim_done);
    if (rc == 0)
        return;
    claim_forget(c);
    claim_failed(s, lane, rc);
}

static uint32_t wanted(const struct scheduler *s, enum lane lane)
{
    const struct lane_slots *slots = &s->lanes[lane];
    uint64_t have =
        (uint64_t)lane_taken(slots) + slots->reserved + slots->filling + lane_ready(slots);
    uint32_t may_have = slots->capacity + ready_window(s, lane);
    return have < may_have ? may_have - (uint32_t)have : 0;
}

/* Claims that wait in the store leave out a program that takes tasks again: they come back, to be
 * posted anew. */
static void recall_outdated(struct scheduler *s, enum lane lane, uint64_t excluded)
{
    struct lane_slots *slots = &s->lanes[lane];
    if (slots->reserved == 0 || slots->is_recalling || !(slots->excluded & ~excluded))
        return;
    slots->is_recalling = true;
    slots_recall(s, lane);
}

static void post_tasks(struct scheduler *s, enum lane lane)
{
    struct exclusions e = {0};
    exclusions_make(s, lane, &e);
    recall_outdated(s, lane, e.excluded);
    session_slots_tell(s, lane, ready_window(s, lane));
    uint32_t n = s->lanes[lane].is_recalling ? 0 : wanted(s, lane);
    if (n)
        post(s, lane, n, &e, false);
    else
        exclusions_release(&e);
}

/* While tasks fill the lane, no claim of theirs brings the callbacks. (Short tasks end soon.)
 */
static void post_callbacks(struct scheduler *s, enum lane lane)
{
    const struct lane_slots *slots = &s->lanes[lane];
    if (lane != LANE_IO || slots->callbacks_full || slots->callbacks_reserved || slots->reserved ||
        ready_window(s, lane))
        return;
    struct exclusions e = {0};
    exclusions_callbacks_only(s, &e);
    post(s, lane, CALLBACKS_PENDING, &e, true);
}

static void follow_holds(struct scheduler *s)
{
    int64_t at_ms;
    if (!s->holds_changed)
        return;
    s->holds_changed = false;
    for_each_lane (l) {
        if (s->lanes[l].reserved)
            s->lanes[l].is_recalling = true;
        if (s->lanes[l].reserved || s->lanes[l].callbacks_reserved)
            slots_recall(s, l);
    }
    if (exec_holds_next(&s->holds, &at_ms))
        loop_timer_set(s->loop, &s->hold_timer, at_ms);
}

void claims_post(struct scheduler *s)
{
    follow_holds(s);
    for_each_lane (lane) {
        if (atomic_load(&s->claims_stopped) || s->lanes[lane].is_paused ||
            s->lanes[lane].in[ATTEMPT_ENDED].len || /* gathered: it goes with them */
            heap_is_linked(&s->lanes[lane].claim_pause.node))
            continue;
        post_tasks(s, lane);
        post_callbacks(s, lane);
    }
}

void claims_free(struct scheduler *s)
{
    loop_timer_clear(s->loop, &s->hold_timer);
    for (struct list_node *n; (n = list_first(&s->claims)) != NULL;) {
        struct claim *c = FUT_CONTAINER(n, struct claim, link);
        for (size_t i = 0; i < c->op.n; i++)
            task_release(&c->tasks[i]);
        claim_forget(c);
    }
    for_each_lane (l)
        loop_timer_clear(s->loop, &s->lanes[l].claim_pause);
}
