#include "workers/worker_main.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/handlers/builtins.h"
#include "workers/wire.h"

#define READ_BYTES 65536
#define PROGRESS_EVERY_MS 50         /* what comes sooner is left out */
#define KEEP_BYTES ((size_t)1 << 20) /* a larger buffer is given back after the task */

static int send_all(int fd, struct buf *out)
{
    for (size_t at = 0; at < out->len;) {
        ssize_t n = send(fd, out->data + at, out->len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FUT_ERR_IO;
        at += (size_t)n;
    }
    out->len = 0;
    return 0;
}

/* Reads until in holds a whole frame. FUT_ERR_CLOSED at a clean end. */
static int next_frame(int fd, struct buf *in, struct wire_frame *out, size_t *used)
{
    for (;;) {
        int rc = wire_decode(in->data, in->len, WIRE_FRAME_MAX, out, used);
        if (rc != FUT_ERR_AGAIN)
            return rc;
        buf_reserve(in, READ_BYTES);
        ssize_t n = recv(fd, in->data + in->len, in->cap - in->len - 1, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 && in->len == 0)
            return FUT_ERR_CLOSED;
        if (n <= 0)
            return FUT_ERR_IO;
        in->len += (size_t)n;
    }
}

static void call_handler(struct run *run, const char *name)
{
    const struct builtin *b = builtins_find(name);
    if (b)
        b->fn(run);
    else
        run_fail(run, "unknown_handler", "no built-in handler is called \"%s\"", name);
    if (run->class == RUN_NONE)
        run_fail(run, "internal", "the handler ended without a result");
}

static struct wire_result result_of(const struct run *run, uint64_t seq)
{
    bool ok = run->class == RUN_SUCCESS;
    return (struct wire_result){
        .seq = seq,
        .class = run->class,
        .type = ok ? run->type : "",
        .code = ok ? "" : run->code,
        .message = ok ? "" : run->message.data,
        .body = ok ? (const unsigned char *)run->body.data : NULL,
        .body_len = ok ? run->body.len : 0,
    };
}

/* ---- reports on the way ---- */

/* A run with where its reports go. */
struct worker_run {
    struct run run;
    int fd;
    uint64_t seq;
    int64_t next_mono_ms;
};

/* A channel that has ended is seen by the next read; until then reports are lost, nothing else. */
static void send_report(const struct worker_run *w, struct buf *frame)
{
    int rc = send_all(w->fd, frame);
    (void)rc;
    buf_release(frame);
}

/* A handler may call this at each step of its work: most calls cost a look at the clock. */
static void on_progress(struct run *run, double fraction, const char *message)
{
    struct worker_run *w = FUT_CONTAINER(run, struct worker_run, run);
    int64_t now_ms = clock_mono_ms();
    struct wire_progress p = {w->seq, fraction, message ? message : ""};
    struct buf frame = BUF_INIT;
    if (now_ms < w->next_mono_ms && fraction < 1)
        return;
    w->next_mono_ms = now_ms + PROGRESS_EVERY_MS;
    if (wire_put_progress(&frame, &p) == 0)
        send_report(w, &frame);
}

static void on_log(struct run *run, const char *bytes, size_t n)
{
    struct worker_run *w = FUT_CONTAINER(run, struct worker_run, run);
    struct buf frame = BUF_INIT;
    if (wire_put_log(&frame, &(struct wire_log){w->seq, (const unsigned char *)bytes, n}) == 0)
        send_report(w, &frame);
}

static const struct run_sink sink = {on_progress, on_log};

static int run_task(int fd, const struct wire_run *task, struct buf *out)
{
    struct worker_run w = {.fd = fd, .seq = task->seq};
    run_init(&w.run, task->input, task->input_len, task->input_type,
             (size_t)task->max_result_bytes);
    w.run.sink = &sink;
    call_handler(&w.run, task->handler);
    struct wire_result result = result_of(&w.run, task->seq);
    int rc = wire_put_result(out, &result);
    if (rc != 0) {
        run_fail(&w.run, "result_too_large", "the result is too large for the worker's channel");
        result = result_of(&w.run, task->seq);
        rc = wire_put_result(out, &result);
    }
    run_release(&w.run);
    return rc;
}

static void shrink(struct buf *b)
{
    if (b->len == 0 && b->cap > KEEP_BYTES)
        buf_release(b);
}

static int serve(int fd, struct buf *in, struct buf *out)
{
    for (;;) {
        struct wire_frame frame;
        size_t used;
        int rc = send_all(fd, out);
        shrink(out);
        if (rc == 0)
            rc = next_frame(fd, in, &frame, &used);
        if (rc != 0)
            return rc == FUT_ERR_CLOSED ? 0 : rc;
        if (frame.type != WIRE_RUN)
            return FUT_ERR_INVAL;
        rc = run_task(fd, &frame.as.run, out);
        if (rc != 0)
            return rc;
        buf_consume(in, used);
        shrink(in);
    }
}

int worker_main(int fd)
{
    struct buf in = BUF_INIT, out = BUF_INIT;
    wire_put_hello(&out);
    int rc = serve(fd, &in, &out);
    buf_release(&in);
    buf_release(&out);
    return rc;
}
