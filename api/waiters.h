/* waiters: who wants to know when futures are done. A waiter costs no thread: it is one link per
 * future in a map, under one mutex. The order that defends against the lost wake-up is the
 * caller's: waiter_open (link), then read the state, then waiter_arm (sleep).
 *
 * A waiter is owned by one request and its event loop. Only waiters_on_change comes from another
 * thread (the store's writer); it wakes an armed waiter exactly once: whoever turns `armed` off,
 * it or waiter_disarm, owns the wake-up. Deadlines and hang-ups are the event loop's business. */
#ifndef FUT_API_WAITERS_H
#define FUT_API_WAITERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/list.h"
#include "core/map.h"
#include "core/sync.h"
#include "core/task.h"
#include "storage/store.h"

struct waiters {
    struct mutex mu;
    struct map map;    /* guarded by mu: id.hi → waiter_link */
    atomic_size_t len; /* open waiters */
    size_t max;
};

struct waiter;

/* One future that a waiter waits for. */
struct waiter_link {
    struct map_node node; /* guarded by waiters.mu */
    struct task_id id;
    struct waiter *waiter;
    bool is_done;     /* guarded by waiters.mu until waiter_unlink */
    struct task task; /* as is_done; the final snapshot, empty when the store told none */
};

struct waiter {
    void (*wake)(
        struct waiter *w); /* runs on the store's thread, without the mutex; never blocks */
    struct waiter_link *links;
    size_t n_links;
    size_t need, seen; /* seen: guarded by waiters.mu */
    bool is_open;
    bool armed;               /* guarded by waiters.mu */
    struct list_node to_wake; /* waiters_on_change's own */
};

void waiters_init(struct waiters *ws, size_t max);
/* No waiter is open any more. */
void waiters_release(struct waiters *ws);
/* Open waiters now. Any thread. */
size_t waiters_count(const struct waiters *ws);
/* A store_listener; ctx is the struct waiters. Wakes after unlocking. */
void waiters_on_change(void *ctx, const struct store_change *changes, size_t n);

/* Links w to n futures (links: zeroed but for id; the caller's memory until waiter_close); it is
 * woken when `need` of them are done. False: max waiters are open, nothing was done. */
FUT_MUST_CHECK bool waiter_open(struct waiters *ws, struct waiter *w, struct waiter_link *links,
                                size_t n, size_t need, void (*wake)(struct waiter *w));
/* True: w->wake will be called, unless waiter_disarm comes first. False: enough are done already.
 */
FUT_MUST_CHECK bool waiter_arm(struct waiters *ws, struct waiter *w);
/* True: it will not be woken any more. False: w->wake was or is just being called. */
FUT_MUST_CHECK bool waiter_disarm(struct waiters *ws, struct waiter *w);
/* Hears of no change any more; from here on is_done and task of the links may be read. Not while
 * armed. Nothing happens when it is not open. */
void waiter_unlink(struct waiters *ws, struct waiter *w);
/* Unlinks, drops the snapshots and gives its place free. Nothing happens when it is not open. */
void waiter_close(struct waiters *ws, struct waiter *w);

#endif
