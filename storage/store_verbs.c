/* store_verbs: what each write operation does inside the transaction. The writer thread alone. */
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/store_internal.h"

#define TAKE_STEP 64
#define CACHED_DEPTH 1024 /* only the head of the queue is worth remembering */
#define PROMOTE_STEP 1000
#define PRUNE_STEP 200
#define PRUNE_IDLE_US 1000000
#define PRUNE_BUSY_US 5000 /* between steps while there is more to delete */

static uint64_t *live_count(struct store *s, enum lane lane, enum task_state state)
{
    return &s->w.now.stats.live[lane][state];
}

static uint64_t unfinished_waiting(const struct store *s)
{
    uint64_t n = 0;
    for (int l = 0; l < LANE_COUNT; l++)
        n += s->w.now.stats.live[l][TASK_QUEUED] + s->w.now.stats.live[l][TASK_SCHEDULED];
    return n;
}

/* Brings a snapshot to what the change makes of it. */
static void advance(struct store *s, struct task *t, const struct task_change *c)
{
    int64_t now = clock_wall_ms();
    t->state = c->to_state;
    t->attempt = c->attempt;
    t->lost = c->lost;
    t->due_wall_ms = c->to_state == TASK_SCHEDULED ? now + c->due_in_ms : 0;
    if (c->to_state == TASK_RUNNING)
        t->started_wall_ms = now;
    if (task_state_is_final(c->to_state)) {
        t->finished_wall_ms = now;
        t->seq = ++s->w.now.seq;
        task_outcome_unref(t->outcome);
        t->outcome = c->outcome ? task_outcome_ref(c->outcome) : NULL;
    }
}

/* ---- submit ---------------------------------------------------------------------------------- */

/* An idle pool's claim takes the task in the very insert: no queue row is written at all. */
static bool hand_over(struct store *s, const struct task *t, struct task *out)
{
    struct task_change c;
    if (list_is_empty(&s->w.parked[t->spec->lane]) || *live_count(s, t->spec->lane, TASK_QUEUED) ||
        t->state != TASK_QUEUED)
        return false;
    FUT_ASSERT(task_apply(t, EVENT_START, NULL, &c) == 0);
    task_copy(out, t);
    advance(s, out, &c);
    return true;
}

static void give(struct store *s, struct task *t)
{
    struct list *parked = &s->w.parked[t->spec->lane];
    struct store_claim *o = FUT_CONTAINER(list_front(parked), struct store_claim, op.link);
    o->tasks[o->n++] = *t;
    s->w.now.stats.claimed++;
    writer_note_change(s, t->spec->id, t->state, &o->tasks[o->n - 1]);
    if (o->n == o->max) {
        list_remove(parked, &o->op.link);
        list_push_back(&s->w.finished, &o->op.link);
    }
}

static int insert_one(struct store *s, const struct task *t)
{
    struct task started = {0};
    bool handed = hand_over(s, t, &started);
    int rc = s->ops->insert(s->backend, handed ? &started : t);
    if (rc != 0) {
        task_release(&started);
        return rc;
    }
    (*live_count(s, t->spec->lane, handed ? started.state : t->state))++;
    s->w.now.stats.submitted++;
    if (handed) {
        give(s, &started);
        return 0;
    }
    if (backend_is_claimable(t->state) && *live_count(s, t->spec->lane, t->state) <= CACHED_DEPTH)
        spec_cache_put(&s->w.specs, t->spec);
    writer_note_change(s, t->spec->id, t->state, t);
    return 0;
}

static int insert_all(struct store *s, const struct store_submit *o)
{
    for (size_t i = 0; i < o->n; i++) {
        int rc = insert_one(s, &o->tasks[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Several tasks: all or none, so what the first ones did is taken back when one is refused. They
 * are not handed over (claims cannot be taken back one by one); the queue serves them right after.
 */
static int insert_many(struct store *s, const struct store_submit *o)
{
    struct writer *w = &s->w;
    struct writer_numbers before = w->now;
    size_t changes_before = w->n_changes;
    struct list held[LANE_COUNT];
    int rc = s->ops->mark(s->backend);
    if (rc != 0)
        return rc;
    for (int l = 0; l < LANE_COUNT; l++) {
        list_init(&held[l]);
        list_take_all(&held[l], &w->parked[l]);
    }
    rc = insert_all(s, o);
    for (int l = 0; l < LANE_COUNT; l++)
        list_take_all(&w->parked[l], &held[l]);
    if (rc == 0)
        return s->ops->unmark(s->backend);
    w->now = before;
    w->n_changes = changes_before;
    return s->ops->back(s->backend) == 0 ? rc : FUT_ERR_IO;
}

static int run_submit(struct store *s, struct store_op *op, bool *out_park)
{
    struct store_submit *o = FUT_CONTAINER(op, struct store_submit, op);
    (void)out_park;
    if (unfinished_waiting(s) + o->n > s->max_queued)
        return FUT_ERR_FULL;
    int rc = writer_begin(s);
    if (rc != 0)
        return rc;
    return o->n == 1 ? insert_one(s, &o->tasks[0]) : insert_many(s, o);
}

/* ---- apply, delete --------------------------------------------------------------------------- */

static int run_apply(struct store *s, struct store_op *op, bool *out_park)
{
    struct store_apply *o = FUT_CONTAINER(op, struct store_apply, op);
    struct writer *w = &s->w;
    struct task after;
    uint64_t seq = w->now.seq;
    (void)out_park;
    int rc = writer_begin(s);
    if (rc != 0)
        return rc;
    task_copy(&after, &o->task);
    advance(s, &after, &o->change);
    rc = s->ops->change(s->backend, &o->change, &after);
    if (rc != 0) {
        w->now.seq = seq;
        task_release(&after);
        return rc;
    }
    enum lane lane = after.spec->lane;
    (*live_count(s, lane, o->change.from_state))--;
    if (task_state_is_final(after.state))
        w->now.stats.finished[after.state]++;
    else
        (*live_count(s, lane, after.state))++;
    if (after.due_wall_ms && (w->next_due_wall_ms < 0 || after.due_wall_ms < w->next_due_wall_ms))
        w->next_due_wall_ms = after.due_wall_ms;
    task_release(&o->task);
    o->task = after;
    writer_note_change(s, o->change.id, after.state, &o->task);
    return 0;
}

static int run_delete(struct store *s, struct store_op *op, bool *out_park)
{
    (void)out_park;
    int rc = writer_begin(s);
    return rc != 0 ? rc
                   : s->ops->remove(s->backend, FUT_CONTAINER(op, struct store_delete, op)->id);
}

/* ---- claims ---------------------------------------------------------------------------------- */

static int run_claim(struct store *s, struct store_op *op, bool *out_park)
{
    struct store_claim *o = FUT_CONTAINER(op, struct store_claim, op);
    if (s->w.claims_stopped)
        return FUT_ERR_CLOSED;
    list_push_back(&s->w.parked[o->lane], &op->link);
    *out_park = true;
    return 0;
}

static void forget_given(struct store_claim *o)
{
    for (size_t i = 0; i < o->n; i++)
        task_release(&o->tasks[i]);
    o->n = 0;
    o->op.rc = 0;
}

void verb_undo_claims(struct store *s)
{
    for (int l = 0; l < LANE_COUNT; l++) {
        struct list *parked = &s->w.parked[l];
        for (struct list_node *i = list_first(parked); i; i = list_next(parked, i))
            forget_given(FUT_CONTAINER(i, struct store_claim, op.link));
    }
}

void verb_repark(struct store *s, struct store_claim *o)
{
    forget_given(o);
    list_push_front(&s->w.parked[o->lane], &o->op.link);
}

static int give_row(struct store *s, enum lane lane, const struct task_move *move,
                    const struct backend_row *row)
{
    struct task t = {.state = move->to,
                     .attempt = row->attempt,
                     .lost = row->lost,
                     .started_wall_ms = row->started_wall_ms,
                     .spec = spec_cache_take(&s->w.specs, row->key)};
    int rc = t.spec ? 0 : s->ops->load(s->backend, row->key, &t.spec);
    if (rc != 0)
        return store_rc_is_fatal(rc) ? rc : FUT_ERR_IO;
    (*live_count(s, lane, move->from))--;
    (*live_count(s, lane, move->to))++;
    give(s, &t);
    return 0;
}

static size_t wanted(const struct list *parked)
{
    size_t n = 0;
    for (struct list_node *i = list_first(parked); i && n < TAKE_STEP; i = list_next(parked, i)) {
        const struct store_claim *o = FUT_CONTAINER(i, struct store_claim, op.link);
        n += o->max - o->n;
    }
    return n < TAKE_STEP ? n : TAKE_STEP;
}

static int serve_lane(struct store *s, enum lane lane, const struct task_move *move)
{
    struct backend_row rows[TAKE_STEP];
    size_t n, want;
    while ((want = wanted(&s->w.parked[lane])) && *live_count(s, lane, move->from)) {
        int rc = writer_begin(s);
        if (rc == 0)
            rc = s->ops->take(s->backend, lane, move, clock_wall_ms(), want, rows, &n);
        for (size_t i = 0; rc == 0 && i < n; i++)
            rc = give_row(s, lane, move, &rows[i]);
        if (rc != 0 || n < want)
            return rc;
    }
    return 0;
}

/* Claims that were given less than they asked for end with what they have. */
static void end_partly_served(struct store *s, enum lane lane)
{
    struct list *parked = &s->w.parked[lane];
    for (struct list_node *i = list_first(parked), *next; i; i = next) {
        next = list_next(parked, i);
        if (FUT_CONTAINER(i, struct store_claim, op.link)->n == 0)
            continue;
        list_remove(parked, i);
        list_push_back(&s->w.finished, i);
    }
}

int verb_serve_claims(struct store *s)
{
    struct task_move move;
    FUT_ASSERT(task_move_of(TASK_QUEUED, EVENT_START, &move) == 0);
    int rc = 0;
    for (int l = 0; l < LANE_COUNT; l++) {
        if (rc == 0)
            rc = serve_lane(s, (enum lane)l, &move);
        end_partly_served(s, (enum lane)l);
    }
    return rc;
}

/* ---- housekeeping ---------------------------------------------------------------------------- */

int verb_promote(struct store *s)
{
    struct writer *w = &s->w;
    int64_t now = clock_wall_ms();
    size_t by_lane[LANE_COUNT] = {0};
    struct task_move move;
    if (w->next_due_wall_ms < 0 || w->next_due_wall_ms > now)
        return 0;
    FUT_ASSERT(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    int rc = writer_begin(s);
    if (rc == 0)
        rc = s->ops->promote(s->backend, &move, now, PROMOTE_STEP, by_lane);
    for (int l = 0; rc == 0 && l < LANE_COUNT; l++) {
        *live_count(s, (enum lane)l, move.from) -= by_lane[l];
        *live_count(s, (enum lane)l, move.to) += by_lane[l];
    }
    return rc != 0 ? rc : s->ops->next_due(s->backend, &w->next_due_wall_ms);
}

int verb_prune(struct store *s)
{
    struct writer *w = &s->w;
    int64_t now = clock_mono_us();
    size_t n = 0;
    if (now < w->next_prune_mono_us)
        return 0;
    int rc = writer_begin(s);
    if (rc == 0)
        rc = s->ops->prune(s->backend, clock_wall_ms() - s->retention_ms, PRUNE_STEP, &n);
    w->now.stats.pruned += n;
    w->next_prune_mono_us = now + (n == PRUNE_STEP ? PRUNE_BUSY_US : PRUNE_IDLE_US);
    return rc;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static const struct {
    const struct store_verb *verb;
    int (*run)(struct store *s, struct store_op *op, bool *out_park);
} table[] = {
    {&verb_submit, run_submit},
    {&verb_apply, run_apply},
    {&verb_claim, run_claim},
    {&verb_delete, run_delete},
};

int verb_run(struct store *s, struct store_op *op, bool *out_park)
{
    for (size_t i = 0; i < FUT_COUNT(table); i++) {
        if (table[i].verb == op->verb)
            return table[i].run(s, op, out_park);
    }
    FUT_BUG("not a write verb");
}
