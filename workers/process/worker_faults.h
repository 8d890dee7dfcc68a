/* worker_faults: a program whose processes do not start: what it said last, when it is tried again,
 * and what becomes of its tasks meanwhile. The inner room of worker_program; the scheduler's loop
 * only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_FAULTS_H
#define FUT_WORKERS_PROCESS_WORKER_FAULTS_H

#include "workers/process/worker_program.h"

/* Did it end without having been of use, and not by our wish? */
bool worker_faults_is_one(const struct worker_process *w, const struct worker_end *end);
/* Keeps its last words and sets p->retry. While no process of p is ready it is broken, and what
 * waits for one is given back. */
void worker_faults_note(struct worker_program *p, const struct worker_end *end);
/* A process has greeted: it starts. */
void worker_faults_mend(struct worker_program *p);
/* It is not to be started any more. */
void worker_faults_forget(struct worker_program *p);

#endif
