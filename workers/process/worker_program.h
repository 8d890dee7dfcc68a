/* worker_program: one program of which worker processes are made (the built-ins together, or one
 * `worker` handler): its processes, the tasks that wait for one of them, and what is done when it
 * does not start. worker_set has all of them. The scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_PROGRAM_H
#define FUT_WORKERS_PROCESS_WORKER_PROGRAM_H

#include "workers/handlers/registry.h"
#include "workers/process/worker_process.h"
#include "workers/process/worker_view.h"

/* What the programs of a set have in common; the set owns it. */
struct worker_common {
    struct loop *loop;         /* borrowed */
    struct children *children; /* borrowed */
    size_t max_result_bytes;
    bool is_open; /* processes may be started */
    struct worker_view view;
    /* The set's: gives programs whose tasks wait more processes. A program asks for it when its
     * tasks wait and whenever it has an idle process. Runs before the loop sleeps. */
    struct loop_soon rebalance;
};

/* Whether a program forks its workers. Unknown until the first HELLO; until then one process is
 * started at a time, because two templates would load everything twice. */
enum worker_origin { WORKER_ORIGIN_UNKNOWN, WORKER_ORIGIN_STARTED, WORKER_ORIGIN_FORKED };

#define WORKER_BUILTINS_NAME "futured" /* of the program of the built-ins */

struct worker_program {
    struct list_node link; /* its set's */
    struct worker_common *common;
    const struct handler *handler;   /* NULL: the built-ins */
    const struct handlers *handlers; /* keeps handler; NULL for the built-ins */
    bool is_leaving;                 /* no longer in the file: no more tasks, no more processes */
    struct list workers;             /* processes, whatever their state */
    struct worker_process *template; /* the one of them that forks the others, or NULL */
    enum worker_origin origin;       /* of its processes, as far as is known */
    struct list waiting;             /* jobs */
    uint32_t claimed;                /* tasks that the scheduler has for it, begun or not */
    uint32_t target;                 /* processes that are to be kept, beside those of which all
                                        tasks wait for others */
    uint32_t lent;                   /* tasks that wait for others, and have lent their slots */
    uint32_t failed_starts;          /* in a row */
    int64_t retry_ms;                /* the pause before the next start, for the log */
    struct loop_timer retry;
    struct loop_timer renewal; /* the next time at which a process is old enough */
    int64_t broken_wall_ms;    /* since when it does not start; 0: it does */
    char last_words[sizeof(((struct pool_broken *)0)->words)]; /* of the last failed start */
};

/* Prepares p. handler NULL: the built-ins. common outlives p. */
void worker_program_init(struct worker_program *p, struct worker_common *common,
                         const struct handler *handler);
/* The handler's name, or "futured" for the built-ins. */
const char *worker_program_name(const struct worker_program *p);
/* Whether its processes belong to the cpu lane, where each runs one task at a time. */
bool worker_program_is_on_cpu(const struct worker_program *p);

/* Starts the processes that are missing, unless the last one failed to start. */
void worker_program_fill(struct worker_program *p);
/* When the program waits after a failed start: it is started at once. */
void worker_program_try_again(struct worker_program *p);
/* Lets idle processes go while there are more than the target. */
void worker_program_trim(struct worker_program *p);
/* Lets one idle process go and lowers the target by it. False: none is idle. */
bool worker_program_give_way(struct worker_program *p);

/* Gives the job to a process, now or as soon as there is one. done may come at once. */
void worker_program_submit(struct worker_program *p, struct worker_job *job);
/* Gives the job ahead to the busy process with the fewest such jobs. False: none takes it; else
 * job->begun or job->back follows. */
FUT_MUST_CHECK bool worker_program_submit_ahead(struct worker_program *p, struct worker_job *job);
/* Waiting: takes the job out and calls done with WORKER_ENDED_RETURNED. Running: stops it as
 * worker_process_stop_job does. */
void worker_program_stop_job(struct worker_job *job, int signal);
/* The job's task waits for others and has lent its slot, or goes on. Where all tasks of a process
 * wait, another process takes its place, so that there is one for whom the slot was lent. */
void worker_program_lend_job(struct worker_job *job, bool is_lent);
/* Forgets the job without done; what runs it is killed. */
void worker_program_abandon_job(struct worker_job *job);
/* Whether a task that is given to it now begins, or is the only one that waits for a process. */
bool worker_program_takes_now(const struct worker_program *p);
/* Whether another task may be claimed for it: so many that its processes are busy, and one that
 * makes it grow; ahead: and those that wait, with its processes or here, until one has ended. Not
 * while none of them is ready, so that other programs' tasks have the slots. */
bool worker_program_takes_more(const struct worker_program *p, bool ahead);
/* Whether tasks wait for which no process is being started. */
bool worker_program_needs_more(const struct worker_program *p);

/* The session has ended: processes that were prepared for it hear of it. */
void worker_program_close_session(struct worker_program *p, struct task_id session);
/* The program's entry is gone or has changed: waiting tasks are given back, processes leave when
 * their tasks have ended. */
void worker_program_leave(struct worker_program *p);
/* Closes every channel; jobs must have been abandoned. */
void worker_program_stop(struct worker_program *p);

/* How many jobs each busy process has ahead, at the least; SIZE_MAX: none is busy. 0 while one
 * starts. */
size_t worker_program_least_ahead(const struct worker_program *p);
/* How many processes start or are ready, and will be given tasks. */
uint32_t worker_program_living(const struct worker_program *p);
/* How many processes are ready. */
uint32_t worker_program_ready(const struct worker_program *p);
/* How many processes are idle. */
uint32_t worker_program_idle(const struct worker_program *p);

#endif
