/* waiters: who wants to know when futures are done. A waiter costs no thread: it is one link per
 * future in a map, under one mutex. The order that defends against the lost wake-up is the
 * caller's: waiter_open (link), then read the states (waiter_update, when there are many), then
 * waiter_arm (sleep).
 *
 * A waiter is owned by one request and its event loop. Only waiters_on_change comes from another
 * thread (the store's writer); it wakes an armed waiter exactly once: whoever turns `armed` off,
 * it or waiter_disarm, owns the wake-up. A change costs each link of that future O(1), however many
 * others its waiter has. Deadlines and hang-ups are the event loop's business. */
#ifndef FUT_API_HTTP_WAITERS_H
#define FUT_API_HTTP_WAITERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/map.h"
#include "core/sync.h"
#include "core/task.h"
#include "storage/store.h"

#define WAITERS_LINKS_MAX 1000000 /* of all waiters together: about 100 MB */

struct waiters {
    struct mutex mu;
    struct map map;      /* guarded by mu: id.hi → waiter_link */
    atomic_size_t len;   /* open waiters */
    atomic_size_t links; /* of all open waiters */
    size_t followers;    /* guarded by mu: open waiters with members */
    size_t max;
};

struct waiter;

/* What happened to a member of a session, or to a future that is linked. */
enum waiter_event {
    WAITER_STARTED,  /* an attempt of it began */
    WAITER_WAITING,  /* it waits again: for another attempt, or another life */
    WAITER_REPORTED, /* progress, or text for its log */
};
struct waiter_member {
    struct task_id id;
    enum waiter_event event;
    enum task_state state;
    uint32_t attempt;        /* 0: not known */
    int64_t started_wall_ms; /* 0: not known */
};

/* What happened to these since it was asked, the latest. A hint, as all changes are. */
#define WAITER_MEMBERS_MAX 256
struct waiter_members {
    unsigned events; /* bits (1u << enum waiter_event) of those that are wanted; constant, as is */
    bool of_links;   /* of the futures that are linked and not done; else of the members of the
                        batch that the one link names */
    size_t first, n; /* guarded by waiters.mu, as all below */
    uint64_t missed; /* so many came in between that there was no space for */
    struct waiter_member ring[WAITER_MEMBERS_MAX];
};

/* One future that a waiter waits for. */
struct waiter_link {
    struct map_node node;  /* guarded by waiters.mu */
    struct list_node news; /* guarded by waiters.mu: in waiter.news */
    struct task_id id;
    struct waiter *waiter;
    uint64_t seq;     /* guarded by waiters.mu until waiter_unlink: 0 not known */
    bool is_done;     /* as seq */
    bool is_gone;     /* as seq: the store did not know it when it was read; counts as done */
    bool has_failed;  /* as seq */
    bool is_finished; /* guarded by waiters.mu: of a session: nothing more will end in it */
};

/* What a waiter wants to be woken by. */
struct waiter_wish {
    size_t need;           /* so many of its futures are done */
    bool stops_at_failure; /* or one has failed */
    bool wants_news;       /* instead: there is news to take: ends, and what was reported */
    struct waiter_members *members; /* beside that: what happens to futures; the caller's memory
                                       until waiter_close, zeroed but for what is constant. NULL:
                                       nothing */
    void (*wake)(
        struct waiter *w); /* runs on the store's thread, without the mutex; never blocks */
};

struct waiter {
    struct waiter_wish wish;
    struct waiter_link *links;
    size_t n_links;
    size_t seen;      /* guarded by waiters.mu: links that are done */
    bool has_failed;  /* guarded by waiters.mu: one of them has */
    struct list news; /* guarded by waiters.mu: links with news, those that are done by seq */
    bool is_called;   /* guarded by waiters.mu: somebody else has news for it */
    struct task task; /* with one link only, as is_done: the final snapshot, empty when not told */
    bool is_open;
    bool armed;               /* guarded by waiters.mu */
    struct list_node to_wake; /* waiters_on_change's own */
};

/* max: waiters that may be open at a time. */
/* No waiter yet; at most max at once. */
void waiters_init(struct waiters *ws, size_t max);
/* No waiter is open any more. */
void waiters_release(struct waiters *ws);
/* Open waiters now. Any thread. */
size_t waiters_count(const struct waiters *ws);
/* A store_listener; ctx is the struct waiters. Wakes after unlocking. */
void waiters_on_change(void *ctx, const struct store_change *changes, size_t n);

/* Links w to n futures (links: zeroed but for id; the caller's memory until waiter_close). False:
 * too many waiters or links are open, nothing was done. */
FUT_MUST_CHECK bool waiter_open(struct waiters *ws, struct waiter *w, struct waiter_link *links,
                                size_t n, const struct waiter_wish *wish);
/* Takes what was read after waiter_open: briefs[i] belongs to links[i]. News are in order of seq
 * afterwards. Not while armed. */
void waiter_update(struct waiters *ws, struct waiter *w, const struct store_brief *briefs);
/* The ids of the futures that are not done, as far as is known, into ids, which has space for all.
 * Returns how many. */
size_t waiter_pending(struct waiters *ws, const struct waiter *w, struct task_id *ids);
/* True: w->wake will be called, unless waiter_disarm comes first. False: there is enough already.
 */
FUT_MUST_CHECK bool waiter_arm(struct waiters *ws, struct waiter *w);
/* True: it will not be woken any more. False: w->wake was or is just being called. */
FUT_MUST_CHECK bool waiter_disarm(struct waiters *ws, struct waiter *w);
/* Somebody who is no future has news for w. True: w was armed, is not any more, and the caller must
 * call w->wish.wake. Otherwise its next waiter_arm fails. */
FUT_MUST_CHECK bool waiter_call(struct waiters *ws, struct waiter *w);
/* Before the news that a call was about are read. */
void waiter_take_call(struct waiters *ws, struct waiter *w);
/* Takes the oldest news. NULL: none. *out_done: it is done; else something was reported. */
struct waiter_link *waiter_take_news(struct waiters *ws, struct waiter *w, bool *out_done);
/* Takes the oldest of what happened to members. False: there is nothing. */
FUT_MUST_CHECK bool waiter_take_member(struct waiters *ws, struct waiter *w,
                                       struct waiter_member *out);
/* How many of them there was no space for, since it was asked. */
uint64_t waiter_take_missed(struct waiters *ws, struct waiter *w);
/* Was the session that the waiter's one link names told to be over? What it was woken by came
 * before that, or the news of it are still to be taken. */
bool waiter_is_finished(struct waiters *ws, const struct waiter *w);
/* A future whose end was taken from the news is not done any more (another life): it is waited for
 * again. Link first, then read it, then waiter_update_one. Not while armed. */
void waiter_reopen(struct waiters *ws, struct waiter_link *l);
void waiter_update_one(struct waiters *ws, struct waiter_link *l, const struct store_brief *brief);
/* Hears of no change any more; from here on the links and the task may be read. Not while armed.
 * Nothing happens when it is not open. */
void waiter_unlink(struct waiters *ws, struct waiter *w);
/* Unlinks, drops the snapshot and gives its place free. Nothing happens when it is not open. */
void waiter_close(struct waiters *ws, struct waiter *w);

#endif
