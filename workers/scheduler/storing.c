/* storing: the checkpoint of a running attempt on its way to the store. It is answered once it is
 * on disk and not before; the program sends the next one after that, so it stores no faster than
 * the disk does. The scheduler's thread, but for on_done. */
#include <stdlib.h>

#include "core/mem.h"
#include "workers/scheduler/internal.h"

/* Outlives its attempt when need be. */
struct storing {
    struct store_checkpoint op;
    struct task_checkpoint *copy; /* what op refers to */
    struct mailbox *inbox;
    struct mailbox_call item;
    struct attempt *owner; /* NULL: gone */
};

/* Sentences for the program. NULL: it is stored. */
static const char *why_refused(int rc)
{
    switch (rc) {
    case 0: return NULL;
    case FUT_ERR_STALE: return "the attempt has ended: it was cancelled";
    case FUT_ERR_NO_SPACE: return "the disk is full";
    case FUT_ERR_READ_ONLY:
    case FUT_ERR_DAMAGED: return "the store takes no writes until the daemon is restarted";
    case FUT_ERR_CLOSED: return "the daemon is shutting down";
    default: return "the store could not write it";
    }
}

static void answer(struct attempt *a, int rc)
{
    a->storing = NULL;
    a->kind->stored(a, why_refused(rc));
}

static void storing_free(struct storing *p)
{
    task_checkpoint_unref(p->copy);
    free(p);
}

static void on_answer(struct mailbox_call *item)
{
    struct storing *p = FUT_CONTAINER(item, struct storing, item);
    if (p->owner)
        answer(p->owner, p->op.op.rc);
    storing_free(p);
}

/* The store's writer thread. */
static void on_done(struct store_op *op)
{
    struct storing *p = FUT_CONTAINER(op, struct storing, op.op);
    mailbox_push(p->inbox, &p->item.link);
}

void storing_post(struct attempt *a, const char *type, const void *bytes, size_t n)
{
    struct storing *p = xnew(struct storing);
    FUT_ASSERT(!a->storing);
    p->copy = task_checkpoint_new(
        &(struct task_checkpoint){.type = type, .body = n ? bytes : (const void *)"", .len = n});
    p->inbox = &a->s->inbox;
    p->item.fn = on_answer;
    p->owner = a;
    p->op = (struct store_checkpoint){.id = a->apply.task.spec->id,
                                      .attempt = a->apply.task.attempt,
                                      .type = p->copy->type,
                                      .body = p->copy->body,
                                      .len = n};
    a->storing = p;
    int rc = store_post(a->s->cfg.store, &store_verb_checkpoint, &p->op.op, on_done);
    if (rc == 0)
        return;
    storing_free(p);
    answer(a, rc);
}

void storing_forget(struct attempt *a)
{
    if (a->storing)
        a->storing->owner = NULL;
    a->storing = NULL;
}
