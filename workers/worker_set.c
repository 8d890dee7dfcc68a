#include "workers/worker_set.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/log.h"
#include "core/mem.h"

struct worker_set {
    struct loop *loop;
    struct children *children;
    size_t max_result_bytes;
    struct list waiting;
    atomic_uint alive;
    _Atomic uint64_t died;
    atomic_int last_status;   /* of the latest death, as waitpid has it; -1 not known */
    uint32_t n;               /* workers that there should be: slots from here on end when idle */
    uint32_t made;            /* slots that ever had a worker; they stay where they are */
    struct worker_job **jobs; /* by slot; NULL while it runs none */
    struct worker_process **workers;
};

static void count_alive(struct worker_set *s)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < s->made; i++)
        alive += worker_process_is_alive(s->workers[i]);
    atomic_store_explicit(&s->alive, alive, memory_order_relaxed);
}

static void give(struct worker_set *s, struct worker_process *w, struct worker_job *job)
{
    const struct task_spec *spec = job->spec;
    if (worker_process_give(w, spec->handler, spec->input_type, spec->input, spec->input_len) !=
        0) {
        job->refused(job);
        return;
    }
    job->worker = w;
    s->jobs[w->slot] = job;
}

static void on_idle(struct worker_process *w)
{
    struct worker_set *s = w->owner;
    struct list_node *n;
    if (w->slot >= s->n)
        worker_process_stop(w);
    count_alive(s);
    while (w->state == WORKER_IDLE && (n = list_pop_front(&s->waiting)) != NULL)
        give(s, w, FUT_CONTAINER(n, struct worker_job, link));
}

static void on_end(struct worker_process *w, const struct worker_end *end)
{
    struct worker_set *s = w->owner;
    struct worker_job *job = s->jobs[w->slot];
    s->jobs[w->slot] = NULL;
    if (!job)
        return;
    job->worker = NULL;
    job->done(job, end);
}

static void on_report(struct worker_process *w, const struct wire_frame *f)
{
    const struct worker_set *s = w->owner;
    struct worker_job *job = s->jobs[w->slot];
    if (job)
        job->report(job, f);
}

static void on_death(struct worker_process *w, const struct worker_end *end)
{
    struct worker_set *s = w->owner;
    bool by_signal = end->known && WIFSIGNALED(end->status);
    atomic_fetch_add_explicit(&s->died, 1, memory_order_relaxed);
    atomic_store_explicit(&s->last_status, end->known ? end->status : -1, memory_order_relaxed);
    count_alive(s);
    if (children_are_broken(s->children))
        return; /* then every worker dies, and that was logged once */
    log_warn("worker_died", LOG_INT("slot", w->slot), LOG_INT("generation", w->child.generation),
             LOG_INT("exit_code", end->known && !by_signal ? WEXITSTATUS(end->status) : -1),
             LOG_INT("signal", by_signal ? WTERMSIG(end->status) : 0),
             LOG_INT("max_rss_kib", end->max_rss_kib), LOG_INT("cpu_ms", end->cpu_ms),
             LOG_INT("respawn_ms", w->retry_ms));
}

static const struct worker_hooks hooks = {
    .on_idle = on_idle, .on_end = on_end, .on_report = on_report, .on_death = on_death};

/* Makes the slots up to n, with nothing in them. */
static void make_slots(struct worker_set *s, uint32_t n)
{
    if (n <= s->made)
        return;
    s->jobs = xrealloc(s->jobs, n * sizeof(struct worker_job *));
    s->workers = xrealloc(s->workers, n * sizeof(struct worker_process *));
    for (; s->made < n; s->made++) {
        s->jobs[s->made] = NULL;
        s->workers[s->made] = xnew(struct worker_process);
        s->workers[s->made]->stopped = true;
    }
}

static void start(struct worker_set *s, uint32_t slot)
{
    struct worker_process *w = s->workers[slot];
    worker_process_init(w, s->loop, s->children, slot, s->max_result_bytes, &hooks, s);
    worker_process_start(w);
}

struct worker_set *worker_set_new(struct loop *l, struct children *c, uint32_t n,
                                  size_t max_result_bytes)
{
    struct worker_set *s = xnew(struct worker_set);
    s->loop = l;
    s->children = c;
    s->max_result_bytes = max_result_bytes;
    s->n = n;
    list_init(&s->waiting);
    return s;
}

void worker_set_start(struct worker_set *s)
{
    worker_set_resize(s, s->n);
}

void worker_set_resize(struct worker_set *s, uint32_t n)
{
    make_slots(s, n);
    s->n = n;
    for (uint32_t i = 0; i < s->made; i++) {
        struct worker_process *w = s->workers[i];
        if (i < n && w->stopped)
            start(s, i);
        else if (i >= n && !w->stopped && !w->has_task)
            worker_process_stop(w);
    }
    count_alive(s);
}

void worker_set_stop(struct worker_set *s)
{
    for (uint32_t i = 0; i < s->made; i++)
        worker_process_stop(s->workers[i]);
    count_alive(s);
}

void worker_set_free(struct worker_set **sp)
{
    struct worker_set *s = *sp;
    if (!s)
        return;
    worker_set_stop(s);
    for (uint32_t i = 0; i < s->made; i++)
        free(s->workers[i]);
    free(s->workers);
    free(s->jobs);
    free(s);
    *sp = NULL;
}

static struct worker_process *idle_worker(struct worker_set *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->workers[i]->state == WORKER_IDLE)
            return s->workers[i];
    }
    return NULL;
}

void worker_set_submit(struct worker_set *s, struct worker_job *job)
{
    struct worker_process *w = idle_worker(s);
    if (w)
        give(s, w, job);
    else
        list_push_back(&s->waiting, &job->link);
}

void worker_set_kill(struct worker_set *s, struct worker_job *job, int signal)
{
    if (job->worker) {
        worker_process_kill(job->worker, signal);
        count_alive(s);
    } else if (list_is_linked(&job->link)) {
        list_remove(&s->waiting, &job->link);
        job->done(job, NULL);
    }
}

void worker_set_abandon(struct worker_set *s, struct worker_job *job)
{
    if (job->worker) {
        s->jobs[job->worker->slot] = NULL;
        worker_process_kill(job->worker, SIGKILL);
        job->worker = NULL;
    } else if (list_is_linked(&job->link)) {
        list_remove(&s->waiting, &job->link);
    }
}

uint32_t worker_set_alive(const struct worker_set *s)
{
    return atomic_load_explicit(&s->alive, memory_order_relaxed);
}

uint64_t worker_set_died(const struct worker_set *s)
{
    return atomic_load_explicit(&s->died, memory_order_relaxed);
}

int worker_set_last_status(const struct worker_set *s)
{
    return atomic_load_explicit(&s->last_status, memory_order_relaxed);
}
