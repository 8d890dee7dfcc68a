/* store_reader: the reader threads. Each has a reader of its own and serves gets and lists. */
#include "storage/engine/internal.h"

#include "core/mem.h"

static struct store_op *next_op(struct store *s)
{
    struct list_node *n;
    mutex_lock(&s->mu);
    while (!(n = list_pop_front(&s->read_queue)) && !s->stopping) {
        s->readers_asleep++;
        cond_wait(&s->reader_wake, &s->mu);
        s->readers_asleep--;
    }
    mutex_unlock(&s->mu);
    return n ? FUT_CONTAINER(n, struct store_op, link) : NULL;
}

static int run_get(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    return s->ops->get(r, FUT_CONTAINER(op, struct store_get, op));
}

static int run_get_many(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    return s->ops->get_many(r, FUT_CONTAINER(op, struct store_get_many, op));
}

static int run_list(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    return s->ops->list(r, FUT_CONTAINER(op, struct store_list, op));
}

static int run_batch_get(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    return s->ops->batch_get(r, FUT_CONTAINER(op, struct store_batch_get, op));
}

static int run_members(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    return s->ops->members(r, FUT_CONTAINER(op, struct store_members, op));
}

static int run_log(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    return s->ops->log(r, FUT_CONTAINER(op, struct store_log, op));
}

static int run_attempts(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    return s->ops->attempts(r, FUT_CONTAINER(op, struct store_attempts, op));
}

static const struct {
    const struct store_verb *verb;
    int (*run)(const struct store *s, struct backend_reader *r, struct store_op *op);
} table[] = {
    {&verb_get, run_get},           {&verb_get_many, run_get_many},
    {&verb_list, run_list},         {&verb_batch_get, run_batch_get},
    {&verb_members, run_members},   {&verb_log, run_log},
    {&verb_attempts, run_attempts},
};

static int run(const struct store *s, struct backend_reader *r, struct store_op *op)
{
    for (size_t i = 0; i < FUT_COUNT(table); i++) {
        if (table[i].verb == op->verb)
            return table[i].run(s, r, op);
    }
    FUT_BUG("not a read verb");
}

void *reader_main(void *store)
{
    struct store *s = store;
    struct backend_reader *r = NULL;
    int open_rc = s->ops->reader_open(s->backend, &r);
    struct store_op *op;
    while ((op = next_op(s))) {
        op->rc = open_rc == 0 ? run(s, r, op) : open_rc;
        op->done(op);
    }
    if (open_rc == 0)
        s->ops->reader_close(r);
    return NULL;
}
