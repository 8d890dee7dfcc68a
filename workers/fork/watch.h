/* watch: looks at the processes of limited attempts, ends those that exceed a limit, and ends what
 * attempts leave behind. Looks every 100 ms (20 ms while an attempt uses more than half of a limit)
 * as long as there is a reason, and so seldom that a look costs a twentieth of the time at most. A
 * worker's task that exceeds its CPU time is reported, not ended. In the fork server process alone.
 */
#ifndef FUT_WORKERS_FORK_WATCH_H
#define FUT_WORKERS_FORK_WATCH_H

#include "workers/fork/table.h"

/* exceeded(child, cpu_ms): child->task has used cpu_ms, which is more than it may. */
void watch_init(void (*exceeded)(const struct fork_child *child, uint64_t cpu_ms));
/* A child was started, signalled or has ended: there is a reason for a look. */
void watch_wake(void);
/* The child begins this task, which may use max_cpu_ms; 0: it has none any more. */
void watch_task(struct fork_child *child, uint64_t task, int64_t max_cpu_ms);
/* For poll: milliseconds until the next look; -1: there is no reason for one. */
int watch_timeout_ms(void);
/* Looks when a look is due. Never blocks. */
void watch_turn(void);
/* A process that came to us by the death of its parent was reaped. */
void watch_inherited_ended(pid_t pid, uint64_t cpu_ms);
/* Kills all processes that come from us, as far as they can be seen now: the end of everything. */
void watch_kill_all(void);

#endif
