/* bulk: one change of many futures, carried out in steps beside everything else that the writer
 * does. A step, what it changes and how far it has got are one commit. The writer thread alone. */
#include "core/clock.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define STEP_CHANGES 200
#define STEP_LOOKS 2000
#define FULL_PAUSE_US 1000000 /* while a retry finds the queue full */

/* ---- what each kind does to one future --------------------------------------------------------
 */

static int cancel_one(struct store *s, struct task *t)
{
    struct task_outcome *why = task_outcome_error(end_code_text(END_CANCELLED),
                                                  "cancelled by an operation on many futures");
    int rc = txn_end(s, t, EVENT_CANCEL, why);
    task_outcome_unref(why);
    return rc;
}

static int retry_one(struct store *s, struct task *t)
{
    struct task_change c;
    FUT_MUST(task_apply(t, EVENT_REVIVE, NULL, &c) == 0);
    return txn_is_full(s, 1) ? FUT_ERR_FULL : revive_task(s, &c, t, false);
}

static int delete_one(struct store *s, struct task *t)
{
    return txn_remove(s, t->spec->id);
}

static int (*const kinds[STORE_BULK_KINDS])(struct store *s, struct task *t) = {
    [STORE_BULK_CANCEL] = cancel_one,
    [STORE_BULK_RETRY] = retry_one,
    [STORE_BULK_DELETE] = delete_one,
};

/* ---- a step -----------------------------------------------------------------------------------
 */

static void end_bulk(struct store *s, struct store_bulk *b)
{
    b->finished_wall_ms = clock_wall_ms();
    txn_add_change(s, &(struct store_change){.id = b->id, .state = TASK_SUCCEEDED});
}

/* A future that cannot be changed for now ends the step: the next one begins with it. */
static int change_all(struct store *s, struct store_bulk *b, struct backend_scan *scan)
{
    int rc = 0;
    for (size_t i = 0; i < scan->n && rc != FUT_ERR_FULL && !store_rc_is_fatal(rc); i++) {
        uint64_t key = scan->tasks[i].spec->id.hi;
        rc = b->is_dry ? 0 : kinds[b->kind](s, &scan->tasks[i]);
        if (rc == FUT_ERR_FULL) {
            scan->next = key + 1;
            scan->seen = i;
            s->w.bulk_again_mono_us = clock_mono_us() + FULL_PAUSE_US;
            continue;
        }
        b->matched++;
        b->changed += rc == 0;
        b->refused += rc == FUT_ERR_CONFLICT;
    }
    return store_rc_is_fatal(rc) ? rc : 0;
}

static int step(struct store *s, struct store_bulk *b)
{
    struct task tasks[STEP_CHANGES];
    struct backend_scan scan = {
        .bulk = b, .before = b->next, .look = STEP_LOOKS, .max = STEP_CHANGES, .tasks = tasks};
    int rc = s->ops->bulk_scan(s->backend, &scan);
    if (rc == 0)
        rc = change_all(s, b, &scan);
    for (size_t i = 0; i < scan.n; i++)
        task_release(&tasks[i]);
    if (rc != 0)
        return rc;
    b->seen += scan.seen;
    b->next = scan.next;
    if (!b->next)
        end_bulk(s, b);
    return s->ops->bulk_put(s->backend, b);
}

/* The unfinished ones in turns, a step each. */
int bulk_step(struct store *s)
{
    struct writer *w = &s->w;
    struct store_bulk b;
    size_t unfinished;
    if (w->bulk_again_mono_us > clock_mono_us() || !w->leads)
        return 0;
    w->bulk_again_mono_us = 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->bulk_next(s->backend, w->bulk_latest, &b, &unfinished);
    if (rc == FUT_ERR_NOT_FOUND && w->bulk_latest)
        rc = s->ops->bulk_next(s->backend, 0, &b, &unfinished);
    w->bulk_latest = rc == 0 ? b.id.hi : 0;
    if (rc == FUT_ERR_NOT_FOUND) {
        w->bulk_again_mono_us = INT64_MAX;
        return 0;
    }
    return rc == 0 ? step(s, &b) : rc;
}

/* ---- the verbs --------------------------------------------------------------------------------
 */

static int write_start(struct store *s, struct store_op *op)
{
    struct store_bulk *b = &FUT_CONTAINER(op, struct store_bulk_start, op)->bulk;
    struct store_bulk other;
    size_t unfinished = 0;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->bulk_next(s->backend, 0, &other, &unfinished);
    if (rc != 0 && rc != FUT_ERR_NOT_FOUND)
        return rc;
    if (rc == 0 && unfinished >= STORE_BULKS_MAX)
        return FUT_ERR_FULL;
    unsigned states = store_bulk_states(b->kind);
    b->filter.states = b->filter.states ? b->filter.states & states : states;
    b->created_wall_ms = clock_wall_ms();
    b->next = b->id.hi;
    s->w.bulk_again_mono_us = 0;
    return s->ops->bulk_put(s->backend, b);
}

const struct store_verb store_verb_bulk_start = {
    .write = write_start, .is_refusable = true, .is_repeatable = true};

static int write_stop(struct store *s, struct store_op *op)
{
    struct store_bulk_stop *o = FUT_CONTAINER(op, struct store_bulk_stop, op);
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->bulk_find(s->backend, o->id, &o->bulk);
    if (rc != 0 || o->bulk.finished_wall_ms)
        return rc;
    o->bulk.is_stopped = true;
    end_bulk(s, &o->bulk);
    return s->ops->bulk_put(s->backend, &o->bulk);
}

const struct store_verb store_verb_bulk_stop = {
    .write = write_stop, .is_refusable = true, .is_repeatable = true};
