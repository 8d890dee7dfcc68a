/* worker_renewal: whether a process has served as long as its program's entry allows (max_tasks,
 * max_age), and whether that is near, so that its successor is started ahead. Pure. */
#ifndef FUT_WORKERS_PROCESS_WORKER_RENEWAL_H
#define FUT_WORKERS_PROCESS_WORKER_RENEWAL_H

#include "workers/handlers/registry.h"
#include "workers/process/worker_process.h"

/* Whether the process is ready and not about to end. */
bool worker_renewal_serves(const struct worker_process *w);
/* How many processes of a program's list serve and have no successor yet. */
uint32_t worker_renewal_count_lasting(const struct list *workers);
/* Whether it has served for its max_age, however many tasks that were. */
bool worker_renewal_is_old(const struct worker_process *w, const struct worker_options *o,
                           int64_t now_mono_ms);
/* Whether the process must get no more tasks. */
bool worker_renewal_is_due(const struct worker_process *w, const struct worker_options *o,
                           int64_t now_mono_ms);
/* Whether nine tenths of its tasks or of its time are used. */
bool worker_renewal_is_near(const struct worker_process *w, const struct worker_options *o,
                            int64_t now_mono_ms);
/* When one of the two becomes true by time alone; INT64_MAX: never. */
int64_t worker_renewal_next_mono_ms(const struct worker_process *w, const struct worker_options *o,
                                    int64_t now_mono_ms);

#endif
