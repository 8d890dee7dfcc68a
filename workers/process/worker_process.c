#include "workers/process/worker_process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "core/proc.h"
#include "workers/process/worker_ahead.h"
#include "workers/process/worker_channel.h"
#include "workers/process/worker_spawn.h"
#include "workers/process/worker_template.h"

#define REASON_MS 1000 /* from the channel's end to the fork server's word */
#define LEAVE_MS 5000  /* from closing the channel to KILL */

/* ---- the end ---- */

static void close_all(struct worker_process *w)
{
    loop_do_not(w->loop, &w->flush);
    loop_close(w->loop, &w->channel);
    loop_close(w->loop, &w->out);
    loop_close(w->loop, &w->err);
    loop_timer_clear(w->loop, &w->timer);
    children_forget(w->children, &w->child);
    worker_template_forget(w);
    wire_stream_release(&w->stream);
    worker_ahead_release(w);
}

/* The last word on this process. */
static void gone(struct worker_process *w, struct worker_end end)
{
    struct list_node *n;
    worker_ahead_give_up(w);
    close_all(w);
    w->state = WORKER_DYING;
    end.how = w->broke_rules ? WORKER_ENDED_PROTOCOL : WORKER_ENDED_DIED;
    worker_channel_printed(w, &end);
    while ((n = list_first(&w->jobs)) != NULL)
        worker_channel_end_job(w, FUT_CONTAINER(n, struct worker_job, link), &end);
    w->hooks->gone(w, &end);
    worker_template_ended(w);
    buf_release(&w->printed);
}

void worker_process_cut(struct worker_process *w)
{
    loop_close(w->loop, &w->channel);
    w->state = WORKER_DYING;
    worker_ahead_give_up(w);
    children_kill(w->children, &w->child, SIGKILL); /* no process without a channel */
    loop_timer_set(w->loop, &w->timer, clock_mono_ms() + REASON_MS);
}

static void kill_group(struct worker_process *w, int signal)
{
    w->by_us = true;
    w->state = WORKER_DYING;
    worker_ahead_give_up(w);
    loop_timer_clear(w->loop, &w->timer);
    children_kill(w->children, &w->child, signal);
}

static void leave(struct worker_process *w)
{
    w->by_us = true;
    w->state = WORKER_LEAVING;
    loop_close(w->loop, &w->channel);
    if (!worker_template_is_awaited(w)) /* else it has the time that a start has */
        loop_timer_set(w->loop, &w->timer, clock_mono_ms() + LEAVE_MS);
}

/* No fork server will tell of its end. */
void worker_process_lost(struct worker_process *w, const char *why)
{
    buf_puts(&w->printed, why);
    gone(w, (struct worker_end){0});
}

/* A template that does not answer is of no use to anybody; its end comes to w as well. */
static void end_template_of(struct worker_process *w)
{
    children_kill(w->children, &w->template->child, SIGKILL);
}

static void on_timer(struct loop_timer *t)
{
    struct worker_process *w = FUT_CONTAINER(t, struct worker_process, timer);
    if (worker_template_is_awaited(w)) {
        end_template_of(w);
        return;
    }
    if (w->state == WORKER_DYING) {
        gone(w, (struct worker_end){0}); /* no word why */
        return;
    }
    if (w->state == WORKER_STARTING)
        buf_puts(&w->printed, "\nfutured: it did not say HELLO in time");
    children_kill(w->children, &w->child, SIGKILL);
}

/* It may have ended by now. */
static void on_over(struct worker_process *w, const struct fork_event *ev)
{
    struct worker_job *job = worker_channel_job(w, ev->task);
    if (job)
        job->over(job, ev->met, ev->cpu_ms);
}

static void on_child(struct child *child, const struct fork_event *ev)
{
    struct worker_process *w = FUT_CONTAINER(child, struct worker_process, child);
    if (ev->verb == FORK_SPAWNED) {
        w->pid = ev->pid;
        return;
    }
    if (ev->verb == FORK_OVER) {
        on_over(w, ev);
        return;
    }
    if (ev->verb == FORK_SPAWN_FAILED)
        buf_puts(&w->printed, ev->text);
    worker_channel_read_rest(w);
    gone(w, (struct worker_end){.known = ev->verb == FORK_EXITED,
                                .status = ev->status,
                                .max_rss_kib = ev->max_rss_kib,
                                .cpu_ms = ev->cpu_ms,
                                .met = ev->met,
                                .oom = ev->oom});
}

/* ---- verbs ---- */

int worker_process_start(struct worker_process *w, struct loop *l, struct children *c,
                         const struct worker_start *how, const struct worker_hooks *hooks,
                         void *owner)
{
    w->loop = l;
    w->children = c;
    w->hooks = hooks;
    w->owner = owner;
    w->width = how->max_width;
    w->max_result_bytes = how->max_result_bytes;
    w->is_builtin = !how->command && !how->template;
    if (how->command)
        w->limits = how->command->limits;
    w->state = WORKER_STARTING;
    w->child = (struct child){.on_event = on_child};
    w->timer.fn = on_timer;
    w->channel.fd = w->out.fd = w->err.fd = w->held = -1;
    list_init(&w->jobs);
    list_init(&w->ahead);
    list_init(&w->forks);
    int rc = worker_spawn(w, how);
    if (rc != 0) {
        close_all(w);
        return rc;
    }
    w->started_mono_ms = w->idle_mono_ms = clock_mono_ms();
    w->started_wall_ms = clock_wall_ms();
    loop_timer_set(l, &w->timer, w->started_mono_ms + how->hello_ms);
    return 0;
}

bool worker_process_has_room(const struct worker_process *w)
{
    return w->state == WORKER_READY && !w->tired && w->jobs.len + w->left < w->width;
}

void worker_process_retire(struct worker_process *w)
{
    w->tired = true;
    bool is_idle = w->state == WORKER_READY && w->jobs.len == 0;
    if (is_idle || w->state == WORKER_STARTING || w->state == WORKER_TEMPLATE)
        leave(w);
}

/* Alone in its process, a job ends with it; otherwise it can only be asked, and at last be left to
 * itself: the others shall not suffer. */
static bool is_alone(const struct worker_process *w)
{
    return w->jobs.len == 1 && w->left == 0;
}

static void leave_job(struct worker_process *w, struct worker_job *job)
{
    struct worker_end end = {.how = WORKER_ENDED_LEFT, .log = ""};
    w->left++;
    w->tired = true;
    worker_channel_end_job(w, job, &end);
    if (w->jobs.len == 0)
        kill_group(w, SIGKILL);
}

void worker_process_stop_job(struct worker_process *w, struct worker_job *job, int signal)
{
    if (!worker_ahead_may_stop(w, job))
        return;
    if (w->state == WORKER_READY && w->takes_cancel && signal == SIGTERM)
        worker_channel_cancel(w, job);
    else if (w->state != WORKER_READY || is_alone(w))
        kill_group(w, signal);
    else if (signal == SIGKILL)
        leave_job(w, job);
}

void worker_process_abandon_job(struct worker_process *w, struct worker_job *job)
{
    list_remove(&w->jobs, &job->link);
    job->worker = NULL;
    w->left++;
    w->tired = true;
    if (w->jobs.len == 0)
        kill_group(w, SIGKILL);
}

void worker_process_release(struct worker_process *w)
{
    worker_template_dismiss(w);
    close_all(w);
    buf_release(&w->printed);
}

uint64_t worker_process_rss_bytes(const struct worker_process *w)
{
    struct proc_stat is;
    return proc_stat_read(w->pid, &is) ? is.rss_bytes : 0;
}
