/* fork_child: makes a child of the fork server: a worker, or a program. */
#ifndef FUT_WORKERS_FORK_CHILD_H
#define FUT_WORKERS_FORK_CHILD_H

#include <sys/types.h>

#include "workers/fork/server.h"

/* In the fork server: sets what its children inherit (default signals, no new privileges), raises
 * its own limit of descriptors and remembers the one that they are to have. Before the first of
 * them. */
void fork_child_init(void);
/* The child serves channel. Returns its pid, or -1 with errno. */
pid_t fork_child_worker(uint64_t generation, int channel);
/* The child becomes the program. error_fd: close-on-exec; gets an errno and a sentence when that
 * cannot be. Returns its pid, or -1 with errno. */
pid_t fork_child_exec(uint64_t generation, const struct fork_exec *what, int error_fd);

#endif
