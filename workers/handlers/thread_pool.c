#include "workers/handlers/thread_pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/sync.h"

struct pool_thread {
    struct list_node link; /* in live or in gone */
    struct thread_pool *pool;
    pthread_t id;
};

struct thread_pool {
    struct mutex mu;
    struct cond work;
    struct list queue; /* guarded by mu, as all below */
    struct list live;  /* threads */
    struct list gone;  /* those that have ended or are about to, to be joined */
    uint32_t wanted;   /* how many threads there should be */
    uint32_t idle;
    uint32_t no; /* for the next thread's name */
    bool waking; /* a thread was signalled and has not come yet */
    bool stopping;
};

/* mu held. True: a thread is to be woken, once mu is free, or it would wake up to wait for mu. At
 * most one is being woken at a time; whoever takes a job wakes the next while there is more. Short
 * jobs are then run by few threads, without a futex call for each, and long ones still spread over
 * all. */
static bool must_wake(struct thread_pool *p)
{
    if (list_is_empty(&p->queue) || !p->idle || p->waking)
        return false;
    p->waking = true;
    return true;
}

static bool is_one_too_many(const struct thread_pool *p)
{
    return !p->stopping && p->live.len > p->wanted;
}

/* mu held. NULL: this thread is to end. *out_wakes: as must_wake says. */
static struct pool_job *next_job(struct thread_pool *p, bool *out_wakes)
{
    if (is_one_too_many(p))
        return NULL;
    while (list_is_empty(&p->queue)) {
        if (p->stopping)
            return NULL;
        p->idle++;
        cond_wait(&p->work, &p->mu);
        p->idle--;
        p->waking = false;
        if (is_one_too_many(p))
            return NULL;
    }
    struct pool_job *job = FUT_CONTAINER(list_pop_front(&p->queue), struct pool_job, link);
    *out_wakes = must_wake(p);
    return job;
}

static void *pool_thread(void *arg)
{
    struct pool_thread *t = arg;
    struct thread_pool *p = t->pool;
    bool wakes;
    mutex_lock(&p->mu);
    for (struct pool_job *job; (job = next_job(p, &wakes)) != NULL;) {
        mutex_unlock(&p->mu);
        if (wakes)
            cond_signal(&p->work);
        job->fn(job);
        mutex_lock(&p->mu);
    }
    list_remove(&p->live, &t->link);
    list_push_back(&p->gone, &t->link);
    if (must_wake(p))          /* the signal may have been meant for this one */
        cond_signal(&p->work); /* while mu is held: p may be gone after that */
    mutex_unlock(&p->mu);
    return NULL;
}

/* mu held: the thread waits for it before it looks at anything. False: the system has none. */
static bool add_thread(struct thread_pool *p)
{
    struct pool_thread *t = xnew(struct pool_thread);
    char name[16];
    (void)snprintf(name, sizeof(name), "io-%u", p->no++ % 100000);
    t->pool = p;
    if (thread_try_start(&t->id, name, pool_thread, t) != 0) {
        free(t);
        return false;
    }
    list_push_back(&p->live, &t->link);
    return true;
}

static void join_gone(struct thread_pool *p)
{
    struct list gone;
    list_init(&gone);
    mutex_lock(&p->mu);
    list_take_all(&gone, &p->gone);
    mutex_unlock(&p->mu);
    for (struct list_node *n; (n = list_pop_front(&gone)) != NULL;) {
        struct pool_thread *t = FUT_CONTAINER(n, struct pool_thread, link);
        thread_join(t->id);
        free(t);
    }
}

uint32_t thread_pool_resize(struct thread_pool *p, uint32_t n)
{
    FUT_ASSERT(n >= 1);
    mutex_lock(&p->mu);
    p->wanted = n;
    while (p->live.len < n && add_thread(p))
        ;
    if (p->live.len > n)
        cond_broadcast(&p->work);
    uint32_t has = p->live.len < n ? (uint32_t)p->live.len : n;
    mutex_unlock(&p->mu);
    join_gone(p);
    return has;
}

struct thread_pool *thread_pool_start(uint32_t n)
{
    struct thread_pool *p = xnew(struct thread_pool);
    mutex_init(&p->mu);
    cond_init(&p->work);
    list_init(&p->queue);
    list_init(&p->live);
    list_init(&p->gone);
    (void)thread_pool_resize(p, n);
    return p;
}

/* A thread can be joined from its birth on, wherever it stands. */
void thread_pool_stop(struct thread_pool **pp)
{
    struct thread_pool *p = *pp;
    if (!p)
        return;
    mutex_lock(&p->mu);
    p->stopping = true;
    cond_broadcast(&p->work);
    for (struct list_node *n; (n = list_first(&p->live)) != NULL;) {
        struct pool_thread *t = FUT_CONTAINER(n, struct pool_thread, link);
        mutex_unlock(&p->mu);
        thread_join(t->id);
        mutex_lock(&p->mu);
        list_remove(&p->gone, &t->link);
        free(t);
    }
    mutex_unlock(&p->mu);
    join_gone(p);
    cond_destroy(&p->work);
    mutex_destroy(&p->mu);
    free(p);
    *pp = NULL;
}

void thread_pool_submit(struct thread_pool *p, struct list *jobs)
{
    mutex_lock(&p->mu);
    list_take_all(&p->queue, jobs);
    bool wakes = must_wake(p);
    mutex_unlock(&p->mu);
    if (wakes)
        cond_signal(&p->work);
}

uint32_t thread_pool_size(struct thread_pool *p)
{
    mutex_lock(&p->mu);
    uint32_t n = (uint32_t)p->live.len;
    mutex_unlock(&p->mu);
    return n;
}

uint32_t thread_pool_idle(struct thread_pool *p)
{
    mutex_lock(&p->mu);
    uint32_t idle = p->idle;
    mutex_unlock(&p->mu);
    return idle;
}
