/* sleep: a request waits for futures. Where a running attempt asks, it lends its slot to others
 * meanwhile. Loop thread; nothing blocks. */
#ifndef FUT_API_HTTP_SLEEP_H
#define FUT_API_HTTP_SLEEP_H

#include "api/http/request.h"

/* Sleeps on the open waiter until it is woken, its client leaves, waiters are released, or ms have
 * passed since now; then next runs. A wait of an attempt that would never end, or for which no slot
 * can be lent, is answered 409; of a route that submits it ends at once, and a stream is broken
 * off.
 */
void sleep_until_woken(struct request *r, int64_t ms, request_step *next);
/* Runs next if the running attempt that asks may wait on the open waiter; otherwise the request is
 * answered. Before a stream, which cannot say no once it has begun. */
void sleep_if_allowed(struct request *r, request_step *next);

#endif
