/* worker_spawn: how a worker process comes to be: its channel, its pipes, the request to the fork
 * server. The inner room of worker_process; the scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_SPAWN_H
#define FUT_WORKERS_PROCESS_WORKER_SPAWN_H

#include "workers/process/worker_process.h"

/* By how->template, or started from how->command, or (both NULL) for the built-ins. FUT_ERR_IO,
 * FUT_ERR_CLOSED, FUT_ERR_TOO_BIG; the sources that were opened by then are the caller's to close.
 */
FUT_MUST_CHECK int worker_spawn(struct worker_process *w, const struct worker_start *how);

#endif
