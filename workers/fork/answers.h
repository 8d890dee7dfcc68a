/* fork_answers: what the fork server tells the daemon. It never waits for the daemon, which may be
 * waiting for it: what the socket does not take is kept. In the fork server process alone. */
#ifndef FUT_WORKERS_FORK_ANSWERS_H
#define FUT_WORKERS_FORK_ANSWERS_H

#include <stdbool.h>

#include "workers/fork/server.h"

/* sock stays the caller's. */
void answers_init(int sock);
/* Sent now or later, in this order; copied. */
void answers_send(const struct fork_event *ev);
/* Some are kept: wait until the socket takes more. */
bool answers_are_waiting(void);
void answers_send_waiting(void);

#endif
