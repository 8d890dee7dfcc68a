/* worker_program: one program of which worker processes are made (the built-ins together, or one
 * `worker` handler): its processes, the tasks that wait for one of them, and what is done when it
 * does not start. worker_set has all of them. The scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_PROGRAM_H
#define FUT_WORKERS_PROCESS_WORKER_PROGRAM_H

#include "workers/handlers/registry.h"
#include "workers/process/worker_process.h"

#define WORKER_WORDS_MAX 1000

struct worker_set;

/* Until the first greeting nobody knows; and two templates would load everything twice. */
enum worker_origin { WORKER_ORIGIN_UNKNOWN, WORKER_ORIGIN_STARTED, WORKER_ORIGIN_FORKED };

struct worker_program {
    struct list_node link; /* its set's */
    struct worker_set *set;
    const struct handler *handler;   /* NULL: the built-ins */
    const struct handlers *handlers; /* keeps handler; NULL for the built-ins */
    bool is_leaving;                 /* no longer in the file: no more tasks, no more processes */
    struct list workers;             /* processes, whatever their state */
    struct worker_process *template; /* the one of them that forks the others, or NULL */
    enum worker_origin origin;       /* of its processes, as far as is known */
    struct list waiting;             /* jobs */
    uint32_t claimed;                /* tasks that the scheduler has for it, begun or not */
    uint64_t served;                 /* number of its latest task, of all that were claimed */
    uint32_t target;                 /* processes that are to be kept */
    uint32_t failed_starts;          /* in a row */
    int64_t retry_ms;                /* the pause before the next start, for the log */
    struct loop_timer retry;
    int64_t broken_wall_ms;                /* since when; 0: it is not */
    char last_words[WORKER_WORDS_MAX + 1]; /* of the last process that did not start */
};

void worker_program_init(struct worker_program *p, struct worker_set *set,
                         const struct handler *handler);
/* "futured" for the built-ins. */
const char *worker_program_name(const struct worker_program *p);
/* Starts what is missing, unless it has to be waited with that. */
void worker_program_fill(struct worker_program *p);
/* Lets idle processes go while there are too many. */
void worker_program_trim(struct worker_program *p);
/* Gives it to a process, now or as soon as there is one. */
void worker_program_submit(struct worker_program *p, struct worker_job *job);
/* The tasks that wait for a process go back to the queue, uncharged. */
void worker_program_give_back(struct worker_program *p);
/* A task that is given to it now begins, or is the only one that waits for a process. */
bool worker_program_takes_now(const struct worker_program *p);
/* Another task may be claimed for it: so many that its processes are busy, and one that makes it
 * grow. Not while none of them is ready: other programs' tasks shall have the slots meanwhile. */
bool worker_program_takes_more(const struct worker_program *p);
/* Finds a process for the tasks that wait and have none that starts for them. */
void worker_program_seek(struct worker_program *p);
/* It is not to be any more, or not like this: what waits is given back, processes leave when their
 * tasks are over. */
void worker_program_leave(struct worker_program *p);
/* Closes every channel; jobs must have been abandoned. */
void worker_program_stop(struct worker_program *p);

/* Processes that start or are ready, and will be given tasks. */
uint32_t worker_program_living(const struct worker_program *p);
uint32_t worker_program_ready(const struct worker_program *p);
/* The one that has been idle for longest; *out_n: how many are. NULL: none. */
struct worker_process *worker_program_idle(const struct worker_program *p, uint32_t *out_n);

#endif
