/* loop: one thread's epoll loop: descriptors, timers, and things to free when it is safe.
 * Everything here is called by the thread that owns the loop. loop_turn and loop_delay block in
 * their one wait and nowhere else. It never owns a source's or timer's memory, only the descriptor
 * of a source. */
#ifndef FUT_WORKERS_BASE_LOOP_H
#define FUT_WORKERS_BASE_LOOP_H

#include <stdint.h>

#include "core/err.h"
#include "core/heap.h"
#include "core/list.h"

struct loop;

/* Lives in its owner, which must outlive the turn in which it was closed (see loop_defer). */
struct loop_source {
    int fd;          /* -1 while closed: an event that was already fetched is then dropped */
    uint32_t events; /* that are watched */
    bool is_kept;    /* none are yet */
    bool ends_delays;
    void (*fn)(struct loop_source *src, uint32_t events);
};

struct loop_timer {
    struct heap_node node;
    void (*fn)(struct loop_timer *timer);
};

/* Something that dies at the end of the turn. */
struct loop_deferred {
    struct list_node link;
    void (*fn)(struct loop_deferred *deferred);
};

/* Something to be done once, before the loop sleeps. */
struct loop_soon {
    struct list_node link;
    void (*fn)(struct loop_soon *soon);
};

/* Makes a loop without sources; the caller frees it by loop_free. NULL, errno set, when no
 * descriptor can be had. */
struct loop *loop_new(void);
/* Runs what was deferred. Sources must be closed and timers cleared by their owners. NULL ok. */
void loop_free(struct loop **l);

/* Takes fd, watches it for events (EPOLLIN …). FUT_ERR_IO leaves fd the caller's. */
FUT_MUST_CHECK int loop_open(struct loop *l, struct loop_source *src, int fd, uint32_t events,
                             void (*fn)(struct loop_source *, uint32_t));
/* Takes fd, which is watched from loop_begin on: for what may be over before that is worth it. */
void loop_keep(struct loop_source *src, int fd, void (*fn)(struct loop_source *, uint32_t));
/* Watches a source that is kept so. FUT_ERR_IO: it is kept as before. */
FUT_MUST_CHECK int loop_begin(struct loop *l, struct loop_source *src, uint32_t events);
/* From now on src, which is open, ends a loop_delay. FUT_ERR_IO: it does not. */
FUT_MUST_CHECK int loop_end_delays(struct loop *l, struct loop_source *src);
/* Changes the events that are watched; nothing happens while closed or kept. */
void loop_watch(struct loop *l, struct loop_source *src, uint32_t events);
/* Stops watching and closes the descriptor; a closed source is left alone. */
void loop_close(struct loop *l, struct loop_source *src);

/* (Re)sets t to fire once at at_mono_ms. fn must be set. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_mono_ms);
void loop_timer_clear(struct loop *l, struct loop_timer *t);

/* Runs fn(deferred) when the events of this turn have all been handled. */
void loop_defer(struct loop *l, struct loop_deferred *deferred, void (*fn)(struct loop_deferred *));

/* Runs fn(soon) before the next wait for events; once, however often it was asked for. */
void loop_do_soon(struct loop *l, struct loop_soon *soon);
void loop_do_not(struct loop *l, struct loop_soon *soon);

/* Runs what was deferred, now: for an owner that ends outside of a turn. */
void loop_run_deferred(struct loop *l);

/* Sleeps for so many microseconds, or until something happens at a source that ends delays. Runs
 * nothing: the next turn has all that has happened. */
void loop_delay(struct loop *l, int64_t us);
/* Waits up to max_wait_ms (-1: until something happens) and runs all that is due. */
void loop_turn(struct loop *l, int64_t max_wait_ms);

#endif
