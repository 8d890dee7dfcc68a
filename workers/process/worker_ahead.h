/* worker_ahead: tasks that a built-in's worker is given while it still runs another one. It finds
 * them in its socket when that one is over, and need not be woken for each. What it has not begun
 * can be taken back at any moment (tickets.h), so nothing waits for a slow task longer than it
 * would in the scheduler. The scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_AHEAD_H
#define FUT_WORKERS_PROCESS_WORKER_AHEAD_H

#include "workers/process/worker_program.h"

/* Its HELLO: does it take tasks ahead? */
void worker_ahead_hello(struct worker_process *w, const struct wire_head *hello);
/* Jobs must have been taken back. */
void worker_ahead_release(struct worker_process *w);

/* Gives the job to the busy process of p with the fewest. False: none takes it. job->begun or
 * job->back follows. */
FUT_MUST_CHECK bool worker_ahead_give(struct worker_program *p, struct worker_job *job);

/* The task that w ran is over: the next one has begun. */
void worker_ahead_go_on(struct worker_process *w);
/* True: job->back came, it never begins there. False: it has begun (job->begun came); its done may
 * have come, too. */
FUT_MUST_CHECK bool worker_ahead_withdraw(struct worker_job *job);
/* The job, which runs in w, is to be stopped and w may die of it: all that has not begun comes
 * back. False: there is nothing to stop any more, done has come. */
FUT_MUST_CHECK bool worker_ahead_may_stop(struct worker_process *w, const struct worker_job *job);
/* w is no good any more: all come back, but one that it has begun is one of its jobs now. */
void worker_ahead_give_up(struct worker_process *w);

#endif
