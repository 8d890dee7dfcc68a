/* attempt_thread: an attempt of a built-in on a thread of the pool. */
#include <stdlib.h>

#include "core/end_codes.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

/* Back on the scheduler's thread. */
static void on_ended(struct mailbox_call *item)
{
    struct attempt *a = FUT_CONTAINER(item, struct attempt, item);
    attempt_end(a, a->as.thread.run.class, a->outcome);
}

/* On the pool's thread: the outcome is copied here, off the loop. */
static void run_job(struct pool_job *job)
{
    struct attempt *a = FUT_CONTAINER(job, struct attempt, as.thread.job);
    struct run *run = &a->as.thread.run;
    if (run_is_cancelled(run))
        run_fail_cancelled(run);
    else
        a->handler->fn(run);
    a->outcome = run_outcome(run);
    a->retry_after_ms = run->retry_after_ms;
    a->item.fn = on_ended;
    mailbox_push(&a->s->inbox, &a->item.link);
}

static void submit(struct attempt *a)
{
    a->as.thread.job.fn = run_job;
    list_push_back(&a->s->thread_jobs, &a->as.thread.job.link);
}

/* ---- the future that it was scheduled after ---- */

static void parent_failed(struct attempt *a)
{
    attempt_end(a, RUN_TEMPORARY,
                task_outcome_error(end_code_text(END_INTERNAL),
                                   "the store could not read the future it is about"));
}

static void on_parent(struct mailbox_call *item)
{
    struct attempt *a = FUT_CONTAINER(item, struct attempt, item);
    struct store_get *get = &a->as.thread.parent;
    store_reported_release(&get->reported);
    if (get->op.rc != 0 && get->op.rc != FUT_ERR_NOT_FOUND) {
        parent_failed(a);
        return;
    }
    a->as.thread.run.about.parent = get->op.rc == 0 ? &get->task : NULL;
    submit(a);
}

/* A reader thread of the store. */
static void parent_got(struct store_op *op)
{
    struct attempt *a = FUT_CONTAINER(op, struct attempt, as.thread.parent.op);
    a->item.fn = on_parent;
    mailbox_push(&a->s->inbox, &a->item.link);
}

static void get_parent(struct attempt *a)
{
    struct store_get *get = &a->as.thread.parent;
    get->id = a->apply.task.spec->after;
    if (store_post(a->s->cfg.store, &store_verb_get, &get->op, parent_got) != 0)
        parent_failed(a);
}

/* ---- the kind ---- */

static void start(struct attempt *a)
{
    const struct task_spec *spec = a->apply.task.spec;
    const struct webhook_secret *secret = &a->s->callback_secret;
    struct run *run = &a->as.thread.run;
    run_init(run, spec->input, spec->input_len, spec->input_type, a->s->cfg.max_result_bytes);
    run->sink = report_sink_threads(&a->report);
    run->about = (struct run_about){.id = spec->id,
                                    .attempt = a->apply.task.attempt,
                                    .traceparent = spec->traceparent,
                                    .callback_secret = secret->n ? secret : NULL,
                                    .allow = a->s->cfg.allow};
    if (a->handler->needs_parent && spec->after.hi)
        get_parent(a);
    else
        submit(a);
}

static void stop(struct attempt *a, int signal)
{
    (void)signal; /* a thread can only be asked */
    run_cancel(&a->as.thread.run);
}

static void abandon(struct attempt *a)
{
    run_cancel(&a->as.thread.run);
}

static void release(struct attempt *a)
{
    run_release(&a->as.thread.run);
    task_release(&a->as.thread.parent.task);
}

const struct attempt_kind attempt_thread_kind = {
    .start = start,
    .stop = stop,
    .abandon = abandon,
    .release = release,
    .keeps_success = true,
};
