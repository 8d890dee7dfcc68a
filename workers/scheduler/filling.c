/* filling: the input of an attempt that refers to results of other tasks, on its way from the
 * store. The attempt is BLOCKED until it is there, and has no slot. The scheduler's thread, but for
 * on_done. */
#include <stdlib.h>

#include "core/mem.h"
#include "workers/scheduler/internal.h"

/* Outlives its attempt when need be. */
struct filling {
    struct store_fill op;
    struct task_spec *template; /* what op refers to */
    struct inbox *inbox;
    struct inbox_item item;
    filling_done *done;
    struct attempt *owner; /* NULL: gone */
};

static void set_filling(struct attempt *a, struct filling *f)
{
    a->filling = f;
    attempt_slots(a)->filling += f ? 1u : -1u;
}

static void filling_free(struct filling *f)
{
    task_spec_unref(f->op.filled);
    task_outcome_unref(f->op.refused);
    task_spec_unref(f->template);
    free(f);
}

/* The attempt runs with this input; what is stored of the task stays as it is. */
static void answer(struct attempt *a, struct filling *f)
{
    struct task_outcome *refused = f->op.refused;
    f->op.refused = NULL;
    set_filling(a, NULL);
    if (f->op.filled) {
        task_spec_unref(a->apply.task.spec);
        a->apply.task.spec = f->op.filled;
        f->op.filled = NULL;
    }
    f->done(a, f->op.op.rc, refused);
}

static void on_answer(struct inbox_item *item)
{
    struct filling *f = FUT_CONTAINER(item, struct filling, item);
    if (f->owner)
        answer(f->owner, f);
    filling_free(f);
}

/* A reader thread of the store. */
static void on_done(struct store_op *op)
{
    struct filling *f = FUT_CONTAINER(op, struct filling, op.op);
    inbox_push(f->inbox, &f->item);
}

void filling_post(struct attempt *a, filling_done *done)
{
    struct filling *f = xnew(struct filling);
    f->template = task_spec_ref(a->apply.task.spec);
    f->inbox = &a->s->inbox;
    f->item.fn = on_answer;
    f->done = done;
    f->owner = a;
    f->op = (struct store_fill){.spec = f->template, .max_bytes = a->s->cfg.max_input_bytes};
    set_filling(a, f);
    int rc = store_post(a->s->cfg.store, &store_verb_fill, &f->op.op, on_done);
    if (rc == 0)
        return;
    set_filling(a, NULL);
    filling_free(f);
    done(a, rc, NULL);
}

void filling_forget(struct attempt *a)
{
    if (!a->filling)
        return;
    a->filling->owner = NULL;
    set_filling(a, NULL);
}
