/* fork_child: what a fresh child of the fork server does before it is of use. */
#ifndef FUT_WORKERS_FORK_CHILD_H
#define FUT_WORKERS_FORK_CHILD_H

#include <sys/types.h>

#include "workers/fork/server.h"

/* In the fork server: raises its own limit of descriptors, and remembers the one that its children
 * are to have. Before the first of them. */
void fork_child_init(void);
/* parent: the fork server's pid, taken before the fork. */
void fork_child_worker(pid_t parent, int channel) FUT_NORETURN;
/* error_fd: close-on-exec; gets one sentence when the program cannot be started. */
void fork_child_exec(pid_t parent, uint64_t generation, const struct fork_exec *what,
                     int error_fd) FUT_NORETURN;

#endif
