/* submit: how tasks come in: all or none, once per key. The writer thread alone. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/engine/internal.h"

#define GENERATION_MS 86400000LL            /* what a task submits is so much ahead of it, */
#define AHEAD_MAX_MS (1000 * GENERATION_MS) /* and this at most: less than half a priority */
#define CACHED_DEPTH 1024                   /* only the head of the queue is worth remembering */

/* An idle pool's claim takes the task in the very insert: no queue row is written at all. */
static int start_at_once(struct store *s, struct store_claim *o, const struct task *t,
                         struct line *line)
{
    struct task_change c;
    struct task started;
    FUT_MUST(task_apply(t, EVENT_START, NULL, &c) == 0);
    task_copy(&started, t);
    txn_advance(s, &started, &c);
    int rc = txn_insert(s, &started, line);
    if (rc != 0) {
        task_release(&started);
        return rc;
    }
    turns_charge(&s->w.lines, line, 1);
    line_queue_add_start(line, s->w.limits.now_up_ms, 0);
    claims_give(s, o, &started);
    s->w.changes[s->w.n_changes - 1].is_new = true;
    return 0;
}

static int insert_one(struct store *s, const struct task *t)
{
    struct line *line;
    struct store_claim *o = NULL;
    int rc = lines_get(s, t->spec, &line);
    if (rc == 0 && backend_is_claimable(t->state))
        rc = claims_find(s, line, &o);
    if (rc != 0 || o)
        return rc != 0 ? rc : start_at_once(s, o, t, line);
    rc = txn_insert(s, t, line);
    if (rc != 0)
        return rc;
    if (backend_is_claimable(t->state) && txn_live(s, t->spec->lane, t->state) <= CACHED_DEPTH)
        spec_cache_put(&s->w.specs, t->spec);
    txn_add_change(s, &(struct store_change){.id = t->spec->id,
                                             .state = t->state,
                                             .is_new = true,
                                             .task = t,
                                             .batch = t->spec->batch});
    return 0;
}

static int insert_all(struct store *s, struct store_submit *o)
{
    size_t edge = 0;
    int rc = edges_check(s, o);
    if (rc == 0 && o->session.hi)
        rc = sessions_join(s, o);
    if (rc == 0 && o->batch)
        rc = s->ops->batch_put(s->backend, o->batch);
    for (size_t i = 0; rc == 0 && i < o->n; i++) {
        rc = txn_check_unique(s, o->tasks[i].spec);
        if (rc == 0)
            rc = insert_one(s, &o->tasks[i]);
        if (rc == 0)
            rc = edges_link(s, o, i, &edge);
    }
    if (rc == 0 && o->key)
        rc = s->ops->put_key(s->backend, o->key, o->batch ? o->batch->id : o->tasks[0].spec->id);
    return rc;
}

/* Several tasks: all or none, so what the first ones did is taken back when one is refused. They
 * are not taken over (claims cannot be taken back one by one); the queue serves them right after.
 */
int submit_insert(struct store *s, struct store_submit *o)
{
    struct writer *w = &s->w;
    struct txn_mark before;
    struct list aside[LANE_COUNT];
    int rc = txn_mark(s, &before);
    if (rc != 0)
        return rc;
    for_each_lane (l) {
        list_init(&aside[l]);
        list_take_all(&aside[l], &w->parked[l]);
    }
    rc = insert_all(s, o);
    for_each_lane (l)
        list_take_all(&w->parked[l], &aside[l]);
    if (rc == 0)
        return txn_unmark(s);
    return txn_back(s, &before) == 0 ? rc : FUT_ERR_IO;
}

static int find_by_key(struct store *s, struct store_submit *o)
{
    struct backend_key found;
    int rc = s->ops->find_key(s->backend, o->key->key, &found);
    if (rc != 0)
        return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
    if (memcmp(found.fingerprint, o->key->fingerprint, STORE_FINGERPRINT_SIZE) != 0)
        return FUT_ERR_CONFLICT;
    o->submitted = STORE_REPLAYED;
    o->existing = found.id;
    return 0;
}

/* 0 when the unfinished task with the unique key has the same specification and calls the same
 * URL; else FUT_ERR_CONFLICT. Both were loaded with their inputs. */
static int compare_loaded(const struct store_submit *o, const struct task_spec *spec,
                          const struct task_spec *callback)
{
    const struct task_spec *own = o->n > 1 ? o->tasks[1].spec : NULL;
    bool same = task_spec_is_same(spec, o->tasks[0].spec) && !own == !callback &&
                (!own || task_spec_is_same(own, callback));
    return same ? 0 : FUT_ERR_CONFLICT;
}

/* Does the task that is there wait for what this one is to wait for? */
static int compare_parents(struct store *s, const struct store_submit *o)
{
    size_t n = 0, n_after = 0, found = 0;
    if (!s->w.has_edges && !o->n_edges)
        return 0;
    struct backend_edge *edges = xmalloc(STORE_PARENTS_MAX * sizeof(*edges));
    int rc = s->ops->parents(s->backend, o->existing.hi, STORE_PARENTS_MAX, edges, &n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        n_after += edges[i].on != STORE_ON_WAKE;
    for (size_t i = 0; rc == 0 && i < o->n_edges; i++) {
        for (size_t j = 0; j < n; j++)
            found += id_equal(edges[j].parent, o->edges[i].parent) && edges[j].on == o->edges[i].on;
    }
    free(edges);
    return rc != 0 || (found == n_after && n_after == o->n_edges) ? rc : FUT_ERR_CONFLICT;
}

static int compare_existing(struct store *s, const struct store_submit *o)
{
    struct task_spec *spec = NULL, *callback = NULL;
    int rc = s->ops->load(s->backend, o->existing.hi, &spec);
    if (rc == 0 && spec->callback.hi)
        rc = s->ops->load(s->backend, spec->callback.hi, &callback);
    if (rc == 0 || (spec && rc == FUT_ERR_NOT_FOUND)) /* somebody has deleted the callback */
        rc = compare_loaded(o, spec, callback);
    if (rc == 0)
        rc = compare_parents(s, o);
    task_spec_unref(spec);
    task_spec_unref(callback);
    return rc;
}

/* Is this request, or an unfinished task with its unique key, here already? One writer answers one
 * submission after the other, so two that arrive at once cannot both be new. */
static int find_existing(struct store *s, struct store_submit *o)
{
    int rc = o->key ? find_by_key(s, o) : 0;
    if (rc != 0 || o->submitted != STORE_NEW || o->batch || o->session.hi ||
        !o->tasks[0].spec->unique)
        return rc;
    rc = s->ops->find_unique(s->backend, o->tasks[0].spec->unique, &o->existing);
    if (rc != 0)
        return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
    o->submitted = STORE_COALESCED;
    return compare_existing(s, o);
}

/* What a task submits goes before what was there already, in its line: so a tree of tasks of which
 * each waits for its own is run to the bottom before it gets wide, and few wait at a time. */
static int go_ahead(struct store *s, const struct task_spec *parent)
{
    struct line *line;
    int64_t place;
    int rc = lines_get(s, parent, &line);
    if (rc == 0)
        rc = s->ops->place(s->backend, parent->id.hi, &place);
    if (rc != 0)
        return rc;
    int64_t own = lines_place(line, parent->id.hi, parent->priority);
    int64_t ahead = backend_place_distance(place, own);
    ahead = (ahead > 0 ? ahead : 0) + GENERATION_MS;
    s->w.ahead_ms = ahead < AHEAD_MAX_MS ? ahead : AHEAD_MAX_MS;
    return 0;
}

/* Does the attempt that submits still run? */
static int check_parent(struct store *s, const struct store_submit *o)
{
    struct task t;
    int rc = s->ops->find_live(s->backend, o->parent.hi, &t);
    if (rc != 0)
        return rc == FUT_ERR_NOT_FOUND ? FUT_ERR_STALE : rc;
    bool runs = id_equal(t.spec->id, o->parent) && t.state == TASK_RUNNING &&
                t.attempt == o->parent_attempt;
    rc = runs ? go_ahead(s, t.spec) : FUT_ERR_STALE;
    task_release(&t);
    return rc;
}

/* What is known already is answered whatever the queue is like: it adds nothing to it. */
static int write_submit(struct store *s, struct store_op *op)
{
    struct store_submit *o = FUT_CONTAINER(op, struct store_submit, op);
    bool may_exist = o->key || (!o->batch && o->tasks[0].spec->unique);
    int rc = may_exist ? txn_begin(s) : 0;
    if (rc == 0 && may_exist)
        rc = find_existing(s, o);
    if (rc == 0 && o->submitted == STORE_COALESCED && o->key)
        rc = s->ops->put_key(s->backend, o->key, o->existing);
    if (rc != 0 || o->submitted != STORE_NEW)
        return rc;
    if (txn_is_full(s, o->n))
        return FUT_ERR_FULL;
    rc = txn_begin(s);
    if (rc == 0 && o->parent.hi)
        rc = check_parent(s, o);
    if (rc != 0)
        return rc;
    bool is_alone = o->n == 1 && !o->batch && !o->session.hi && !o->key && !o->n_edges;
    rc = is_alone ? insert_one(s, &o->tasks[0]) : submit_insert(s, o);
    s->w.ahead_ms = 0;
    return rc;
}

/* A repeat under a known key needs no space. */
static int replay_submit(struct store *s, struct store_op *op)
{
    struct store_submit *o = FUT_CONTAINER(op, struct store_submit, op);
    int rc = o->key ? txn_begin(s) : FUT_ERR_NO_SPACE;
    if (rc == 0)
        rc = find_by_key(s, o);
    return rc == 0 && o->submitted == STORE_NEW ? FUT_ERR_NO_SPACE : rc;
}

static void prepare_submit(struct store_op *op)
{
    struct store_submit *o = FUT_CONTAINER(op, struct store_submit, op);
    o->submitted = STORE_NEW;
    o->session_rc = 0;
}

const struct store_verb store_verb_submit = {.prepare = prepare_submit,
                                             .write = write_submit,
                                             .replay = replay_submit,
                                             .is_refusable = true,
                                             .is_repeatable = true};
