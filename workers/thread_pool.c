#include "workers/thread_pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/sync.h"

struct thread_pool {
    struct mutex mu;
    struct cond work;
    struct list queue; /* guarded by mu */
    uint32_t idle;     /* guarded by mu */
    bool waking;       /* guarded by mu: a thread was signalled and has not come yet */
    bool stopping;     /* guarded by mu */
    uint32_t n;
    pthread_t threads[];
};

/* mu held. At most one thread is being woken at a time; whoever takes a job wakes the next while
 * there is more. Short jobs are then run by few threads, without a futex call for each, and long
 * ones still spread over all. */
static void wake_one(struct thread_pool *p)
{
    if (list_is_empty(&p->queue) || !p->idle || p->waking)
        return;
    p->waking = true;
    cond_signal(&p->work);
}

/* mu held. NULL: stopping and nothing left. */
static struct pool_job *next_job(struct thread_pool *p)
{
    while (list_is_empty(&p->queue)) {
        if (p->stopping)
            return NULL;
        p->idle++;
        cond_wait(&p->work, &p->mu);
        p->idle--;
        p->waking = false;
    }
    struct pool_job *job = FUT_CONTAINER(list_pop_front(&p->queue), struct pool_job, link);
    wake_one(p);
    return job;
}

static void *pool_thread(void *arg)
{
    struct thread_pool *p = arg;
    mutex_lock(&p->mu);
    for (struct pool_job *job; (job = next_job(p)) != NULL;) {
        mutex_unlock(&p->mu);
        job->fn(job);
        mutex_lock(&p->mu);
    }
    mutex_unlock(&p->mu);
    return NULL;
}

struct thread_pool *thread_pool_start(uint32_t n)
{
    struct thread_pool *p = xcalloc(1, sizeof(*p) + n * sizeof(p->threads[0]));
    mutex_init(&p->mu);
    cond_init(&p->work);
    list_init(&p->queue);
    p->n = n;
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "io-%u", i % 100000);
        thread_start(&p->threads[i], name, pool_thread, p);
    }
    return p;
}

void thread_pool_stop(struct thread_pool **pp)
{
    struct thread_pool *p = *pp;
    if (!p)
        return;
    mutex_lock(&p->mu);
    p->stopping = true;
    cond_broadcast(&p->work);
    mutex_unlock(&p->mu);
    for (uint32_t i = 0; i < p->n; i++)
        thread_join(p->threads[i]);
    cond_destroy(&p->work);
    mutex_destroy(&p->mu);
    free(p);
    *pp = NULL;
}

void thread_pool_submit(struct thread_pool *p, struct list *jobs)
{
    mutex_lock(&p->mu);
    list_take_all(&p->queue, jobs);
    wake_one(p);
    mutex_unlock(&p->mu);
}

uint32_t thread_pool_idle(struct thread_pool *p)
{
    mutex_lock(&p->mu);
    uint32_t idle = p->idle;
    mutex_unlock(&p->mu);
    return idle;
}
