/* tickets: who has a task that was given ahead? A page of memory that the daemon and one worker
 * process share: the worker takes a task's ticket right before it begins, the daemon withdraws it
 * to give the task to somebody else; exactly one of the two succeeds. The daemon never waits. A
 * built-in's worker and one in C take by an atomic operation; a program in a language without one
 * locks the file of the page for that (fcntl, F_SETLKW), and so does the daemon (F_SETLK). */
#ifndef FUT_WORKERS_WIRE_TICKETS_H
#define FUT_WORKERS_WIRE_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

#define TICKETS_MAX 16 /* tasks that may be offered at once: with consecutive ids */

struct tickets;

/* The worker: makes the page; *out_fd is its descriptor, for the daemon and the caller's. NULL: no
 * memory for that. */
struct tickets *tickets_new(int *out_fd);
/* The daemon: maps it; fd stays the caller's. locked: the worker is a program. NULL: it is not such
 * a page, or there is no descriptor for it. */
struct tickets *tickets_open(int fd, bool locked);
/* NULL ok. */
void tickets_close(struct tickets **t);

/* The daemon, before it sends the task. Those that may still be on offer have higher ids than
 * id - TICKETS_MAX. */
void tickets_offer(struct tickets *t, uint64_t id);
/* The worker: true when the task is its own now. */
FUT_MUST_CHECK bool tickets_take(struct tickets *t, uint64_t id);
/* The daemon: true when the worker never begins it. False: it has begun, or will. */
FUT_MUST_CHECK bool tickets_withdraw(struct tickets *t, uint64_t id);

#endif
