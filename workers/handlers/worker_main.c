#include "workers/handlers/worker_main.h"

#include <poll.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "workers/base/sink.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/wire/tickets.h"
#include "workers/wire/wire_stream.h"

#define PROGRESS_EVERY_MS 50 /* what comes sooner is left out */

/* Reads until there is a whole message. FUT_ERR_CLOSED at a clean end. */
static int next_message(struct wire_stream *s, struct wire_message *out)
{
    int rc;
    while ((rc = wire_stream_next(s, out)) == FUT_ERR_AGAIN) {
        /* A recvmsg that sleeps is woken, too, when the other side has read what this one wrote:
         * twice per task instead of once. Whatever poll says, reading tells more. */
        (void)poll(&(struct pollfd){.fd = s->sock, .events = POLLIN}, 1, -1);
        rc = wire_stream_read(s, 0);
        if (rc == FUT_ERR_CLOSED && !wire_stream_is_clean(s))
            return FUT_ERR_IO;
        if (rc != 0)
            return rc;
    }
    return rc;
}

static void call_handler(struct run *run, const char *name)
{
    const struct builtin *b = builtins_find(name);
    if (b)
        b->fn(run);
    else
        run_fail(run, end_code_text(END_UNKNOWN_HANDLER), "no built-in handler is called \"%s\"",
                 name);
    if (run->class == RUN_NONE)
        run_fail(run, end_code_text(END_INTERNAL), "the handler ended without a result");
}

/* ---- reports on the way ---- */

/* A run with where its reports go. */
struct worker_run {
    struct run run;
    struct sink sink;
    struct wire_stream *stream;
    uint64_t id;
    int64_t next_mono_ms;
};

/* A channel that has ended is seen by the next read; until then reports are lost, nothing else. */
static void send_report(const struct worker_run *w, const struct wire_head *h, const void *payload)
{
    if (wire_stream_put(w->stream, h, payload) != 0 || wire_stream_flush(w->stream, 0) != 0)
        return;
}

/* A handler may call this at each step of its work: most calls cost a look at the clock. */
static void on_progress(struct sink *to, double fraction, const char *message)
{
    struct worker_run *w = FUT_CONTAINER(to, struct worker_run, sink);
    struct wire_head h = WIRE_HEAD(WIRE_PROGRESS);
    int64_t now_ms = clock_mono_ms();
    if (now_ms < w->next_mono_ms && fraction < 1)
        return;
    w->next_mono_ms = now_ms + PROGRESS_EVERY_MS;
    h.id = w->id;
    h.fraction = fraction;
    h.bytes = message ? strlen(message) : 0;
    send_report(w, &h, message);
}

static void on_log(struct sink *to, const char *bytes, size_t n)
{
    struct worker_run *w = FUT_CONTAINER(to, struct worker_run, sink);
    struct wire_head h = WIRE_HEAD(WIRE_LOG);
    h.id = w->id;
    h.bytes = n;
    send_report(w, &h, bytes);
}

/* ---- one task ---- */

static int put_result(struct wire_stream *s, const struct run *run, uint64_t id)
{
    struct wire_head h = WIRE_HEAD(WIRE_DONE);
    h.id = id;
    if (run->class == RUN_SUCCESS) {
        h.bytes = run->body.len;
        h.type = run->type;
        return wire_stream_put(s, &h, run->body.data);
    }
    h.verb = WIRE_FAIL;
    h.bytes = run->message.len;
    h.kind = run->code;
    h.retry = run->class == RUN_TEMPORARY ? 1 : -1; /* else by the policy */
    return wire_stream_put(s, &h, run->message.data);
}

static int run_task(struct wire_stream *s, struct tickets *t, const struct wire_message *m)
{
    if (t && m->head.ahead && !tickets_take(t, m->head.id))
        return 0; /* somebody else has it */
    struct worker_run w = {.sink = {on_progress, on_log}, .stream = s, .id = m->head.id};
    run_init(&w.run, m->payload, (size_t)m->head.bytes, m->head.type ? m->head.type : CONTENT_BYTES,
             m->head.max_result ? (size_t)m->head.max_result : WIRE_PAYLOAD_MAX);
    w.run.sink = &w.sink;
    call_handler(&w.run, m->head.handler ? m->head.handler : "");
    int rc = put_result(s, &w.run, m->head.id);
    if (rc == FUT_ERR_TOO_BIG || rc == FUT_ERR_INVAL) {
        run_fail(&w.run, end_code_text(END_INTERNAL),
                 "the result does not fit the worker's channel");
        rc = put_result(s, &w.run, m->head.id);
    }
    run_release(&w.run);
    return rc;
}

/* ---- life ---- */

static int say_hello(struct wire_stream *s, const struct tickets *t, int tickets_fd)
{
    struct wire_head hello = WIRE_HEAD(WIRE_HELLO);
    hello.id = WIRE_VERSION;
    hello.memfd = true;
    if (!t)
        return wire_stream_put(s, &hello, NULL);
    hello.ahead = TICKETS_MAX - 1; /* and one that it runs */
    return wire_stream_put_fds(s, &hello, &tickets_fd, 1);
}

static int serve(struct wire_stream *s)
{
    struct wire_message m;
    int fd;
    struct tickets *t = tickets_new(&fd);
    int rc = say_hello(s, t, fd);
    while (rc == 0) {
        rc = wire_stream_flush(s, 0);
        if (rc == 0)
            rc = next_message(s, &m);
        if (rc == 0)
            rc = m.head.verb == WIRE_RUN && !m.too_long ? run_task(s, t, &m) : FUT_ERR_INVAL;
    }
    tickets_close(&t);
    return rc == FUT_ERR_CLOSED ? 0 : rc;
}

int worker_main(int fd)
{
    struct wire_stream s;
    wire_stream_init(&s, fd, WIRE_PAYLOAD_MAX);
    s.peer_takes_fds = true; /* the daemon does */
    int rc = serve(&s);
    wire_stream_release(&s);
    return rc;
}
