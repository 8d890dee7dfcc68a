#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "workers/process/worker_internal.h"
#include "workers/wire/tickets.h"

#define READS_PER_EVENT 8   /* then the other sources have a turn */
#define READS_AT_THE_END 32 /* more than a pipe holds; the writer may never stop */
#define PRINTED_READ 8192
#define KEEP_BYTES ((size_t)2 * TASK_LOG_MAX) /* so that the bytes do not move at each read */

/* ---- what the process prints ---- */

/* Printed lines belong to the one task that runs; with several nobody can tell whose they are. */
static struct worker_job *only_job(const struct worker_process *w)
{
    return w->jobs.len == 1 ? FUT_CONTAINER(list_front(&w->jobs), struct worker_job, link) : NULL;
}

static void keep_end(struct buf *text, const char *bytes, size_t n)
{
    size_t skip = n > TASK_LOG_MAX ? n - TASK_LOG_MAX : 0;
    buf_put(text, bytes + skip, n - skip);
    if (text->len > KEEP_BYTES)
        buf_consume(text, text->len - TASK_LOG_MAX);
}

void worker_channel_log(struct worker_job *job, const char *bytes, size_t n)
{
    keep_end(&job->tail, bytes, n);
    job->sink->log(job->sink, bytes, n);
}

static void take_printed(struct worker_process *w, const char *bytes, size_t n)
{
    struct worker_job *job = only_job(w);
    if (!job) {
        keep_end(&w->printed, bytes, n);
        return;
    }
    job->written += n;
    worker_channel_log(job, bytes, n);
}

bool worker_channel_exceeds_output(const struct worker_process *w, const struct worker_job *job)
{
    return w->limits.output_bytes && job->written > w->limits.output_bytes;
}

void worker_channel_check_output(const struct worker_process *w, struct worker_job *job)
{
    if (worker_channel_exceeds_output(w, job))
        job->exceeded(job, LIMIT_OUTPUT, 0);
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
    struct worker_job *job = only_job(w);
    if (job)
        worker_channel_check_output(w, job);
}

static void on_out(struct loop_source *src, uint32_t events)
{
    (void)events;
    on_printed(FUT_CONTAINER(src, struct worker_process, out), src);
}

static void on_err(struct loop_source *src, uint32_t events)
{
    (void)events;
    on_printed(FUT_CONTAINER(src, struct worker_process, err), src);
}

int worker_channel_open_pipe(struct worker_process *w, struct loop_source *src, int *theirs)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return FUT_ERR_IO;
    *theirs = ends[1];
    if (fd_set_nonblock(ends[0]) == 0 &&
        loop_open(w->loop, src, ends[0], EPOLLIN, src == &w->out ? on_out : on_err) == 0)
        return 0;
    fd_close(&ends[0]);
    return FUT_ERR_IO;
}

/* Mostly nothing is there, which one call says of both. */
void worker_channel_read_printed(struct worker_process *w)
{
    struct pollfd both[] = {{.fd = w->out.fd, .events = POLLIN},
                            {.fd = w->err.fd, .events = POLLIN}};
    if (poll(both, 2, 0) == 0)
        return;
    read_pipe(w, &w->out, READS_AT_THE_END);
    read_pipe(w, &w->err, READS_AT_THE_END);
}

void worker_channel_get_log(const struct buf *text, struct worker_end *end)
{
    size_t extra = text->len > TASK_LOG_MAX ? text->len - TASK_LOG_MAX : 0;
    end->log = text->data ? text->data + extra : "";
    end->log_len = text->len - extra;
}

/* ---- what is sent to it ---- */

void worker_channel_flush(struct worker_process *w)
{
    /* Whoever reads learns of the stream's end. */
    int rc = wire_stream_flush(&w->stream, MSG_DONTWAIT);
    loop_watch(w->loop, &w->channel, rc == FUT_ERR_AGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void flush_soon(struct loop_soon *soon)
{
    struct worker_process *w = FUT_CONTAINER(soon, struct worker_process, flush);
    if (w->channel.fd >= 0)
        worker_channel_flush(w);
}

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

/* What an earlier attempt stored goes before the RUN of the same id. */
static int put_checkpoint(struct worker_process *w, const struct worker_job *job, uint64_t id)
{
    const struct task_checkpoint *c = job->task->checkpoint;
    struct wire_head h = WIRE_HEAD(WIRE_CHECKPOINT);
    if (!c || !w->takes_checkpoints)
        return 0;
    h.id = id;
    h.bytes = c->len;
    h.attempt = c->attempt;
    h.type = c->type;
    return wire_stream_put(&w->stream, &h, c->body);
}

/* So does what became of the futures that it was suspended for. */
static int put_results(struct worker_process *w, const struct worker_job *job, uint64_t id)
{
    const struct task_checkpoint *r = job->task->results;
    struct wire_head h = WIRE_HEAD(WIRE_RESULTS);
    if (!r || !w->takes_results)
        return 0;
    h.id = id;
    h.bytes = r->len;
    h.type = r->type;
    return wire_stream_put(&w->stream, &h, r->body);
}

/* All messages, or none. */
static int put_run(struct worker_process *w, const struct worker_job *job,
                   const struct wire_head *run)
{
    struct wire_mark before = wire_stream_mark(&w->stream);
    int rc = put_checkpoint(w, job, run->id);
    if (rc == 0)
        rc = put_results(w, job, run->id);
    if (rc == 0)
        rc = wire_stream_put(&w->stream, run, job->task->spec->input);
    if (rc != 0)
        wire_stream_back(&w->stream, before);
    return rc;
}

static void send_soon(struct worker_process *w)
{
    w->flush.fn = flush_soon;
    loop_do_soon(w->loop, &w->flush);
}

int worker_channel_init(struct worker_process *w, const struct task_init *init)
{
    char id[ID_TEXT_SIZE];
    struct wire_head h = WIRE_HEAD(WIRE_INIT);
    id_format(init->session, id);
    h.id = w->last_id + 1;
    h.bytes = init->len;
    h.session = id;
    h.type = init->type;
    int rc = wire_stream_put(&w->stream, &h, init->body);
    if (rc != 0)
        return rc;
    w->last_id++;
    send_soon(w);
    return 0;
}

void worker_channel_close_session(struct worker_process *w, struct task_id session)
{
    char id[ID_TEXT_SIZE];
    struct wire_head h = WIRE_HEAD(WIRE_CLOSE);
    id_format(session, id);
    h.session = id;
    if (wire_stream_put(&w->stream, &h, NULL) != 0)
        FUT_BUG("a message that the protocol cannot express");
    send_soon(w);
}

int worker_channel_run(struct worker_process *w, struct worker_job *job, bool ahead)
{
    char id[ID_TEXT_SIZE], session[ID_TEXT_SIZE];
    char token[ATTEMPT_TOKEN_SIZE];
    struct wire_head h = run_head(w, job, id);
    h.ahead = ahead;
    if (job->task->init) {
        id_format(job->task->init->session, session);
        h.session = session;
    }
    if (w->takes_tokens && job->token)
        h.url = job->token(job, token);
    if (h.url)
        h.token = token;
    int rc = put_run(w, job, &h);
    if (rc != 0)
        return rc;
    job->id = ++w->last_id;
    job->worker = w;
    if (ahead)
        tickets_offer(w->tickets, job->id);
    send_soon(w);
    return 0;
}

void worker_channel_tell(struct worker_process *w, uint64_t id, enum wire_verb verb,
                         const char *why)
{
    struct wire_head h = WIRE_HEAD(verb);
    h.id = id;
    h.bytes = why ? strlen(why) : 0;
    if (wire_stream_put(&w->stream, &h, why) != 0)
        FUT_BUG("a message that the protocol cannot express");
    worker_channel_flush(w);
}

void worker_channel_count_cpu(struct worker_process *w, uint64_t task)
{
    if (w->limits.cpu_ms)
        children_task(w->children, &w->child, task, w->limits.cpu_ms);
}

/* ---- workers that a template forks ---- */

void worker_channel_fork(struct worker_process *template, struct worker_process *w,
                         const int fds[3], int our_end)
{
    struct wire_head h = WIRE_HEAD(WIRE_FORK);
    h.id = ++template->last_id;
    w->unadopted_fd = our_end;
    w->fork_id = h.id;
    w->template = template;
    list_push_back(&template->forks, &w->fork_link);
    if (wire_stream_put_fds(&template->stream, &h, fds, 3) != 0)
        FUT_BUG("a FORK that the protocol cannot express");
    worker_channel_flush(template);
}

static void stop_waiting(struct worker_process *w)
{
    list_remove(&w->template->forks, &w->fork_link);
    w->template = NULL;
}

struct worker_process *worker_channel_take_fork(struct worker_process *template, uint64_t id)
{
    struct list_node *n = list_first(&template->forks);
    while (n && FUT_CONTAINER(n, struct worker_process, fork_link)->fork_id != id)
        n = list_next(&template->forks, n);
    if (!n)
        return NULL;
    struct worker_process *w = FUT_CONTAINER(n, struct worker_process, fork_link);
    stop_waiting(w);
    return w;
}

void worker_channel_forget_fork(struct worker_process *w)
{
    if (w->template)
        stop_waiting(w);
    fd_close(&w->unadopted_fd);
}
