/* http_held: requests whose operation is with the store, for a moment. Their connections stay with
 * the library, which asks for the answer in each of its rounds. For the time that a commit takes
 * this is cheaper than a suspension (two changes of the library's epoll set, a walk over all
 * suspended connections). The loop's own thread; nothing blocks. */
#ifndef FUT_API_HTTP_HELD_H
#define FUT_API_HTTP_HELD_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct http_loop;
struct request;

/* False: too many are held, suspend it. */
FUT_MUST_CHECK bool http_held_add(struct http_loop *l, struct request *r);
/* It has waited so long that it is to be suspended: it is not held any more. */
FUT_MUST_CHECK bool http_held_too_long(struct http_loop *l, struct request *r);
/* Its operation is done: the library gets the answer in its next round. */
void http_held_let_go(struct http_loop *l, struct request *r);
/* The library is done with a request, held or not: frees it, now or when the store has let go. */
void http_held_end(struct http_loop *l, struct request *r);
/* Those included whose clients are gone. */
size_t http_held_count(const struct http_loop *l);

#endif
