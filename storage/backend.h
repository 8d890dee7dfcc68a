/* backend: what a place that keeps tasks must be able to do. Private to storage/.
 *
 * The writer thread alone calls the write verbs, always between begin and commit or rollback; each
 * reader thread has a reader of its own. Backends know rows, not policy: which state follows comes
 * in as a parameter (struct task_change, struct task_move), the time comes with begin.
 *
 * Two times: wall times are what people read. Durations (retention, backoff) are measured by the
 * uptime: the milliseconds that daemons have been running on this file. It never steps, whatever
 * happens to the clock of the machine, and stands still while no daemon runs. A task's delay,
 * expiry and deadline go on while no daemon runs (totals). `run_at` alone is a wall time and
 * follows the clock of the machine wherever it steps.
 *
 * The place of a task is where it stands in its line; the lowest goes first. Without a priority it
 * is its key, which ascends with the time of submission. A task that returns (another life, a retry
 * that is due, a callback whose task has ended) gets a place behind all that were there before it;
 * one that was claimed and is given back keeps its own. A priority moves the place by a time
 * (backend_place).
 *
 * Errors: FUT_ERR_IO, FUT_ERR_NO_SPACE, FUT_ERR_READ_ONLY, FUT_ERR_DAMAGED end the whole
 * transaction; FUT_ERR_STALE, FUT_ERR_EXISTS, FUT_ERR_NOT_FOUND, FUT_ERR_STATE concern one call and
 * leave the transaction good.
 */
#ifndef FUT_STORAGE_BACKEND_H
#define FUT_STORAGE_BACKEND_H

#include "core/sync.h"
#include "storage/batch.h"
#include "storage/node.h"
#include "storage/queue.h"
#include "storage/schedule.h"
#include "storage/session.h"
#include "storage/store.h"

struct backend;
struct backend_reader;

/* What a claim finds in the queue; the spec is loaded apart, it may still be in memory. */
struct backend_row {
    uint64_t key;
    uint32_t attempt, earlier_attempts, daemon_deaths; /* after the move */
    int64_t started_wall_ms;
    int64_t place;      /* where it stood */
    bool has_suspended; /* in this life */
};

struct backend_key {
    struct task_id id;
    unsigned char fingerprint[STORE_FINGERPRINT_SIZE];
};

struct backend_time {
    int64_t up_ms, wall_ms;
};

/* What one daemon leaves to the next. */
struct backend_counters {
    uint64_t seq;             /* no task has finished under a higher number */
    struct backend_time when; /* of this saving */
};

struct backend_totals {
    bool has_edges;   /* some task waits for another, or did */
    uint64_t max_key; /* also of places, but for those that a priority has moved */
    uint64_t seq;
    int64_t up_ms; /* the uptime goes on from here */
};

/* Times that only some tasks have, beside the due time of a delay or a retry. The numbers are
 * stored: never renumber. */
enum backend_timer {
    BACKEND_RUN_AT,   /* wall time; until the task is queued */
    BACKEND_EXPIRY,   /* uptime; until the task ends, or is found to have begun */
    BACKEND_DEADLINE, /* uptime; until the task ends */
};
#define BACKEND_TIMER_COUNT 3

/* When the next of each kind comes; INT64_MAX: there is none. */
struct backend_next {
    int64_t due_up_ms, run_at_wall_ms;
    int64_t limit_up_ms; /* of all expiries and deadlines */
};

/* One step of the retention. */
struct backend_prune {
    int64_t until_up_ms; /* delete what has been kept since then or longer, but for those that ended
                            with keep_ms: they go when that is over */
    size_t max;          /* futures at most */
    size_t n;            /* out: deleted */
    size_t n_kept;       /* out: looked at and kept: callbacks of what is kept */
    int64_t oldest_up_ms;   /* out: of what is kept, before the step; -1: nothing is kept. For those
                               with keep_ms: what is as long before its end. */
    struct task_id session; /* out: one that it has deleted, which ends the step; hi 0: none */
};
#define BACKEND_PRUNE_MAX 1600

/* Looks for futures that a bulk means, from below `before` downwards. */
struct backend_scan {
    const struct store_bulk *bulk; /* its filter names states that its kind changes, no others */
    uint64_t before;
    size_t look, max;   /* looks at so many futures, takes so many, at most */
    struct task *tasks; /* out: without input and result; the caller releases them */
    size_t n, seen;     /* out */
    uint64_t next;      /* out: `before` of the next step; 0: there is nothing left */
};

/* A waiting line: all tasks of one lane, queue, handler and fairness key. The strings are never
 * NULL. */
struct backend_line {
    int64_t number; /* > 0; the engine's choice */
    enum lane lane;
    const char *queue; /* "": TASK_QUEUE_DEFAULT */
    const char *handler;
    const char *fair_key; /* "": none */
    const char *limits;   /* as in the spec; "": none */
};

/* What is kept of a key of a limit beside the tasks that name it. */
struct backend_limit_key {
    const char *name, *key; /* key "": of a limit without keys */
    double tokens;
    int64_t tokens_up_ms, closed_until_up_ms;
};
typedef void backend_limit_fn(void *ctx, const struct store_limit *limit);
typedef void backend_limit_key_fn(void *ctx, const struct backend_limit_key *key);

/* What is said of queues and handlers. */
typedef void backend_queue_fn(void *ctx, const struct store_queue *queue);
typedef void backend_fair_fn(void *ctx, const char *queue, const struct store_fair_weight *weight);
typedef void backend_pause_fn(void *ctx, enum store_pausable kind, const char *name,
                              const struct pool_pause *pause);

/* What a line has at the start of a daemon. */
struct backend_line_totals {
    struct backend_line line;
    uint64_t live[TASK_STATE_COUNT];
    int64_t first; /* the lowest place of those that wait in it; only where some do */
};
typedef void backend_line_fn(void *ctx, const struct backend_line_totals *line);

/* How many tasks run where. */
typedef void backend_queue_node_fn(void *ctx, const char *queue, const char *node, enum lane lane,
                                   uint64_t running);
/* What one transaction of another node tells (engine/news.c). Returns 0 or an error, which ends the
 * telling. */
typedef int backend_news_fn(void *ctx, const void *bytes, size_t len);

/* A task that is to be queued. */
struct backend_moved {
    uint64_t key;
    int64_t line;
    int priority;
};

/* An edge as it is kept: until its child goes. */
struct backend_edge {
    struct task_id parent;
    uint64_t child;
    enum store_on on;
    bool is_pending; /* the child counts it among those that it waits for */
    bool is_unmet;   /* the parent has ended in another way, also when it is not kept any more */
    bool is_wake;    /* the child is suspended for it, or was when it was suspended last */
};

/* The ends of members of one batch in this transaction: they are written together. */
struct backend_end {
    int64_t batch;
    uint32_t n, failed, cancelled; /* of the n */
    bool keeps_default;            /* one of them is kept as others are */
    int64_t keep_ms;               /* the longest of the rest's; 0: there is none */
};
#define BACKEND_ENDS_MAX 32
struct backend_ends {
    struct backend_end items[BACKEND_ENDS_MAX];
    size_t n;
};

/* The column kind of an edge: what it asks for (enum store_on), and these. They are stored: never
 * renumber. */
#define BACKEND_EDGE_UNMET 8
#define BACKEND_EDGE_WAKE 16
int64_t backend_edge_kind(const struct backend_edge *e);
/* What an edge of this kind asks for. */
enum store_on backend_edge_on(int64_t kind);

/* What is to be done to others when a task has ended, was given another life, or is cancelled with
 * its descendants. The numbers are stored: never renumber. */
enum backend_cascade_kind {
    BACKEND_CASCADE_END,      /* to those that wait for it */
    BACKEND_CASCADE_REVIVAL,  /* likewise */
    BACKEND_CASCADE_SUBMITTED /* to those that it has submitted: they are cancelled */
};
struct backend_cascade {
    uint64_t key;
    enum backend_cascade_kind kind;
    enum task_state state; /* how it ended */
    uint64_t after;        /* but for an end: those up to this one are dealt with */
};

/* What this node says of itself (node.h). */
struct backend_self {
    struct mutex mu;
    char *info;                               /* guarded by mu; NULL: nothing yet */
    uint64_t n_infos;                         /* guarded by mu: so many have been published */
    void (*load)(void *ctx, struct buf *out); /* guarded by mu, and called with it; NULL */
    void *load_ctx;
    void (*on_nodes)(void *ctx); /* likewise */
    void *nodes_ctx;
    void (*on_info)(
        void *ctx); /* likewise, of the backend: info is another one. It must not block */
    void *info_ctx;
};

struct backend_ops {
    const char *name;
    int (*open)(const struct store_config *cfg, struct backend **out, struct fut_errbuf *err);
    void (*close)(struct backend *b);

    /* now: the time of all that is written until the commit. */
    int (*begin)(struct backend *b, struct backend_time now);
    int (*commit)(struct backend *b);
    void (*rollback)(struct backend *b);
    /* A point inside the transaction that `back` returns to. One level. */
    int (*mark)(struct backend *b);
    int (*unmark)(struct backend *b);
    int (*back)(struct backend *b);

    /* The unfinished task with this unique key, or FUT_ERR_NOT_FOUND. */
    int (*find_unique)(struct backend *b, const char *unique, struct task_id *out);
    /* The task or batch that an idempotency key stands for, or FUT_ERR_NOT_FOUND. */
    int (*find_key)(struct backend *b, const char *key, struct backend_key *out);
    /* The key goes in the transaction in which that task or batch goes. */
    int (*put_key)(struct backend *b, const struct store_key *key, struct task_id id);
    /* Makes a waiting line known, or forgets one that no unfinished task belongs to. */
    int (*add_line)(struct backend *b, const struct backend_line *line);
    int (*drop_line)(struct backend *b, int64_t number);
    /* Adds an unfinished task with its spec. It belongs to the line, and waits in it at this place
     * if its state is claimable. */
    int (*insert)(struct backend *b, const struct task *t, int64_t line, int64_t place);
    /* Compare-and-set on (from_state, from_attempt); `after` is the snapshot to be stored, with
     * keep_ms when it ends. From a final state: the result goes, and the task is unfinished again,
     * in that line. place: BACKEND_PLACE_KEPT: as it is. */
    int (*change)(struct backend *b, const struct task_change *c, const struct task *after,
                  int64_t line, int64_t place);
    /* Keeps how an attempt ended; when that number is there already the first word counts. The
     * oldest go when there are more than STORE_ATTEMPTS_MAX. The outcome is borrowed. */
    int (*add_attempt)(struct backend *b, uint64_t key, const struct store_attempt *a);
    /* Keeps what a running attempt stores, or FUT_ERR_STALE. `change` to success drops it. */
    int (*put_checkpoint)(struct backend *b, const struct store_checkpoint *o);
    int (*drop_checkpoint)(struct backend *b, uint64_t key);
    /* *out: the caller's reference, or NULL: there is none. */
    int (*load_checkpoint)(struct backend *b, uint64_t key, struct task_checkpoint **out);
    /* Another task tells of this one's end from now on. */
    int (*set_callback)(struct backend *b, uint64_t key, struct task_id callback);
    /* Moves up to max tasks that wait in the line, in the order of their places. They start now,
     * not when the transaction began: what they waited for may have ended in it. *out_next: the
     * place of the next one; BACKEND_PLACE_NONE: there is none. */
    int (*take)(struct backend *b, int64_t line, const struct task_move *move, size_t max,
                struct backend_row *rows, size_t *out_n, int64_t *out_next);
    /* The lowest place of those that wait in the line, or BACKEND_PLACE_NONE. */
    int (*first)(struct backend *b, int64_t line, int64_t *out_place);
    /* The spec with its input. */
    int (*load)(struct backend *b, uint64_t key, struct task_spec **out);
    /* Up to max tasks whose due time or run_at has come, in the order of it. They are to be queued
     * in this transaction. */
    int (*due)(struct backend *b, size_t max, struct backend_moved *rows, size_t *out_n);
    /* Up to max tasks that wait for the task or batch that ended (spec.after). Appends a newline
     * and `end` (text) to the input of each: what they need of it outlives it. */
    int (*after)(struct backend *b, uint64_t key, const struct buf *end, size_t max,
                 struct backend_moved *rows, size_t *out_n);
    /* The task waits for nothing any more, no parent either, and stands in its line at this place.
     */
    int (*queue)(struct backend *b, uint64_t key, enum task_state to, int64_t place);
    int (*next_times)(struct backend *b, struct backend_next *out);
    /* Up to max unfinished tasks whose timer (not BACKEND_RUN_AT) is over, in order of it, with
     * specs but without input. */
    int (*timed_out)(struct backend *b, enum backend_timer which, size_t max, struct task *tasks,
                     size_t *out_n);
    /* The task has begun, so it does not expire any more, unless it is given back. */
    int (*drop_expiry)(struct backend *b, uint64_t key);
    /* How a task stands, or FUT_ERR_NOT_FOUND. */
    int (*find_state)(struct backend *b, struct task_id id, enum task_state *out);
    /* Adds an edge, or brings the one of this parent and child up to date. */
    int (*put_edge)(struct backend *b, const struct backend_edge *e);
    /* Forgets what the child was suspended for: of those edges the ones of STORE_ON_WAKE go, the
     * others stay and are not pending. */
    int (*drop_wakes)(struct backend *b, uint64_t child);
    /* Up to max edges of a parent that are pending, those of a parent behind a child, and those of
     * a child, by ascending child. */
    int (*pending_edges)(struct backend *b, uint64_t parent, size_t max, struct backend_edge *edges,
                         size_t *out_n);
    int (*children)(struct backend *b, uint64_t parent, uint64_t after, size_t max,
                    struct backend_edge *edges, size_t *out_n);
    int (*parents)(struct backend *b, uint64_t child, size_t max, struct backend_edge *edges,
                   size_t *out_n);
    /* The scheduled task, which waits for no parent any more, waits for t->due_wall_ms. */
    int (*set_due)(struct backend *b, const struct task *t);
    /* The place of an unfinished task, also where it does not wait; FUT_ERR_NOT_FOUND. */
    int (*place)(struct backend *b, uint64_t key, int64_t *out);
    /* The keys of up to max tasks behind `after` that the task has submitted, ascending. */
    int (*submitted)(struct backend *b, uint64_t key, uint64_t after, size_t max, uint64_t *keys,
                     size_t *out_n);
    /* The unfinished task waits for so many parents. */
    int (*set_unmet)(struct backend *b, uint64_t child, uint32_t unmet);
    /* The unfinished task, or the done one with its error, without input; FUT_ERR_NOT_FOUND. */
    int (*find_live)(struct backend *b, uint64_t key, struct task *out);
    int (*find_done)(struct backend *b, uint64_t key, struct task *out);
    /* Keeps that there is something to be done; any that is to be done, or FUT_ERR_NOT_FOUND; it is
     * done. */
    int (*put_cascade)(struct backend *b, const struct backend_cascade *c);
    int (*next_cascade)(struct backend *b, struct backend_cascade *out);
    int (*drop_cascade)(struct backend *b, const struct backend_cascade *c);
    /* Up to max tasks in an unfinished state, with specs but without input. */
    int (*in_state)(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                    size_t *out_n);
    int (*remove)(struct backend *b, struct task_id id);
    /* Deletes futures, oldest first, with their keys. Members of a batch count from the end of the
     * whole batch, which goes with them; it is kept for the longest time that any of them is to be
     * kept. Costs what it deletes, whatever is kept. A callback is kept as long as what it tells of
     * refers to it: another life is told to the same URL. */
    int (*prune)(struct backend *b, struct backend_prune *p);
    int (*save)(struct backend *b, const struct backend_counters *c);
    /* Once, before the first transaction. What was due while no daemon ran is due now. */
    int (*totals)(struct backend *b, int64_t now_wall_ms, struct backend_totals *out);
    /* Once, then: calls fn for each line that there is. */
    int (*lines)(struct backend *b, backend_line_fn *fn, void *ctx);

    /* Limits: added or changed by name, dropped; likewise their keys. limits: once, before lines.
     */
    int (*limit_put)(struct backend *b, const struct store_limit *limit);
    int (*limit_drop)(struct backend *b, const char *name);
    int (*limit_key_put)(struct backend *b, const struct backend_limit_key *key);
    int (*limit_key_drop)(struct backend *b, const char *name, const char *key);
    int (*limits)(struct backend *b, backend_limit_fn *limit_fn, backend_limit_key_fn *key_fn,
                  void *ctx);

    /* What is said of a queue: added or changed by name; dropped, with the weights of its fairness
     * keys. A weight of 0 and a pause since 0 are dropped. queues: once, before limits. */
    int (*queue_put)(struct backend *b, const struct store_queue *queue);
    int (*queue_drop)(struct backend *b, const char *name);
    int (*fair_put)(struct backend *b, const char *queue, const struct store_fair_weight *weight);
    int (*pause_put)(struct backend *b, enum store_pausable kind, const char *name,
                     const struct pool_pause *pause);
    int (*queues)(struct backend *b, backend_queue_fn *queue_fn, backend_fair_fn *fair_fn,
                  backend_pause_fn *pause_fn, void *ctx);

    /* Reserves the configured disk space (0, or FUT_ERR_NO_SPACE: there is not so much), or frees
     * it. Outside of transactions. */
    int (*reserve)(struct backend *b, bool on);
    /* What is to be done now and then between transactions, when nobody waits for a commit. An
     * error says that no more may be written until it succeeds, which begin tries.
     * *out_again_mono_us: when to call again although nothing was written; INT64_MAX: never. */
    int (*tidy)(struct backend *b, int64_t *out_again_mono_us);
    /* Bytes on disk: of the database, and of its log. */
    void (*sizes)(const struct backend *b, uint64_t *out_file, uint64_t *out_log);
    /* How long it took to bring its log to the disk, each time; as long as b lives. NULL: it has no
     * log of its own. Any thread. */
    const struct histogram *(*log_syncs)(const struct backend *b);
    /* A write that changes nothing: does the disk take writes? */
    int (*touch)(struct backend *b);

    int (*batch_put)(struct backend *b, const struct store_batch *batch);
    /* A member failed; *out_cancel: the batch is fail_fast, the rest is to be cancelled now. */
    int (*batch_failed)(struct backend *b, uint64_t key, bool *out_cancel);
    int (*batch_cancel)(struct backend *b, struct task_id id, bool spares_running);
    /* What the batch has come to: id, total, callback, and in counts how many members have ended in
     * each final state, deleted ones included. *out_unfinished: how many have not.
     * FUT_ERR_NOT_FOUND. */
    int (*batch_ends)(struct backend *b, uint64_t key, struct store_batch *out,
                      uint64_t *out_unfinished);
    /* Another task tells of the batch's end from now on. */
    int (*batch_set_callback)(struct backend *b, uint64_t key, struct task_id callback);
    /* Up to max unfinished members of a batch that is being cancelled, without input, and without
     * those that run where these are spared; the caller cancels them in this transaction. Looks at
     * a bounded number of members. *out_more: call again; else no batch is being cancelled any
     * more. */
    int (*batch_unfinished)(struct backend *b, size_t max, struct task *tasks, size_t *out_n,
                            bool *out_more);

    /* Adds a session and its batch, without members; FUT_ERR_EXISTS. */
    int (*session_put)(struct backend *b, const struct store_session *s,
                       const struct task_init *init);
    /* The session as it stands in this transaction, or FUT_ERR_NOT_FOUND. */
    int (*session_find)(struct backend *b, uint64_t key, struct store_session *out);
    /* Its batch has n more members, which are inserted in this transaction. */
    int (*session_add)(struct backend *b, uint64_t key, uint32_t n);
    /* *out: one reference to its init; NULL: it has none, or is not there. */
    int (*session_init)(struct backend *b, uint64_t key, struct task_init **out);
    /* Says why it is broken, where nothing is said. */
    int (*session_break)(struct backend *b, uint64_t key, const char *why);
    /* It takes no more tasks since then. */
    int (*session_close)(struct backend *b, uint64_t key, int64_t now_wall_ms);
    /* Its lease, if it has one, lasts for grace_ms and a third of it from this transaction on;
     * those of all sessions do. */
    int (*session_renew)(struct backend *b, uint64_t key);
    int (*session_renew_all)(struct backend *b);
    /* Up to max sessions that have a lease, the one that ends first before the others. */
    int (*session_leases)(struct backend *b, size_t max, struct store_session *out, size_t *out_n);
    /* It has no lease any more; wall_ms: since when it is disconnected, 0: it is not. */
    int (*session_end_lease)(struct backend *b, uint64_t key, int64_t wall_ms);

    /* Adds a bulk, or brings one up to date; of those that are finished, the oldest beyond
     * STORE_BULKS_KEPT go. */
    int (*bulk_put)(struct backend *b, const struct store_bulk *bulk);
    /* The unfinished bulk with the lowest id.hi above `after`; FUT_ERR_NOT_FOUND: none. *out_n: how
     * many are unfinished. */
    int (*bulk_next)(struct backend *b, uint64_t after, struct store_bulk *out, size_t *out_n);
    int (*bulk_find)(struct backend *b, struct task_id id, struct store_bulk *out);
    /* One step of looking. */
    int (*bulk_scan)(struct backend *b, struct backend_scan *scan);

    /* Adds to what a running attempt reported; `out` is how it stands then (message borrowed). */
    int (*report)(struct backend *b, const struct store_report *o);

    /* The schedule with its text, the caller's to release, or FUT_ERR_NOT_FOUND. */
    int (*schedule_find)(struct backend *b, const char *name, struct store_schedule *out);
    /* Adds it or writes all of it again. */
    int (*schedule_put)(struct backend *b, const struct store_schedule *s);
    /* With its runs. */
    int (*schedule_remove)(struct backend *b, const char *name);
    int (*schedule_count)(struct backend *b, size_t *out_all, size_t *out_of_file);
    /* The names of those of the file; *out: free(). */
    int (*schedule_of_file)(struct backend *b, char (**out)[STORE_SCHEDULE_NAME_MAX + 1],
                            size_t *out_n);
    /* Adds a run, counts it in *s, and forgets those before the latest STORE_SCHEDULE_RUNS. */
    int (*schedule_add_run)(struct backend *b, struct store_schedule *s,
                            const struct store_schedule_run *run);
    /* Forgets the run that waits. */
    int (*schedule_end_waiting)(struct backend *b, const char *name);
    /* Up to max unfinished tasks that the schedule has made, without input. The backend keeps count
     * by spec.schedule; when the last one ends, what waits is ready. */
    int (*schedule_unfinished)(struct backend *b, const char *name, size_t max, struct task *tasks,
                               size_t *out_n);

    /* Where several nodes may share the store, else NULL: transactions of all nodes follow one upon
     * the other: begin waits for that of another node.
     *
     * join: once, when everything is loaded; until then no other node writes. From now on fn is
     * called, on a thread of the backend's, when there may be news, or something to be done for a
     * node that is no more. self: what the others are told of this node, until close. */
    void (*join)(struct backend *b, struct backend_self *self, void (*fn)(void *ctx), void *ctx);
    /* What other nodes have committed since the last call, in order; the first thing in a
     * transaction. FUT_ERR_READ_ONLY: the others have given this node up. *out_leads: this is the
     * node that does what one does for all. *out_is_draining: it is to claim nothing. */
    int (*hear)(struct backend *b, backend_news_fn *fn, void *ctx, bool *out_leads,
                bool *out_is_draining);
    /* The writer waits for the database, which is its work: it does not hang. *out_is_away: not for
     * its turn, but because the database does not answer. Any thread. NULL: it never does. */
    bool (*waits)(const struct backend *b, bool *out_is_away);
    /* Did the latest transaction end only because its connection broke? Nothing of it has happened,
     * and begin waits for another connection. NULL: there is none. */
    bool (*was_cut_off)(const struct backend *b);
    /* Is there another node that has to be told? As of hear. */
    bool (*has_peers)(const struct backend *b);
    /* What the others hear of this transaction, once. */
    int (*tell)(struct backend *b, const void *bytes, size_t len);
    /* Another node has changed the line, or the task (0: none): what is known of it is forgotten.
     * Neither: so is how far the cancel of a batch has come. */
    void (*forget)(struct backend *b, int64_t line, uint64_t key);
    /* Up to max running tasks of nodes that are no more, with specs but without input. Cheap when
     * there is no such node. */
    int (*abandoned)(struct backend *b, size_t max, struct task *tasks, size_t *out_n);

    /* All nodes by name, as of this transaction. */
    int (*nodes)(struct backend *b, struct store_node_list *o);
    /* fn is told how many tasks of a queue ("": the default one) and lane run on a node, by queue
     * and node, as of this transaction. */
    int (*queue_nodes)(struct backend *b, backend_queue_node_fn *fn, void *ctx);
    /* The live node of that name is to claim nothing, or to claim again; FUT_ERR_NOT_FOUND. */
    int (*node_drain)(struct backend *b, const char *name, bool drains);

    int (*reader_open)(struct backend *b, struct backend_reader **out);
    void (*reader_close)(struct backend_reader *r);
    int (*get)(struct backend_reader *r, struct store_get *o);
    int (*get_several)(struct backend_reader *r,
                       struct store_get_several *o); /* NULL: each by `get` */
    int (*list)(struct backend_reader *r, struct store_list *o);
    int (*get_many)(struct backend_reader *r, struct store_get_many *o);
    int (*batch_get)(struct backend_reader *r, struct store_batch_get *o);
    int (*batch_list)(struct backend_reader *r, struct store_batch_list *o);
    int (*members)(struct backend_reader *r, struct store_members *o);
    int (*session_get)(struct backend_reader *r, struct store_session_get *o);
    int (*session_list)(struct backend_reader *r, struct store_session_list *o);
    int (*session_ends)(struct backend_reader *r, struct store_session_ends *o);
    int (*edges)(struct backend_reader *r, struct store_edges *o);
    int (*log)(struct backend_reader *r, struct store_log *o);
    int (*attempts)(struct backend_reader *r, struct store_attempts *o);
    int (*schedule_get)(struct backend_reader *r, struct store_schedule_get *o);
    int (*schedule_list)(struct backend_reader *r, struct store_schedule_list *o);
    int (*schedule_due)(struct backend_reader *r, struct store_schedule_due *o);
    /* Calls backend_add_failure for each future that it looks at. */
    int (*failures)(struct backend_reader *r, struct store_failures *o);
    int (*bulk_get)(struct backend_reader *r, struct store_bulk_get *o);
    int (*bulk_list)(struct backend_reader *r, struct store_bulk_list *o);
    int (*queue_oldest)(struct backend_reader *r, struct store_queue_oldest *o);
};

extern const struct backend_ops backend_sqlite, backend_memory, backend_postgres;

/* From when on the schedule is due; STORE_SCHEDULE_NEVER: not by itself. */
int64_t backend_schedule_wake(const struct store_schedule *s);
#define BACKEND_PLACE_NONE INT64_MAX
#define BACKEND_PLACE_KEPT INT64_MIN

/* What a step of priority is worth where priorities are strict: so many ms of waiting (15 years),
 * which still lets a place with its priority be one number of 64 bits. */
#define BACKEND_STRICT_MS 500000000000LL

/* The place of a task that comes at `key`: one step of priority moves it by step_ms. */
int64_t backend_place(uint64_t key, int priority, int64_t step_ms);
/* A place that is so much further ahead. */
int64_t backend_place_ahead(int64_t place, int64_t ms);
/* By how much a place is ahead of another one, in milliseconds. */
int64_t backend_place_distance(int64_t ahead, int64_t place);
/* The priority that a place tells of where priorities are strict; 0 where they are not. */
int backend_place_priority(int64_t place);
/* When a task of this priority came to the place, by the wall clock. */
int64_t backend_place_wall_ms(int64_t place, int priority, int64_t step_ms);
/* The lowest place of a lower priority than this place's, where priorities are strict. */
int64_t backend_place_below(int64_t place);
/* False for a place that a priority has moved. */
bool backend_place_is_key(int64_t place);
/* A key behind all that were given before, and behind the keys of all tasks that exist. */
uint64_t backend_next_key(void);
/* True when a task in this state stands in its line (EVENT_START may take it). */
bool backend_is_claimable(enum task_state s);
/* Is that end what the edge asks for? */
bool backend_edge_is_met(enum store_on on, enum task_state end);
/* Has the spec an expiry, a deadline or a wall time: is there more to keep of its times than when
 * it is due? */
bool backend_has_timers(const struct task_spec *spec);
/* The spec's marks (a promise, references, a session, once) as one number, and back. */
int64_t backend_flags(const struct task_spec *spec);
void backend_set_flags(struct task_spec *spec, int64_t flags);
/* Has the spec anything that a plain one has not, and that is kept beside it? */
bool backend_has_options(const struct task_spec *spec);
/* Keeps wall time - uptime, by which due times are shown. Both are cut to milliseconds, so their
 * difference takes two values: it stays the later one, and nothing is shown to be due too early. */
void backend_set_up_offset(atomic_llong *offset_ms, struct backend_time now);
/* Before a future is read: nothing is known of it. */
void backend_get_begin(struct store_get *o);
/* A page of futures, each read by `get`. */
FUT_MUST_CHECK int backend_get_several(int (*get)(struct backend_reader *r, struct store_get *o),
                                       struct backend_reader *r, struct store_get_several *o);
/* Before a page is read: there is nothing in it. */
void backend_page_begin(struct store_page *p);
/* The task behind the last one of the page was read into it. */
void backend_page_add(struct store_page *p);
/* Fills the counts of a listed batch, whose total and unfinished are there. */
static inline void backend_count_batch(struct store_batch_row *row, uint64_t failed,
                                       uint64_t cancelled)
{
    uint64_t ended = failed + cancelled + row->unfinished;
    row->batch.counts[TASK_FAILED] = failed;
    row->batch.counts[TASK_CANCELLED] = cancelled;
    row->batch.counts[TASK_SUCCEEDED] = row->batch.total > ended ? row->batch.total - ended : 0;
}

/* Counts the end of a member of a batch. False, and nothing is counted: there is no space for
 * another batch. */
FUT_MUST_CHECK bool backend_ends_add(struct backend_ends *ends, const struct task *t);
/* Counts one that is kept, or was before this step, towards the oldest. */
void backend_keep_oldest(struct backend_prune *p, int64_t up_ms);
/* Does the task wait for a wall time? */
bool backend_waits_for_wall(const struct task *t);
/* A copy to keep: with one reference of its own, its log cut to STORE_ATTEMPT_LOG_MAX. */
struct store_attempt backend_keep_attempt(const struct store_attempt *a);

/* Is the task one that the bulk is to change? Tasks that tell of another one's end are meant by
 * their handler's name alone. */
bool backend_bulk_wants(const struct store_bulk *bulk, const struct task *t);
/* Counts a future, newer ones first, when the operation means it. */
void backend_add_failure(struct store_failures *o, const struct task *t);

/* Adds one that the task is suspended for; false: so many are not shown. */
bool backend_add_wake(struct store_reported *reported, struct task_id id);
/* Fills begin, log and log_len from the kept end of a log; o->reported says how much was ever
 * written. What the caller has seen already (o->from) is cut off. */
void backend_copy_log(struct store_log *o, const void *kept, size_t kept_len);

/* Rows that one list call looks at before it ends its page early. */
#define BACKEND_SCAN_MAX 10000

#endif
