/* fork_groups: a control group (cgroup 2) for each child of the fork server, where systemd has
 * delegated ours (Delegate=yes): limits that the kernel keeps, and an end that no descendant
 * escapes. Without delegation nothing here does anything, and process groups serve. Children are
 * known by their generation. Files of cgroupfs only: no call blocks. */
#ifndef FUT_WORKERS_FORK_GROUPS_H
#define FUT_WORKERS_FORK_GROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "workers/base/limits.h"

/* Before the fork server is forked, while there is one thread: moves this process into a group
 * "daemon" of its own below the delegated one, as the kernel wants it. */
void groups_open(void);
/* "cgroups" or "process_groups": which is in force. Any thread, after groups_open. */
const char *groups_kind(void);
/* The delegated group's memory.events, or NULL. */
const char *groups_memory_events(void);

/* ---- in the fork server -------------------------------------------------------------------- */

/* Before the child is forked. */
void groups_make(uint64_t generation, const struct limits *limits);
/* In the fresh child: moves itself, and so all that will come from it. */
void groups_join(uint64_t generation);
/* Makes the group of a child that another child has forked, and moves it there. Not reaped yet: the
 * pid must be its own. */
void groups_take(uint64_t generation, const struct limits *limits, pid_t pid);
/* SIGKILL to all that is in the group. */
void groups_kill(uint64_t generation);
/* Has the kernel killed in this group because its memory was used up? */
bool groups_met_memory(uint64_t generation);
/* The child is over: kills what it left behind and removes the group, now or by groups_sweep. */
void groups_end(uint64_t generation);
/* Removes groups whose last processes are gone by now. True: some are left, come again soon. */
bool groups_sweep(void);

#endif
