/* attempt_kinds: the ways to run an attempt: a pool thread, a worker process (attempt_worker.c), a
 * program. */
#include <signal.h>
#include <stdlib.h>

#include "core/mem.h"
#include "workers/scheduler/internal.h"

/* ---- a built-in on a pool thread ---- */

/* Back on the scheduler's thread. */
static void thread_ended(struct inbox_item *item)
{
    struct attempt *a = FUT_CONTAINER(item, struct attempt, item);
    struct task_outcome *o = a->outcome;
    a->outcome = NULL;
    attempt_end(a, a->as.thread.run.class, o);
}

/* On the pool's thread: the outcome is copied here, off the loop. */
static void thread_job(struct pool_job *job)
{
    struct attempt *a = FUT_CONTAINER(job, struct attempt, as.thread.job);
    struct run *run = &a->as.thread.run;
    if (run_is_cancelled(run))
        run_fail_cancelled(run);
    else
        a->handler->fn(run);
    a->outcome = run_outcome(run);
    a->item.fn = thread_ended;
    inbox_push(&a->s->inbox, &a->item);
}

static void thread_submit(struct attempt *a)
{
    a->as.thread.job.fn = thread_job;
    list_push_back(&a->s->thread_jobs, &a->as.thread.job.link);
}

/* -- what it reports on the way: from the pool's thread through the inbox -- */

static void thread_news(struct inbox_item *item)
{
    struct attempt *a = FUT_CONTAINER(item, struct attempt, as.thread.news);
    atomic_store(&a->as.thread.news_queued, false);
    report_look(&a->report);
}

/* The first news may come again while the item is still queued: the loop looks for itself, too. */
static void push_news(struct attempt *a)
{
    a->as.thread.news.fn = thread_news;
    if (!atomic_exchange(&a->as.thread.news_queued, true))
        inbox_push(&a->s->inbox, &a->as.thread.news);
}

static void thread_progress(struct run *run, double fraction, const char *message)
{
    struct attempt *a = FUT_CONTAINER(run, struct attempt, as.thread.run);
    if (report_progress(&a->report, fraction, message))
        push_news(a);
}

static void thread_log(struct run *run, const char *bytes, size_t n)
{
    struct attempt *a = FUT_CONTAINER(run, struct attempt, as.thread.run);
    if (report_log(&a->report, bytes, n))
        push_news(a);
}

static const struct run_sink thread_sink = {thread_progress, thread_log};

/* -- the future that it was scheduled after -- */

static void parent_failed(struct attempt *a)
{
    attempt_end(a, RUN_TEMPORARY,
                task_outcome_error("internal", "the store could not read the future it is about"));
}

static void on_parent(struct inbox_item *item)
{
    struct attempt *a = FUT_CONTAINER(item, struct attempt, item);
    struct store_get *get = &a->as.thread.parent;
    free((char *)(uintptr_t)get->note.message);
    if (get->op.rc != 0 && get->op.rc != FUT_ERR_NOT_FOUND) {
        parent_failed(a);
        return;
    }
    a->as.thread.run.about.parent = get->op.rc == 0 ? &get->task : NULL;
    thread_submit(a);
}

/* A reader thread of the store. */
static void parent_got(struct store_op *op)
{
    struct attempt *a = FUT_CONTAINER(op, struct attempt, as.thread.parent.op);
    a->item.fn = on_parent;
    inbox_push(&a->s->inbox, &a->item);
}

static void get_parent(struct attempt *a)
{
    struct store_get *get = &a->as.thread.parent;
    get->id = a->apply.task.spec->after;
    if (store_get(a->s->cfg.store, get, parent_got) != 0)
        parent_failed(a);
}

static void thread_start_kind(struct attempt *a)
{
    const struct task_spec *spec = a->apply.task.spec;
    const struct webhook_secret *secret = &a->s->callback_secret;
    struct run *run = &a->as.thread.run;
    run_init(run, spec->input, spec->input_len, spec->input_type, a->s->cfg.max_result_bytes);
    run->sink = &thread_sink;
    run->about = (struct run_about){.id = spec->id,
                                    .attempt = a->apply.task.attempt,
                                    .traceparent = spec->traceparent,
                                    .callback_secret = secret->n ? secret : NULL,
                                    .fence = a->s->cfg.fence};
    if (a->handler->needs_parent && spec->after.hi)
        get_parent(a);
    else
        thread_submit(a);
}

static void thread_stop_kind(struct attempt *a, int signal)
{
    (void)signal; /* a thread can only be asked */
    run_cancel(&a->as.thread.run);
}

static void thread_abandon(struct attempt *a)
{
    run_cancel(&a->as.thread.run);
}

static void thread_release(struct attempt *a)
{
    run_release(&a->as.thread.run);
    task_release(&a->as.thread.parent.task);
}

static const struct attempt_kind thread_kind = {
    .start = thread_start_kind,
    .stop = thread_stop_kind,
    .abandon = thread_abandon,
    .release = thread_release,
    .keeps_success = true,
};

/* ---- a program ---- */

struct program_run {
    struct exec_attempt exec;
    struct attempt *attempt;
};

static struct attempt *attempt_of(struct exec_attempt *x)
{
    return FUT_CONTAINER(x, struct program_run, exec)->attempt;
}

static void exec_done(struct exec_attempt *x, enum run_class class, struct task_outcome *o)
{
    attempt_end(attempt_of(x), class, o);
}

static void exec_progress(struct exec_attempt *x, double fraction, const char *message)
{
    struct attempt *a = attempt_of(x);
    if (report_progress(&a->report, fraction, message))
        report_look(&a->report);
}

static void exec_log(struct exec_attempt *x, const char *bytes, size_t n)
{
    struct attempt *a = attempt_of(x);
    if (report_log(&a->report, bytes, n))
        report_look(&a->report);
}

static const struct exec_hooks exec_hooks = {exec_done, exec_progress, exec_log};

static void exec_start_kind(struct attempt *a)
{
    struct scheduler *s = a->s;
    struct exec_bounds bounds = {.max_result_bytes = s->cfg.max_result_bytes,
                                 .kill_grace_ms = s->cfg.kill_grace_ms};
    a->as.program = xnew(struct program_run);
    a->as.program->attempt = a;
    exec_attempt_start(&a->as.program->exec, s->loop, s->children, a->handler->exec, &a->apply.task,
                       bounds, &exec_hooks);
}

static void exec_stop_kind(struct attempt *a, int signal)
{
    exec_attempt_kill(&a->as.program->exec, signal);
}

static void exec_abandon(struct attempt *a)
{
    exec_attempt_kill(&a->as.program->exec, SIGKILL);
    exec_attempt_abandon(&a->as.program->exec);
}

static void exec_release(struct attempt *a)
{
    exec_attempt_abandon(&a->as.program->exec);
    free(a->as.program);
}

static const struct attempt_kind exec_kind = {
    .start = exec_start_kind,
    .stop = exec_stop_kind,
    .abandon = exec_abandon,
    .release = exec_release,
    .needs_fork_server = true,
};

const struct attempt_kind *attempt_kind_of(const struct handler *h, enum lane lane)
{
    static const struct attempt_kind *const builtins[LANE_COUNT] = {
        [LANE_IO] = &thread_kind, [LANE_CPU] = &attempt_worker_kind};
    if (h->is_worker)
        return &attempt_worker_kind;
    return h->exec ? &exec_kind : builtins[lane];
}
