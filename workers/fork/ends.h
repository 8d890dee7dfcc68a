/* ends: reaps the children of the fork server and tells the daemon how they ended, what they used,
 * and why. In the fork server process alone. */
#ifndef FUT_WORKERS_FORK_ENDS_H
#define FUT_WORKERS_FORK_ENDS_H

#include <stdbool.h>
#include <sys/resource.h>

#include "workers/fork/table.h"

/* The end of a process that came to the fork server by the death of its parent. */
struct ends_record {
    pid_t pid;
    int status; /* as of waitpid */
    struct rusage use;
};

/* What follows a child's end: `take` says what begins in its place, and that is its own from then
 * on; `start` starts it, once the end has been told. */
struct ends_next {
    uint64_t (*take)(const struct fork_child *child); /* the generation; 0: nothing */
    bool (*lasts)(const struct fork_child *child);    /* has the daemon time to line up more? */
    void (*start)(void);
};

/* Begins to count what the kernel kills for memory. After groups_open. hooks: kept. */
void ends_init(const struct ends_next *hooks);
/* Reaps all that have ended by now. Never blocks. */
void ends_reap(void);
/* Tells the daemon of the end of a child that is reaped, and removes it from the table. status: as
 * of waitpid. */
void ends_report(struct fork_child *child, int status, const struct rusage *ru);
/* How an inherited process ended that was in no table, for one that was about to be adopted: the
 * latest end of this pid, once. False: it is not known, or many others have ended since. */
bool ends_take_record(pid_t pid, struct ends_record *out);

#endif
