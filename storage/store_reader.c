/* store_reader: the reader threads. Each has a reader of its own and serves gets and lists. */
#include "storage/store_internal.h"

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

static int run(struct store *s, struct backend_reader *r, struct store_op *op)
{
    if (op->verb == &verb_get) {
        struct store_get *o = FUT_CONTAINER(op, struct store_get, op);
        return s->ops->get(r, o->id, &o->task);
    }
    return s->ops->list(r, FUT_CONTAINER(op, struct store_list, op));
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
