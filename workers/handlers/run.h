/* run: what a built-in handler sees of its attempt: the input, when to stop, and where the result
 * goes. The same function runs on a pool thread (io lane) or in a worker process (cpu lane, where
 * nobody cancels: the process is killed). The handler's thread calls everything but run_cancel. */
#ifndef FUT_WORKERS_HANDLERS_RUN_H
#define FUT_WORKERS_HANDLERS_RUN_H

#include <stdatomic.h>

#include "core/buf.h"
#include "core/sync.h"
#include "core/task.h"

/* How an attempt ended. */
enum run_class {
    RUN_NONE = 0, /* the handler said nothing: our bug */
    RUN_SUCCESS = 1,
    RUN_FAILED = 2,    /* tried again where the policy wants that for its code */
    RUN_TEMPORARY = 3, /* tried again while retries are left */
    RUN_NEVER = 4,     /* failed, and would fail again */
    RUN_SUSPENDED = 5, /* ended itself, to go on later */
};

#define RUN_MESSAGE_MAX 500    /* bytes of a progress message */
#define RUN_LOG_PIECE_MAX 8192 /* bytes of log handed on at once */

struct webhook_secret;
struct http_allow;
struct sink;

/* What is known of the task beyond its input. NULL and zero: not known here. */
struct run_about {
    struct task_id id;
    uint32_t attempt;
    const char *traceparent;
    const struct task *parent; /* the future that it was scheduled after, now done */
    const struct webhook_secret *callback_secret;
    const struct http_allow *allow; /* where requests may go */
};

struct run;

struct run {
    /* in: borrowed, set before the handler starts */
    const unsigned char *input;
    size_t input_len;
    const char *input_type;
    size_t max_result_bytes;
    struct run_about about;
    struct sink *sink; /* called on the handler's thread; NULL: nobody listens */

    atomic_bool cancelled;
    struct mutex mu;
    struct cond wake_cond;
    void (*wake)(void *ctx); /* guarded by mu */
    void *wake_ctx;          /* guarded by mu */

    /* out */
    enum run_class class;
    const char *type; /* borrowed: a literal or input_type */
    const char *code; /* a literal */
    int64_t
        retry_after_ms; /* a temporary failure is tried again no sooner; 0: as the policy says */
    char *asked_by;     /* the limit of the host that asks to be left alone for retry_after_ms;
                           NULL: none does; run_release frees */
    struct buf body;
    struct buf message;
    struct buf log; /* the end of what run_log was given, up to twice TASK_LOG_MAX bytes */
};

typedef void run_fn(struct run *run);

/* Prepares a run with that input, which is borrowed until run_release. */
void run_init(struct run *run, const void *input, size_t len, const char *type, size_t max_result);
/* Frees what the run owns, not the run. Nobody may cancel it any more. */
void run_release(struct run *run);

/* Any thread, while run lives: ends every wait at once. */
void run_cancel(struct run *run);
bool run_is_cancelled(struct run *run);
/* Waits; false as soon as the attempt is cancelled. */
FUT_MUST_CHECK bool run_wait_ms(struct run *run, int64_t ms);
/* fn(ctx) is called by run_cancel, on its thread and under a lock: it must only wake somebody.
 * NULL takes it away; after that fn is not running and will not run. */
void run_on_cancel(struct run *run, void (*fn)(void *ctx), void *ctx);

/* How far it is, from 0 to 1 (what lies outside is cut), and one line about it (NULL: none; cut to
 * RUN_MESSAGE_MAX bytes). May be called often: the latest counts, a few a second are kept. */
void run_progress(struct run *run, double fraction, const char *message);
/* How many of the first n bytes of text (there is one more) keep its last character whole. */
size_t run_whole_characters(const char *text, size_t n);
/* Appends to the future's log. */
void run_log(struct run *run, const char *fmt, ...) FUT_PRINTF(2, 3);

/* Takes body's bytes. Over max_result_bytes, or JSON by type and not by content, is a failure. */
void run_succeed(struct run *run, const char *type, struct buf *body);
void run_fail(struct run *run, const char *code, const char *fmt, ...) FUT_PRINTF(3, 4);
void run_fail_for_now(struct run *run, const char *code, const char *fmt, ...) FUT_PRINTF(3, 4);
/* A failure that trying again would not change, whatever the policy. */
void run_fail_for_good(struct run *run, const char *code, const char *fmt, ...) FUT_PRINTF(3, 4);
/* The failure of a handler that stopped because it was told to. */
void run_fail_cancelled(struct run *run);

/* The result as an outcome (one reference, the caller's). */
struct task_outcome *run_outcome(const struct run *run);

#endif
