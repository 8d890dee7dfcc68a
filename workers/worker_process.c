#include "workers/worker_process.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"

#define READ_BYTES 65536
#define KEEP_BYTES ((size_t)1 << 20) /* a larger buffer is given back after the task */
#define HELLO_MS 30000               /* from start to hello */
#define REASON_MS 1000               /* from the channel's end to the fork server's word */
#define RETRY_FIRST_MS 2000
#define RETRY_LAST_MS 60000

static void on_timer(struct loop_timer *t);
static void on_child(struct child *child, const struct fork_event *ev);
static void on_channel(struct loop_source *src, uint32_t events);

void worker_process_init(struct worker_process *w, struct loop *l, struct children *c,
                         uint32_t slot, size_t max_result_bytes, const struct worker_hooks *hooks,
                         void *owner)
{
    *w = (struct worker_process){.loop = l,
                                 .children = c,
                                 .hooks = hooks,
                                 .owner = owner,
                                 .slot = slot,
                                 .max_result_bytes = max_result_bytes,
                                 .child = {.on_event = on_child},
                                 .src = {.fd = -1},
                                 .timer = {.fn = on_timer}};
}

/* ---- one generation begins ---- */

static void retry_later(struct worker_process *w)
{
    uint32_t doublings = w->failed_starts < 6 ? w->failed_starts : 6;
    w->retry_ms = (int64_t)RETRY_FIRST_MS << doublings;
    if (w->retry_ms > RETRY_LAST_MS)
        w->retry_ms = RETRY_LAST_MS;
    w->failed_starts++;
    w->state = WORKER_DOWN;
    loop_timer_set(w->loop, &w->timer, clock_mono_ms() + w->retry_ms);
}

/* Makes the channel and asks for the child. 0, or an error with nothing left open. */
static int spawn(struct worker_process *w)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return FUT_ERR_IO;
    int rc = loop_open(w->loop, &w->src, pair[0], EPOLLIN, on_channel);
    if (rc != 0)
        fd_close(&pair[0]);
    else
        rc = children_spawn_worker(w->children, &w->child, w->slot, pair[1]);
    if (rc != 0)
        loop_close(w->loop, &w->src);
    fd_close(&pair[1]);
    return rc;
}

void worker_process_start(struct worker_process *w)
{
    w->said_hello = w->killed = false;
    w->in.len = w->out.len = w->sent = 0;
    if (spawn(w) != 0) {
        retry_later(w);
        return;
    }
    w->state = WORKER_STARTING;
    loop_timer_set(w->loop, &w->timer, clock_mono_ms() + HELLO_MS);
}

/* ---- one generation ends ---- */

/* The last word on this generation. */
static void bury(struct worker_process *w, const struct worker_end *end)
{
    bool had_task = w->has_task;
    loop_close(w->loop, &w->src);
    loop_timer_clear(w->loop, &w->timer);
    children_forget(w->children, &w->child);
    w->has_task = false;
    w->state = WORKER_DOWN;
    if (!w->said_hello)
        retry_later(w);
    else
        w->retry_ms = 0;
    if (!w->killed)
        w->hooks->on_death(w, end);
    if (had_task)
        w->hooks->on_end(w, end);
    if (w->said_hello && !w->stopped)
        worker_process_start(w);
}

/* The channel has ended: no more results can come. The reason follows within a moment. */
static void channel_ended(struct worker_process *w)
{
    loop_close(w->loop, &w->src);
    w->state = WORKER_DYING;
    children_kill(w->children, &w->child, SIGKILL); /* no process without a channel */
    loop_timer_set(w->loop, &w->timer, clock_mono_ms() + REASON_MS);
}

static void on_timer(struct loop_timer *t)
{
    struct worker_process *w = FUT_CONTAINER(t, struct worker_process, timer);
    if (w->state == WORKER_DOWN)
        worker_process_start(w);
    else if (w->state == WORKER_STARTING) /* no hello */
        children_kill(w->children, &w->child, SIGKILL);
    else
        bury(w, &(struct worker_end){0});
}

/* ---- the channel ---- */

static void shrink(struct buf *b)
{
    if (b->len == 0 && b->cap > KEEP_BYTES)
        buf_release(b);
}

static void take_hello(struct worker_process *w, const struct wire_frame *f)
{
    w->said_hello = f->as.hello.version == WIRE_VERSION;
    if (!w->said_hello) {
        channel_ended(w);
        return;
    }
    w->failed_starts = 0;
    loop_timer_clear(w->loop, &w->timer);
    w->state = WORKER_IDLE;
    w->hooks->on_idle(w);
}

static void take_result(struct worker_process *w, const struct wire_frame *f)
{
    if (f->as.result.seq != w->seq) {
        channel_ended(w);
        return;
    }
    w->has_task = false;
    w->state = WORKER_IDLE;
    w->hooks->on_end(w, &(struct worker_end){.result = &f->as.result});
    if (w->state == WORKER_IDLE)
        w->hooks->on_idle(w);
}

static uint64_t reported_seq(const struct wire_frame *f)
{
    return f->type == WIRE_LOG ? f->as.log.seq : f->as.progress.seq;
}

static bool is_report(const struct worker_process *w, const struct wire_frame *f)
{
    return (f->type == WIRE_PROGRESS || f->type == WIRE_LOG) && w->state == WORKER_BUSY &&
           reported_seq(f) == w->seq;
}

/* Handles one frame when it is there. False: not now, or the channel was closed. */
static bool take_frame(struct worker_process *w)
{
    struct wire_frame f;
    size_t used, max = w->max_result_bytes + WIRE_SLACK_BYTES;
    int rc = wire_decode(w->in.data, w->in.len, max, &f, &used);
    if (rc == FUT_ERR_AGAIN)
        return false;
    if (rc == 0 && f.type == WIRE_HELLO && w->state == WORKER_STARTING)
        take_hello(w, &f);
    else if (rc == 0 && f.type == WIRE_RESULT && w->state == WORKER_BUSY)
        take_result(w, &f);
    else if (rc == 0 && is_report(w, &f))
        w->hooks->on_report(w, &f);
    else if (w->state != WORKER_DYING) /* after a kill nobody wants the result any more */
        channel_ended(w);
    if (w->src.fd < 0 || rc != 0)
        return false;
    buf_consume(&w->in, used);
    shrink(&w->in);
    return true;
}

/* False when nothing more is to be read now; the channel may be closed then. */
static bool read_some(struct worker_process *w)
{
    buf_reserve(&w->in, READ_BYTES);
    size_t room = w->in.cap - w->in.len - 1;
    ssize_t n = recv(w->src.fd, w->in.data + w->in.len, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        channel_ended(w);
        return false;
    }
    w->in.len += (size_t)n;
    while (take_frame(w))
        ;
    return w->src.fd >= 0 && (size_t)n == room;
}

static void write_some(struct worker_process *w)
{
    while (w->sent < w->out.len) {
        ssize_t n = send(w->src.fd, w->out.data + w->sent, w->out.len - w->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* EAGAIN, or its end, which reading tells */
        w->sent += (size_t)n;
    }
    bool more = w->sent < w->out.len;
    if (!more) {
        w->out.len = w->sent = 0;
        shrink(&w->out);
    }
    loop_watch(w->loop, &w->src, more ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void on_channel(struct loop_source *src, uint32_t events)
{
    struct worker_process *w = FUT_CONTAINER(src, struct worker_process, src);
    uint64_t generation = w->child.generation;
    if (events & EPOLLOUT)
        write_some(w);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    while (w->child.generation == generation && read_some(w))
        ;
}

static void on_child(struct child *child, const struct fork_event *ev)
{
    struct worker_process *w = FUT_CONTAINER(child, struct worker_process, child);
    struct worker_end end = {.known = ev->verb == FORK_EXITED,
                             .status = ev->status,
                             .max_rss_kib = ev->max_rss_kib,
                             .cpu_ms = ev->cpu_ms,
                             .oom = ev->oom};
    if (ev->verb == FORK_SPAWNED)
        return;
    /* A result that it sent before it died still counts. */
    while (w->src.fd >= 0 && read_some(w))
        ;
    if (w->child.generation == ev->generation)
        bury(w, &end);
}

/* ---- verbs ---- */

int worker_process_give(struct worker_process *w, const char *handler, const char *input_type,
                        const unsigned char *input, size_t input_len)
{
    FUT_ASSERT(w->state == WORKER_IDLE);
    struct wire_run run = {.seq = w->seq + 1,
                           .max_result_bytes = w->max_result_bytes,
                           .handler = handler,
                           .input_type = input_type,
                           .input = input,
                           .input_len = input_len};
    int rc = wire_put_run(&w->out, &run);
    if (rc != 0)
        return rc;
    w->seq++;
    w->has_task = true;
    w->state = WORKER_BUSY;
    write_some(w);
    return 0;
}

void worker_process_kill(struct worker_process *w, int signal)
{
    if (w->state == WORKER_DOWN)
        return;
    if (w->state != WORKER_DYING) {
        w->killed = true;
        w->state = WORKER_DYING;
        loop_timer_clear(w->loop, &w->timer);
    }
    children_kill(w->children, &w->child, signal);
}

void worker_process_stop(struct worker_process *w)
{
    w->stopped = true;
    w->state = WORKER_DOWN;
    loop_close(w->loop, &w->src);
    loop_timer_clear(w->loop, &w->timer);
    children_forget(w->children, &w->child);
    buf_release(&w->in);
    buf_release(&w->out);
}
