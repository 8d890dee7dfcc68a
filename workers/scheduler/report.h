/* report: what a running attempt says of itself (progress, log) on its way to the store: gathered
 * and posted as one store_report, five times a second at most and one at a time. What is said last
 * is posted by report_flush, before the attempt's end, so that the log of a done future is
 * complete.
 *
 * Everything but the sink for other threads belongs to the loop's thread. Nothing blocks. */
#ifndef FUT_WORKERS_SCHEDULER_REPORT_H
#define FUT_WORKERS_SCHEDULER_REPORT_H

#include <stdatomic.h>

#include "core/buf.h"
#include "core/mailbox.h"
#include "core/sync.h"
#include "storage/store.h"
#include "workers/base/loop.h"
#include "workers/base/sink.h"

#define REPORT_EVERY_MS 200

struct report_news {
    bool any;
    double progress; /* < 0: no news */
    char *message;   /* NULL: no news */
    struct buf log;
    uint64_t dropped; /* bytes of log that were dropped before those */
};

struct report {
    struct sink sink;
    struct store *store;
    struct loop *loop;
    struct mailbox *inbox;
    struct task_spec *spec; /* one reference */
    uint32_t attempt;
    struct mutex mu;
    struct report_news news;  /* guarded by mu */
    struct list posted;       /* posts that are with the store */
    struct mailbox_call wake; /* from another thread: there is news */
    atomic_bool is_waking;    /* wake is in the inbox */
    struct loop_timer timer;
    int64_t next_mono_ms;
};

/* Makes a report in the caller's memory. The task is read at once; the rest is borrowed until
 * report_release. */
void report_init(struct report *r, struct store *store, struct loop *l, struct mailbox *inbox,
                 const struct task *task);
/* Drops what was not posted; for what is with the store nobody waits any more. */
void report_release(struct report *r);

/* Where the attempt reports from the loop's thread. */
struct sink *report_sink(struct report *r);
/* For reports from any one other thread at a time: they reach the loop through the inbox,
 * so what that thread pushes to the inbox last comes after them. */
struct sink *report_sink_threads(struct report *r);

/* Posts the news at once. Whatever is posted to the store after this call is carried out later. */
void report_flush(struct report *r);

/* Can what the store refused with this code succeed later? Any other failure is for good: the
 * attempt is stale, or the store is closing. */
bool report_may_repeat(int rc);

#endif
