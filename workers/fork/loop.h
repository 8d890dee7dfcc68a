/* fork_loop: the life of the fork server process. */
#ifndef FUT_WORKERS_FORK_LOOP_H
#define FUT_WORKERS_FORK_LOOP_H

#include "core/err.h"

/* Serves requests from sock until the daemon's end closes; then kills and reaps every child and
 * exits. Single-threaded, allocates little, never waits for the daemon. */
void fork_loop_main(int sock) FUT_NORETURN;

#endif
