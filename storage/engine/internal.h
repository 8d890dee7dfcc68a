/* The inside of a store, shared by the files of storage/engine and by store.c.
 *
 * Lock: store.mu guards both queues, the flags and the published numbers, ends.mu the ends of a
 * moment ago; nothing is called while either is locked. Everything in struct writer belongs to the
 * writer thread alone, and so do all functions declared here but reader_main.
 *
 * Calls go down only: writer > housekeeping, verbs, bulk, schedules > submit, revive > claims >
 * trouble, txn > lines > turns. */
#ifndef FUT_STORAGE_ENGINE_INTERNAL_H
#define FUT_STORAGE_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/idle.h"
#include "core/sync.h"
#include "storage/backend.h"
#include "storage/engine/lines.h"
#include "storage/engine/spec_cache.h"
#include "storage/schedule.h"

#define STORE_READERS_MAX 16
#define STORE_LISTENERS_MAX 5
#define STORE_QUEUE_MAX 65536 /* operations waiting in one queue */

/* What store_verb.write returns, beside 0 and error codes, when the operation waits for a task in a
 * list of its own. */
#define STORE_PARKED 1

/* One kind of operation. A verb either writes (on the writer thread, within the transaction) or
 * reads (on a reader thread). */
struct store_verb {
    bool is_refusable;  /* FUT_ERR_FULL when STORE_QUEUE_MAX operations wait; what clients ask for
                           may be refused, how a task goes on may not */
    bool uses_reserve;  /* is written although only the disk's reserve is left */
    bool is_repeatable; /* write leaves nothing in the operation that forget does not free and
                           prepare does not clear, and may run again after a transaction that was
                           cut off */
    void (*forget)(struct store_op *op);  /* frees what comes out, before it runs again; NULL:
                                             nothing */
    void (*prepare)(struct store_op *op); /* checks what goes in and clears what comes out; by
                                             store_post, on the caller's thread; NULL: nothing */
    int (*write)(struct store *s, struct store_op *op);
    int (*read)(const struct backend_ops *ops, struct backend_reader *r, struct store_op *op);
    int (*replay)(struct store *s,
                  struct store_op *op); /* in place of write while the disk is full:
                                           answers what is stored already, else
                                           FUT_ERR_NO_SPACE; NULL: nothing is */
};

/* Numbers that a failed transaction takes back. */
struct writer_numbers {
    struct store_stats stats;
    uint64_t seq;        /* of the task that finished last */
    uint64_t saved_seq;  /* the numbers up to this one are taken, also for the next daemon */
    int64_t saved_up_ms; /* when that was saved */
};

/* Keys of batches, each once. */
struct ended {
    uint64_t *keys;
    size_t n, cap;
};

#define SESSION_INITS 16

struct session_init {
    uint64_t key;           /* 0: nothing is remembered */
    struct task_init *init; /* one reference; NULL: the session has none */
};

struct writer {
    bool in_txn;
    bool claims_stopped;
    struct list batch;              /* operations of the transaction, in order */
    struct list parked[LANE_COUNT]; /* claims that wait for a task */
    bool has_given[LANE_COUNT];     /* some of these have got fewer than they asked for */
    struct limit_set limits;
    struct lines lines;
    struct pauses pauses;
    struct queue_change *queue_changes; /* of what is said of queues, in this transaction */
    size_t n_queue_changes;
    struct list finished; /* operations whose done is to run after the commit */
    struct writer_numbers now, saved;
    struct store_change *changes;
    size_t n_changes, cap_changes;
    struct spec_cache specs;
    struct session_init inits[SESSION_INITS]; /* of sessions whose tasks were claimed lately */
    unsigned next_init;
    int no_txn_rc; /* where nodes share the store: why this batch can have no transaction */
    struct backend_next fresh_next; /* as next, of this transaction alone */
    atomic_bool is_draining;        /* this node claims nothing */
    bool has_heard_unknown;         /* news of a kind that a newer node tells */
    bool leads;     /* does what one node does for all: retention, bulks, cancels of batches */
    int broken_rc;  /* an fsync failed or the file is damaged: nothing more is written; else 0 */
    bool disk_full; /* only verbs that use the reserve are written (trouble.c) */
    int64_t next_try_mono_us; /* while health is not 0: when to look whether writes work again */
    bool ends_undone;         /* in this transaction what had ended was deleted, or lives again */
    bool schedules_moved;     /* the watcher of schedules is to be told after the commit */
    bool cancel_pending;      /* a batch may have members left to cancel */
    struct ended ended, ended_sessions; /* of which members ended in this transaction */
    struct task_limit *closed_limits; /* by this transaction, of which the watcher is to be told */
    size_t n_closed_limits, cap_closed_limits;
    int64_t bulk_again_mono_us; /* when to take the next step of a bulk; INT64_MAX: there is none */
    uint64_t bulk_latest;       /* id.hi of the one that had a step last; 0: begin with the first */
    int64_t up_base_ms;         /* the uptime, when the monotonic clock was */
    int64_t up_base_mono_us;    /* at this */
    struct backend_next next;   /* not later than the true ones */
    int64_t ahead_ms;           /* of what is submitted now: by so much before others in its line */
    atomic_bool has_edges;      /* false: no task has ever waited for another; else maybe */
    bool cascade_pending;       /* something may be left to do for those behind a task */
    int64_t next_lease_up_ms;   /* not later than the first end of a session's lease; INT64_MAX */
    bool has_leased;            /* a session with a lease was opened in this transaction */
    bool leases_stale;          /* renewals may not have been heard: all leases begin anew */
    int64_t next_prune_mono_us;
    int64_t next_tidy_mono_us;
    size_t prune_step;     /* how many futures the next step of the retention deletes at most */
    int64_t retry_mono_us; /* after a failed commit: when to serve parked claims again; -1 */
    unsigned n_repeats;    /* since the latest commit: transactions that were cut off */
    int64_t rate_mono_us;  /* when drain_per_s was last brought up to date */
    uint64_t rate_finished;
};

/* What has ended a moment ago (storage/ends.h). */
struct recent_ends {
    atomic_uint wanted; /* by so many */
    struct mutex mu;
    struct recent_end *ring; /* guarded by mu, set by the writer alone; NULL: none are kept */
    size_t first, n, bytes;  /* guarded by mu */
    uint64_t newest; /* guarded by mu: the seq of the last one here; those of the n kept ones
                        are this and the ones before it */
};

struct store {
    const struct backend_ops *ops;
    struct backend *backend;
    uint64_t max_queued;
    int64_t retention_ms;
    unsigned n_readers;
    bool is_started;
    struct {
        store_listener *fn;
        void *ctx;
    } listeners[STORE_LISTENERS_MAX];
    size_t n_listeners;
    struct {
        void (*fn)(void *ctx);
        void *ctx;
    } schedules_watch;
    struct {
        void (*fn)(void *ctx, const struct task_limit *limit);
        void *ctx;
    } limits_watch;
    struct attempt_tokens *tokens; /* NULL: no attempt has one */

    struct mutex mu;
    struct cond writer_wake;
    struct list write_queue, read_queue; /* guarded by mu */
    bool writer_asleep;                  /* guarded by mu */
    struct idle idle_readers;            /* guarded by mu */
    bool stopping, claims_stopped;       /* guarded by mu */
    bool has_news;                       /* guarded by mu: other nodes have committed something */
    struct store_stats published;        /* guarded by mu */

    struct store_durations durations; /* written by the writer */
    atomic_uint_fast64_t newest_seq;  /* of the ends that are committed */
    atomic_uint ahead[LANE_COUNT];    /* store_session_ahead */
    struct recent_ends ends;
    struct thread_probe probe; /* of the writer */
    struct store_op probe_op;

    char *node_name;
    struct task_needs labels; /* of this daemon; constant */
    struct backend_self self; /* what this node says of itself */

    pthread_t writer_thread, reader_threads[STORE_READERS_MAX];
    struct writer w;
};

/* ---- writer.c -------------------------------------------------------------------------------- */

/* Sets up the writer's part of a new store. */
void writer_init(struct store *s, const struct backend_totals *totals);
/* Saves what the next daemon needs, if the store takes writes, and frees the writer's part. */
void writer_release(struct store *s);
/* The writer thread. */
void *writer_main(void *store);
/* Gives back every task that was running when the last daemon ended, before the thread exists.
 * *out_n: how many. */
FUT_MUST_CHECK int writer_recover(struct store *s, const struct store_config *cfg, uint64_t *out_n);

/* ---- news.c: what nodes that share the store tell each other -----------------------------------
 */

/* Brings memory up to date with what other nodes have committed, and tells the listeners; the first
 * thing in a transaction. FUT_ERR_READ_ONLY: it does not agree with what is here. */
FUT_MUST_CHECK int news_hear(struct store *s);
/* Tells the other nodes what this transaction does; the last thing before its commit. */
FUT_MUST_CHECK int news_tell(struct store *s);

/* ---- nodes.c ----------------------------------------------------------------------------------
 */

/* The part of a new store that the nodes are told of; nodes_release frees. */
void nodes_init(struct store *s, const struct store_config *cfg);
void nodes_release(struct store *s);

/* ---- housekeeping.c: steps of the writer that no operation asks for ----------------------------
 */

#define HOUSEKEEPING_PRUNE_STEP 200 /* futures that one step of the retention deletes */
/* Queues tasks whose time has come. */
FUT_MUST_CHECK int housekeeping_promote(struct store *s);
/* Fails tasks that have expired or are overdue, and stops their attempts. */
FUT_MUST_CHECK int housekeeping_time_out(struct store *s);
/* Cancels some members of batches that are to be cancelled. */
FUT_MUST_CHECK int housekeeping_cancel(struct store *s);
/* Deletes some futures that are older than the retention. */
FUT_MUST_CHECK int housekeeping_prune(struct store *s);
/* Gives tasks back that ran on nodes which are no more. */
FUT_MUST_CHECK int housekeeping_give_back(struct store *s);
/* Deletes the rows of some waiting lines that no task needs; the last step before the commit. */
FUT_MUST_CHECK int housekeeping_tidy(struct store *s);

/* ---- claims.c -------------------------------------------------------------------------------- */

/* The first parked claim that takes tasks of this line, if none that waits comes before them. NULL:
 * there is none. */
FUT_MUST_CHECK int claims_find(struct store *s, const struct line *line, struct store_claim **out);
/* Hands a task that was claimed just now over, with its reference. */
void claims_give(struct store *s, struct store_claim *o, struct task *t);
/* Serves parked claims from the queue; operations that got tasks move to w.finished. */
FUT_MUST_CHECK int claims_serve(struct store *s);
/* After a failed transaction: takes a claim's tasks back and parks the claim again. */
void claims_repark(struct store *s, struct store_claim *o);
/* After a failed transaction: takes back what claims that are still parked were given. */
void claims_undo(struct store *s);

/* ---- trouble.c ------------------------------------------------------------------------------- */

/* The store cannot write: rc, one of store_rc_is_fatal's, becomes its health. */
void trouble_set(struct store *s, int rc);
/* Whether the disk is full and the operation is not one that may use the reserve. */
bool trouble_refuses(const struct store *s, const struct store_op *op);
/* When it is time, tries whether writes work again. *out_wait: only verbs that use the reserve may
 * be written. */
FUT_MUST_CHECK int trouble_mend(struct store *s, bool *out_wait);

/* ---- txn.c: the transaction that is open, and how a task changes in it -------------------------
 */

/* For how long daemons have been running on this store (see backend.h). */
int64_t txn_up_ms(const struct store *s);
/* Saves the counters for the next daemon, within the transaction. seq: this number and those below
 * it are taken. */
FUT_MUST_CHECK int txn_save(struct store *s, uint64_t seq);
/* Makes sure that this transaction has numbers for the tasks that end in it. */
FUT_MUST_CHECK int txn_spare_seq(struct store *s);
/* Begins the transaction if nothing has been written since the last commit. Where nodes share the
 * store the writer alone begins one, with each batch. */
FUT_MUST_CHECK int txn_begin(struct store *s);
/* Remembers a change for the listeners; what it points to must live until the dones have run. */
void txn_add_change(struct store *s, const struct store_change *c);
/* As txn_add_change, for a task that the caller lets go before the listeners hear. stopped: of
 * store_change. */
void txn_add_change_of(struct store *s, const struct task *t, uint32_t stopped);
/* Forgets the changes behind the first n, and what they keep. */
void txn_forget_changes(struct store *s, size_t n);
/* The number of unfinished tasks of the lane in this state. */
uint64_t txn_live(const struct store *s, enum lane lane, enum task_state state);
/* Would n more waiting tasks be too many? */
bool txn_is_full(const struct store *s, size_t n);
/* The writer looks again when the first of the task's times has come. */
void txn_watch_times(struct store *s, const struct task *t);
/* n tasks of the line went from one state to the other, as of lines_move. */
void txn_count(struct store *s, struct line *line, int from, int to, uint64_t n);
/* Adds a new task, which belongs to that line. */
FUT_MUST_CHECK int txn_insert(struct store *s, const struct task *t, struct line *line);
/* Tasks that wait for nothing any more stand in their lines, behind all others of their priority.
 */
FUT_MUST_CHECK int txn_queue(struct store *s, const struct backend_moved *rows, size_t n,
                             const struct task_move *move);
/* A point in the transaction to which txn_back returns; txn_unmark forgets it. One at a time. */
struct txn_mark {
    struct writer_numbers now;
    size_t n_changes, lines;
};
FUT_MUST_CHECK int txn_mark(struct store *s, struct txn_mark *out);
FUT_MUST_CHECK int txn_unmark(struct store *s);
FUT_MUST_CHECK int txn_back(struct store *s, const struct txn_mark *mark);
/* FUT_ERR_CONFLICT when an unfinished task has the spec's unique key. */
FUT_MUST_CHECK int txn_check_unique(struct store *s, const struct task_spec *spec);
/* The running attempt that a cancel ends, which listeners stop and no other; 0: the change ends
 * none. */
uint32_t txn_stopped(const struct task_change *c);
/* Brings a snapshot to what the change makes of it. */
void txn_advance(struct store *s, struct task *t, const struct task_change *c);
/* Executes the change and brings *t up to date. */
FUT_MUST_CHECK int txn_change(struct store *s, const struct task_change *c, struct task *t);
/* Queues the callbacks of the batches whose last members have ended since the last call. */
FUT_MUST_CHECK int txn_end_batches(struct store *s);
/* Deletes a done task; returns as the backend's remove. */
FUT_MUST_CHECK int txn_remove(struct store *s, struct task_id id);

/* ---- revive.c -------------------------------------------------------------------------------- */

/* Gives a task that failed or was cancelled another life, however full the queue is (c: of
 * EVENT_REVIVE, from *t, which has its outcome), brings *t up to date and tells the listeners;
 * nothing happens but with 0. stays: t is there until they have been told, and they get it. Errors
 * as store_verb_revive's.
 */
FUT_MUST_CHECK int revive_task(struct store *s, const struct task_change *c, struct task *t,
                               bool stays);

/* ---- submit.c -------------------------------------------------------------------------------- */

/* Inserts the tasks, all or none: FUT_ERR_CONFLICT, FUT_ERR_EXISTS leave nothing. */
FUT_MUST_CHECK int submit_insert(struct store *s, struct store_submit *o);

/* ---- bulk.c ---------------------------------------------------------------------------------- */

/* Takes one step of one bulk, if there is any. */
FUT_MUST_CHECK int bulk_step(struct store *s);

/* ---- limit_verbs.c --------------------------------------------------------------------------- */

/* Opens the keys of limits whose time has come, and forgets those that nobody needs. */
FUT_MUST_CHECK int limit_verbs_step(struct store *s);
/* After a failed transaction. */
void limit_verbs_undo(struct store *s);
/* Tells whoever follows the key whether it is open now. */
void limit_verbs_follow(struct store *s, struct limit_key *k);
/* Closes a key for so long from now, unless its limit is not defined, or it is closed for longer.
 * Within the transaction. */
void limit_verbs_close(struct store *s, const struct task_limit *key, int64_t for_ms);
/* Defines a limit or changes it, as store_verb_limit_put; removes one, as store_verb_limit_drop. */
FUT_MUST_CHECK int limit_verbs_define(struct store *s, const struct store_limit *limit,
                                      bool *out_is_new);
FUT_MUST_CHECK int limit_verbs_drop(struct store *s, const char *name);

/* ---- sessions.c ------------------------------------------------------------------------------ */

/* Adds the members of a submission to its session and gives them their places; within the
 * transaction, before they are inserted. Sets o->session_rc, and returns it. */
FUT_MUST_CHECK int sessions_join(struct store *s, struct store_submit *o);
/* Sets t->init, of a task that was claimed, from its session. */
FUT_MUST_CHECK int sessions_add_init(struct store *s, struct task *t);
/* Reads them again from here on: one has changed, or the transaction was undone. */
void sessions_forget_inits(struct store *s);
/* Tells the listeners of the sessions of which tasks have ended in this transaction, and removes
 * the limits of those that are over. */
FUT_MUST_CHECK int sessions_end(struct store *s);
/* Takes over what store_session_ahead has said, for the claims that follow. */
void sessions_set_ahead(struct store *s);
/* Nothing is left of the session: its limit goes. */
FUT_MUST_CHECK int sessions_drop_limit(struct store *s, struct task_id id);
/* Ends some sessions whose clients have gone, in the way that they were opened for. */
FUT_MUST_CHECK int sessions_end_leases(struct store *s);

/* ---- queues.c -------------------------------------------------------------------------------- */

/* Fills in what is said of queues and handlers, before limits and lines are loaded; and after the
 * limits were: which are open. */
FUT_MUST_CHECK int queues_load(struct store *s);
void queues_open(struct store *s);
/* Other nodes have changed some of it: brings it up to date. */
FUT_MUST_CHECK int queues_reload(struct store *s);
/* The transaction is committed, or undone. */
void queues_committed(struct store *s);
void queues_undo(struct store *s);

/* Ends a task by EVENT_CANCEL, _EXPIRE or _OVERDUE, and tells the listeners; the attempt that runs
 * is stopped. why: borrowed. */
FUT_MUST_CHECK int txn_end(struct store *s, struct task *t, enum task_event ev,
                           struct task_outcome *why);

/* ---- edges.c ------------------------------------------------------------------------------- */

/* Before the tasks are inserted: do the parents exist, and may they still end as they are to? */
FUT_MUST_CHECK int edges_check(struct store *s, struct store_submit *o);
/* Behind the insertion of the task at `child`: keeps its edges, which begin at *at, and queues it
 * when it waits for none any more. Moves *at behind them. */
FUT_MUST_CHECK int edges_link(struct store *s, const struct store_submit *o, size_t child,
                              size_t *at);
/* The scheduled task waits for no parent any more: it is queued, or waits for its time. */
FUT_MUST_CHECK int edges_end_waiting(struct store *s, const struct task_spec *spec);
/* The scheduled task waits for nothing any more: it is queued. */
FUT_MUST_CHECK int edges_queue(struct store *s, const struct task_spec *spec);
/* The done task is to live again: *t says for how many parents it will wait. FUT_ERR_STATE: one of
 * them has ended otherwise. */
FUT_MUST_CHECK int edges_renew(struct store *s, struct task *t);

/* ---- wakes.c ------------------------------------------------------------------------------- */

/* Before the task is suspended: the futures that it is to be woken by are there and (where no time
 * wakes it) do not wait for it themselves. *out_pending says of each whether it has not ended
 * (free() it, also after an error); *out_unmet: how many have not. FUT_ERR_INVAL, FUT_ERR_CONFLICT
 * as store_apply's. */
FUT_MUST_CHECK int wakes_check(struct store *s, const struct task *t, struct store_wakes *w,
                               bool has_time, bool **out_pending, uint32_t *out_unmet);
/* Behind that: keeps what the suspended task is woken by, in place of the time before. w NULL: by
 * no future. */
FUT_MUST_CHECK int wakes_put(struct store *s, struct task *t, const struct store_wakes *w,
                             const bool *pending, uint32_t unmet);
/* One of the futures that the suspended task is woken by has ended. */
FUT_MUST_CHECK int wakes_meet(struct store *s, const struct task *t);

/* ---- cascades.c ---------------------------------------------------------------------------- */

/* Deals with some children of tasks that have ended, or live again. */
FUT_MUST_CHECK int cascades_step(struct store *s);

/* ---- recent_ends.c --------------------------------------------------------------------------- */

/* None are kept, and nobody wants any. */
void recent_ends_init(struct recent_ends *e);
/* Frees what is kept. */
void recent_ends_release(struct recent_ends *e);
/* Behind a commit, before anybody hears of it: keeps its ends, if they are wanted. */
void recent_ends_committed(struct store *s);

/* ---- reader.c -------------------------------------------------------------------------------- */

/* A reader thread: serves the verbs that read. */
void *reader_main(void *store);

/* True for the codes that end a whole transaction. */
static inline bool store_rc_is_fatal(int rc)
{
    return rc == FUT_ERR_IO || rc == FUT_ERR_NO_SPACE || rc == FUT_ERR_READ_ONLY ||
           rc == FUT_ERR_DAMAGED;
}

#endif
