/* descent: which of the machine's processes come from which child of the fork server, also when
 * they left its group and session and lost their parents. Known by parent, by session, by what an
 * earlier look has seen, and by the mark in the environment that each program is started with. One
 * look is a pass over /proc: about 10 us per process of the machine. In the fork server process
 * alone. */
#ifndef FUT_WORKERS_FORK_DESCENT_H
#define FUT_WORKERS_FORK_DESCENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DESCENT_MARK "FUTURED_CHILD" /* =PID OF THE FORK SERVER.GENERATION */

struct member {
    pid_t pid, ppid, pgrp, sid;
    uint64_t began; /* in ticks since boot: with the pid, which process it is */
    uint64_t cpu_ms;
    uint64_t rss_kib;
    uint64_t generation; /* of the child that it comes from, which may have ended; 0: a stranger */
    bool is_known;       /* generation was found out; while looking */
    bool has_ended;      /* and is not waited for yet */
    bool is_doubtful;    /* it may have a generation: it was about to become another program, or to
                            lose its parent */
    unsigned doubts;     /* looks in a row in which it was doubtful */
};

/* Looks. The array is valid until the next look. */
const struct member *descent_look(size_t *out_n);
/* True: of some process the last look could not tell whether it is a stranger, and the next may. */
bool descent_is_unsure(void);
/* True: some process has been undecided for many looks in a row. */
bool descent_has_doubts(void);
/* True: a process has come to the fork server by the death of its parents, and is not reaped or
 * adopted yet; also where the kernel does not tell. Far cheaper than a look. */
bool descent_has_inherited(void);
/* The generation of a child of ours that is not reaped yet, as of the last look; 0: none. */
uint64_t descent_generation(pid_t pid);
/* CPU time, as of now, of the child with this pid, which is not reaped, and of the processes that
 * come from it by the last look. */
uint64_t descent_cpu_ms(pid_t child, uint64_t generation);
/* Signals exactly this process, if it still is the one that was seen. */
void descent_signal(const struct member *m, int signal);
/* Its memory with shared pages in proportion, or all of it where that cannot be read; 0: it has
 * ended. */
uint64_t descent_pss_kib(const struct member *m);

#endif
