#include "workers/handlers/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "workers/base/json_check.h"
#include "workers/base/sink.h"

void run_init(struct run *run, const void *input, size_t len, const char *type, size_t max_result)
{
    *run = (struct run){
        .input = input, .input_len = len, .input_type = type, .max_result_bytes = max_result};
    atomic_init(&run->cancelled, false);
    mutex_init(&run->mu);
    cond_init(&run->wake_cond);
}

void run_release(struct run *run)
{
    buf_release(&run->body);
    buf_release(&run->message);
    buf_release(&run->log);
    free(run->asked_by);
    cond_destroy(&run->wake_cond);
    mutex_destroy(&run->mu);
}

void run_cancel(struct run *run)
{
    mutex_lock(&run->mu);
    atomic_store(&run->cancelled, true);
    cond_broadcast(&run->wake_cond);
    if (run->wake)
        run->wake(run->wake_ctx);
    mutex_unlock(&run->mu);
}

bool run_is_cancelled(struct run *run)
{
    return atomic_load(&run->cancelled);
}

bool run_wait_ms(struct run *run, int64_t ms)
{
    int64_t deadline_us = clock_mono_us() + ms * 1000;
    mutex_lock(&run->mu);
    while (!run_is_cancelled(run) && cond_wait_until(&run->wake_cond, &run->mu, deadline_us))
        ;
    mutex_unlock(&run->mu);
    return !run_is_cancelled(run);
}

void run_on_cancel(struct run *run, void (*fn)(void *ctx), void *ctx)
{
    mutex_lock(&run->mu);
    run->wake = fn;
    run->wake_ctx = ctx;
    mutex_unlock(&run->mu);
}

size_t run_whole_characters(const char *text, size_t n)
{
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

void run_progress(struct run *run, double fraction, const char *message)
{
    char text[RUN_MESSAGE_MAX + 1];
    if (!run->sink)
        return;
    if (!(fraction >= 0))
        fraction = 0;
    if (message && strlen(message) > RUN_MESSAGE_MAX) {
        size_t n = run_whole_characters(message, RUN_MESSAGE_MAX);
        memcpy(text, message, n);
        text[n] = '\0';
        message = text;
    }
    run->sink->progress(run->sink, fraction < 1 ? fraction : 1, message);
}

void run_log(struct run *run, const char *fmt, ...)
{
    char text[RUN_LOG_PIECE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (len <= 0)
        return;
    size_t n = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    buf_put(&run->log, text, n);
    if (run->log.len > (size_t)2 * TASK_LOG_MAX)
        buf_consume(&run->log, run->log.len - TASK_LOG_MAX);
    if (run->sink)
        run->sink->log(run->sink, text, n);
}

void run_succeed(struct run *run, const char *type, struct buf *body)
{
    if (body->len > run->max_result_bytes) {
        run_fail(run, end_code_text(END_RESULT_TOO_LARGE),
                 "the result is %zu bytes; allowed: up to %zu", body->len, run->max_result_bytes);
    } else if (task_type_is_json(type) && !json_check(body->data, body->len)) {
        run_fail(run, end_code_text(END_RESULT_NOT_JSON),
                 "the result is called %s but is not valid JSON", type);
    } else {
        buf_release(&run->body);
        run->class = RUN_SUCCESS;
        run->type = type;
        run->body = *body;
        *body = (struct buf)BUF_INIT;
    }
}

static void fail(struct run *run, enum run_class class, const char *code, const char *fmt,
                 va_list ap) __attribute__((format(printf, 4, 0)));

static void fail(struct run *run, enum run_class class, const char *code, const char *fmt,
                 va_list ap)
{
    char text[512];
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* truncation is fine */
    run->class = class;
    run->code = code;
    run->message.len = 0;
    buf_puts(&run->message, text);
}

void run_fail(struct run *run, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail(run, RUN_FAILED, code, fmt, ap);
    va_end(ap);
}

void run_fail_for_now(struct run *run, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail(run, RUN_TEMPORARY, code, fmt, ap);
    va_end(ap);
}

void run_fail_for_good(struct run *run, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail(run, RUN_NEVER, code, fmt, ap);
    va_end(ap);
}

void run_fail_cancelled(struct run *run)
{
    run_fail(run, end_code_text(END_CANCELLED), "the attempt was told to stop");
}

struct task_outcome *run_outcome(const struct run *run)
{
    struct task_outcome o = {.exit_code = -1};
    size_t extra = run->log.len > TASK_LOG_MAX ? run->log.len - TASK_LOG_MAX : 0;
    if (run->class == RUN_SUCCESS) {
        o.type = run->type;
        o.body = (const unsigned char *)run->body.data;
        o.body_len = run->body.len;
    } else if (run->class == RUN_NONE) {
        o.code = end_code_text(END_INTERNAL);
        o.message = "the handler ended without a result";
    } else {
        o.code = run->code;
        o.message = run->message.data;
    }
    o.log = run->log.data ? run->log.data + extra : "";
    o.log_len = run->log.len - extra;
    return task_outcome_new(&o);
}
