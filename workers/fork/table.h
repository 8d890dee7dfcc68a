/* table: the children of the fork server that are not reaped yet. One table, in the fork server
 * process alone, which is single-threaded; nothing blocks. */
#ifndef FUT_WORKERS_FORK_TABLE_H
#define FUT_WORKERS_FORK_TABLE_H

#include "core/list.h"
#include "core/map.h"
#include "workers/fork/child.h"
#include "workers/fork/messages.h"

/* What a child and all processes that come from it use; 0 before the first look. */
struct fork_child_use {
    uint32_t processes;
    uint64_t rss_kib;
    uint64_t cpu_ms;
};

/* The task that a worker runs. */
struct fork_child_task {
    uint64_t id; /* 0: none that is to be watched */
    uint64_t max_cpu_ms;
    uint64_t base_cpu_ms; /* what the child had used before */
};

struct fork_child {
    struct map_node by_pid, by_generation;
    struct list_node link;
    pid_t pid;
    uint32_t slot;
    uint64_t generation;
    uint32_t line;                /* when it has ended, the first there begins; 0: none does */
    struct fork_refusal *refusal; /* why it is not the program that it was to be; NULL: it is, or */
    int refusal_fd;               /* that will be read here when it has ended; -1: not so */

    struct limits limits;
    int64_t kill_grace_ms;     /* from TERM to KILL when it meets its CPU limit */
    struct fork_child_use use; /* as of the last look */
    uint64_t peak_rss_kib;     /* of all looks */
    uint64_t inherited_cpu_ms; /* of its processes that we have reaped */
    struct fork_child_task task;
    enum limit_kind met;
    int64_t kill_mono_ms; /* after TERM: when to KILL; 0: never */
    int outside_signal;   /* for its processes outside of its group, at the next look; 0: none */
    bool killed;          /* we sent SIGKILL */
};

/* Empties the table. */
void table_init(void);
/* All children, by their link. */
struct list *table_all(void);

/* Enters a child that r has asked for. */
struct fork_child *table_add(const struct fork_request *r, pid_t pid);
/* The child of this slot and generation, or NULL. */
struct fork_child *table_find(uint32_t slot, uint64_t generation);
/* The child of this generation, or NULL. */
struct fork_child *table_of_generation(uint64_t generation);
/* The child with this pid, or NULL. */
struct fork_child *table_of_pid(pid_t pid);
/* How many children have this line, which is not 0. */
size_t table_count_line(uint32_t line);
/* Signals the child's process group at once. Processes that left the group are found by the watch
 * (outside_signal). */
void table_signal(struct fork_child *child, int signal);
/* Removes the child, and frees it with what it has. */
void table_remove(struct fork_child *child);

#endif
