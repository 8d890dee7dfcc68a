/* filling: what an attempt needs of other tasks, on its way from the store: an input that refers to
 * their results, and what became of the futures that the task was suspended for. The attempt is
 * BLOCKED until it is there, and has no slot. The scheduler's thread, but for on_done and
 * on_results. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/results.h"
#include "workers/scheduler/internal.h"

/* Outlives its attempt when need be. */
struct filling {
    struct store_fill op;              /* first, where the input refers to results */
    struct store_wake_results results; /* then, where the task was suspended */
    struct task_spec *template;        /* what op refers to */
    struct mailbox *inbox;
    struct mailbox_call item;
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
    task_checkpoint_unref(f->results.results);
    task_outcome_unref(f->op.refused);
    task_spec_unref(f->template);
    free(f);
}

/* The attempt runs with this input; what is stored of the task stays as it is. */
static void answer(struct filling *f, int rc)
{
    struct attempt *a = f->owner;
    struct task_outcome *refused = f->op.refused;
    f->op.refused = NULL;
    if (a)
        set_filling(a, NULL);
    if (a && f->op.filled) {
        task_spec_unref(a->apply.task.spec);
        a->apply.task.spec = f->op.filled;
        f->op.filled = NULL;
    }
    if (a) {
        a->apply.task.results = f->results.results;
        f->results.results = NULL;
        f->done(a, rc, refused);
    }
    filling_free(f);
}

static void on_results_item(struct mailbox_call *item)
{
    struct filling *f = FUT_CONTAINER(item, struct filling, item);
    answer(f, f->results.op.rc);
}

/* A reader thread of the store. */
static void on_results(struct store_op *op)
{
    struct filling *f = FUT_CONTAINER(op, struct filling, results.op);
    f->item.fn = on_results_item;
    mailbox_push(f->inbox, &f->item.link);
}

static void post_results(struct filling *f)
{
    struct scheduler *s = f->owner->s;
    f->results.id = f->owner->apply.task.spec->id;
    f->results.max_bytes = s->cfg.max_result_bytes < TASK_CHECKPOINT_MAX ? s->cfg.max_result_bytes
                                                                         : TASK_CHECKPOINT_MAX;
    int rc = store_post(s->cfg.store, &store_verb_wake_results, &f->results.op, on_results);
    if (rc != 0)
        answer(f, rc);
}

static void on_answer(struct mailbox_call *item)
{
    struct filling *f = FUT_CONTAINER(item, struct filling, item);
    if (f->op.op.rc == 0 && f->owner && f->owner->apply.task.has_suspended)
        post_results(f);
    else
        answer(f, f->op.op.rc);
}

/* A reader thread of the store. */
static void on_done(struct store_op *op)
{
    struct filling *f = FUT_CONTAINER(op, struct filling, op.op);
    mailbox_push(f->inbox, &f->item.link);
}

bool filling_is_needed(const struct task *t)
{
    return t->spec->has_refs || t->has_suspended;
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
    if (!f->template->has_refs) {
        post_results(f);
        return;
    }
    int rc = store_post(a->s->cfg.store, &store_verb_fill, &f->op.op, on_done);
    if (rc != 0)
        answer(f, rc);
}

void filling_forget(struct attempt *a)
{
    if (!a->filling)
        return;
    a->filling->owner = NULL;
    set_filling(a, NULL);
}
