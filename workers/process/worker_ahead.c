#include "workers/process/worker_ahead.h"

#include "core/fd.h"
#include "core/mem.h"
#include "workers/process/worker_channel.h"
#include "workers/process/worker_set_internal.h"
#include "workers/wire/tickets.h"

#define AHEAD 8u

static struct worker_job *job_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_job, link);
}

/* ---- life ---- */

void worker_ahead_hello(struct worker_process *w, const struct wire_head *hello)
{
    int fd = hello->ahead ? wire_stream_take_fd(&w->stream) : -1;
    if (fd >= 0 && hello->ahead >= AHEAD)
        w->tickets = tickets_open(fd);
    fd_close(&fd);
}

void worker_ahead_release(struct worker_process *w)
{
    tickets_close(&w->tickets);
}

/* ---- giving ---- */

/* The task that it runs, as far as we know, may still have its ticket on offer; others may have
 * been given and taken back many times since. */
static bool has_ticket(const struct worker_process *w)
{
    return w->last_id + 1 < job_at(list_front(&w->jobs))->id + TICKETS_MAX;
}

static bool takes_ahead(const struct worker_process *w)
{
    return w->tickets && w->state == WORKER_READY && !w->tired && w->jobs.len == 1 &&
           w->left == 0 && w->ahead.len < AHEAD && has_ticket(w);
}

static struct worker_process *with_fewest(const struct worker_program *p)
{
    struct worker_process *best = NULL;
    for (struct list_node *n = list_first(&p->workers); n; n = list_next(&p->workers, n)) {
        struct worker_process *w = FUT_CONTAINER(n, struct worker_process, link);
        if (takes_ahead(w) && (!best || w->ahead.len < best->ahead.len))
            best = w;
    }
    return best;
}

bool worker_ahead_give(struct worker_program *p, struct worker_job *job)
{
    /* One that has its slot and waits for a process comes first. */
    struct worker_process *w = list_is_empty(&p->waiting) ? with_fewest(p) : NULL;
    if (!w || worker_channel_put(w, job, true) != 0)
        return false;
    job->program = p;
    list_push_back(&w->ahead, &job->link);
    return true;
}

/* ---- what becomes of them ---- */

static void begin(struct worker_process *w, struct worker_job *job)
{
    list_remove(&w->ahead, &job->link);
    list_push_back(&w->jobs, &job->link);
    job->begun(job);
}

static bool take_back(struct worker_process *w, struct worker_job *job)
{
    if (!tickets_withdraw(w->tickets, job->id))
        return false;
    list_remove(&w->ahead, &job->link);
    job->worker = NULL;
    job->back(job);
    return true;
}

/* The last one first, so that they stand in line as before. False: the first has begun. */
static bool take_all_back(struct worker_process *w)
{
    while (!list_is_empty(&w->ahead)) {
        if (!take_back(w, job_at(w->ahead.head.prev)))
            return false;
    }
    return true;
}

void worker_ahead_go_on(struct worker_process *w)
{
    if (!list_is_empty(&w->ahead) && list_is_empty(&w->jobs))
        begin(w, job_at(list_front(&w->ahead)));
}

static bool is_ahead(const struct worker_process *w, const struct worker_job *job)
{
    const struct list_node *n = list_first(&w->ahead);
    while (n && n != &job->link)
        n = list_next(&w->ahead, n);
    return n != NULL;
}

bool worker_ahead_withdraw(struct worker_job *job)
{
    struct worker_process *w = job->worker;
    if (take_back(w, job))
        return true;
    /* Before it took the ticket it has answered for the one before. */
    worker_channel_read_rest(w);
    if (job->worker == w && is_ahead(w, job))
        begin(w, job); /* it has not, which no worker of ours does */
    return false;
}

bool worker_ahead_may_stop(struct worker_process *w, const struct worker_job *job)
{
    if (!take_all_back(w))
        worker_channel_read_rest(w);
    return job->worker == w;
}

void worker_ahead_give_up(struct worker_process *w)
{
    while (!take_all_back(w))
        begin(w, job_at(list_front(&w->ahead)));
}
