/* ahead: who has a program that the fork server was given before its turn? A page of memory that
 * the daemon and its fork server share: the fork server takes a program's generation right before
 * it starts it, the daemon to have it back; exactly one of the two succeeds. Nothing blocks. */
#ifndef FUT_WORKERS_FORK_AHEAD_H
#define FUT_WORKERS_FORK_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "workers/fork/server.h"

#define FORK_AHEAD_MAX 512 /* programs that may be on offer at once */

struct fork_ahead;

/* Before the fork. NULL: no memory for it; then there is never a place. */
struct fork_ahead *fork_ahead_new(void);
/* NULL ok. */
void fork_ahead_free(struct fork_ahead **a);
/* The daemon, before it sends the request. False: its place is taken, or there is no page. */
FUT_MUST_CHECK bool fork_ahead_offer(struct fork_ahead *a, uint64_t generation);
/* Either side: true when the program is its own now. */
FUT_MUST_CHECK bool fork_ahead_take(struct fork_ahead *a, uint64_t generation);

/* The daemon, when a program has joined a line; and how many have so far, for either side. */
void fork_ahead_count(struct fork_ahead *a, uint32_t line);
uint64_t fork_ahead_counted(struct fork_ahead *a, uint32_t line);

#endif
