/* fork_child: makes a child of the fork server: a worker, or a program. */
#ifndef FUT_WORKERS_FORK_CHILD_H
#define FUT_WORKERS_FORK_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "workers/fork/server.h"

/* In the fork server: sets what its children inherit (default signals, no new privileges), raises
 * its own limit of descriptors and remembers the one that they are to have. Before the first of
 * them. */
void fork_child_init(void);
/* The child serves channel. Returns its pid, or -1 with errno. */
pid_t fork_child_worker(uint64_t generation, int channel);
/* Why a child is not the program that it was to be. */
struct fork_refusal {
    int error; /* an errno; 0: there is none */
    char text[FORK_TEXT_SIZE];
};

/* The child becomes the program. When that cannot be it exits, and *out says why, or, where
 * *out_later is not -1, that descriptor (the caller's, nonblocking) will: fork_child_refusal.
 * Returns its pid, or -1 with errno. */
pid_t fork_child_exec(uint64_t generation, const struct fork_exec *what, struct fork_refusal *out,
                      int *out_later);
/* Of a child that has ended. False: it was the program. */
bool fork_child_refusal(int later, struct fork_refusal *out);

#endif
