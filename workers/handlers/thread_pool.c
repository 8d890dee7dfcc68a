#include "workers/handlers/thread_pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/idle.h"
#include "core/mem.h"
#include "core/sync.h"

struct pool_thread {
    struct list_node link; /* in live, gone or spare */
    struct thread_pool *pool;
    struct idle_thread idle;
    pthread_t id;
};

struct thread_pool {
    struct mutex mu;
    struct list queue; /* guarded by mu, as all below */
    struct list live;  /* threads */
    struct list gone;  /* those that have ended or are about to, to be joined */
    struct list spare; /* those that were joined: whoever has taken one may still signal it */
    struct idle idle;
    uint32_t wanted; /* how many threads there should be */
    uint32_t no;     /* for the next thread's name */
    bool waking;     /* a thread was signalled and has not come yet */
    bool stopping;
};

/* mu held. The thread that is to be woken, once mu is free, or it would wake up to wait for mu; or
 * NULL. At most one is being woken at a time; whoever takes a job wakes the next while there is
 * more. Short jobs are then run by few threads, without a futex call for each, and long ones still
 * spread over all. */
static struct idle_thread *next_to_wake(struct thread_pool *p)
{
    if (list_is_empty(&p->queue) || p->waking)
        return NULL;
    struct idle_thread *next = idle_take(&p->idle);
    p->waking = next != NULL;
    return next;
}

static void wake(struct idle_thread *t)
{
    if (t)
        cond_signal(&t->wake);
}

static bool is_one_too_many(const struct thread_pool *p)
{
    return !p->stopping && p->live.len > p->wanted;
}

/* mu held. NULL: this thread is to end. *out_next: as next_to_wake says. */
static struct pool_job *next_job(struct pool_thread *self, struct idle_thread **out_next)
{
    struct thread_pool *p = self->pool;
    if (is_one_too_many(p))
        return NULL;
    while (list_is_empty(&p->queue)) {
        if (p->stopping)
            return NULL;
        idle_wait(&p->idle, &self->idle, &p->mu);
        p->waking = false;
        if (is_one_too_many(p))
            return NULL;
    }
    struct pool_job *job = FUT_CONTAINER(list_pop_front(&p->queue), struct pool_job, link);
    *out_next = next_to_wake(p);
    return job;
}

static void *pool_thread(void *arg)
{
    struct pool_thread *t = arg;
    struct thread_pool *p = t->pool;
    struct idle_thread *next;
    mutex_lock(&p->mu);
    for (struct pool_job *job; (job = next_job(t, &next)) != NULL;) {
        mutex_unlock(&p->mu);
        wake(next);
        job->fn(job);
        mutex_lock(&p->mu);
    }
    list_remove(&p->live, &t->link);
    list_push_back(&p->gone, &t->link);
    wake(next_to_wake(p)); /* this one may have been woken for a job; while mu is held: p may be
                              gone after that */
    mutex_unlock(&p->mu);
    return NULL;
}

/* mu held. */
static struct pool_thread *spare_thread(struct thread_pool *p)
{
    struct list_node *n = list_pop_front(&p->spare);
    if (n)
        return FUT_CONTAINER(n, struct pool_thread, link);
    struct pool_thread *t = xnew(struct pool_thread);
    t->pool = p;
    idle_thread_init(&t->idle);
    return t;
}

/* mu held: the thread waits for it before it looks at anything. False: the system has none. */
static bool add_thread(struct thread_pool *p)
{
    struct pool_thread *t = spare_thread(p);
    char name[16];
    (void)snprintf(name, sizeof(name), "io-%u", p->no++ % 100000);
    if (thread_try_start(&t->id, name, pool_thread, t) != 0) {
        list_push_back(&p->spare, &t->link);
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
    for (struct list_node *n = list_first(&gone); n; n = list_next(&gone, n))
        thread_join(FUT_CONTAINER(n, struct pool_thread, link)->id);
    mutex_lock(&p->mu);
    list_take_all(&p->spare, &gone);
    mutex_unlock(&p->mu);
}

uint32_t thread_pool_resize(struct thread_pool *p, uint32_t n)
{
    FUT_ASSERT(n >= 1);
    mutex_lock(&p->mu);
    p->wanted = n;
    while (p->live.len < n && add_thread(p))
        ;
    if (p->live.len > n)
        idle_wake_all(&p->idle);
    uint32_t has = p->live.len < n ? (uint32_t)p->live.len : n;
    mutex_unlock(&p->mu);
    join_gone(p);
    return has;
}

struct thread_pool *thread_pool_start(uint32_t n)
{
    struct thread_pool *p = xnew(struct thread_pool);
    mutex_init(&p->mu);
    idle_init(&p->idle);
    list_init(&p->queue);
    list_init(&p->live);
    list_init(&p->gone);
    list_init(&p->spare);
    (void)thread_pool_resize(p, n);
    return p;
}

static void free_spare(struct thread_pool *p)
{
    for (struct list_node *n; (n = list_pop_front(&p->spare)) != NULL;) {
        struct pool_thread *t = FUT_CONTAINER(n, struct pool_thread, link);
        idle_thread_destroy(&t->idle);
        free(t);
    }
}

/* A thread can be joined from its birth on, wherever it stands. */
void thread_pool_stop(struct thread_pool **pp)
{
    struct thread_pool *p = *pp;
    if (!p)
        return;
    mutex_lock(&p->mu);
    p->stopping = true;
    idle_wake_all(&p->idle);
    for (struct list_node *n; (n = list_first(&p->live)) != NULL;) {
        struct pool_thread *t = FUT_CONTAINER(n, struct pool_thread, link);
        mutex_unlock(&p->mu);
        thread_join(t->id);
        mutex_lock(&p->mu);
        list_remove(&p->gone, &t->link);
        list_push_back(&p->spare, &t->link);
    }
    mutex_unlock(&p->mu);
    join_gone(p);
    free_spare(p);
    mutex_destroy(&p->mu);
    free(p);
    *pp = NULL;
}

void thread_pool_submit(struct thread_pool *p, struct list *jobs)
{
    mutex_lock(&p->mu);
    list_take_all(&p->queue, jobs);
    struct idle_thread *next = next_to_wake(p);
    mutex_unlock(&p->mu);
    wake(next);
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
    uint32_t idle = (uint32_t)p->idle.threads.len;
    mutex_unlock(&p->mu);
    return idle;
}
