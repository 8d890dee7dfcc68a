#include "workers/process/worker_channel.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/handlers/run.h"
#include "workers/process/worker_ahead.h"
#include "workers/process/worker_template.h"
#include "workers/wire/tickets.h"

#define READS_PER_EVENT 8   /* then the others have a turn */
#define READS_AT_THE_END 32 /* more than a pipe holds; a stranger may go on writing for ever */
#define PRINTED_READ 8192
#define PRINTED_KEEP ((size_t)2 * TASK_LOG_MAX) /* so that it is not moved at every read */
#define TEXT_MAX ((uint64_t)1 << 20)            /* bytes of a PROGRESS, LOG or FAIL */

/* ---- what it prints ---- */

/* Printed lines belong to the one task that runs; with several nobody can tell. */
static struct worker_job *only_job(const struct worker_process *w)
{
    return w->jobs.len == 1 ? FUT_CONTAINER(list_front(&w->jobs), struct worker_job, link) : NULL;
}

static void take_printed(struct worker_process *w, const char *bytes, size_t n)
{
    struct worker_job *job = only_job(w);
    buf_put(&w->printed, bytes, n);
    if (w->printed.len > PRINTED_KEEP)
        buf_consume(&w->printed, w->printed.len - TASK_LOG_MAX);
    if (!job)
        return;
    job->written += n;
    job->log(job, bytes, n);
}

static bool is_over_output(const struct worker_process *w, const struct worker_job *job)
{
    return w->limits.output_bytes && job->written > w->limits.output_bytes;
}

/* job (NULL ok) may be gone after that. */
static void judge_output(const struct worker_process *w, struct worker_job *job)
{
    if (job && is_over_output(w, job))
        job->over(job, LIMIT_OUTPUT, 0);
}

static void read_pipe(struct worker_process *w, struct loop_source *src, int reads)
{
    char bytes[PRINTED_READ];
    while (src->fd >= 0 && reads-- > 0) {
        ssize_t n = read(src->fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            loop_close(w->loop, src);
        else
            take_printed(w, bytes, (size_t)n);
    }
}

static void on_printed(struct worker_process *w, struct loop_source *src)
{
    read_pipe(w, src, READS_PER_EVENT);
    judge_output(w, only_job(w));
}

void worker_channel_out(struct loop_source *src, uint32_t events)
{
    (void)events;
    on_printed(FUT_CONTAINER(src, struct worker_process, out), src);
}

void worker_channel_err(struct loop_source *src, uint32_t events)
{
    (void)events;
    on_printed(FUT_CONTAINER(src, struct worker_process, err), src);
}

/* What was printed before a message was sent is in the pipes already. */
static void read_pipes(struct worker_process *w)
{
    read_pipe(w, &w->out, READS_AT_THE_END);
    read_pipe(w, &w->err, READS_AT_THE_END);
}

void worker_channel_printed(const struct worker_process *w, struct worker_end *end)
{
    size_t extra = w->printed.len > TASK_LOG_MAX ? w->printed.len - TASK_LOG_MAX : 0;
    end->log = w->printed.data ? w->printed.data + extra : "";
    end->log_len = w->printed.len - extra;
}

/* ---- messages ---- */

static bool take_hello(struct worker_process *w, const struct wire_message *m)
{
    const struct wire_head *h = &m->head;
    uint64_t asks = h->concurrency ? h->concurrency : 1;
    if (w->state != WORKER_STARTING || h->id != WIRE_VERSION || asks > WIRE_CONCURRENCY_MAX ||
        (h->fork && w->is_forked))
        return false;
    w->width = asks < w->width ? (uint32_t)asks : w->width;
    w->takes_cancel = h->cancel;
    w->stream.peer_takes_fds = h->memfd;
    w->said_hello = true;
    if (w->is_builtin)
        worker_ahead_hello(w, h);
    w->state = h->fork ? WORKER_TEMPLATE : WORKER_READY;
    w->idle_mono_ms = clock_mono_ms();
    loop_timer_clear(w->loop, &w->timer);
    read_pipes(w);
    w->printed.len = 0;
    w->hooks->ready(w);
    return true;
}

struct worker_job *worker_channel_job(const struct worker_process *w, uint64_t id)
{
    for (struct list_node *n = list_first(&w->jobs); n; n = list_next(&w->jobs, n)) {
        struct worker_job *job = FUT_CONTAINER(n, struct worker_job, link);
        if (job->id == id)
            return job;
    }
    return NULL;
}

/* One line, without what follows it. */
static bool take_progress(struct worker_process *w, const struct wire_message *m)
{
    struct worker_job *job = worker_channel_job(w, m->head.id);
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
    job->progress(job, m->head.fraction, *text ? text : NULL);
    return true;
}

static bool take_log(struct worker_process *w, const struct wire_message *m)
{
    struct worker_job *job = worker_channel_job(w, m->head.id);
    if (!job)
        return m->head.id <= w->last_id;
    if (m->head.bytes)
        job->log(job, (const char *)m->payload, (size_t)m->head.bytes);
    job->written += m->head.bytes;
    judge_output(w, job);
    return true;
}

void worker_channel_end_job(struct worker_process *w, struct worker_job *job,
                            const struct worker_end *end)
{
    list_remove(&w->jobs, &job->link);
    job->worker = NULL;
    job->done(job, end);
}

/* CPU time is that of the task from here on; 0: there is none. */
static void count_cpu(struct worker_process *w, uint64_t task)
{
    if (w->limits.cpu_ms)
        children_task(w->children, &w->child, task, w->limits.cpu_ms);
}

/* A result that is one too many has been read all the same: the worker may go on. */
static enum worker_end_how judge_end(const struct worker_process *w, struct worker_job *job,
                                     const struct wire_message *m, enum worker_end_how how)
{
    if (m->head.verb == WIRE_DONE)
        job->written += m->head.bytes;
    return is_over_output(w, job) ? WORKER_ENDED_OUTPUT : how;
}

static bool end_task(struct worker_process *w, const struct wire_message *m,
                     enum worker_end_how how)
{
    struct worker_job *job = worker_channel_job(w, m->head.id);
    struct worker_end end = {.how = how, .head = &m->head, .payload = m->payload};
    if (!job && (w->left == 0 || m->head.id > w->last_id))
        return false;
    read_pipes(w);
    worker_channel_printed(w, &end);
    if (w->state == WORKER_READY)
        w->tasks_done++;
    if (job) {
        end.how = judge_end(w, job, m, how);
        worker_channel_end_job(w, job, &end);
    } else {
        w->left--;
    }
    worker_ahead_go_on(w);
    w->idle_mono_ms = clock_mono_ms();
    if (w->state == WORKER_READY)
        w->hooks->room(w);
    if (w->state == WORKER_READY && w->jobs.len == 0)
        count_cpu(w, 0);
    return true;
}

static bool take_done(struct worker_process *w, const struct wire_message *m)
{
    const char *type = m->head.type;
    if (type && strlen(type) > TASK_TYPE_MAX)
        return false;
    return end_task(w, m, m->too_long ? WORKER_ENDED_TOO_LARGE : WORKER_ENDED_DONE);
}

static bool take_fail(struct worker_process *w, const struct wire_message *m)
{
    if (w->state == WORKER_TEMPLATE)
        return worker_template_failed(w, m);
    return end_task(w, m, WORKER_ENDED_FAILED);
}

/* By verb. False: it breaks the rules. */
static bool (*const takers[WIRE_VERB_COUNT])(struct worker_process *,
                                             const struct wire_message *) = {
    [WIRE_HELLO] = take_hello, [WIRE_PROGRESS] = take_progress,
    [WIRE_LOG] = take_log,     [WIRE_DONE] = take_done,
    [WIRE_FAIL] = take_fail,   [WIRE_FORKED] = worker_template_forked,
};

static bool take(struct worker_process *w, const struct wire_message *m)
{
    bool is_text = m->head.verb != WIRE_DONE;
    if (!takers[m->head.verb] || (is_text && (m->too_long || m->head.bytes > TEXT_MAX)))
        return false;
    if (m->head.verb != WIRE_HELLO && !w->said_hello)
        return false;
    if (w->state == WORKER_DYING || w->state == WORKER_LEAVING)
        return true; /* after a kill nobody wants to hear it */
    return takers[m->head.verb](w, m);
}

static void break_off(struct worker_process *w)
{
    log_warn("worker_protocol", LOG_INT("pid", w->pid), LOG_STR("line", w->stream.line));
    if (!w->said_hello) /* what its operator reads, who would only hear of our kill */
        buf_puts(&w->printed, "\nfutured: it does not begin as the worker protocol asks");
    w->broke_rules = true;
    worker_process_cut(w);
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
    else
        worker_process_cut(w);
    return w->channel.fd >= 0 && w->stream.filled;
}

void worker_channel_flush(struct worker_process *w)
{
    int rc = wire_stream_flush(&w->stream, MSG_DONTWAIT); /* its end is told by reading */
    loop_watch(w->loop, &w->channel, rc == FUT_ERR_AGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void worker_channel_ready(struct loop_source *src, uint32_t events)
{
    struct worker_process *w = FUT_CONTAINER(src, struct worker_process, channel);
    if (events & EPOLLOUT)
        worker_channel_flush(w);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    for (int reads = 0; reads < READS_PER_EVENT && read_some(w); reads++)
        ;
}

void worker_channel_read_rest(struct worker_process *w)
{
    while (w->channel.fd >= 0 && read_some(w))
        ;
    read_pipes(w);
}

/* ---- tasks ---- */

static struct wire_head run_head(const struct worker_process *w, const struct worker_job *job,
                                 char id[ID_TEXT_SIZE])
{
    const struct task_spec *spec = job->task->spec;
    struct wire_head h = WIRE_HEAD(WIRE_RUN);
    id_format(spec->id, id);
    h.id = w->last_id + 1;
    h.bytes = spec->input_len;
    h.task = id;
    h.attempt = job->task->attempt;
    h.timeout_ms = (uint64_t)spec->timeout_ms;
    h.max_result = w->max_result_bytes;
    if (w->limits.output_bytes && w->limits.output_bytes < h.max_result)
        h.max_result = w->limits.output_bytes;
    h.handler = spec->handler;
    h.trace = spec->traceparent;
    h.type = spec->input_type;
    return h;
}

static void flush_soon(struct loop_soon *soon)
{
    struct worker_process *w = FUT_CONTAINER(soon, struct worker_process, flush);
    if (w->channel.fd >= 0)
        worker_channel_flush(w);
}

int worker_channel_put(struct worker_process *w, struct worker_job *job, bool ahead)
{
    char id[ID_TEXT_SIZE];
    struct wire_head h = run_head(w, job, id);
    h.ahead = ahead;
    int rc = wire_stream_put(&w->stream, &h, job->task->spec->input);
    if (rc != 0)
        return rc;
    job->id = ++w->last_id;
    job->worker = w;
    if (ahead)
        tickets_offer(w->tickets, job->id);
    w->flush.fn = flush_soon;
    loop_do_soon(w->loop, &w->flush);
    return 0;
}

int worker_process_give(struct worker_process *w, struct worker_job *job)
{
    FUT_ASSERT(worker_process_has_room(w));
    int rc = worker_channel_put(w, job, false);
    if (rc != 0)
        return rc;
    w->printed.len = 0;
    list_push_back(&w->jobs, &job->link);
    count_cpu(w, job->id);
    return 0;
}

void worker_channel_cancel(struct worker_process *w, const struct worker_job *job)
{
    struct wire_head h = WIRE_HEAD(WIRE_CANCEL);
    h.id = job->id;
    if (wire_stream_put(&w->stream, &h, NULL) != 0)
        FUT_BUG("a CANCEL that cannot be said");
    worker_channel_flush(w);
}
