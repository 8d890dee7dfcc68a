/* thread_pool: threads that run jobs in the order they came. Their number can be changed while they
 * run. The queue is intrusive; jobs stay their owner's. Any thread may submit; nothing here runs a
 * job inline. */
#ifndef FUT_WORKERS_HANDLERS_THREAD_POOL_H
#define FUT_WORKERS_HANDLERS_THREAD_POOL_H

#include <stdint.h>

#include "core/list.h"

struct pool_job {
    struct list_node link;
    void (*fn)(struct pool_job *job); /* last touch of job by the pool: fn may give it away */
};

struct thread_pool;

/* Starts n >= 1 threads, or as many of them as the system gives (thread_pool_size). */
struct thread_pool *thread_pool_start(uint32_t n);
/* Runs what is queued, joins the threads, frees. Blocks as long as the jobs do. NULL ok. */
void thread_pool_stop(struct thread_pool **p);
/* Moves every pool_job linked in jobs into the queue, under one lock; jobs is empty after it. */
void thread_pool_submit(struct thread_pool *p, struct list *jobs);
/* Changes the number of threads to n >= 1. More threads run at once; what is too many ends as soon
 * as it has no job, so nothing is cut short. Returns n, or how many there are when the system gives
 * no more: call it again later. One thread calls this, the one that started the pool or its heir;
 * it blocks for no job. */
uint32_t thread_pool_resize(struct thread_pool *p, uint32_t n);
/* Threads that live: above the size for a while after it was made smaller. */
uint32_t thread_pool_size(struct thread_pool *p);
/* Threads that wait for work now. */
uint32_t thread_pool_idle(struct thread_pool *p);

#endif
