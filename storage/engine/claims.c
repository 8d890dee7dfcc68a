/* claims: how queued tasks come to the claims that are parked for them. The writer thread
 * alone. */
#include "core/mem.h"
#include "storage/engine/internal.h"

#define TAKE_STEP 64

static struct store_claim *claim_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct store_claim, op.link);
}

/* ---- parking and giving ---------------------------------------------------------------------- */

static void prepare_claim(struct store_op *op)
{
    struct store_claim *o = FUT_CONTAINER(op, struct store_claim, op);
    FUT_ASSERT(o->max > 0);
    o->n = 0;
}

static int write_claim(struct store *s, struct store_op *op)
{
    if (s->w.claims_stopped)
        return FUT_ERR_CLOSED;
    list_push_back(&s->w.parked[FUT_CONTAINER(op, struct store_claim, op)->lane], &op->link);
    return STORE_PARKED;
}

const struct store_verb store_verb_claim = {
    .prepare = prepare_claim, .write = write_claim, .uses_reserve = true};

static int write_recall(struct store *s, struct store_op *op)
{
    list_take_all(&s->w.finished, &s->w.parked[FUT_CONTAINER(op, struct store_recall, op)->lane]);
    return 0;
}

const struct store_verb store_verb_recall = {.write = write_recall, .is_repeatable = true};

/* The claim takes it unless it would take one that waits already. */
int claims_find(struct store *s, const struct line *line, struct store_claim **out)
{
    struct list *parked = &s->w.parked[lines_lane(line)];
    struct line *next = NULL;
    uint64_t n;
    *out = NULL;
    if (!turns_may_start(line) || turns_are_limited(&s->w.lines, line) || s->w.is_draining)
        return 0;
    for (struct list_node *i = list_first(parked); i; i = list_next(parked, i)) {
        if (!turns_wants(claim_at(i), line->group->handler->name))
            continue;
        turns_want(&s->w.lines, claim_at(i));
        int rc = turns_next(s, lines_lane(line), &next, &n);
        *out = rc == 0 && !next ? claim_at(i) : NULL;
        return rc;
    }
    return 0;
}

void claims_give(struct store *s, struct store_claim *o, struct task *t)
{
    o->tasks[o->n++] = *t;
    s->w.now.stats.claimed++;
    txn_add_change(s, &(struct store_change){.id = t->spec->id,
                                             .state = t->state,
                                             .task = &o->tasks[o->n - 1],
                                             .batch = t->spec->batch});
    if (o->n == o->max) {
        list_remove(&s->w.parked[o->lane], &o->op.link);
        list_push_back(&s->w.finished, &o->op.link);
    } else {
        s->w.has_given[o->lane] = true;
    }
}

static void forget_given(struct store_claim *o)
{
    for (size_t i = 0; i < o->n; i++)
        task_release(&o->tasks[i]);
    o->n = 0;
    o->op.rc = 0;
}

void claims_undo(struct store *s)
{
    for_each_lane (l) {
        struct list *parked = &s->w.parked[l];
        for (struct list_node *i = list_first(parked); i; i = list_next(parked, i))
            forget_given(claim_at(i));
    }
}

void claims_repark(struct store *s, struct store_claim *o)
{
    forget_given(o);
    list_push_front(&s->w.parked[o->lane], &o->op.link);
}

/* ---- from the lines -------------------------------------------------------------------------- */

/* A place from before a change of ageing says nothing of the time. */
static int64_t queued_at(const struct line *line, const struct task_spec *spec,
                         const struct backend_row *row)
{
    int64_t age_ms = line->group->part->queue->is.age_after_ms;
    int64_t at =
        backend_place_wall_ms(row->place, spec->priority, age_ms ? age_ms : BACKEND_STRICT_MS);
    bool is_likely = at >= spec->created_wall_ms && at <= row->started_wall_ms;
    return is_likely ? at : spec->created_wall_ms;
}

static int give_row(struct store *s, struct store_claim *o, struct line *line,
                    const struct task_move *move, const struct backend_row *row)
{
    struct task t = {.state = move->to,
                     .attempt = row->attempt,
                     .earlier_attempts = row->earlier_attempts,
                     .daemon_deaths = row->daemon_deaths,
                     .started_wall_ms = row->started_wall_ms,
                     .has_suspended = row->has_suspended,
                     .spec = spec_cache_take(&s->w.specs, row->key)};
    int rc = t.spec ? 0 : s->ops->load(s->backend, row->key, &t.spec);
    if (rc == 0)
        rc = s->ops->load_checkpoint(s->backend, row->key, &t.checkpoint);
    if (rc == 0 && t.spec->in_session)
        rc = sessions_add_init(s, &t);
    if (rc != 0) {
        task_release(&t);
        return store_rc_is_fatal(rc) ? rc : FUT_ERR_IO;
    }
    line_queue_add_start(line, s->w.limits.now_up_ms,
                         row->started_wall_ms - queued_at(line, t.spec, row));
    claims_give(s, o, &t);
    return 0;
}

/* Takes up to `want` tasks of the line. What is known of it is a hint: rows that are not there
 * count as gone. */
static int serve_from(struct store *s, struct store_claim *o, struct line *line,
                      const struct task_move *move, size_t want)
{
    struct backend_row rows[TAKE_STEP];
    int64_t next;
    size_t n;
    int rc = s->ops->take(s->backend, line->number, move, want, rows, &n, &next);
    if (rc != 0)
        return rc;
    if (n)
        turns_charge(&s->w.lines, line, n);
    line->first = next;
    txn_count(s, line, (int)move->from, (int)move->to, n);
    if (n < want)
        txn_count(s, line, (int)move->from, LINE_NONE, line->live[move->from]);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = give_row(s, o, line, move, &rows[i]);
    return rc;
}

static int serve(struct store *s, struct store_claim *o, const struct task_move *move)
{
    struct line *line;
    uint64_t n;
    turns_want(&s->w.lines, o);
    for (;;) {
        size_t want = o->max - o->n < TAKE_STEP ? o->max - o->n : TAKE_STEP;
        int rc = want ? turns_next(s, o->lane, &line, &n) : 0;
        if (rc != 0 || !want || !line)
            return rc;
        want = turns_space(&s->w.lines, line, n < want ? n : want);
        if (!want) { /* other sessions have had what was ahead */
            turns_update_limits(&s->w.lines, line);
            continue;
        }
        rc = txn_begin(s);
        if (rc == 0)
            rc = serve_from(s, o, line, move, want);
        if (rc != 0)
            return rc;
    }
}

/* Claims that were given less than they asked for end with what they have. */
static void end_partly_served(struct store *s, enum lane lane)
{
    struct list *parked = &s->w.parked[lane];
    if (!s->w.has_given[lane])
        return;
    s->w.has_given[lane] = false;
    for (struct list_node *i = list_first(parked), *next; i; i = next) {
        next = list_next(parked, i);
        if (claim_at(i)->n == 0)
            continue;
        list_remove(parked, i);
        list_push_back(&s->w.finished, i);
    }
}

/* Where no line has a task that may start, no claim is looked at, however many are parked. */
int claims_serve(struct store *s)
{
    struct task_move move;
    FUT_MUST(task_move_of(TASK_QUEUED, EVENT_START, &move) == 0);
    int rc = 0;
    sessions_set_ahead(s);
    for_each_lane (lane) {
        struct list_node *next, *i = s->w.is_draining ? NULL : list_first(&s->w.parked[lane]);
        for (; rc == 0 && i && turns_has_any(&s->w.lines, lane); i = next) {
            next = list_next(&s->w.parked[lane], i);
            rc = serve(s, claim_at(i), &move);
        }
        end_partly_served(s, lane);
    }
    return rc;
}
