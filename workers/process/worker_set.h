/* worker_set: every worker process, of the built-ins and of the `worker` handlers, and how many
 * each of these programs has.
 *
 * At most `slots` processes of the cpu lane are busy, because no more tasks are submitted. A
 * program of that lane keeps at least one process, and one that needs more takes the place of
 * another's idle ones: slots + programs - 1 processes in all, so one that is idle and not the last
 * of its program is always found. A program of the io lane has one process, which may run several
 * tasks. The scheduler's loop only, unless said. */
#ifndef FUT_WORKERS_PROCESS_WORKER_SET_H
#define FUT_WORKERS_PROCESS_WORKER_SET_H

#include "workers/process/worker_program.h"
#include "workers/process/worker_view.h"

struct worker_set_config {
    struct loop *loop; /* these three are borrowed */
    struct children *children;
    const struct handlers *handlers; /* NULL: the built-ins alone */
    uint32_t slots;                  /* of the cpu lane, >= 1 */
    size_t max_result_bytes;
};

/* None of them started. */
struct worker_set *worker_set_new(const struct worker_set_config *cfg);
/* Starts the processes that are kept ready. */
void worker_set_start(struct worker_set *s);
/* Closes every channel; jobs must have been abandoned. Once. The numbers can still be read. */
void worker_set_stop(struct worker_set *s);
/* Stops first. NULL ok. */
void worker_set_free(struct worker_set **s);

/* n >= 1, after start: so many slots from now on. More processes are started; those that are too
 * many end when they have no task, none is killed at work. */
void worker_set_resize(struct worker_set *s, uint32_t n);

/* Every struct worker_program, the built-ins' first. */
const struct list *worker_set_programs(const struct worker_set *s);
/* After start: these handlers from now on. A program that is as it was keeps its processes. One
 * that has changed or is gone gets no more tasks; its processes leave when those they have are
 * over. */
void worker_set_reload(struct worker_set *s, const struct handlers *now);

/* The handler's program; the built-ins' for one of these. NULL: it is not in the file any more. */
struct worker_program *worker_set_program(const struct worker_set *s, const struct handler *h);
/* Gives the job to a process of the handler's program, now or as soon as there is one. done may
 * come at once. */
void worker_set_submit(struct worker_set *s, const struct handler *h, struct worker_job *job);
/* Running: asks (TERM) or forces (KILL) it to end, and no other; done follows. Waiting: done at
 * once. */
void worker_set_stop_job(struct worker_set *s, struct worker_job *job, int signal);
/* Forgets the job without done; what runs it is killed. */
void worker_set_abandon(struct worker_set *s, struct worker_job *job);

/* For the admin pages: lives as long as the set. */
struct worker_book *worker_set_book(struct worker_set *s);
/* Numbers for the same. Any thread. alive: ready processes of the cpu lane. */
uint32_t worker_set_alive(const struct worker_set *s);
uint64_t worker_set_died(const struct worker_set *s);
/* How the latest of these ended, as waitpid has it; -1 not known. Any thread. */
int worker_set_last_status(const struct worker_set *s);

#endif
