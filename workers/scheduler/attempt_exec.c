/* attempt_exec: an attempt of an operator's program, as a process of its own. */
#include <signal.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

/* Programs of a lane that may wait for one that runs there. Each has six descriptors here, so where
 * many run there is one for each. */
#define LINED_UP_EACH 4u
#define LINED_UP_MANY 16u

struct program_run {
    struct exec_attempt exec;
    struct attempt *attempt;
    bool runs; /* is counted among its lane's programs */
};

static void set_runs(struct program_run *p, bool runs)
{
    if (p->runs != runs)
        attempt_slots(p->attempt)->programs += runs ? 1u : -1u;
    p->runs = runs;
}

static void on_done(struct exec_attempt *x, enum run_class class, struct task_outcome *o)
{
    struct program_run *p = FUT_CONTAINER(x, struct program_run, exec);
    struct attempt *a = p->attempt;
    set_runs(p, false);
    a->ended_mono_us = x->ended_mono_us;
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
    struct program_run *p = FUT_CONTAINER(x, struct program_run, exec);
    struct attempt *a = p->attempt;
    set_runs(p, false);
    if (exec_holds_fail(&a->s->holds, a->handler->info.name, error, why))
        a->s->holds_changed = true;
    for_each_lane (l)
        attempt_exec_recall_line(&a->s->lanes[l]); /* they may be of the same program */
    if (a->stop != STOP_CANCELLED)
        a->stop = STOP_RELEASED;
    a->never_began = true;
    attempt_end(a, RUN_NONE, NULL);
}

/* ---- its start ---------------------------------------------------------------------------------
 */

static void begun(struct program_run *p, int64_t at_mono_us)
{
    attempt_slots(p->attempt)->lined_up--;
    set_runs(p, true);
    attempt_begin(p->attempt);
    p->attempt->started_mono_us = at_mono_us;
}

static void on_begun(struct exec_attempt *x, int64_t at_mono_us)
{
    begun(FUT_CONTAINER(x, struct program_run, exec), at_mono_us);
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
                               .line = 1u + (uint32_t)attempt_lane(a),
                               .checkpoint = on_checkpoint,
                               .done = on_done,
                               .not_started = on_not_started,
                               .begun = on_begun};
}

static void start(struct attempt *a)
{
    char token[ATTEMPT_TOKEN_SIZE];
    struct exec_start how = how_to_start(a, token);
    set_runs(a->as.program, true);
    exec_attempt_start(&a->as.program->exec, &how);
}

/* ---- in the line -------------------------------------------------------------------------------
 */

/* A program that has lent its slot ends in a slot that another one has. */
static bool has_place(const struct lane_slots *slots)
{
    uint32_t most = slots->programs * LINED_UP_EACH;
    if (most > LINED_UP_MANY)
        most = slots->programs > LINED_UP_MANY ? slots->programs : LINED_UP_MANY;
    return slots->lined_up < most && !atomic_load_explicit(&slots->lent, memory_order_relaxed);
}

/* Nobody asks anything right before it begins: so it is a task that nothing but a slot keeps. */
static bool may_line_up(const struct attempt *a)
{
    return has_place(attempt_slots(a)) && !a->is_callback && !a->handler->exec->takes_checkpoints &&
           !a->apply.task.spec->limits && !session_slots_max(a) &&
           !exec_holds_count(&a->s->holds) && !exec_holds_all(&a->s->holds);
}

static bool offer(struct attempt *a)
{
    char token[ATTEMPT_TOKEN_SIZE];
    if (!may_line_up(a))
        return false;
    struct exec_start how = how_to_start(a, token);
    a->kind = &attempt_exec_kind;
    if (!exec_attempt_line_up(&a->as.program->exec, &how)) {
        attempt_end_token(a);
        return false;
    }
    attempt_slots(a)->lined_up++;
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
        begun(a->as.program, clock_mono_us());
        return;
    }
    attempt_slots(a)->lined_up--;
    attempt_end_token(a);
    attempt_move(a, ATTEMPT_WAITING);
}

/* From the last one on, as each becomes the first of those that wait. */
void attempt_exec_recall_line(const struct lane_slots *slots)
{
    const struct list *offered = &slots->in[ATTEMPT_OFFERED];
    struct list_node *before;
    for (struct list_node *n = slots->lined_up ? list_previous(offered, NULL) : NULL; n;
         n = before) {
        struct attempt *a = FUT_CONTAINER(n, struct attempt, link);
        before = list_previous(offered, n);
        if (a->kind == &attempt_exec_kind)
            recall(a);
    }
}

static void lend(struct attempt *a, bool is_lent)
{
    if (is_lent)
        attempt_exec_recall_line(attempt_slots(a));
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
    set_runs(a->as.program, false);
    exec_attempt_kill(&a->as.program->exec, SIGKILL);
    exec_attempt_abandon(&a->as.program->exec);
}

static void release(struct attempt *a)
{
    exec_attempt_abandon(&a->as.program->exec);
    set_runs(a->as.program, false);
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
    .lend = lend,
    .abandon = abandon,
    .release = release,
    .needs_fork_server = true,
};
