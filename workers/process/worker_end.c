#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/process/worker_internal.h"

#define CLOSED_MS 500  /* from the end of the channel to the end of the process, as it should be */
#define REASON_MS 1000 /* from the kill to the fork server's report */
#define LEAVE_MS 5000  /* from closing the channel to SIGKILL */

void worker_end_close(struct worker_process *w)
{
    loop_do_not(w->loop, &w->flush);
    loop_close(w->loop, &w->channel);
    loop_close(w->loop, &w->out);
    loop_close(w->loop, &w->err);
    loop_timer_clear(w->loop, &w->timer);
    children_forget(w->children, &w->child);
    worker_channel_forget_fork(w);
    wire_stream_release(&w->stream);
    worker_ahead_release(w);
    free(w->abandoned);
    w->abandoned = NULL;
    w->n_abandoned = 0;
    free(w->sessions);
    w->sessions = NULL;
    w->n_sessions = 0;
}

void worker_end_job(struct worker_process *w, struct worker_job *job, const struct worker_end *end)
{
    struct worker_end own = *end;
    struct buf tail = job->tail;
    list_remove(&w->jobs, &job->link);
    job->worker = NULL;
    job->tail = (struct buf)BUF_INIT;
    worker_channel_get_log(&tail, &own);
    job->done(job, &own); /* the job may be gone after that */
    buf_release(&tail);
}

void worker_end_abandon(struct worker_process *w, const struct worker_job *job)
{
    w->abandoned = xrealloc(w->abandoned, (w->n_abandoned + 1) * sizeof(*w->abandoned));
    w->abandoned[w->n_abandoned++] =
        (struct worker_abandoned){.id = job->id, .task = job->task->spec->id};
    w->retiring = w->retiring || !w->cancel_is_soft;
}

bool worker_end_take_abandoned(struct worker_process *w, uint64_t id)
{
    for (uint32_t i = 0; i < w->n_abandoned; i++) {
        if (w->abandoned[i].id != id)
            continue;
        w->abandoned[i] = w->abandoned[--w->n_abandoned];
        return true;
    }
    return false;
}

void worker_end_gone(struct worker_process *w, struct worker_end end)
{
    struct list_node *n;
    worker_ahead_give_up(w);
    worker_end_close(w);
    w->state = WORKER_DYING;
    end.how = w->broke_rules ? WORKER_ENDED_PROTOCOL : WORKER_ENDED_DIED;
    /* When it did end by itself, only slowly, it has a reason of its own. */
    end.closed_channel =
        w->closed_channel && end.oom != TASK_OOM_YES &&
        (!end.known || (WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL));
    worker_channel_get_log(&w->printed, &end);
    while ((n = list_first(&w->jobs)) != NULL) {
        struct worker_job *job = FUT_CONTAINER(n, struct worker_job, link);
        /* Its last output, which belongs to no single task where several run. */
        buf_put(&job->tail, end.log, end.log_len);
        worker_end_job(w, job, &end);
    }
    w->hooks->gone(w, &end);
    while ((n = list_first(&w->forks)) != NULL) /* they wait to be forked by it */
        worker_end_unreported(FUT_CONTAINER(n, struct worker_process, fork_link),
                              "the process that forks its workers has died");
    buf_release(&w->printed);
}

void worker_end_unreported(struct worker_process *w, const char *why)
{
    worker_channel_forget_fork(w);
    buf_puts(&w->printed, why);
    worker_end_gone(w, (struct worker_end){0});
}

static void drop_channel(struct worker_process *w, int64_t ms)
{
    loop_close(w->loop, &w->channel);
    w->state = WORKER_DYING;
    worker_ahead_give_up(w);
    loop_timer_set(w->loop, &w->timer, clock_mono_ms() + ms);
}

void worker_end_cut(struct worker_process *w)
{
    drop_channel(w, REASON_MS);
    w->killed = true;
    children_kill(w->children, &w->child, SIGKILL); /* no process without a channel */
}

void worker_end_closed(struct worker_process *w)
{
    drop_channel(w, CLOSED_MS);
}

void worker_end_time(struct worker_process *w)
{
    if (w->killed) {
        worker_end_gone(w, (struct worker_end){0}); /* the fork server has not told why */
        return;
    }
    w->closed_channel = true;
    worker_end_cut(w);
}

void worker_end_kill(struct worker_process *w, int signal)
{
    w->we_ended_it = true;
    w->state = WORKER_DYING;
    worker_ahead_give_up(w);
    loop_timer_clear(w->loop, &w->timer);
    children_kill(w->children, &w->child, signal);
}

void worker_end_leave(struct worker_process *w)
{
    w->we_ended_it = true;
    w->state = WORKER_LEAVING;
    loop_close(w->loop, &w->channel);
    if (!w->template) /* one that waits to be forked has the time that a start has */
        loop_timer_set(w->loop, &w->timer, clock_mono_ms() + LEAVE_MS);
}

static void describe_end(const struct worker_end *end, char *out, size_t size)
{
    if (end->closed_channel)
        (void)snprintf(out, size, "it closed its channel (descriptor 3)");
    else if (!end->known)
        (void)snprintf(out, size, "it could not be started");
    else if (WIFSIGNALED(end->status))
        (void)snprintf(out, size, "it was killed by signal %d", WTERMSIG(end->status));
    else
        (void)snprintf(out, size, "it exited with %d", WEXITSTATUS(end->status));
}

void worker_end_words(const struct worker_end *end, char *out, size_t size)
{
    char how[64];
    size_t from = 0, to = end->log_len, most = size - 1 - sizeof(how);
    describe_end(end, how, sizeof(how));
    while (to > 0 && (unsigned char)end->log[to - 1] <= ' ')
        to--;
    if (to > most)
        from = to - most;
    while (from < to && ((unsigned char)end->log[from] <= ' ' || (end->log[from] & 0xc0) == 0x80))
        from++;
    (void)snprintf(out, size, "%s%s%.*s", how, from < to ? ": " : "", (int)(to - from),
                   from < to ? end->log + from : "");
}
