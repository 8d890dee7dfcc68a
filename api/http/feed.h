/* feed: the latest of what happens, for readers of GET /v1/events: a ring of entries with numbers
 * that grow over restarts. It is filled while somebody reads and for a minute after, so that who
 * lost the connection finds what was missed; otherwise a change costs one atomic load.
 *
 * A reader is a request that sleeps on a waiter without links. The order that loses no wake-up is
 * the caller's: feed_read, and waiter_arm when there was nothing. */
#ifndef FUT_API_HTTP_FEED_H
#define FUT_API_HTTP_FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/waiters.h"
#include "core/list.h"
#include "core/pool_view.h"
#include "core/sync.h"
#include "core/task.h"
#include "storage/store.h"

#define FEED_ENTRIES 8192 /* about 2.5 MB, while somebody reads */
#define FEED_TEXT_MAX 64

enum feed_kind {
    FEED_SUBMITTED,
    FEED_STARTED,
    FEED_PROGRESS,
    FEED_WAITING, /* it waits again: for another attempt, or another life */
    FEED_ENDED,
    FEED_POOL,   /* a lane was paused, goes on, or has other slots */
    FEED_LIMIT,  /* a limit was closed for some time */
    FEED_WORKER, /* a worker process died unasked */
};
#define FEED_KINDS (FEED_WORKER + 1)

struct feed_entry {
    uint64_t number;
    int64_t at_wall_ms;
    enum feed_kind kind;
    /* of a task */
    struct task_id id, batch;
    enum task_state state;
    enum lane lane;
    uint32_t attempt;                /* 0: not known */
    double progress;                 /* negative: none was said */
    char name[TASK_HANDLER_MAX + 1]; /* its handler; of the rest: what changed */
    char text[FEED_TEXT_MAX + 1];    /* the code of a failure; of the rest: how it changed */
};

struct feed {
    struct waiters *waiters;
    struct mutex mu;
    struct list readers;     /* guarded by mu */
    struct feed_entry *ring; /* guarded by mu; NULL while off */
    uint64_t first, next;    /* guarded by mu: numbers of the oldest entry, and of the next */
    int64_t unread_mono_ms;  /* guarded by mu: since when nobody reads; 0: somebody does */
    atomic_bool is_on;
};

struct feed_reader {
    struct list_node link; /* guarded by feed.mu */
    struct waiter *waiter; /* open, without links */
    uint64_t next;         /* number of the entry to be read next */
};

/* waiters: borrowed. */
void feed_init(struct feed *f, struct waiters *waiters);
/* No reader any more. */
void feed_release(struct feed *f);
/* A store_listener; ctx is the struct feed. */
void feed_on_change(void *ctx, const struct store_change *changes, size_t n);
/* For store_watch_limits and a pool_view; ctx likewise. */
void feed_on_limit(void *ctx, const struct task_limit *limit);
void feed_on_death(void *ctx, const char *program, enum pool_death how, int code);
/* Adds an entry that is of no task. Both texts are copied, and cut at their size. Any thread. */
void feed_add(struct feed *f, enum feed_kind kind, const char *name, const char *text);

/* r hears of what comes after the entry `last`, as far as it is still there; 0: of what is to come.
 * waiter: open. */
void feed_join(struct feed *f, struct feed_reader *r, struct waiter *waiter, uint64_t last);
/* Not while its waiter is armed. Nothing happens when it has not joined. */
void feed_leave(struct feed *f, struct feed_reader *r);
/* Copies up to max entries; returns how many. *out_missed: before them so many are gone, or
 * UINT64_MAX when it is not known how many. */
size_t feed_read(struct feed *f, struct feed_reader *r, struct feed_entry *out, size_t max,
                 uint64_t *out_missed);

#endif
