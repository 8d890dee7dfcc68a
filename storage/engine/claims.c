/* claims: how queued tasks come to the claims that are parked for them. The writer thread
 * alone. */
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define TAKE_STEP 64
#define LOOK_STEP 2000 /* tasks of others that one claim looks at in one transaction */

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

const struct store_verb store_verb_recall = {.write = write_recall};

static struct backend_part part_of(const struct store_claim *o, uint8_t most)
{
    return (struct backend_part){.ranks = o->ranks,
                                 .n_ranks = o->n_ranks,
                                 .others = o->n_ranks ? o->others : 0,
                                 .most = most,
                                 .look = LOOK_STEP};
}

struct store_claim *claims_find(struct store *s, const struct task_spec *spec)
{
    struct list *parked = &s->w.parked[spec->lane];
    for (struct list_node *i = list_first(parked); i; i = list_next(parked, i)) {
        struct backend_part any = part_of(claim_at(i), STORE_RANK_NEVER - 1);
        if (backend_part_wants(&any, spec->handler))
            return claim_at(i);
    }
    return NULL;
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
    memset(s->w.marks, 0, sizeof(s->w.marks));
    for (int l = 0; l < LANE_COUNT; l++) {
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

/* ---- from the queue -------------------------------------------------------------------------- */

static int give_row(struct store *s, struct store_claim *o, const struct task_move *move,
                    const struct backend_row *row)
{
    FUT_ASSERT(o != NULL); /* no more rows are taken than wanted */
    struct task t = {.state = move->to,
                     .attempt = row->attempt,
                     .earlier_attempts = row->earlier_attempts,
                     .daemon_deaths = row->daemon_deaths,
                     .started_wall_ms = row->started_wall_ms,
                     .spec = spec_cache_take(&s->w.specs, row->key)};
    int rc = t.spec ? 0 : s->ops->load(s->backend, row->key, &t.spec);
    if (rc != 0)
        return store_rc_is_fatal(rc) ? rc : FUT_ERR_IO;
    (*txn_live(s, o->lane, move->from))--;
    (*txn_live(s, o->lane, move->to))++;
    claims_give(s, o, &t);
    return 0;
}

static struct store_claim *first_plain(const struct list *parked)
{
    for (struct list_node *i = list_first(parked); i; i = list_next(parked, i)) {
        if (!claim_at(i)->n_ranks)
            return claim_at(i);
    }
    return NULL;
}

/* How many the claims to which all handlers are alike want. */
static size_t wanted(const struct list *parked)
{
    size_t n = 0;
    for (struct list_node *i = list_first(parked); i && n < TAKE_STEP; i = list_next(parked, i)) {
        const struct store_claim *o = claim_at(i);
        n += o->n_ranks ? 0 : o->max - o->n;
    }
    return n < TAKE_STEP ? n : TAKE_STEP;
}

static int serve_plain(struct store *s, enum lane lane, const struct task_move *move)
{
    struct backend_row rows[TAKE_STEP];
    size_t n, want;
    while ((want = wanted(&s->w.parked[lane])) && *txn_live(s, lane, move->from)) {
        int rc = txn_begin(s);
        if (rc == 0)
            rc = s->ops->take(s->backend, lane, move, want, rows, &n);
        for (size_t i = 0; rc == 0 && i < n; i++)
            rc = give_row(s, first_plain(&s->w.parked[lane]), move, &rows[i]);
        if (rc != 0 || n < want)
            return rc;
    }
    return 0;
}

/* ---- where handlers are not alike ------------------------------------------------------------ */

/* Never 0. */
static uint64_t hash_left_out(const struct backend_part *part)
{
    uint64_t hash = hash_text(HASH_START, part->others > part->most ? "others" : "");
    for (size_t i = 0; i < part->n_ranks; i++) {
        /* With the others, those that are taken count; without them, those that are not. */
        if ((part->ranks[i].rank > part->most) != (part->others > part->most))
            hash = hash_text(hash_byte(hash, 0), part->ranks[i].handler);
    }
    return hash | 1;
}

static struct claim_mark *mark_of(struct store *s, enum lane lane, uint64_t left_out)
{
    struct writer *w = &s->w;
    for (size_t i = 0; i < STORE_MARKS; i++) {
        if (w->marks[i].left_out == left_out && w->marks[i].lane == lane)
            return &w->marks[i];
    }
    struct claim_mark *m = &w->marks[w->next_mark++ % STORE_MARKS];
    *m = (struct claim_mark){.lane = lane, .left_out = left_out};
    return m;
}

/* Gives what the part has, in one step. */
static int serve_part(struct store *s, struct store_claim *o, struct backend_part *part,
                      const struct task_move *move)
{
    struct backend_row rows[TAKE_STEP];
    struct claim_mark *mark = mark_of(s, o->lane, hash_left_out(part));
    size_t n = 0, want = o->max - o->n < TAKE_STEP ? o->max - o->n : TAKE_STEP;
    part->after = mark->place;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->take_part(s->backend, o->lane, move, want, part, rows, &n);
    if (rc != 0)
        return rc;
    mark->place = part->passed;
    s->w.claims_pending = s->w.claims_pending || (n < want && !part->is_all);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = give_row(s, o, move, &rows[i]);
    return rc;
}

/* The lowest rank above `above` that somebody has; STORE_RANK_NEVER: none. */
static uint8_t next_rank(const struct store_claim *o, int above)
{
    uint8_t next = o->others > above ? o->others : STORE_RANK_NEVER;
    for (size_t i = 0; i < o->n_ranks; i++) {
        if (o->ranks[i].rank > above && o->ranks[i].rank < next)
            next = o->ranks[i].rank;
    }
    return next;
}

static int serve_by_rank(struct store *s, struct store_claim *o, const struct task_move *move)
{
    int rc = 0;
    for (uint8_t rank = next_rank(o, -1);
         rc == 0 && rank != STORE_RANK_NEVER && o->n < o->max && *txn_live(s, o->lane, move->from);
         rank = next_rank(o, rank)) {
        struct backend_part part = part_of(o, rank);
        rc = serve_part(s, o, &part, move);
    }
    return rc;
}

static int serve_ranked(struct store *s, enum lane lane, const struct task_move *move)
{
    struct list *parked = &s->w.parked[lane];
    int rc = 0;
    for (struct list_node *i = list_first(parked), *next; rc == 0 && i; i = next) {
        next = list_next(parked, i);
        if (claim_at(i)->n_ranks)
            rc = serve_by_rank(s, claim_at(i), move);
    }
    return rc;
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Claims that were given less than they asked for end with what they have. */
static void end_partly_served(struct store *s, enum lane lane)
{
    struct list *parked = &s->w.parked[lane];
    for (struct list_node *i = list_first(parked), *next; i; i = next) {
        next = list_next(parked, i);
        if (claim_at(i)->n == 0)
            continue;
        list_remove(parked, i);
        list_push_back(&s->w.finished, i);
    }
}

int claims_serve(struct store *s)
{
    struct task_move move;
    FUT_MUST(task_move_of(TASK_QUEUED, EVENT_START, &move) == 0);
    int rc = 0;
    for (int l = 0; l < LANE_COUNT; l++) {
        if (rc == 0)
            rc = serve_ranked(s, (enum lane)l, &move);
        if (rc == 0)
            rc = serve_plain(s, (enum lane)l, &move);
        end_partly_served(s, (enum lane)l);
    }
    return rc;
}
