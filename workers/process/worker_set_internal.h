/* worker_set_internal: what worker_set does for its programs. */
#ifndef FUT_WORKERS_PROCESS_WORKER_SET_INTERNAL_H
#define FUT_WORKERS_PROCESS_WORKER_SET_INTERNAL_H

#include "workers/process/worker_set.h"

struct loop *worker_set_loop(const struct worker_set *s);
struct children *worker_set_children(const struct worker_set *s);
/* Processes may be started. */
bool worker_set_is_open(const struct worker_set *s);

/* p has more tasks than processes: finds it another one, if there is one to be had. */
void worker_set_grow(struct worker_program *p);
/* A process is about to start: gives it a slot, and fills in what all have in common. */
void worker_set_enter(struct worker_set *s, struct worker_process *w, struct worker_start *how);
/* The slot is free again. */
void worker_set_leave(struct worker_set *s, struct worker_process *w);
/* It has died: leaves, and is counted and logged when nobody wanted that. */
void worker_set_forget(struct worker_process *w, const struct worker_end *end,
                       const struct worker_program *p);
/* The state of a process, or its tasks, have changed: for those who look at it. */
void worker_set_note(struct worker_process *w);
/* A process is idle: maybe another program has been waiting for that. */
void worker_set_room_made(struct worker_set *s);
/* A program has broken, or has recovered, or has more or fewer processes. */
void worker_set_changed(struct worker_set *s);

#endif
