/* worker_internal: what the files of one worker process share. From the lowest to the highest:
 * worker_channel (bytes out, printed lines in), worker_ahead (tasks given before their turn),
 * worker_end (how a process ends), worker_session (what prepares it for tasks), worker_messages
 * (what a worker sends), worker_process (verbs). Each calls those below it only. The scheduler's
 * loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_INTERNAL_H
#define FUT_WORKERS_PROCESS_WORKER_INTERNAL_H

#include "workers/process/worker_process.h"

/* ---- worker_channel ---- */

/* Opens a pipe whose reading end is watched as src (&w->out or &w->err); *theirs is the caller's.
 * FUT_ERR_IO. */
FUT_MUST_CHECK int worker_channel_open_pipe(struct worker_process *w, struct loop_source *src,
                                            int *theirs);
/* Reads what is in the pipes now: what was printed before a message is there when it comes. */
void worker_channel_read_printed(struct worker_process *w);
/* Adds bytes to the job's log: its tail and its owner's. */
void worker_channel_log(struct worker_job *job, const char *bytes, size_t n);
/* Sets log and log_len of end to the last TASK_LOG_MAX bytes of text, which is w->printed or the
 * tail of a job. */
void worker_channel_get_log(const struct buf *text, struct worker_end *end);
/* Whether the job has written more than the output limit of its handler allows. */
bool worker_channel_exceeds_output(const struct worker_process *w, const struct worker_job *job);
/* Calls job->exceeded when it has. The job may be gone after that. */
void worker_channel_check_output(const struct worker_process *w, struct worker_job *job);

/* Puts the job's RUN into the stream, to be sent at the end of this turn. ahead: with a ticket.
 * FUT_ERR_INVAL, FUT_ERR_TOO_BIG: nothing has changed. */
FUT_MUST_CHECK int worker_channel_run(struct worker_process *w, struct worker_job *job, bool ahead);
/* Puts an INIT into the stream likewise; its number is w->last_id then. */
FUT_MUST_CHECK int worker_channel_init(struct worker_process *w, const struct task_init *init);
/* Puts a CLOSE into the stream, to be sent at the end of this turn. */
void worker_channel_close_session(struct worker_process *w, struct task_id session);
/* Tells the worker something about the task of that id, now: CANCEL, YIELD, SAVED, or REFUSED with
 * the reason (else NULL). */
void worker_channel_tell(struct worker_process *w, uint64_t id, enum wire_verb verb,
                         const char *why);
/* Asks template to fork w, which waits for the answer. fds: channel, standard output and error of
 * the new worker; our_end: our end of that channel. All four are taken. */
void worker_channel_fork(struct worker_process *template, struct worker_process *w,
                         const int fds[3], int our_end);
/* The worker that waits for the answer to this FORK and waits no more; NULL: none does. */
struct worker_process *worker_channel_take_fork(struct worker_process *template, uint64_t id);
/* w waits for its template no more, whatever comes. */
void worker_channel_forget_fork(struct worker_process *w);
/* Sends what is in the stream, as far as the socket takes it. */
void worker_channel_flush(struct worker_process *w);
/* Tells the fork server which task the CPU time of the process counts for; 0: none. */
void worker_channel_count_cpu(struct worker_process *w, uint64_t task);

/* ---- worker_ahead: tasks that a worker is given while it still runs another one. It
 * finds them in its socket when that one has ended and need not be woken for each. Those that it
 * has not begun can be taken back at any moment (tickets.h), so that nothing waits for a slow task
 * longer than it would in the scheduler. ---- */

/* Maps the tickets that came with a HELLO which offers to take tasks ahead. */
void worker_ahead_hello(struct worker_process *w, const struct wire_head *hello);
/* Frees the tickets; the jobs must have been taken back. */
void worker_ahead_release(struct worker_process *w);
/* Whether it takes this task ahead now. */
bool worker_ahead_takes(const struct worker_process *w, const struct worker_job *job);
/* Gives the job to w, which has the capacity. Errors as worker_channel_run. */
FUT_MUST_CHECK int worker_ahead_give(struct worker_process *w, struct worker_job *job);
/* Whether the job is one of those that w has not begun, as far as is known. */
bool worker_ahead_has(const struct worker_process *w, const struct worker_job *job);
/* The job runs in w now. */
void worker_ahead_begin(struct worker_process *w, struct worker_job *job);
/* The task that w ran has ended: the next one has begun, if there is one. */
void worker_ahead_next(struct worker_process *w);
/* Takes one back and calls job->back. False: w has begun it. */
FUT_MUST_CHECK bool worker_ahead_take_back(struct worker_process *w, struct worker_job *job);
/* Takes all back, the last one first, so that they wait in the order in which they came. False: w
 * has begun the first. */
FUT_MUST_CHECK bool worker_ahead_take_all_back(struct worker_process *w);
/* w is of no use any more: all come back, except one that it has begun, which becomes one of its
 * jobs. */
void worker_ahead_give_up(struct worker_process *w);

/* ---- worker_end ---- */

/* Closes and frees everything but w->printed and w itself. */
void worker_end_close(struct worker_process *w);
/* Takes the job from the worker and calls its done, with the job's own log. */
void worker_end_job(struct worker_process *w, struct worker_job *job, const struct worker_end *end);
/* The worker still runs the task of that id, and nobody waits for it any more. It gets no more
 * tasks, unless its cancel is soft: then this one keeps its place. */
void worker_end_abandon(struct worker_process *w, const struct worker_job *job);
/* True: it was such a task, and has ended now. */
bool worker_end_take_abandoned(struct worker_process *w, uint64_t id);
/* The channel is of no use any more: kills the process. */
void worker_end_cut(struct worker_process *w);
/* The other side has closed the channel: mostly because it has ended, which the fork server tells
 * soon; if it does not, the process is killed (worker_end_time). */
void worker_end_closed(struct worker_process *w);
/* The time after the channel's end has passed: kills the process, or ends it here. */
void worker_end_time(struct worker_process *w);
/* Signals the process and all that it has started; its end is our wish. */
void worker_end_kill(struct worker_process *w, int signal);
/* Closes the channel, by which the process exits. */
void worker_end_leave(struct worker_process *w);
/* The process has ended, or never began: ends its jobs and those that wait to be forked by it, and
 * calls hooks->gone. */
void worker_end_gone(struct worker_process *w, struct worker_end end);
/* How it ended and the end of what it printed, without the blanks around that; size: more than 64.
 */
void worker_end_words(const struct worker_end *end, char *out, size_t size);
/* The process has ended, or never began, and the fork server knows nothing of it. */
void worker_end_unreported(struct worker_process *w, const char *why);

/* ---- worker_session: a process gets the INIT of a session before its first task of it. That task
 * waits in w->jobs, under the number of the INIT; so a stop, the CPU time and what is printed
 * concern it. ---- */

/* Gives w the job's RUN, or what comes before it. FUT_ERR_STATE: w takes no sessions; other errors
 * as worker_channel_run. */
FUT_MUST_CHECK int worker_session_run(struct worker_process *w, struct worker_job *job);
/* Whether w may be given tasks of the session ahead: it has answered each INIT, and there is no
 * init (NULL), or w has that one's and runs any number of its tasks. */
bool worker_session_is_ready(const struct worker_process *w, const struct task_init *init);
/* The session has ended: w is ready for it no more, and hears of it if it understands that. */
void worker_session_close(struct worker_process *w, struct task_id session);
/* Whether this is the number of an INIT that w has not answered. */
bool worker_session_awaits(const struct worker_process *w, uint64_t id);
/* Takes the answer to that INIT. False: it is none. */
FUT_MUST_CHECK bool worker_session_answer(struct worker_process *w, const struct wire_message *m);

/* ---- worker_messages ---- */

/* The event function of w->channel. */
void worker_messages_ready(struct loop_source *src, uint32_t events);
/* Reads all that the process has sent and printed so far. */
void worker_messages_read_rest(struct worker_process *w);
/* The job that runs in w under this number; NULL: none. */
struct worker_job *worker_messages_job(const struct worker_process *w, uint64_t id);

#endif
