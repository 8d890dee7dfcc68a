/* reader: the reader threads, each with a backend reader of its own, and the verbs that read. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/engine/internal.h"

static struct store_op *next_op(struct store *s, struct idle_thread *self)
{
    struct list_node *n;
    mutex_lock(&s->mu);
    while (!(n = list_pop_front(&s->read_queue)) && !s->stopping)
        idle_wait(&s->idle_readers, self, &s->mu);
    mutex_unlock(&s->mu);
    return n ? FUT_CONTAINER(n, struct store_op, link) : NULL;
}

void *reader_main(void *store)
{
    struct store *s = store;
    struct backend_reader *r = NULL;
    int open_rc = s->ops->reader_open(s->backend, &r);
    struct store_op *op;
    struct idle_thread self;
    idle_thread_init(&self);
    while ((op = next_op(s, &self))) {
        op->rc = open_rc == 0 ? op->verb->read(s->ops, r, op) : open_rc;
        op->done(op);
    }
    if (open_rc == 0)
        s->ops->reader_close(r);
    idle_thread_destroy(&self);
    return NULL;
}

/* ---- the verbs ------------------------------------------------------------------------------- */

static void prepare_get(struct store_op *op)
{
    backend_get_begin(FUT_CONTAINER(op, struct store_get, op));
}

static void prepare_get_several(struct store_op *op)
{
    backend_page_begin(&FUT_CONTAINER(op, struct store_get_several, op)->page);
}

static int read_get_several(const struct backend_ops *ops, struct backend_reader *r,
                            struct store_op *op)
{
    struct store_get_several *o = FUT_CONTAINER(op, struct store_get_several, op);
    return ops->get_several ? ops->get_several(r, o) : backend_get_several(ops->get, r, o);
}

const struct store_verb store_verb_get_several = {
    .prepare = prepare_get_several, .read = read_get_several, .is_refusable = true};

static void prepare_attempts(struct store_op *op)
{
    struct store_attempts *o = FUT_CONTAINER(op, struct store_attempts, op);
    o->attempts = NULL;
    o->n = 0;
}

static void prepare_members(struct store_op *op)
{
    backend_page_begin(&FUT_CONTAINER(op, struct store_members, op)->page);
}

static void prepare_batch_list(struct store_op *op)
{
    struct store_batch_list *o = FUT_CONTAINER(op, struct store_batch_list, op);
    FUT_ASSERT(o->limit >= 1 && o->limit <= STORE_LIST_MAX);
    o->n = 0;
    o->next = 0;
}

static void prepare_session_list(struct store_op *op)
{
    struct store_session_list *o = FUT_CONTAINER(op, struct store_session_list, op);
    FUT_ASSERT(o->limit >= 1 && o->limit <= STORE_LIST_MAX);
    o->n = 0;
    o->next = 0;
}

static void prepare_session_ends(struct store_op *op)
{
    struct store_session_ends *o = FUT_CONTAINER(op, struct store_session_ends, op);
    backend_page_begin(&o->page);
    o->is_finished = false;
}

static void prepare_edges(struct store_op *op)
{
    struct store_edges *o = FUT_CONTAINER(op, struct store_edges, op);
    o->edges = NULL;
    o->n = 0;
}

static void prepare_list(struct store_op *op)
{
    struct store_list *o = FUT_CONTAINER(op, struct store_list, op);
    FUT_ASSERT(o->limit >= 1 && o->limit <= STORE_LIST_MAX);
    o->n = 0;
    o->next = 0;
}

static void prepare_log(struct store_op *op)
{
    struct store_log *o = FUT_CONTAINER(op, struct store_log, op);
    o->reported = (struct store_reported){.progress = -1};
    o->log = NULL;
    o->log_len = 0;
    o->begin = 0;
}

static void prepare_failures(struct store_op *op)
{
    struct store_failures *o = FUT_CONTAINER(op, struct store_failures, op);
    o->filter.states = 0;
    o->groups = NULL;
    o->n = 0;
    o->seen = 0;
    o->is_all = true;
}

static void prepare_bulk_list(struct store_op *op)
{
    struct store_bulk_list *o = FUT_CONTAINER(op, struct store_bulk_list, op);
    o->bulks = NULL;
    o->n = 0;
}

/* store_verb_X: struct store_X goes to the reader's method X. */
#define READ_VERB(x, prepare_fn)                                                                   \
    static int read_##x(const struct backend_ops *ops, struct backend_reader *r,                   \
                        struct store_op *op)                                                       \
    {                                                                                              \
        return ops->x(r, FUT_CONTAINER(op, struct store_##x, op));                                 \
    }                                                                                              \
    const struct store_verb store_verb_##x = {                                                     \
        .prepare = (prepare_fn), .read = read_##x, .is_refusable = true}

READ_VERB(get, prepare_get);
READ_VERB(attempts, prepare_attempts);
READ_VERB(get_many, NULL);
READ_VERB(batch_get, NULL);
READ_VERB(batch_list, prepare_batch_list);
READ_VERB(members, prepare_members);
READ_VERB(session_get, NULL);
READ_VERB(session_list, prepare_session_list);
READ_VERB(session_ends, prepare_session_ends);
READ_VERB(edges, prepare_edges);
READ_VERB(list, prepare_list);
READ_VERB(log, prepare_log);
READ_VERB(bulk_get, NULL);
READ_VERB(bulk_list, prepare_bulk_list);
READ_VERB(queue_oldest, NULL);

static void prepare_schedule_get(struct store_op *op)
{
    struct store_schedule_get *o = FUT_CONTAINER(op, struct store_schedule_get, op);
    o->schedule = (struct store_schedule){0};
    o->n_runs = 0;
}

static void prepare_schedule_list(struct store_op *op)
{
    struct store_schedule_list *o = FUT_CONTAINER(op, struct store_schedule_list, op);
    FUT_ASSERT(o->limit >= 1 && o->limit <= STORE_LIST_MAX);
    o->n = 0;
    o->is_more = false;
}

static void prepare_schedule_due(struct store_op *op)
{
    struct store_schedule_due *o = FUT_CONTAINER(op, struct store_schedule_due, op);
    o->n = 0;
    o->next_ms = STORE_SCHEDULE_NEVER;
}

READ_VERB(schedule_get, prepare_schedule_get);
READ_VERB(schedule_list, prepare_schedule_list);
READ_VERB(schedule_due, prepare_schedule_due);

static int by_size(const void *a_, const void *b_)
{
    const struct store_failure *a = a_, *b = b_;
    return a->n != b->n ? (a->n < b->n ? 1 : -1) : a->last_wall_ms < b->last_wall_ms ? 1 : -1;
}

static int read_failures(const struct backend_ops *ops, struct backend_reader *r,
                         struct store_op *op)
{
    struct store_failures *o = FUT_CONTAINER(op, struct store_failures, op);
    int rc = ops->failures(r, o);
    if (o->n)
        qsort(o->groups, o->n, sizeof(*o->groups), by_size);
    return rc;
}

const struct store_verb store_verb_failures = {
    .prepare = prepare_failures, .read = read_failures, .is_refusable = true};
