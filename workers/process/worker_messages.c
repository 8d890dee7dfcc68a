#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/handlers/run.h"
#include "workers/process/worker_internal.h"

#define READS_PER_EVENT 8            /* then the other sources have a turn */
#define TEXT_MAX ((uint64_t)1 << 20) /* bytes of a PROGRESS, LOG or FAIL */

struct worker_job *worker_messages_job(const struct worker_process *w, uint64_t id)
{
    for (struct list_node *n = list_first(&w->jobs); n; n = list_next(&w->jobs, n)) {
        struct worker_job *job = FUT_CONTAINER(n, struct worker_job, link);
        if (job->id == id)
            return job;
    }
    return NULL;
}

/* ---- one function for each message; false: it breaks the protocol ---- */

static bool take_hello(struct worker_process *w, const struct wire_message *m)
{
    const struct wire_head *h = &m->head;
    uint64_t asks = h->concurrency ? h->concurrency : 1;
    if (w->state != WORKER_STARTING || h->id != WIRE_VERSION || asks > WIRE_CONCURRENCY_MAX ||
        (h->fork && w->is_forked))
        return false;
    w->max_jobs = asks < w->max_jobs ? (uint32_t)asks : w->max_jobs;
    w->takes_cancel = h->cancel != WIRE_CANCEL_NONE;
    w->cancel_is_soft = h->cancel == WIRE_CANCEL_SOFT && w->max_jobs > 1;
    w->takes_checkpoints = h->checkpoint;
    w->takes_yield = h->yield;
    w->takes_results = h->results;
    w->takes_sessions = h->sessions;
    w->takes_closes = h->closes;
    w->takes_tokens = h->token_wanted && !w->is_builtin;
    w->stream.peer_takes_fds = h->memfd;
    w->said_hello = true;
    worker_ahead_hello(w, h);
    w->state = h->fork ? WORKER_TEMPLATE : WORKER_READY;
    w->ready_mono_ms = w->idle_mono_ms = clock_mono_ms();
    loop_timer_clear(w->loop, &w->timer);
    worker_channel_read_printed(w);
    w->printed.len = 0;
    w->hooks->ready(w);
    return true;
}

/* One line; what follows it is left out. */
static bool take_progress(struct worker_process *w, const struct wire_message *m)
{
    struct worker_job *job = worker_messages_job(w, m->head.id);
    char text[RUN_MESSAGE_MAX + 1];
    size_t n = (size_t)m->head.bytes;
    if (n > RUN_MESSAGE_MAX)
        n = run_whole_characters((const char *)m->payload, RUN_MESSAGE_MAX);
    if (!job)
        return m->head.id <= w->last_id; /* it may be late */
    if (n)
        memcpy(text, m->payload, n);
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    job->sink->progress(job->sink, m->head.fraction, *text ? text : NULL);
    return true;
}

static bool take_log(struct worker_process *w, const struct wire_message *m)
{
    struct worker_job *job = worker_messages_job(w, m->head.id);
    if (!job)
        return m->head.id <= w->last_id;
    if (m->head.bytes)
        worker_channel_log(job, (const char *)m->payload, (size_t)m->head.bytes);
    job->written += m->head.bytes;
    worker_channel_check_output(w, job);
    return true;
}

/* NULL: it is stored, and answered later. */
static const char *why_not_stored(const struct worker_process *w, const struct worker_job *job,
                                  const struct wire_message *m, char *text, size_t size)
{
    size_t most =
        w->max_result_bytes < TASK_CHECKPOINT_MAX ? w->max_result_bytes : TASK_CHECKPOINT_MAX;
    if (job->is_storing)
        return "the checkpoint before it has not been answered";
    if (m->head.type && strlen(m->head.type) > TASK_TYPE_MAX)
        return "its content type is longer than 127 bytes";
    if (!m->too_long && m->head.bytes <= most)
        return NULL;
    (void)snprintf(text, size, "the checkpoint is %llu bytes; allowed: up to %zu",
                   (unsigned long long)m->head.bytes, most);
    return text;
}

static bool take_checkpoint(struct worker_process *w, const struct wire_message *m)
{
    struct worker_job *job = worker_messages_job(w, m->head.id);
    char text[96];
    if (!w->takes_checkpoints)
        return false; /* it would not understand the answer */
    if (!job) {
        worker_channel_tell(w, m->head.id, WIRE_REFUSED, "the task has ended");
        return m->head.id <= w->last_id;
    }
    const char *why = why_not_stored(w, job, m, text, sizeof(text));
    if (why) {
        worker_channel_tell(w, job->id, WIRE_REFUSED, why);
        return true;
    }
    job->is_storing = true;
    job->checkpoint(job, m->head.type ? m->head.type : CONTENT_BYTES, m->payload,
                    (size_t)m->head.bytes);
    return true;
}

/* The result was read whatever its size: the worker may go on. */
static enum worker_end_how judge_end(const struct worker_process *w, struct worker_job *job,
                                     const struct wire_message *m, enum worker_end_how how)
{
    if (m->head.verb == WIRE_DONE)
        job->written += m->head.bytes;
    return worker_channel_exceeds_output(w, job) ? WORKER_ENDED_OUTPUT : how;
}

/* What follows the first line of a FAIL's text, such as a traceback, is a part of the task's log.
 */
static void log_details(struct worker_job *job, const struct wire_message *m)
{
    const char *text = (const char *)m->payload;
    size_t n = wire_text_bytes(&m->head);
    const char *newline = n ? memchr(text, '\n', n) : NULL;
    const char *end = text + n;
    if (newline && newline + 1 < end)
        worker_channel_log(job, newline + 1, (size_t)(end - newline - 1));
}

/* The task has been answered before. The worker's mistake costs nobody anything: it is logged, once
 * for each process, and the answer is left out. */
static bool is_late(struct worker_process *w, uint64_t id)
{
    if (id == 0 || id > w->last_id)
        return false;
    if (!w->said_late)
        log_warn("worker_late_answer", LOG_INT("pid", w->pid), LOG_INT("id", id));
    w->said_late = true;
    return true;
}

/* A task of w has ended, or its turn has come to begin. */
static void go_on(struct worker_process *w)
{
    worker_ahead_next(w);
    w->idle_mono_ms = clock_mono_ms();
    if (w->state == WORKER_READY)
        w->hooks->has_capacity(w);
    if (w->state == WORKER_READY && w->jobs.len == 0)
        worker_channel_count_cpu(w, 0);
}

/* What is printed and said until then is of the task that waits for it. */
static bool end_init(struct worker_process *w, const struct wire_message *m)
{
    struct worker_job *job = worker_messages_job(w, m->head.id);
    worker_channel_read_printed(w);
    if (job && m->head.verb == WIRE_FAIL)
        log_details(job, m);
    if (!worker_session_answer(w, m))
        return false;
    go_on(w);
    return true;
}

static bool end_task(struct worker_process *w, const struct wire_message *m,
                     enum worker_end_how how)
{
    struct worker_job *job = worker_messages_job(w, m->head.id);
    struct worker_end end = {.how = how, .head = &m->head, .payload = m->payload};
    if (w->n_sessions && worker_session_awaits(w, m->head.id))
        return end_init(w, m);
    if (!job && !worker_end_take_abandoned(w, m->head.id))
        return is_late(w, m->head.id);
    worker_channel_read_printed(w);
    if (job && how == WORKER_ENDED_FAILED)
        log_details(job, m);
    if (w->state == WORKER_READY)
        w->tasks_done++;
    if (job) {
        end.how = judge_end(w, job, m, how);
        worker_end_job(w, job, &end);
    }
    go_on(w);
    return true;
}

static bool take_done(struct worker_process *w, const struct wire_message *m)
{
    const char *type = m->head.type;
    if (type && strlen(type) > TASK_TYPE_MAX)
        return false;
    return end_task(w, m, m->too_long ? WORKER_ENDED_TOO_LARGE : WORKER_ENDED_DONE);
}

static bool take_suspend(struct worker_process *w, const struct wire_message *m)
{
    return w->takes_checkpoints && m->head.for_ms <= TASK_SUSPEND_MAX_MS &&
           end_task(w, m, WORKER_ENDED_SUSPENDED);
}

/* Once the request is on its way to the fork server, no signal of ours can reach it first: from
 * here on w may be given tasks. */
static int adopt(struct worker_process *w, pid_t pid)
{
    struct limits limits = limits_of_process(&w->limits);
    int rc = children_adopt(w->children, &w->child, w->slot, pid, &limits);
    if (rc != 0 || w->state != WORKER_STARTING) {
        fd_close(&w->unadopted_fd); /* it exits by that; the fork server tells when */
        return rc;
    }
    rc = loop_open(w->loop, &w->channel, w->unadopted_fd, EPOLLIN, worker_messages_ready);
    if (rc == 0)
        w->unadopted_fd = -1;
    return rc;
}

static bool take_forked(struct worker_process *template, const struct wire_message *m)
{
    if (template->state != WORKER_TEMPLATE || m->head.id > template->last_id || m->head.bytes ||
        m->head.pid < 2 || m->head.pid > INT32_MAX)
        return false;
    struct worker_process *w = worker_channel_take_fork(template, m->head.id);
    if (w && adopt(w, (pid_t)m->head.pid) != 0)
        worker_end_unreported(w, "it could not be adopted");
    return true;
}

static bool take_failed_fork(struct worker_process *template, const struct wire_message *m)
{
    struct worker_process *w = worker_channel_take_fork(template, m->head.id);
    if (w) {
        buf_put(&w->printed, m->payload, (size_t)m->head.bytes);
        worker_end_unreported(w, "");
    }
    return m->head.id <= template->last_id;
}

static bool take_fail(struct worker_process *w, const struct wire_message *m)
{
    if (wire_text_bytes(&m->head) > m->head.bytes ||
        (m->head.type && strlen(m->head.type) > TASK_TYPE_MAX))
        return false;
    if (w->state == WORKER_TEMPLATE)
        return take_failed_fork(w, m);
    return end_task(w, m, WORKER_ENDED_FAILED);
}

static bool (*const takers[WIRE_VERB_COUNT])(struct worker_process *,
                                             const struct wire_message *) = {
    [WIRE_HELLO] = take_hello,
    [WIRE_PROGRESS] = take_progress,
    [WIRE_LOG] = take_log,
    [WIRE_DONE] = take_done,
    [WIRE_FAIL] = take_fail,
    [WIRE_FORKED] = take_forked,
    [WIRE_CHECKPOINT] = take_checkpoint,
    [WIRE_SUSPEND] = take_suspend,
};

static bool take(struct worker_process *w, const struct wire_message *m)
{
    bool is_text = m->head.verb != WIRE_DONE && m->head.verb != WIRE_CHECKPOINT;
    if (!takers[m->head.verb] || (is_text && (m->too_long || m->head.bytes > TEXT_MAX)))
        return false;
    if (m->head.verb != WIRE_HELLO && !w->said_hello)
        return false;
    if (w->state == WORKER_DYING || w->state == WORKER_LEAVING)
        return true; /* nobody waits for what it says after it was killed */
    return takers[m->head.verb](w, m);
}

/* ---- reading ---- */

static void break_off(struct worker_process *w)
{
    log_warn("worker_protocol", LOG_INT("pid", w->pid), LOG_STR("line", w->stream.line));
    if (!w->said_hello) /* the operator would only read that we killed it */
        buf_puts(&w->printed, "\nfutured: it does not begin as the worker protocol asks");
    w->broke_rules = true;
    worker_end_cut(w);
}

static void take_messages(struct worker_process *w)
{
    struct wire_message m;
    int rc = 0;
    while (w->channel.fd >= 0 && (rc = wire_stream_next(&w->stream, &m)) == 0) {
        if (!take(w, &m))
            rc = FUT_ERR_INVAL;
        if (rc != 0)
            break;
    }
    if (w->channel.fd >= 0 && rc == FUT_ERR_INVAL)
        break_off(w);
}

/* False when nothing more is to be read now; the channel may be closed then. */
static bool read_some(struct worker_process *w)
{
    int rc = wire_stream_read(&w->stream, MSG_DONTWAIT);
    if (rc == FUT_ERR_AGAIN)
        return false;
    if (rc == 0)
        take_messages(w);
    else if (rc == FUT_ERR_CLOSED)
        worker_end_closed(w);
    else
        worker_end_cut(w);
    return w->channel.fd >= 0 && w->stream.filled;
}

void worker_messages_ready(struct loop_source *src, uint32_t events)
{
    struct worker_process *w = FUT_CONTAINER(src, struct worker_process, channel);
    if (events & EPOLLOUT)
        worker_channel_flush(w);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    for (int reads = 0; reads < READS_PER_EVENT && read_some(w); reads++)
        ;
}

void worker_messages_read_rest(struct worker_process *w)
{
    while (w->channel.fd >= 0 && read_some(w))
        ;
    worker_channel_read_printed(w);
}
