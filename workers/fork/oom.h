/* fork_oom: has the kernel killed for memory? It does not say whom; it counts. The count of the
 * daemon's own control group is asked where there is one (cgroup 2), else that of the machine. In
 * the fork server process alone. */
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
/* The same with a file of the caller's choice. */
void oom_open_file(struct oom_counter *c, const char *path);
/* A process was killed by a SIGKILL that was not ours: one new count stands for it. */
enum task_oom oom_ask(struct oom_counter *c);
/* What has been counted up to now was somebody else. */
void oom_skip(struct oom_counter *c);

#endif
