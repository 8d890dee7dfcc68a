/* worker_channel: what goes between the daemon and one worker process: its messages, its tasks, and
 * what it prints. The inner room of worker_process; the scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_CHANNEL_H
#define FUT_WORKERS_PROCESS_WORKER_CHANNEL_H

#include "workers/process/worker_process.h"

/* Of the sources channel, out and err. */
void worker_channel_ready(struct loop_source *src, uint32_t events);
void worker_channel_out(struct loop_source *src, uint32_t events);
void worker_channel_err(struct loop_source *src, uint32_t events);

/* The process has ended: what it wrote before still counts. */
void worker_channel_read_rest(struct worker_process *w);
/* Takes the job from the worker and calls its done. */
void worker_channel_end_job(struct worker_process *w, struct worker_job *job,
                            const struct worker_end *end);
/* The job that runs in w under this number; NULL: none. */
struct worker_job *worker_channel_job(const struct worker_process *w, uint64_t id);
/* Asks the worker to end that job. */
void worker_channel_cancel(struct worker_process *w, const struct worker_job *job);
/* Fills in the log of end. */
void worker_channel_printed(const struct worker_process *w, struct worker_end *end);

/* Sends the job's RUN at the end of this turn; ahead: with a ticket. Errors as worker_process_give.
 */
FUT_MUST_CHECK int worker_channel_put(struct worker_process *w, struct worker_job *job, bool ahead);
/* Sends what waits to be sent, as far as it can. */
void worker_channel_flush(struct worker_process *w);

/* worker_process.c: the channel is of no use any more. */
void worker_process_cut(struct worker_process *w);
/* worker_process.c: it has ended, or never began, and the fork server knows nothing of it. */
void worker_process_lost(struct worker_process *w, const char *why);

#endif
