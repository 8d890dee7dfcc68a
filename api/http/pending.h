/* pending: requests that wait: for the store, or asleep for their waiter. Each is suspended in the
 * library, but for a few that wait for the store for a moment: their connections stay with the
 * library, which asks for the answer in each of its rounds (REQUEST_POLLED). For the time that a
 * commit takes this is cheaper than a suspension (two changes of the library's epoll set, a walk
 * over all suspended connections).
 *
 * The loop's own thread; nothing blocks. */
#ifndef FUT_API_HTTP_PENDING_H
#define FUT_API_HTTP_PENDING_H

#include <stdbool.h>

#include "core/err.h"

struct http_loop;
struct request;

/* The step has posted an operation: polls the request when it may be and is not one too many, else
 * suspends it. */
void pending_wait_for_store(struct request *r);
/* The library asks for a polled request: suspends it when it has been polled for too long. */
void pending_poll(struct request *r);
/* The step has asked for a sleep. False: what it would wait for has come, its next step is due. */
FUT_MUST_CHECK bool pending_sleep(struct request *r);
/* The request was on the ready list: what it waited for has come. Ends it when its client left. */
void pending_ready(struct request *r);
/* The library is done with the request: ends it, now or when the store has let go. */
void pending_complete(struct request *r);

/* The client of a sleeping request sends no more: ends the sleep, when it has lasted so long that
 * the client cannot have been after the answer alone. */
void pending_hang_up(struct request *r);
/* Ends the sleeps that are due, and hangs up those whose clients have left. */
void pending_run_timers(struct http_loop *l);
/* Ends all sleeps. */
void pending_release(struct http_loop *l);

#endif
