/* nodes: what a node says of itself, which nodes there are, what runs on them, and how one is
 * drained. Where nobody shares the store this daemon is the only node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/engine/internal.h"
#include "storage/node.h"

/* ---- this one -------------------------------------------------------------------------------- */

void nodes_init(struct store *s, const struct store_config *cfg)
{
    mutex_init(&s->self.mu);
    s->node_name = xstrdup(cfg->node);
    if (task_needs_parse(cfg->labels ? cfg->labels : "", &s->labels) != 0)
        s->labels.n = 0;
}

void nodes_release(struct store *s)
{
    free(s->self.info);
    free(s->node_name);
    mutex_destroy(&s->self.mu);
}

bool store_is_shared(const struct store *s)
{
    return s->ops->hear != NULL;
}

bool store_is_draining(const struct store *s)
{
    return atomic_load_explicit(&s->w.is_draining, memory_order_relaxed);
}

void store_publish(struct store *s, const char *info)
{
    mutex_lock(&s->self.mu);
    free(s->self.info);
    s->self.info = xstrdup(info);
    s->self.n_infos++;
    if (s->self.on_info)
        s->self.on_info(s->self.info_ctx);
    mutex_unlock(&s->self.mu);
}

void store_watch_load(struct store *s, void (*fn)(void *ctx, struct buf *out), void *ctx)
{
    mutex_lock(&s->self.mu);
    s->self.load = fn;
    s->self.load_ctx = ctx;
    mutex_unlock(&s->self.mu);
}

void store_watch_nodes(struct store *s, void (*fn)(void *ctx), void *ctx)
{
    mutex_lock(&s->self.mu);
    s->self.on_nodes = fn;
    s->self.nodes_ctx = ctx;
    mutex_unlock(&s->self.mu);
}

/* Holds at once, whatever becomes of the transaction: a second run finds the names taken over. */
static int write_handlers(struct store *s, struct store_op *op)
{
    struct store_node_handlers *o = FUT_CONTAINER(op, struct store_node_handlers, op);
    if (o->names)
        lines_set_here(&s->w.lines, o->names, o->n);
    o->names = NULL;
    return 0;
}

const struct store_verb store_verb_node_handlers = {
    .write = write_handlers, .uses_reserve = true, .is_repeatable = true};

/* ---- all ------------------------------------------------------------------------------------- */

static void prepare_list(struct store_op *op)
{
    struct store_node_list *o = FUT_CONTAINER(op, struct store_node_list, op);
    o->nodes = NULL;
    o->n = 0;
}

void store_node_list_release(struct store_node_list *o)
{
    for (size_t i = 0; i < o->n; i++) {
        free(o->nodes[i].info);
        free(o->nodes[i].load);
    }
    free(o->nodes);
    o->nodes = NULL;
    o->n = 0;
}

static void list_self(struct store *s, struct store_node_list *o)
{
    struct backend_self *self = &s->self;
    struct store_node *n = o->nodes = xnew(struct store_node);
    struct buf load = BUF_INIT;
    o->n = 1;
    (void)snprintf(n->name, sizeof(n->name), "%s", s->node_name);
    n->is_self = n->is_live = true;
    n->is_draining = store_is_draining(s);
    for_each_lane (lane)
        n->is_busy = n->is_busy || txn_live(s, lane, TASK_RUNNING);
    n->seen_wall_ms = clock_wall_ms();
    mutex_lock(&self->mu);
    n->info = self->info ? xstrdup(self->info) : NULL;
    if (self->load)
        self->load(self->load_ctx, &load);
    mutex_unlock(&self->mu);
    n->load = load.len ? xstrdup(load.data) : NULL;
    buf_release(&load);
}

static int write_list(struct store *s, struct store_op *op)
{
    struct store_node_list *o = FUT_CONTAINER(op, struct store_node_list, op);
    if (s->ops->nodes) {
        int rc = txn_begin(s);
        return rc == 0 ? s->ops->nodes(s->backend, o) : rc;
    }
    list_self(s, o);
    return 0;
}

static void forget_list(struct store_op *op)
{
    store_node_list_release(FUT_CONTAINER(op, struct store_node_list, op));
}

const struct store_verb store_verb_node_list = {.prepare = prepare_list,
                                                .forget = forget_list,
                                                .write = write_list,
                                                .uses_reserve = true,
                                                .is_refusable = true,
                                                .is_repeatable = true};

/* ---- draining -------------------------------------------------------------------------------- */

/* Where nodes share the store each hears of it with its next transaction, also this one, if this
 * transaction fails. */
static int write_drain(struct store *s, struct store_op *op)
{
    const struct store_node_drain *o = FUT_CONTAINER(op, struct store_node_drain, op);
    bool is_self = strcmp(o->name, s->node_name) == 0;
    int rc = s->ops->node_drain ? txn_begin(s) : is_self ? 0 : FUT_ERR_NOT_FOUND;
    if (rc == 0 && s->ops->node_drain)
        rc = s->ops->node_drain(s->backend, o->name, o->drains);
    if (rc == 0 && is_self)
        atomic_store_explicit(&s->w.is_draining, o->drains, memory_order_relaxed);
    return rc;
}

const struct store_verb store_verb_node_drain = {
    .write = write_drain, .uses_reserve = true, .is_refusable = true, .is_repeatable = true};

/* ---- where tasks run ------------------------------------------------------------------------- */

static void prepare_nodes(struct store_op *op)
{
    struct store_queue_nodes *o = FUT_CONTAINER(op, struct store_queue_nodes, op);
    o->nodes = NULL;
    o->n_nodes = 0;
}

static int find_name(const void *name, const void *queue)
{
    return strcmp(name, ((const struct store_queue_status *)queue)->queue.name);
}

/* The lanes of one node come one after the other. */
static void add_running(void *ctx, const char *queue, const char *node, enum lane lane,
                        uint64_t running)
{
    struct store_queue_nodes *o = ctx;
    const char *name = *queue ? queue : TASK_QUEUE_DEFAULT;
    const struct store_queue_status *q =
        bsearch(name, o->queues, o->n, sizeof(*o->queues), find_name);
    if (!q)
        return;
    size_t index = (size_t)(q - o->queues);
    struct store_queue_node *last = o->n_nodes ? &o->nodes[o->n_nodes - 1] : NULL;
    if (!last || last->queue != index || strcmp(last->name, node) != 0) {
        o->nodes = xrealloc(o->nodes, (o->n_nodes + 1) * sizeof(*o->nodes));
        last = &o->nodes[o->n_nodes++];
        *last = (struct store_queue_node){.queue = index};
        (void)snprintf(last->name, sizeof(last->name), "%s", node);
    }
    last->running[lane] += running;
}

static int by_queue(const void *a_, const void *b_)
{
    const struct store_queue_node *a = a_, *b = b_;
    return a->queue != b->queue ? (a->queue < b->queue ? -1 : 1) : strcmp(a->name, b->name);
}

/* Without other nodes all that runs does so here. */
static int write_nodes(struct store *s, struct store_op *op)
{
    struct store_queue_nodes *o = FUT_CONTAINER(op, struct store_queue_nodes, op);
    if (s->ops->queue_nodes && s->ops->has_peers(s->backend)) {
        int rc = txn_begin(s);
        if (rc == 0)
            rc = s->ops->queue_nodes(s->backend, add_running, o);
        if (o->n_nodes)
            qsort(o->nodes, o->n_nodes, sizeof(*o->nodes), by_queue);
        return rc;
    }
    for (size_t i = 0; i < o->n; i++) {
        for_each_lane (lane) {
            uint64_t running = o->queues[i].live[lane][TASK_RUNNING];
            if (running)
                add_running(o, o->queues[i].queue.name, s->node_name, lane, running);
        }
    }
    return 0;
}

static void forget_nodes(struct store_op *op)
{
    free(FUT_CONTAINER(op, struct store_queue_nodes, op)->nodes);
}

const struct store_verb store_verb_queue_nodes = {.prepare = prepare_nodes,
                                                  .forget = forget_nodes,
                                                  .write = write_nodes,
                                                  .uses_reserve = true,
                                                  .is_refusable = true,
                                                  .is_repeatable = true};
