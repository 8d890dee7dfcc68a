/* worker_set: every worker process, of the built-ins and of the `worker` handlers, and how many
 * each of these programs has.
 *
 * At most `slots` processes of the cpu lane are busy, because no more tasks are submitted. A
 * program of that lane keeps at least one process, and one that needs more takes the place of
 * another's idle ones: with slots + programs - 1 processes in all, one that is idle and not the
 * last of its program can always be found. A program of the io lane has one process, which may run
 * several tasks. The scheduler's loop only, unless said. */
#ifndef FUT_WORKERS_PROCESS_WORKER_SET_H
#define FUT_WORKERS_PROCESS_WORKER_SET_H

#include "workers/process/worker_program.h"

struct worker_set_config {
    struct loop *loop; /* these three are borrowed */
    struct children *children;
    const struct handlers *handlers; /* NULL: the built-ins alone */
    uint32_t slots;                  /* of the cpu lane, >= 1 */
    size_t max_result_bytes;
};

/* Makes the set with all its programs; no process is started. */
struct worker_set *worker_set_new(const struct worker_set_config *cfg);
/* Starts the processes that are kept ready. */
void worker_set_start(struct worker_set *s);
/* Closes every channel; jobs must have been abandoned. Once. The view can still be read. */
void worker_set_stop(struct worker_set *s);
/* Stops first. NULL ok. */
void worker_set_free(struct worker_set **s);

/* After start: n >= 1 slots from now on. More processes are started; those that are too many end
 * when they have no task, none is killed at work. */
void worker_set_resize(struct worker_set *s, uint32_t n);

/* Does any process still run code of the task, although its attempt has ended? */
bool worker_set_still_runs(const struct worker_set *s, struct task_id task);
/* Every struct worker_program, the built-ins' first. */
const struct list *worker_set_programs(const struct worker_set *s);
/* After start: these handlers from now on. A program whose entry has not changed keeps its
 * processes. One that has changed or is gone gets no more tasks, and its processes leave when those
 * they have are done. */
void worker_set_reload(struct worker_set *s, const struct handlers *now);

/* The handler's program; for a built-in handler the built-ins'. NULL: it is not in the file any
 * more. */
struct worker_program *worker_set_program(const struct worker_set *s, const struct handler *h);
/* Gives the job to a process of the handler's program, now or as soon as there is one. done may
 * come at once. */
void worker_set_submit(struct worker_set *s, const struct handler *h, struct worker_job *job);

/* How many jobs each process that is busy has ahead, at the least; 0 where one takes none, or
 * starts. */
size_t worker_set_least_ahead(const struct worker_set *s);
/* The session has ended: processes that were prepared for it hear of it. */
void worker_set_close_session(struct worker_set *s, struct task_id session);

/* The processes as other threads may see them; lives as long as the set. */
struct worker_view *worker_set_view(struct worker_set *s);

#endif
