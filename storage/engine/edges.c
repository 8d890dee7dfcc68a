/* edges: tasks that wait for others: what a submission says of it, and what another life of one of
 * them waits for. What follows from an end is in cascades.c. The writer thread alone. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

int edges_check(struct store *s, struct store_submit *o)
{
    for (size_t i = 0; i < o->n_edges; i++) {
        struct store_edge *e = &o->edges[i];
        enum task_state state = TASK_SCHEDULED;
        e->is_pending = true;
        int rc = e->is_inside ? 0 : s->ops->find_state(s->backend, e->parent, &state);
        if (rc == 0 && task_state_is_final(state)) {
            e->is_pending = false;
            rc = backend_edge_is_met(e->on, state) ? 0 : FUT_ERR_STATE;
        }
        o->refused_edge = i;
        if (rc != 0)
            return rc;
    }
    return 0;
}

int edges_queue(struct store *s, const struct task_spec *spec)
{
    struct line *line;
    struct task_move move;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    int rc = lines_get(s, spec, &line);
    if (rc != 0)
        return rc;
    struct backend_moved row = {spec->id.hi, line->number, spec->priority};
    return txn_queue(s, &row, 1, &move);
}

/* A delay counts from here. */
int edges_end_waiting(struct store *s, const struct task_spec *spec)
{
    int64_t now_ms = clock_wall_ms();
    struct task t = {.spec = (struct task_spec *)(uintptr_t)spec,
                     .state = TASK_SCHEDULED,
                     .due_wall_ms = spec->times.delay_ms ? now_ms + spec->times.delay_ms
                                                         : spec->times.run_at_wall_ms};
    if (t.due_wall_ms <= now_ms)
        return edges_queue(s, spec);
    int rc = s->ops->set_due(s->backend, &t);
    txn_watch_times(s, &t);
    return rc;
}

int edges_link(struct store *s, const struct store_submit *o, size_t child, size_t *at)
{
    const struct task_spec *spec = o->tasks[child].spec;
    size_t first = *at;
    uint32_t unmet = 0;
    int rc = 0;
    for (; rc == 0 && *at < o->n_edges && o->edges[*at].child == child; (*at)++) {
        const struct store_edge *e = &o->edges[*at];
        unmet += e->is_pending;
        rc = s->ops->put_edge(s->backend, &(struct backend_edge){.parent = e->parent,
                                                                 .child = spec->id.hi,
                                                                 .on = e->on,
                                                                 .is_pending = e->is_pending});
    }
    if (rc != 0 || *at == first)
        return rc;
    s->w.has_edges = true;
    rc = s->ops->set_unmet(s->backend, spec->id.hi, unmet);
    return rc == 0 && !unmet ? edges_end_waiting(s, spec) : rc;
}

/* How the edge stands now. FUT_ERR_STATE: its parent has ended in another way than it asks for. */
static int renew_edge(struct store *s, struct backend_edge *e)
{
    enum task_state state;
    int rc = s->ops->find_state(s->backend, e->parent, &state);
    if (rc == FUT_ERR_NOT_FOUND) /* it was deleted: what it came to counts */
        return e->is_pending || e->is_unmet ? FUT_ERR_STATE : 0;
    if (rc != 0)
        return rc;
    e->is_pending = !task_state_is_final(state);
    e->is_unmet = false;
    if (!e->is_pending && !backend_edge_is_met(e->on, state))
        return FUT_ERR_STATE;
    return s->ops->put_edge(s->backend, e);
}

int edges_renew(struct store *s, struct task *t)
{
    struct backend_edge *edges;
    size_t n = 0;
    t->unmet = 0;
    if (!s->w.has_edges)
        return 0;
    edges = xmalloc(STORE_PARENTS_MAX * sizeof(*edges));
    int rc = s->ops->drop_wakes(s->backend, t->spec->id.hi);
    if (rc == 0)
        rc = s->ops->parents(s->backend, t->spec->id.hi, STORE_PARENTS_MAX, edges, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = renew_edge(s, &edges[i]);
        t->unmet += rc == 0 && edges[i].is_pending;
    }
    free(edges);
    return rc;
}
