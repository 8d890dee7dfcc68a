/* fork_orphans: how the last few children ended that came to the fork server by the death of their
 * parents and were in no book: one of them may have been about to be adopted. In the fork server
 * process alone. */
#ifndef FUT_WORKERS_FORK_ORPHANS_H
#define FUT_WORKERS_FORK_ORPHANS_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct orphan_end {
    pid_t pid;
    int status; /* as of waitpid */
    struct rusage use;
};

void orphans_note(pid_t pid, int status, const struct rusage *use);
/* The latest of this pid, once. False: it is not (or no longer) known. */
bool orphans_take(pid_t pid, struct orphan_end *out);

#endif
