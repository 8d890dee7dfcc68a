/* fork_loop: the life of the fork server process. */
#ifndef FUT_WORKERS_FORK_LOOP_H
#define FUT_WORKERS_FORK_LOOP_H

#include "core/err.h"
#include "workers/fork/ahead.h"

/* The descriptor on which the server will see its children end, to be opened before it is forked:
 * a shortage is then an error of the start. -1, errno set. */
int fork_loop_signals(void);
/* lines: nonblocking sockets, each with the requests of the programs that wait in that line; ahead:
 * NULL or the page that is shared with the daemon. Serves requests from sock until the daemon's end
 * closes; then kills and reaps every child and exits. Single-threaded, allocates
 * little, never waits for the daemon. */
void fork_loop_main(int sock, int signals, const int lines[FORK_LINES],
                    struct fork_ahead *ahead) FUT_NORETURN;

#endif
