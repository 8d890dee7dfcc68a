/* attempt_worker: an attempt that runs in a worker process: a built-in of the cpu lane, or a task
 * of a `worker` handler. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/end_codes.h"
#include "core/mem.h"
#include "storage/session.h"
#include "workers/base/json_check.h"
#include "workers/scheduler/internal.h"

#define MESSAGE_MAX 2000 /* bytes of a program's own message */

static struct attempt *attempt_of(struct worker_job *job)
{
    return FUT_CONTAINER(job, struct attempt, as.worker);
}

/* ---- how it ends ---- */

static void end_with(struct attempt *a, enum run_class class, struct task_outcome o,
                     const struct worker_end *end)
{
    o.log = end->log;
    o.log_len = end->log_len;
    attempt_end(a, class, task_outcome_new(&o));
}

static void fail(struct attempt *a, const char *code, const char *message,
                 const struct worker_end *end)
{
    end_with(a, RUN_FAILED,
             (struct task_outcome){.code = code, .message = message, .exit_code = -1}, end);
}

static const char *default_type(const struct attempt *a)
{
    return a->handler->is_worker ? a->handler->exec->content_type : CONTENT_BYTES;
}

/* A built-in has looked at its result itself. */
static void succeeded(struct attempt *a, const struct worker_end *end)
{
    const char *type = end->head->type ? end->head->type : default_type(a);
    size_t n = (size_t)end->head->bytes;
    if (a->handler->is_worker && task_type_is_json(type) && !json_check(end->payload, n)) {
        fail(a, end_code_text(END_RESULT_NOT_JSON),
             "the result is called application/json but is not valid JSON", end);
        return;
    }
    end_with(
        a, RUN_SUCCESS,
        (struct task_outcome){.type = type, .body = end->payload, .body_len = n, .exit_code = -1},
        end);
}

/* Appends `KIND: first line`; what follows that line is in the log. */
static void put_error(struct buf *out, const struct worker_end *end)
{
    const char *text = (const char *)end->payload, *kind = end->head->kind;
    size_t n = wire_text_bytes(end->head);
    const char *newline = n ? memchr(text, '\n', n) : NULL;
    size_t first = newline ? (size_t)(newline - text) : n;
    buf_printf(out, "%s%s%.*s", kind ? kind : "", kind && first ? ": " : "",
               first < MESSAGE_MAX ? (int)first : MESSAGE_MAX, first ? text : "");
}

static void program_failed(struct attempt *a, enum run_class class, const struct worker_end *end)
{
    const char *kind = end->head->kind;
    size_t text = wire_text_bytes(end->head);
    struct buf message = BUF_INIT;
    struct task_outcome o = {
        .code = end_code_text(END_HANDLER_FAILED), .error_type = kind, .exit_code = -1};
    put_error(&message, end);
    o.message = message.data;
    if (end->head->text >= 0) {
        o.type = end->head->type ? end->head->type : CONTENT_BYTES;
        o.body = end->payload + text;
        o.body_len = (size_t)end->head->bytes - text;
    }
    end_with(a, class, o, end);
    buf_release(&message);
}

static void builtin_failed(struct attempt *a, enum run_class class, const struct worker_end *end)
{
    char *message = xstrndup((const char *)end->payload, (size_t)end->head->bytes);
    const char *code = end->head->kind ? end->head->kind : end_code_text(END_INTERNAL);
    end_with(a, class, (struct task_outcome){.code = code, .message = message, .exit_code = -1},
             end);
    free(message);
}

static void failed(struct attempt *a, const struct worker_end *end)
{
    static const enum run_class by_retry[] = {RUN_FAILED, RUN_NEVER, RUN_TEMPORARY};
    enum run_class class = by_retry[end->head->retry + 1];
    (a->handler->is_worker ? program_failed : builtin_failed)(a, class, end);
}

static void suspended(struct attempt *a, const struct worker_end *end)
{
    suspension_end(a, end->head->for_ms, (const char *)end->payload, (size_t)end->head->bytes);
}

static void too_large(struct attempt *a, const struct worker_end *end)
{
    char message[96];
    (void)snprintf(message, sizeof(message), "the result is %llu bytes; allowed: up to %zu",
                   (unsigned long long)end->head->bytes, a->s->cfg.max_result_bytes);
    fail(a, end_code_text(END_RESULT_TOO_LARGE), message, end);
}

static void wrote_too_much(struct attempt *a, const struct worker_end *end)
{
    char message[LIMITS_MESSAGE_SIZE];
    limits_message(&a->handler->exec->limits, LIMIT_OUTPUT, message);
    fail(a, limits_code(LIMIT_OUTPUT), message, end);
}

/* Says of what the process died. */
static void describe(const struct attempt *a, const struct worker_end *end, struct task_outcome *o,
                     char *message, size_t size)
{
    if (end->closed_channel) {
        (void)snprintf(message, size,
                       "the worker closed its channel (descriptor 3) and was killed for that");
    } else if (!end->known) {
        (void)snprintf(message, size, "the worker process died");
    } else if (end->met != LIMIT_NONE && a->handler->exec) {
        o->code = limits_code(end->met);
        limits_message(&a->handler->exec->limits, end->met, message);
    } else if (WIFSIGNALED(end->status)) {
        const char *name = sigabbrev_np(WTERMSIG(end->status));
        o->signal = WTERMSIG(end->status);
        (void)snprintf(message, size, "the worker process was killed by SIG%s%s", name ? name : "?",
                       end->oom == TASK_OOM_YES ? ": the kernel had no memory left" : "");
    } else {
        o->exit_code = WEXITSTATUS(end->status);
        (void)snprintf(message, size, "the worker process exited with %d", o->exit_code);
    }
}

static void died(struct attempt *a, const struct worker_end *end)
{
    char message[LIMITS_MESSAGE_SIZE];
    struct task_outcome o = {.code = end_code_text(END_WORKER_DIED),
                             .message = message,
                             .exit_code = -1,
                             .max_rss_kib = end->max_rss_kib,
                             .cpu_ms = end->cpu_ms,
                             .oom = end->oom};
    describe(a, end, &o, message, sizeof(message));
    end_with(a, RUN_FAILED, o, end);
}

static void broke_rules(struct attempt *a, const struct worker_end *end)
{
    fail(a, end_code_text(END_WORKER_PROTOCOL),
         "the worker wrote something to its channel that is not of the worker protocol", end);
}

/* Stopped, and whoever stopped it knows what that means. */
static void abandoned(struct attempt *a, const struct worker_end *end)
{
    (void)end;
    attempt_end(a, RUN_NONE, NULL);
}

/* Before it began: by a stop, or because the program does not start. */
static void taken_back(struct attempt *a, const struct worker_end *end)
{
    (void)end;
    if (a->stop == STOP_NONE || a->stop == STOP_TIMEOUT) /* no time counts that it did not have */
        a->stop = STOP_RELEASED;
    a->never_began = true;
    attempt_end(a, RUN_NONE, NULL);
}

static void refused(struct attempt *a, const struct worker_end *end)
{
    fail(a, end_code_text(END_BAD_INPUT),
         "the task does not fit the worker protocol: its input or a name is too long", end);
}

/* ---- a session whose init has failed ---- */

static void broken(struct store_op *op)
{
    free(FUT_CONTAINER(op, struct store_session_break, op));
}

/* So that no other task of it is run: told before this one's end. */
static void break_session(struct attempt *a, const char *why)
{
    struct store_session_break *o = xnew(struct store_session_break);
    o->id = a->apply.task.init->session;
    (void)snprintf(o->why, sizeof(o->why), "%.*s",
                   (int)run_whole_characters(why, strnlen(why, sizeof(o->why) - 1)), why);
    if (store_post(a->s->cfg.store, &store_verb_session_break, &o->op, broken) != 0)
        broken(&o->op); /* it is closing */
}

static void session_failed(struct attempt *a, const struct worker_end *end)
{
    static const char none[] = "the worker program takes no sessions with an init (sessions=1 of "
                               "its HELLO)";
    struct buf why = BUF_INIT;
    if (end->head)
        put_error(&why, end);
    else
        buf_puts(&why, none);
    if (!why.len)
        buf_puts(&why, "the worker did not say why its init has failed");
    break_session(a, why.data);
    fail(a, end_code_text(END_SESSION_BROKEN), why.data, end);
    buf_release(&why);
}

static void on_done(struct worker_job *job, const struct worker_end *end)
{
    static void (*const ends[])(struct attempt *, const struct worker_end *) = {
        [WORKER_ENDED_DONE] = succeeded,         [WORKER_ENDED_FAILED] = failed,
        [WORKER_ENDED_SUSPENDED] = suspended,    [WORKER_ENDED_TOO_LARGE] = too_large,
        [WORKER_ENDED_PROTOCOL] = broke_rules,   [WORKER_ENDED_DIED] = died,
        [WORKER_ENDED_ABANDONED] = abandoned,    [WORKER_ENDED_RETURNED] = taken_back,
        [WORKER_ENDED_REFUSED] = refused,        [WORKER_ENDED_OUTPUT] = wrote_too_much,
        [WORKER_ENDED_SESSION] = session_failed,
    };
    ends[end->how](attempt_of(job), end);
}

/* ---- what happens on the way ---- */

static void on_exceeded(struct worker_job *job, enum limit_kind limit, uint64_t cpu_ms)
{
    attempt_exceeded(attempt_of(job), limit, cpu_ms);
}

static void on_checkpoint(struct worker_job *job, const char *type, const void *bytes, size_t n)
{
    storing_post(attempt_of(job), type, bytes, n);
}

static const char *on_token(struct worker_job *job, char text[ATTEMPT_TOKEN_SIZE])
{
    return attempt_give_token(attempt_of(job), text);
}

static void on_begun(struct worker_job *job)
{
    attempt_begin(attempt_of(job));
}

static void on_given(struct worker_job *job)
{
    attempt_restart_clock(attempt_of(job));
}

static void on_back(struct worker_job *job)
{
    attempt_end_token(attempt_of(job)); /* another worker is given another one */
    attempt_move(attempt_of(job), ATTEMPT_WAITING);
}

/* ---- the kind ---- */

static void prepare(struct attempt *a)
{
    a->as.worker = (struct worker_job){.task = &a->apply.task,
                                       .has_limit = session_slots_max(a) > 0,
                                       .done = on_done,
                                       .sink = report_sink(&a->report),
                                       .checkpoint = on_checkpoint,
                                       .token = on_token,
                                       .exceeded = on_exceeded,
                                       .given = on_given,
                                       .begun = on_begun,
                                       .back = on_back};
}

static bool offer(struct attempt *a)
{
    struct worker_program *p = worker_set_program(a->s->workers, a->handler);
    prepare(a);
    if (!p || !worker_program_submit_ahead(p, &a->as.worker)) {
        attempt_end_token(a);
        return false;
    }
    a->kind = &attempt_worker_kind;
    attempt_move(a, ATTEMPT_OFFERED);
    return true;
}

static bool is_misplaced(const struct attempt *a)
{
    return worker_program_idle(a->as.worker.program) && session_slots_has_free(a);
}

static void start(struct attempt *a)
{
    const struct task_init *init = a->apply.task.init;
    prepare(a);
    if (init && init->broken)
        fail(a, end_code_text(END_SESSION_BROKEN), init->broken, &(struct worker_end){.log = ""});
    else
        worker_set_submit(a->s->workers, a->handler, &a->as.worker);
}

static void stop(struct attempt *a, int signal)
{
    worker_program_stop_job(&a->as.worker, signal);
}

static void yield(struct attempt *a)
{
    if (a->as.worker.worker)
        worker_process_yield(&a->as.worker);
}

static void stored(struct attempt *a, const char *why)
{
    if (a->as.worker.worker)
        worker_process_answer(&a->as.worker, why);
}

static void recall(struct attempt *a)
{
    bool is_back = worker_process_withdraw(&a->as.worker);
    FUT_ASSERT(is_back == (a->state == ATTEMPT_WAITING));
}

static void lend(struct attempt *a, bool is_lent)
{
    worker_program_lend_job(&a->as.worker, is_lent);
}

static void abandon(struct attempt *a)
{
    worker_program_abandon_job(&a->as.worker);
}

static void release(struct attempt *a)
{
    (void)a;
}

const struct attempt_kind attempt_worker_kind = {
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
    .keeps_success = true,
};
