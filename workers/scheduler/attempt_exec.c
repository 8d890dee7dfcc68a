/* attempt_exec: an attempt of an operator's program, as a process of its own. */
#include <signal.h>
#include <stdlib.h>

#include "core/mem.h"
#include "workers/scheduler/internal.h"

struct program_run {
    struct exec_attempt exec;
    struct attempt *attempt;
};

static void on_done(struct exec_attempt *x, enum run_class class, struct task_outcome *o)
{
    struct attempt *a = FUT_CONTAINER(x, struct program_run, exec)->attempt;
    exec_holds_succeed(&a->s->holds, a->handler->info.name);
    if (class != RUN_SUSPENDED) {
        attempt_end(a, class, o);
        return;
    }
    task_outcome_unref(o);
    suspension_end(a, (uint64_t)x->lines.suspend_ms, x->lines.until.data, x->lines.until.len);
}

static void on_checkpoint(struct exec_attempt *x, const void *bytes, size_t n)
{
    struct attempt *a = FUT_CONTAINER(x, struct program_run, exec)->attempt;
    if (!a->storing) /* else the program has ended, and this is its last one */
        storing_post(a, CONTENT_BYTES, bytes, n);
}

/* The task is given back uncharged; no other one of this program is taken until it starts again. */
static void on_not_started(struct exec_attempt *x, int error, const char *why)
{
    struct attempt *a = FUT_CONTAINER(x, struct program_run, exec)->attempt;
    if (exec_holds_fail(&a->s->holds, a->handler->info.name, error, why))
        a->s->holds_changed = true;
    if (a->stop != STOP_CANCELLED)
        a->stop = STOP_RELEASED;
    a->never_began = true;
    attempt_end(a, RUN_NONE, NULL);
}

static void start(struct attempt *a)
{
    struct scheduler *s = a->s;
    char token[ATTEMPT_TOKEN_SIZE];
    const char *url = attempt_give_token(a, token);
    a->as.program = xnew(struct program_run);
    a->as.program->attempt = a;
    exec_attempt_start(&a->as.program->exec,
                       &(struct exec_start){.loop = s->loop,
                                            .children = s->children,
                                            .command = a->handler->exec,
                                            .task = &a->apply.task,
                                            .url = url,
                                            .token = url ? token : NULL,
                                            .max_result_bytes = s->cfg.max_result_bytes,
                                            .kill_grace_ms = s->cfg.kill_grace_ms,
                                            .sink = report_sink(&a->report),
                                            .checkpoint = on_checkpoint,
                                            .done = on_done,
                                            .not_started = on_not_started});
}

static void stop(struct attempt *a, int signal)
{
    exec_attempt_kill(&a->as.program->exec, signal);
}

static void yield(struct attempt *a)
{
    exec_attempt_yield(&a->as.program->exec);
}

static void stored(struct attempt *a, const char *why)
{
    exec_attempt_answer(&a->as.program->exec, why);
}

static void abandon(struct attempt *a)
{
    exec_attempt_kill(&a->as.program->exec, SIGKILL);
    exec_attempt_abandon(&a->as.program->exec);
}

static void release(struct attempt *a)
{
    exec_attempt_abandon(&a->as.program->exec);
    free(a->as.program);
}

const struct attempt_kind attempt_exec_kind = {
    .start = start,
    .stop = stop,
    .yield = yield,
    .stored = stored,
    .abandon = abandon,
    .release = release,
    .needs_fork_server = true,
};
