/* fork_family: which of the machine's processes come from which child of the fork server, also when
 * they left its group and session and lost their parents: by descent, by session, by what an
 * earlier look has seen, and by the mark in the environment that each program is started with. One
 * look is a pass over /proc: about 10 us per process of the machine. In the fork server process
 * alone. */
#ifndef FUT_WORKERS_FORK_DESCENT_H
#define FUT_WORKERS_FORK_DESCENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FAMILY_MARK "FUTURED_CHILD" /* =PID OF THE FORK SERVER.GENERATION */

struct member {
    pid_t pid, ppid, pgrp, sid;
    uint64_t began; /* in ticks since boot: with the pid, who it is */
    uint64_t cpu_ms;
    uint64_t rss_kib;
    uint64_t generation; /* of the kid that it comes from, who may be gone; 0: a stranger */
    bool is_known;       /* generation was found out; while looking */
    bool is_dead;        /* not waited for yet */
    bool is_doubtful;    /* it may have one: it was about to become another program, or to lose its
                            parent */
    unsigned doubts;     /* looks in a row that left it so */
};

/* Looks; the array is ours until the next look. */
const struct member *family_look(size_t *out_n);
/* The last look could not tell of somebody whether it is a stranger, and another one may. */
bool family_is_unsure(void);
/* As of the last look; 0: none. For a child of ours that is not reaped yet. */
uint64_t family_generation(pid_t pid);
/* CPU time of the kid with this pid, which is not reaped, and of those that the last look knows to
 * come from it, as of now. Who was started since that look is not in it. */
uint64_t family_cpu_ms(pid_t kid, uint64_t generation);
/* Signals exactly this process, if it still is the one that was seen. */
void family_signal(const struct member *m, int signal);
/* Its part of the memory that it shares, and all that it does not; rss_kib when that is not to be
 * known. */
uint64_t family_pss_kib(const struct member *m);

#endif
