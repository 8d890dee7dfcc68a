/* store: the spine. Every task, every state change and every wake-up passes through this door.
 *
 * All verbs that touch data are asynchronous: the caller fills an operation, posts it, and op->done
 * runs once on a store thread after the commit (or with an error). done must not block, and must
 * not free the store. While posted, the operation and what it points to belong to the store; from
 * done on they are the caller's again. One writer thread commits everything that arrived during the
 * last commit as one transaction (synchronous=FULL): rc == 0 means that it is on disk.
 *
 * Posting: any thread, never blocks. It returns 0 (done will run) or, without running done,
 * FUT_ERR_FULL (too many operations waiting; never for claims and changes) or FUT_ERR_CLOSED.
 * done's op->rc is 0, or FUT_ERR_IO / NO_SPACE / READ_ONLY (the commit failed: nothing of it
 * happened), or a verb's own. */
#ifndef FUT_STORAGE_STORE_H
#define FUT_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/list.h"
#include "core/task.h"
#include "core/task_state.h"

struct store;

struct store_config {
    const char *backend;  /* "sqlite" or "memory" */
    const char *path;     /* sqlite: the database file; borrowed during store_open */
    unsigned readers;     /* reader threads, >= 1 */
    uint64_t max_queued;  /* unfinished tasks beyond which submit answers FUT_ERR_FULL */
    int64_t retention_ms; /* done futures older than this are deleted, in small steps */
};

/* Opens (creating or migrating), takes the lock file, gives tasks that were running back
 * (EVENT_LOSE), seeds core/id. No thread yet. Blocks. err: one sentence for the operator.
 * FUT_ERR_BUSY: another daemon has it. FUT_ERR_INVAL: not ours or newer. FUT_ERR_IO. */
FUT_MUST_CHECK int store_open(const struct store_config *cfg, struct store **out,
                              struct fut_errbuf *err);

/* One committed change, as told to listeners. A hint: may be doubled or late, never a promise. */
struct store_change {
    struct task_id id;
    enum task_state state;
    const struct task *task; /* the snapshot after it, borrowed for the call (task_copy to keep);
                                NULL when the store has no record at hand: read it */
};
typedef void store_listener(void *ctx, const struct store_change *changes, size_t n);
/* Up to 4 listeners, before store_start. fn runs on the writer thread after each commit: it must
 * not block. It may post operations. */
void store_listen(struct store *s, store_listener *fn, void *ctx);

/* Starts the writer and reader threads. */
void store_start(struct store *s);
/* Parked and later claims end with rc FUT_ERR_CLOSED and no tasks. Any thread. */
void store_stop_claims(struct store *s);
/* Refuses new operations, commits what is queued, runs every done, joins the threads. */
void store_stop(struct store *s);
/* After store_stop (or before store_start): checkpoints, closes, frees, NULLs. NULL ok. */
void store_close(struct store **s);

struct store_op;
typedef void store_done(struct store_op *op);

/* First member of each operation; callers touch only rc, and only from done on. */
struct store_op {
    struct list_node link;
    const struct store_verb *verb;
    store_done *done;
    int rc;
};

/* Accepts tasks, all or none: rc FUT_ERR_FULL (over max_queued) or FUT_ERR_EXISTS leave nothing.
 * In: spec (one reference, with input) and state TASK_QUEUED. The store reads them only. */
struct store_submit {
    struct store_op op;
    const struct task *tasks;
    size_t n;
};
FUT_MUST_CHECK int store_submit(struct store *s, struct store_submit *o, store_done *done);

/* Executes one change as compare-and-set. rc FUT_ERR_STALE: the task is no longer in
 * (from_state, from_attempt), or is gone. task: the snapshot that the change was computed from (its
 * spec at least); after success the store has brought it up to date, its outcome a new reference.
 */
struct store_apply {
    struct store_op op;
    struct task_change change; /* outcome: borrowed until done */
    struct task task;          /* the caller's to release */
};
FUT_MUST_CHECK int store_apply(struct store *s, struct store_apply *o, store_done *done);

/* Takes up to max queued tasks of a lane, oldest first, as EVENT_START does. Ends as soon as there
 * is one; until then it stays parked. Parked claims are served in the commit that brings the task.
 */
struct store_claim {
    struct store_op op;
    enum lane lane;
    size_t max;         /* >= 1 */
    struct task *tasks; /* room for max, the caller's memory; out: with spec and input, released by
                           the caller */
    size_t n;           /* out */
};
FUT_MUST_CHECK int store_claim(struct store *s, struct store_claim *o, store_done *done);

/* Forgets a done future. rc FUT_ERR_NOT_FOUND; FUT_ERR_STATE while it is not done. */
struct store_delete {
    struct store_op op;
    struct task_id id;
};
FUT_MUST_CHECK int store_delete(struct store *s, struct store_delete *o, store_done *done);

/* Reads one future as of some moment after the call. rc FUT_ERR_NOT_FOUND. */
struct store_get {
    struct store_op op;
    struct task_id id;
    struct task task; /* out: without input; released by the caller */
};
FUT_MUST_CHECK int store_get(struct store *s, struct store_get *o, store_done *done);

/* Reads a page, newest first. Looks at a bounded number of rows: a page may be short or empty and
 * still have a next one. */
#define STORE_LIST_MAX 1000
struct store_list {
    struct store_op op;
    unsigned states;     /* bit (1u << state) set for each wanted state; 0 = all */
    int lane;            /* enum lane, or -1 = all */
    const char *handler; /* or NULL = all; borrowed until done */
    uint64_t before;     /* keys below this; 0 = from the newest */
    size_t limit;        /* 1..STORE_LIST_MAX */
    struct task *tasks;  /* room for limit, the caller's memory; out: released by the caller;
                            outcomes carry code, exit code and signal, but no body and no log */
    size_t n;            /* out */
    uint64_t next;       /* out: `before` of the next page; 0 = the end */
};
FUT_MUST_CHECK int store_list(struct store *s, struct store_list *o, store_done *done);

struct store_stats {
    uint64_t live[LANE_COUNT][TASK_STATE_COUNT]; /* unfinished tasks now, by lane and state */
    uint64_t submitted, claimed;                 /* since boot */
    uint64_t finished[TASK_STATE_COUNT];         /* since boot, by final state */
    uint64_t pruned;
    uint64_t commits, ops; /* transactions, and operations in them, since boot */
    uint64_t recovered;    /* tasks found running at boot */
    double drain_per_s;    /* tasks finished per second, smoothed over about 10 s */
    uint64_t max_queued;
    int health; /* 0, or the FUT_ERR_* of the failure that is in force */
};
/* Any thread; takes a short lock. */
void store_stats(struct store *s, struct store_stats *out);

#endif
