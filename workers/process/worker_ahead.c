#include "core/fd.h"
#include "core/mem.h"
#include "workers/process/worker_internal.h"
#include "workers/wire/tickets.h"

#define AHEAD_MAX 8u

static struct worker_job *job_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_job, link);
}

/* ---- life ---- */

/* A program whose tasks have a limit of CPU time or output takes none ahead: what it uses between
 * two tasks would be nobody's. */
void worker_ahead_hello(struct worker_process *w, const struct wire_head *hello)
{
    int fd = hello->ahead ? wire_stream_take_fd(&w->stream) : -1;
    if (fd >= 0 && w->max_jobs == 1 && !w->limits.cpu_ms && !w->limits.output_bytes)
        w->tickets = tickets_open(fd, !w->is_builtin);
    if (w->tickets)
        w->max_ahead = hello->ahead < AHEAD_MAX ? (uint32_t)hello->ahead : AHEAD_MAX;
    fd_close(&fd);
}

void worker_ahead_release(struct worker_process *w)
{
    tickets_close(&w->tickets);
}

/* ---- giving ---- */

static bool are_of_session(const struct list *jobs, struct task_id session)
{
    struct list_node *n = list_first(jobs);
    while (n && id_equal(job_at(n)->task->spec->batch, session))
        n = list_next(jobs, n);
    return !n;
}

/* It begins as soon as those before it have ended, with nobody to say whether its session has a
 * slot: so it takes that of one of these. */
static bool has_slot(const struct worker_process *w, const struct worker_job *job)
{
    struct task_id session = job->task->spec->batch;
    return !job->has_limit ||
           (are_of_session(&w->jobs, session) && are_of_session(&w->ahead, session));
}

bool worker_ahead_takes(const struct worker_process *w, const struct worker_job *job)
{
    if (!w->tickets || w->state != WORKER_READY || w->retiring || w->jobs.len != 1 ||
        w->n_abandoned > 0 || w->ahead.len >= w->max_ahead || job_at(list_front(&w->jobs))->is_lent)
        return false;
    /* The ticket of the task that it runs, as far as we know, may still be on offer, and later
     * tasks may have been given and taken back many times since. */
    return w->last_id + 1 < job_at(list_front(&w->jobs))->id + TICKETS_MAX && has_slot(w, job);
}

int worker_ahead_give(struct worker_process *w, struct worker_job *job)
{
    int rc = worker_channel_run(w, job, true);
    if (rc == 0)
        list_push_back(&w->ahead, &job->link);
    return rc;
}

/* ---- what becomes of them ---- */

bool worker_ahead_has(const struct worker_process *w, const struct worker_job *job)
{
    const struct list_node *n = list_first(&w->ahead);
    while (n && n != &job->link)
        n = list_next(&w->ahead, n);
    return n != NULL;
}

void worker_ahead_begin(struct worker_process *w, struct worker_job *job)
{
    list_remove(&w->ahead, &job->link);
    list_push_back(&w->jobs, &job->link);
    job->begun(job);
}

void worker_ahead_next(struct worker_process *w)
{
    if (!list_is_empty(&w->ahead) && list_is_empty(&w->jobs))
        worker_ahead_begin(w, job_at(list_front(&w->ahead)));
}

bool worker_ahead_take_back(struct worker_process *w, struct worker_job *job)
{
    if (!tickets_withdraw(w->tickets, job->id))
        return false;
    list_remove(&w->ahead, &job->link);
    job->worker = NULL;
    job->back(job);
    return true;
}

bool worker_ahead_take_all_back(struct worker_process *w)
{
    while (!list_is_empty(&w->ahead)) {
        if (!worker_ahead_take_back(w, job_at(w->ahead.head.prev)))
            return false;
    }
    return true;
}

void worker_ahead_give_up(struct worker_process *w)
{
    while (!worker_ahead_take_all_back(w))
        worker_ahead_begin(w, job_at(list_front(&w->ahead)));
}
