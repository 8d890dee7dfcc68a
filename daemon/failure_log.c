#include "daemon/failure_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sync.h"
#include "storage/store.h"

#define AT_ONCE 20
#define LINE_EVERY_MS 500
#define COUNT_EVERY_MS 10000
#define MESSAGE_MAX 500 /* bytes; the whole one is in the future */

struct failure_log {
    struct mutex mu;
    int64_t due_mono_ms;     /* guarded by mu: the lines of a token bucket: full when in the past */
    int64_t counted_mono_ms; /* guarded by mu: when the first of `counted` came */
    uint64_t counted;        /* guarded by mu: failures without a line */
};

/* A line may be written, or is counted. */
static bool take_line(struct failure_log *f)
{
    int64_t now = clock_mono_ms(), full = now - (int64_t)AT_ONCE * LINE_EVERY_MS;
    mutex_lock(&f->mu);
    if (f->due_mono_ms < full)
        f->due_mono_ms = full;
    bool may = f->due_mono_ms + LINE_EVERY_MS <= now;
    if (may)
        f->due_mono_ms += LINE_EVERY_MS;
    else if (f->counted++ == 0)
        f->counted_mono_ms = now;
    mutex_unlock(&f->mu);
    return may;
}

static void log_failure(const struct store_change *c)
{
    const struct task_spec *spec = c->task ? c->task->spec : c->spec;
    const struct task_outcome *o = c->task ? c->task->outcome : c->outcome;
    char id[ID_TEXT_SIZE], message[MESSAGE_MAX + 1];
    id_format(c->id, id);
    (void)snprintf(message, sizeof(message), "%s", o && o->message ? o->message : "");
    log_warn("task_failed", LOG_STR("task", id), LOG_STR("handler", spec ? spec->handler : ""),
             LOG_STR("code", o && o->code ? o->code : ""), LOG_STR("message", message));
}

void failure_log_on_change(void *log, const struct store_change *changes, size_t n)
{
    struct failure_log *f = log;
    for (size_t i = 0; i < n; i++) {
        if (changes[i].state == TASK_FAILED && log_wants(LOG_LEVEL_WARN) && take_line(f))
            log_failure(&changes[i]);
    }
}

struct failure_log *failure_log_new(void)
{
    struct failure_log *f = xnew(struct failure_log);
    mutex_init(&f->mu);
    return f;
}

static void log_counted(struct failure_log *f, int64_t since_ms)
{
    mutex_lock(&f->mu);
    uint64_t n = clock_mono_ms() - f->counted_mono_ms >= since_ms ? f->counted : 0;
    if (n)
        f->counted = 0;
    mutex_unlock(&f->mu);
    if (n)
        log_warn("tasks_failed_more", LOG_INT("count", n),
                 LOG_STR("hint", "GET /v1/failures, or future failures"));
}

void failure_log_tick(struct failure_log *f)
{
    log_counted(f, COUNT_EVERY_MS);
}

void failure_log_free(struct failure_log **f)
{
    if (!*f)
        return;
    log_counted(*f, 0);
    mutex_destroy(&(*f)->mu);
    free(*f);
    *f = NULL;
}
