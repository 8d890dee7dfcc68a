/* oom: has the kernel killed for memory? It counts, but does not say which process. The counter is
 * that of the daemon's own control group where there is one (cgroup 2), else that of the machine.
 * In the fork server process alone. */
#ifndef FUT_WORKERS_FORK_OOM_H
#define FUT_WORKERS_FORK_OOM_H

#include <stdint.h>

#include "core/task.h"

struct oom_counter {
    int fd; /* a file with a line "oom_kill N"; -1: there is none */
    uint64_t seen;
};

/* Finds the file and remembers the count. */
void oom_open(struct oom_counter *c);
/* Counts by this file, whose count so far is known then. */
void oom_open_file(struct oom_counter *c, const char *path);
/* A process was killed by a SIGKILL that was not ours: was it the kernel? Uses up one count. */
enum task_oom oom_ask(struct oom_counter *c);
/* The counts up to now explain no death of ours. */
void oom_skip(struct oom_counter *c);

#endif
