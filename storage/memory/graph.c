/* graph: edges and cascades of the memory backend. It looks through all of them each time,
 * and takes changes back by copies of the whole: plain to see, not fast. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/memory/internal.h"

/* ---- what can be taken back ------------------------------------------------------------------ */

static void release(struct memory_graph *g)
{
    free(g->edges);
    free(g->cascades);
    *g = (struct memory_graph){0};
}

static void copy(struct memory_graph *to, const struct memory_graph *from)
{
    *to = *from;
    to->edges = xcalloc(from->n_edges + 1, sizeof(*to->edges));
    to->cascades = xcalloc(from->n_cascades + 1, sizeof(*to->cascades));
    if (from->n_edges)
        memcpy(to->edges, from->edges, from->n_edges * sizeof(*to->edges));
    if (from->n_cascades)
        memcpy(to->cascades, from->cascades, from->n_cascades * sizeof(*to->cascades));
    to->is_kept = true;
}

/* Before the first change of a transaction, and of what stands behind its mark. */
static void keep(struct backend *b)
{
    if (!b->graph_before.is_kept)
        copy(&b->graph_before, &b->graph);
    if (b->graph_is_marked && !b->graph_marked.is_kept)
        copy(&b->graph_marked, &b->graph);
}

static void restore(struct backend *b, struct memory_graph *from)
{
    if (!from->is_kept)
        return;
    release(&b->graph);
    b->graph = *from;
    b->graph.is_kept = false;
    *from = (struct memory_graph){0};
}

void memory_graph_mark(struct backend *b)
{
    release(&b->graph_marked);
    b->graph_is_marked = true;
}

void memory_graph_unmark(struct backend *b)
{
    release(&b->graph_marked);
    b->graph_is_marked = false;
}

void memory_graph_back(struct backend *b)
{
    restore(b, &b->graph_marked);
    memory_graph_unmark(b);
}

void memory_graph_end(struct backend *b, bool is_commit)
{
    if (!is_commit)
        restore(b, &b->graph_before);
    release(&b->graph_before);
    memory_graph_unmark(b);
}

void memory_graph_release(struct backend *b)
{
    release(&b->graph);
    release(&b->graph_before);
    release(&b->graph_marked);
}

void memory_graph_forget(struct backend *b, uint64_t child)
{
    struct memory_graph *g = &b->graph;
    size_t n = 0;
    for (size_t i = 0; i < g->n_edges; i++) {
        if (g->edges[i].child != child)
            g->edges[n++] = g->edges[i];
    }
    g->n_edges = n;
}

/* ---- edges ----------------------------------------------------------------------------------- */

int memory_put_edge(struct backend *b, const struct backend_edge *e)
{
    struct memory_graph *g = &b->graph;
    keep(b);
    for (size_t i = 0; i < g->n_edges; i++) {
        if (g->edges[i].child == e->child && g->edges[i].parent.hi == e->parent.hi) {
            g->edges[i] = *e;
            return 0;
        }
    }
    g->edges = xrealloc(g->edges, (g->n_edges + 1) * sizeof(*g->edges));
    g->edges[g->n_edges++] = *e;
    return 0;
}

int memory_drop_wakes(struct backend *b, uint64_t child)
{
    struct memory_graph *g = &b->graph;
    size_t n = 0;
    keep(b);
    for (size_t i = 0; i < g->n_edges; i++) {
        struct backend_edge e = g->edges[i];
        if (e.child == child && e.is_wake && e.on == STORE_ON_WAKE)
            continue;
        if (e.child == child && e.is_wake)
            e.is_wake = e.is_pending = false;
        g->edges[n++] = e;
    }
    g->n_edges = n;
    return 0;
}

static int by_child(const void *a, const void *b)
{
    uint64_t x = ((const struct backend_edge *)a)->child,
             y = ((const struct backend_edge *)b)->child;
    return (x > y) - (x < y);
}

/* Of the parent, behind that child, the lowest children first. */
static void find_edges(struct backend *b, uint64_t parent, uint64_t after, bool only_pending,
                       size_t max, struct backend_edge *edges, size_t *out_n)
{
    const struct memory_graph *g = &b->graph;
    struct backend_edge *found = xcalloc(g->n_edges + 1, sizeof(*found));
    size_t n = 0;
    for (size_t i = 0; i < g->n_edges; i++) {
        const struct backend_edge *e = &g->edges[i];
        if (e->parent.hi == parent && e->child > after && (e->is_pending || !only_pending))
            found[n++] = *e;
    }
    qsort(found, n, sizeof(*found), by_child);
    *out_n = n < max ? n : max;
    memcpy(edges, found, *out_n * sizeof(*edges));
    free(found);
}

int memory_pending_edges(struct backend *b, uint64_t parent, size_t max, struct backend_edge *edges,
                         size_t *out_n)
{
    find_edges(b, parent, 0, true, max, edges, out_n);
    return 0;
}

int memory_children(struct backend *b, uint64_t parent, uint64_t after, size_t max,
                    struct backend_edge *edges, size_t *out_n)
{
    find_edges(b, parent, after, false, max, edges, out_n);
    return 0;
}

int memory_parents(struct backend *b, uint64_t child, size_t max, struct backend_edge *edges,
                   size_t *out_n)
{
    size_t n = 0;
    for (size_t i = 0; i < b->graph.n_edges && n < max; i++) {
        if (b->graph.edges[i].child == child)
            edges[n++] = b->graph.edges[i];
    }
    *out_n = n;
    return 0;
}

int memory_submitted(struct backend *b, uint64_t key, uint64_t after, size_t max, uint64_t *keys,
                     size_t *out_n)
{
    size_t n = 0;
    for (struct list_node *i = list_first(&b->in_order); i && n < max;
         i = list_next(&b->in_order, i)) {
        const struct task_spec *spec = FUT_CONTAINER(i, struct record, in_order)->task.spec;
        if (spec->parent.hi == key && spec->id.hi > after)
            keys[n++] = spec->id.hi;
    }
    *out_n = n;
    return 0;
}

/* ---- cascades -------------------------------------------------------------------------------- */

static struct backend_cascade *find_cascade(struct backend *b, const struct backend_cascade *c)
{
    struct memory_graph *g = &b->graph;
    for (size_t i = 0; i < g->n_cascades; i++) {
        if (g->cascades[i].key == c->key && g->cascades[i].kind == c->kind)
            return &g->cascades[i];
    }
    return NULL;
}

int memory_put_cascade(struct backend *b, const struct backend_cascade *c)
{
    struct memory_graph *g = &b->graph;
    keep(b);
    struct backend_cascade *found = find_cascade(b, c);
    if (!found) {
        g->cascades = xrealloc(g->cascades, (g->n_cascades + 1) * sizeof(*g->cascades));
        found = &g->cascades[g->n_cascades++];
    }
    *found = *c;
    return 0;
}

int memory_next_cascade(struct backend *b, struct backend_cascade *out)
{
    if (!b->graph.n_cascades)
        return FUT_ERR_NOT_FOUND;
    *out = b->graph.cascades[0];
    return 0;
}

int memory_drop_cascade(struct backend *b, const struct backend_cascade *c)
{
    keep(b);
    struct backend_cascade *found = find_cascade(b, c);
    if (found)
        *found = b->graph.cascades[--b->graph.n_cascades];
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int by_child_then_parent(const void *a_, const void *b_)
{
    const struct store_edge *a = a_, *b = b_;
    if (a->child != b->child)
        return a->child < b->child ? -1 : 1;
    return (a->parent.hi > b->parent.hi) - (a->parent.hi < b->parent.hi);
}

void memory_read_wakes(const struct backend *b, const struct task *t, struct store_reported *out)
{
    const struct memory_graph *g = &b->graph;
    if (!t->is_suspended || !t->unmet)
        return;
    for (size_t i = 0; i < g->n_edges; i++) {
        const struct backend_edge *e = &g->edges[i];
        if (e->child == t->spec->id.hi && e->is_pending && !backend_add_wake(out, e->parent))
            return;
    }
}

int memory_edges(struct backend_reader *r, struct store_edges *o)
{
    const struct memory_graph *g = &r->b->graph;
    mutex_lock(&r->b->mu);
    o->edges = xcalloc(g->n_edges + 1, sizeof(*o->edges));
    for (size_t i = 0; i < o->n_ids; i++) {
        for (size_t k = 0; k < g->n_edges; k++) {
            const struct backend_edge *e = &g->edges[k];
            if (e->child == o->ids[i].hi)
                o->edges[o->n++] = (struct store_edge){.parent = e->parent,
                                                       .child = i,
                                                       .on = e->on,
                                                       .is_pending = e->is_pending,
                                                       .is_wake = e->is_wake};
        }
    }
    mutex_unlock(&r->b->mu);
    qsort(o->edges, o->n, sizeof(*o->edges), by_child_then_parent);
    return 0;
}
