/* fork_ends: reaps the children of the fork server and tells the daemon how they ended, what they
 * used, and why. In the fork server process alone. */
#ifndef FUT_WORKERS_FORK_ENDS_H
#define FUT_WORKERS_FORK_ENDS_H

#include <sys/resource.h>

#include "workers/fork/table.h"

/* After groups_open. */
void ends_init(void);
/* Reaps all that have ended by now. Never blocks. */
void ends_reap(void);
/* Tells of the end of a kid that is reaped, and forgets it. status: as of waitpid. */
void ends_of_kid(struct kid *kid, int status, const struct rusage *ru);

#endif
