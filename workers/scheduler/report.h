/* report: what a running attempt says of itself (progress, log) on its way to the store: gathered
 * and posted as one store_report, five times a second at most and one at a time. What is said last
 * is posted by report_flush, before the attempt's end, so that a done future's log is complete.
 *
 * report_progress and report_log may be called by any one thread at a time beside the loop's; all
 * else belongs to the loop's thread. Nothing here blocks for long. */
#ifndef FUT_WORKERS_SCHEDULER_REPORT_H
#define FUT_WORKERS_SCHEDULER_REPORT_H

#include "core/buf.h"
#include "core/sync.h"
#include "storage/store.h"
#include "workers/base/inbox.h"
#include "workers/base/loop.h"

#define REPORT_EVERY_MS 200

struct report_news {
    bool any;
    double progress; /* < 0: no news */
    char *message;   /* NULL: no news */
    struct buf log;
    uint64_t left_out; /* bytes of log that went lost before those */
};

struct report {
    struct store *store;
    struct loop *loop;
    struct inbox *inbox;
    struct task_id id;
    uint32_t attempt;
    struct mutex mu;
    struct report_news news; /* guarded by mu */
    struct list posted;      /* posts that are with the store */
    struct loop_timer timer;
    int64_t next_mono_ms;
};

/* r is the caller's memory; task is read at once, the rest is borrowed until report_release. */
void report_init(struct report *r, struct store *store, struct loop *l, struct inbox *inbox,
                 const struct task *task);
/* Drops what was not posted; what is with the store comes back to nobody. */
void report_release(struct report *r);

/* True: there was no news before, so report_look must be called on the loop's thread, once or more.
 * message may be NULL. */
FUT_MUST_CHECK bool report_progress(struct report *r, double fraction, const char *message);
FUT_MUST_CHECK bool report_log(struct report *r, const char *bytes, size_t n);

/* Posts the news, now or when the time has come. */
void report_look(struct report *r);
/* Posts the news at once. What is posted to the store after it is carried out after it. */
void report_flush(struct report *r);

#endif
