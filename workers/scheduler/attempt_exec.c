/* attempt_exec: an attempt of an operator's program, as a process of its own. */
#include <signal.h>
#include <stdlib.h>

#include "core/mem.h"
#include "workers/scheduler/internal.h"

struct program_run {
    struct exec_attempt exec;
    struct attempt *attempt;
    struct program_run *before; /* OFFERED: the program at whose end this one begins, if it runs */
    struct program_run *behind; /* the other way round */
};

static void part(struct program_run *p)
{
    if (p->before)
        p->before->behind = NULL;
    if (p->behind)
        p->behind->before = NULL;
    p->before = p->behind = NULL;
}

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

/* ---- its start ---------------------------------------------------------------------------------
 */

static void begun(struct program_run *p)
{
    if (p->before)
        p->before->behind = NULL;
    p->before = NULL;
    attempt_begin(p->attempt);
}

static void on_begun(struct exec_attempt *x)
{
    begun(FUT_CONTAINER(x, struct program_run, exec));
}

/* token: of ATTEMPT_TOKEN_SIZE, filled. */
static struct exec_start how_to_start(struct attempt *a, char *token)
{
    struct scheduler *s = a->s;
    const char *url = attempt_give_token(a, token);
    if (!a->as.program)
        a->as.program = xnew(struct program_run);
    a->as.program->attempt = a;
    return (struct exec_start){.loop = s->loop,
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
                               .not_started = on_not_started,
                               .begun = on_begun};
}

static void start(struct attempt *a)
{
    char token[ATTEMPT_TOKEN_SIZE];
    struct exec_start how = how_to_start(a, token);
    exec_attempt_start(&a->as.program->exec, &how);
}

/* ---- behind another one ------------------------------------------------------------------------
 */

/* Nobody asks anything right before it begins: so it is a task that nothing but a slot keeps. */
static bool may_wait_behind(const struct attempt *a)
{
    return !a->is_callback && !a->handler->exec->takes_checkpoints && !a->apply.task.spec->limits &&
           !session_slots_max(a) && !exec_holds_count(&a->s->holds) &&
           !exec_holds_all(&a->s->holds);
}

static struct program_run *find_before(struct attempt *a)
{
    struct attempt *b = attempt_first(attempt_slots(a), ATTEMPT_RUNNING);
    while (b && (b->kind != &attempt_exec_kind || b->is_lent || b->as.program->behind))
        b = attempt_next(b);
    return b ? b->as.program : NULL;
}

static bool offer(struct attempt *a)
{
    char token[ATTEMPT_TOKEN_SIZE];
    struct program_run *before = may_wait_behind(a) ? find_before(a) : NULL;
    if (!before)
        return false;
    struct exec_start how = how_to_start(a, token);
    a->kind = &attempt_exec_kind;
    if (!exec_attempt_start_behind(&a->as.program->exec, &how, &before->exec)) {
        attempt_end_token(a);
        return false;
    }
    a->as.program->before = before;
    before->behind = a->as.program;
    attempt_move(a, ATTEMPT_OFFERED);
    return true;
}

/* Each slot is as good as any other one. */
static bool is_misplaced(const struct attempt *a)
{
    (void)a;
    return true;
}

static void recall(struct attempt *a)
{
    if (!exec_attempt_take_back(&a->as.program->exec)) {
        begun(a->as.program);
        return;
    }
    part(a->as.program);
    attempt_end_token(a);
    attempt_move(a, ATTEMPT_WAITING);
}

/* ---- while it runs -----------------------------------------------------------------------------
 */

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
    part(a->as.program);
    free(a->as.program);
}

const struct attempt_kind attempt_exec_kind = {
    .start = start,
    .stop = stop,
    .yield = yield,
    .stored = stored,
    .offer = offer,
    .is_misplaced = is_misplaced,
    .recall = recall,
    .abandon = abandon,
    .release = release,
    .needs_fork_server = true,
};
