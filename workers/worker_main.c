#include "workers/worker_main.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "workers/handlers/builtins.h"
#include "workers/wire.h"

#define READ_BYTES 65536
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

static int run_task(const struct wire_run *task, struct buf *out)
{
    struct run run;
    run_init(&run, task->input, task->input_len, task->input_type, (size_t)task->max_result_bytes);
    call_handler(&run, task->handler);
    struct wire_result result = result_of(&run, task->seq);
    int rc = wire_put_result(out, &result);
    if (rc != 0) {
        run_fail(&run, "result_too_large", "the result is too large for the worker's channel");
        result = result_of(&run, task->seq);
        rc = wire_put_result(out, &result);
    }
    run_release(&run);
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
        rc = run_task(&frame.as.run, out);
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
