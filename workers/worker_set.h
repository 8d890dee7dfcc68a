/* worker_set: the prefork workers, one per slot of the cpu lane, and the few tasks that wait for
 * one of them to come (back) to life. Their number can be changed while they work. The scheduler's
 * loop only. */
#ifndef FUT_WORKERS_WORKER_SET_H
#define FUT_WORKERS_WORKER_SET_H

#include "workers/worker_process.h"

struct worker_set;

/* One built-in to run in a worker process; lives in its attempt. */
struct worker_job {
    struct list_node link;         /* while it waits for a worker */
    struct worker_process *worker; /* while it runs */
    const struct task_spec *spec;  /* borrowed until done */
    /* end: NULL when it was taken back before a worker had it. */
    void (*done)(struct worker_job *job, const struct worker_end *end);
    /* Any number of times before done. */
    void (*report)(struct worker_job *job, const struct wire_frame *f);
    /* The input does not fit; instead of done. */
    void (*refused)(struct worker_job *job);
};

/* n >= 1 workers, none of them started. */
struct worker_set *worker_set_new(struct loop *l, struct children *c, uint32_t n,
                                  size_t max_result_bytes);
void worker_set_start(struct worker_set *s);
/* Closes every channel; jobs must have been abandoned. Once. The numbers can still be read. */
void worker_set_stop(struct worker_set *s);
/* Stops first. NULL ok. */
void worker_set_free(struct worker_set **s);

/* n >= 1, after start. More workers are started; those that are too many end when they have no
 * task, none is killed at work. */
void worker_set_resize(struct worker_set *s, uint32_t n);

/* Gives the job to an idle worker, now or as soon as there is one. */
void worker_set_submit(struct worker_set *s, struct worker_job *job);
/* Running: signals the worker's group, done follows. Waiting: done(job, NULL) at once. */
void worker_set_kill(struct worker_set *s, struct worker_job *job, int signal);
/* Forgets the job without done; what runs it is killed. */
void worker_set_abandon(struct worker_set *s, struct worker_job *job);

/* Numbers for the admin pages. Any thread. */
uint32_t worker_set_alive(const struct worker_set *s);
uint64_t worker_set_died(const struct worker_set *s);
/* How the latest of these ended, as waitpid has it; -1 not known. Any thread. */
int worker_set_last_status(const struct worker_set *s);

#endif
