/* fork_watch: looks at the processes of limited attempts, ends those that take more than they may,
 * and ends what attempts have left behind when they are over. Looks every 100 ms (20 ms when one is
 * past half of what it may take) while there is a reason, and so seldom that a look costs a
 * twentieth of the time at most. A worker's task that has used its CPU time is told of, not ended.
 * In the fork server process alone. */
#ifndef FUT_WORKERS_FORK_WATCH_H
#define FUT_WORKERS_FORK_WATCH_H

#include "workers/fork/table.h"

/* over: kid->task has used so much and is over its limit. */
void watch_init(void (*over)(const struct kid *kid, uint64_t cpu_ms));
/* A kid was started, signalled or has ended: there is something to look at. */
void watch_wake(void);
/* The kid begins with this task; 0: it has none any more. */
void watch_task(struct kid *kid, uint64_t task, int64_t max_cpu_ms);
/* For poll: milliseconds until the next look; -1: there is no reason for one. */
int watch_timeout_ms(void);
/* Looks when it is time. */
void watch_turn(void);
/* A child of ours that is no kid was reaped. */
void watch_orphan_ended(pid_t pid, uint64_t cpu_ms);
/* The end of everything: kills all that came from us, as far as it can be seen now. */
void watch_kill_all(void);

#endif
