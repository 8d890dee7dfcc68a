/* fork_kids: the fork server's book of its children that are not reaped yet. One book, in the fork
 * server process alone, which is single-threaded. */
#ifndef FUT_WORKERS_FORK_TABLE_H
#define FUT_WORKERS_FORK_TABLE_H

#include "core/list.h"
#include "core/map.h"
#include "workers/fork/request.h"

/* What a kid and all that came from it take at once; 0 while nobody has looked. */
struct kid_use {
    uint32_t processes;
    uint64_t rss_kib;
    uint64_t cpu_ms;
};

/* What a worker does now. */
struct kid_task {
    uint64_t id; /* 0: nothing that is to be watched */
    uint64_t max_cpu_ms;
    uint64_t base_cpu_ms; /* what the kid had used before */
};

struct kid {
    struct map_node by_pid, by_generation;
    struct list_node link;
    pid_t pid;
    uint32_t slot;
    uint64_t generation;
    int error_fd; /* what a program that could not start has to say; -1: none */

    struct limits limits;
    int64_t kill_grace_ms;  /* from TERM to KILL when it meets its CPU limit */
    struct kid_use use;     /* as of the last look */
    uint64_t peak_rss_kib;  /* of all looks */
    uint64_t orphan_cpu_ms; /* of its processes that we have reaped */
    struct kid_task task;
    enum limit_kind met;
    int64_t kill_mono_ms; /* after TERM: when to KILL; 0: never */
    int far_signal;       /* for its processes outside of its group, at the next look; 0: none */
    bool killed;          /* by us: SIGKILL was sent */
};

void kids_init(void);
/* All of them, by kid.link. */
struct list *kids_all(void);

struct kid *kid_add(const struct fork_request *r, pid_t pid, int error_fd);
/* NULL when there is none. */
struct kid *kid_find(uint32_t slot, uint64_t generation);
struct kid *kid_of_generation(uint64_t generation);
struct kid *kid_of_pid(pid_t pid);
/* To its group at once. What has left the group is the watch's to find (far_signal). */
void kid_signal(struct kid *kid, int signal);
/* Takes it out of the book and frees it. */
void kid_forget(struct kid *kid);

#endif
