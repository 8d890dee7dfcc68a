/* store: every task, every state change and every wake-up passes through here.
 * All verbs that touch data are asynchronous: the caller fills an operation, posts it, and op->done
 * runs once on a store thread after the commit (or with an error). done must not block, and must
 * not free the store. While posted, the operation and what it points to belong to the store; then
 * they are the caller's again. One writer thread commits everything that arrived during the
 * last commit as one transaction: rc == 0 means that it is on disk.
 *
 * Posting: any thread, never blocks. It returns 0 (done will run) or, without running done,
 * FUT_ERR_FULL (too many operations waiting; never for claims and changes) or FUT_ERR_CLOSED.
 * done's op->rc is 0, or FUT_ERR_IO / NO_SPACE / READ_ONLY / DAMAGED (the commit failed: nothing
 * of it happened), or a verb's own. */
#ifndef FUT_STORAGE_STORE_H
#define FUT_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/end_codes.h"
#include "core/err.h"
#include "core/histogram.h"
#include "core/list.h"
#include "core/task.h"
#include "core/task_filter.h"
#include "core/task_limits.h"
#include "core/task_state.h"

struct store;
struct store_wakes;
struct store_change; /* below */
typedef void store_listener(void *ctx, const struct store_change *changes, size_t n);

struct store_config {
    const char *backend; /* "sqlite", "memory" or "postgres" */
    const char *path;    /* the database file, or the URL; borrowed during store_open */
    unsigned readers;    /* reader threads, >= 1 */
    uint64_t max_queued; /* queued and scheduled tasks beyond which submit answers FUT_ERR_FULL */
    int64_t
        retention_ms; /* done futures are deleted, in small steps, when a daemon has been running
                         for so long since their end (a batch: its last one's); 0: never */
    int64_t reserve_bytes; /* disk space held back for the results of running tasks; 0: none */
    const char *node; /* the name of this node, where several share a database; NULL: the host's */
    const char *labels;           /* of this daemon, "gpu,big": what tasks may need; NULL: none */
    void (*on_fenced)(void *ctx); /* told by a thread of the store's when other nodes may take its
                                     tasks: its attempts must end at once; NULL */
    void (*on_lease)(void *ctx, int64_t until_mono_ms); /* told by such a thread each second: unless
                                                           it is told again, on_fenced is due then,
                                                           also if nobody calls it, as this process
                                                           stands still; 0: no longer; NULL */
    void *fenced_ctx;
    void (*on_step)(void *ctx); /* told now and then while store_open works; must not block; NULL */
    void *step_ctx;
    store_listener
        *listener; /* as store_listen, and hears of what store_open itself changes; NULL */
    void *listener_ctx;
};

/* Is this the URL of a PostgreSQL database, and no file? Pure. */
bool store_is_url(const char *path);
/* Opens (creating or migrating), takes the lock file, gives tasks that were running back
 * (EVENT_LOSE), seeds core/id. No thread yet. Blocks. err: one sentence for the operator.
 * FUT_ERR_BUSY: another daemon has it. FUT_ERR_INVAL: not ours or newer. FUT_ERR_DAMAGED, _IO. */
FUT_MUST_CHECK int store_open(const struct store_config *cfg, struct store **out,
                              struct fut_errbuf *err);

/* One committed change, as told to listeners. A hint: may be doubled or late, never a promise. */
struct store_change {
    struct task_id id;
    enum task_state state;
    uint32_t stopped_attempt; /* of a cancel: the attempt that it ended; 0: none was running */
    const struct task *task;  /* the snapshot after it, borrowed for the call (task_copy to keep);
                                 NULL when the store has no record at hand: read it */
    bool is_new;              /* the task was submitted by this commit */
    bool reported;            /* progress or log was reported, the state is as before */
    bool session_ended;       /* reported of a session: it is closed and its last task has ended */
    double progress;          /* where reported: the fraction, negative when none was said */
    struct task_id batch;     /* hi 0: in none, or not at hand */
    /* When there is no snapshot: what is known instead, references of the store's own for the
     * call. NULL: not even that. */
    struct task_spec *spec;
    struct task_outcome *outcome;
};
/* Up to 5 listeners, before store_start. fn runs on the writer thread after each commit: it must
 * not block. It may post operations. */
void store_listen(struct store *s, store_listener *fn, void *ctx);
/* Before store_start: fn hears on the writer thread of a limit that a commit has closed. */
void store_watch_limits(struct store *s, void (*fn)(void *, const struct task_limit *), void *ctx);
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

/* What an operation does: one constant per verb, beside the structure that it takes. */
struct store_verb;
/* Posts the operation at the beginning of the structure that the verb takes (see above). */
FUT_MUST_CHECK int store_post(struct store *s, const struct store_verb *verb, struct store_op *op,
                              store_done *done);

#define STORE_FINGERPRINT_SIZE 32
struct store_key {
    const char *key; /* lives as long as what it stands for, with the principal's scope; borrowed */
    unsigned char fingerprint[STORE_FINGERPRINT_SIZE]; /* of the request that it stands for */
};

struct store_batch {
    struct task_id id;
    uint32_t total;
    bool fail_fast;  /* the first failure cancels the rest */
    bool cancelling; /* the rest is being cancelled, in small steps */
    int64_t created_wall_ms;
    int64_t finished_wall_ms; /* of the latest member; 0: none is done */
    uint64_t counts[TASK_STATE_COUNT];
    struct task_id callback; /* the task that tells of the end of all; hi 0: none */
    struct task_id then;     /* the task that waits for all (by its edges), and is no member; hi 0:
                                none */
    struct task_id parent;   /* the task of which an attempt submitted it; hi 0: none */
};

enum store_submitted { STORE_NEW, STORE_REPLAYED /* same key, same request */, STORE_COALESCED };

/* Accepts tasks, all or none: rc FUT_ERR_FULL (over max_queued), FUT_ERR_EXISTS (an id is taken) or
 * FUT_ERR_CONFLICT (the key stands for another request) or FUT_ERR_TOO_BIG (there are 10,000 queues
 * already, and it names another one) or FUT_ERR_AGAIN (STORE_LIMIT_KEYS_MAX keys of limits are in
 * use, and it names another one) leave nothing.
 * In: spec (one reference, with input), state TASK_QUEUED, or TASK_SCHEDULED for one with `after`,
 * or with a due_wall_ms (by its spec's delay or run_at). The store reads them only. A single task
 * whose spec.unique is taken coalesces onto the unfinished one when both ask for the same
 * (task_spec_is_same, and the same callback), else it is FUT_ERR_CONFLICT with submitted
 * STORE_COALESCED; in a batch it is FUT_ERR_CONFLICT always. tasks[0] names a single submission,
 * its callback may follow as tasks[1]; the callbacks of a batch and of its members, and the task
 * that waits for all (batch->then), stand behind the members, that of the batch is scheduled after
 * its id. */
#define STORE_PARENTS_MAX 10000 /* of one task */

/* A task begins after another one has ended so; or (wake) it is suspended until then, in whatever
 * way that ends, and the parent may be a batch. What is stored: never renumber. */
enum store_on { STORE_ON_SUCCESS, STORE_ON_FAILURE /* or else */, STORE_ON_DONE, STORE_ON_WAKE };
struct store_edge {
    struct task_id parent;
    size_t child; /* its place in tasks */
    enum store_on on;
    bool is_inside;  /* the parent is one of tasks, too */
    bool is_pending; /* out: the parent has not ended yet */
    bool is_wake;    /* out: the child is, or was last, suspended for it */
};

/* Tasks with edges are TASK_SCHEDULED until each parent has ended as the edge asks for; when one
 * ends otherwise they are cancelled, and what waits for them in turn. No parent stands twice, and
 * there is no cycle. rc FUT_ERR_NOT_FOUND: there is no such parent; FUT_ERR_STATE: it has ended
 * otherwise; refused_edge says which.
 *
 * What an attempt submits names its task (spec.parent, and parent here): rc FUT_ERR_STALE when that
 * attempt no longer runs, so nothing comes of a task behind its cancel. */
struct store_submit {
    struct store_op op;
    struct task_id
        session; /* that the first n_members tasks join (storage/session.h); hi 0: none */
    size_t n_members;
    int session_rc;        /* out: 0, or why it does not take them, which is rc then */
    struct task_id parent; /* hi 0: no attempt submits it */
    uint32_t parent_attempt;
    struct store_edge *edges; /* by ascending child; the caller's memory; NULL: none */
    size_t n_edges;
    size_t refused_edge; /* out */
    const struct task *tasks;
    size_t n;
    const struct store_batch *batch; /* the batch that all belong to; NULL: none */
    const struct store_key *key;     /* NULL: none */
    enum store_submitted submitted;  /* out */
    struct task_id existing;         /* out: unless STORE_NEW, the task (or batch) that was meant */
};
extern const struct store_verb store_verb_submit;

/* Executes one change as compare-and-set. rc FUT_ERR_STALE: the task is no longer in
 * (from_state, from_attempt), or is gone. task: the snapshot that the change was computed from (its
 * spec at least); after success the store has brought it up to date, its outcome a new reference.
 */
struct store_apply {
    struct store_op op;
    struct task_change change; /* outcome: borrowed until done */
    struct task task;          /* the caller's to release */
    /* A limit that the same commit closes for so long, if it is defined and not closed for longer.
     * NULL: none; borrowed until done. */
    const struct task_limit *closes;
    int64_t closes_for_ms;
    /* Of EVENT_SUSPEND: it is queued when all of these have ended, which may be at once, or when
     * its time comes (change.due_in_ms; < 0: there is none). rc FUT_ERR_INVAL: one of them is not
     * known; FUT_ERR_CONFLICT: it would wait for ever. NULL: none; borrowed until done. */
    struct store_wakes *wakes; /* storage/results.h */
};
extern const struct store_verb store_verb_apply;

/* Takes up to max queued tasks of a lane, as EVENT_START does. Ends as soon as there is one, or
 * when it is recalled; until then it stays parked. Parked claims are served in the commit that
 * brings the task. Whose turn it is: storage/engine/README.md, "Turns". */
struct store_claim {
    struct store_op op;
    enum lane lane;
    size_t max;         /* >= 1 */
    struct task *tasks; /* space for max, the caller's memory; out: with spec, input and checkpoint,
                           released by the caller */
    size_t n;           /* out; 0: recalled */
    /* Tasks of these handlers are not taken; or (is_only) of no others. */
    const char *const *handlers; /* borrowed until done, with the strings */
    size_t n_handlers;
    bool is_only;
};
extern const struct store_verb store_verb_claim;

/* Ends every parked claim of the lane with what it has, which may be nothing; for a lane that wants
 * fewer tasks from now on. Touches no task. */
struct store_recall {
    struct store_op op;
    enum lane lane;
};
extern const struct store_verb store_verb_recall;

/* A struct store_op alone. Changes nothing: when its done runs, everybody has been told of what was
 * committed when it was posted. */
extern const struct store_verb store_verb_pass;

/* Cancels a task, if it is unfinished, and all that came from it: what its attempts have submitted,
 * what those have, and so on. Durable at once for all of them, carried out in small steps. What is
 * done stays as it is, and what came from it is cancelled all the same, unless it was deleted. rc
 * FUT_ERR_NOT_FOUND. */
struct store_tree_cancel {
    struct store_op op;
    struct task_id id;
};
extern const struct store_verb store_verb_tree_cancel;

/* Keeps the checkpoint of a running attempt in place of the one before, for the attempts that come.
 * It goes when the task succeeds, and with its future. rc FUT_ERR_STALE: that attempt no longer
 * runs. */
struct store_checkpoint {
    struct store_op op;
    struct task_id id;
    uint32_t attempt;
    const char *type; /* content type; borrowed until done, like body */
    const void *body;
    size_t len; /* up to TASK_CHECKPOINT_MAX */
};
extern const struct store_verb store_verb_checkpoint;

/* Gives a task that failed or was cancelled another life (change: of EVENT_REVIVE, from task, which
 * must have its outcome). What it came to stays in the list of its attempts. If its callback is
 * still kept, a new one like it tells of the next end; so with the batch's, when that was done.
 * rc FUT_ERR_STALE as store_apply; FUT_ERR_FULL: the queue is; FUT_ERR_CONFLICT: another unfinished
 * task has its unique key by now. After success task is up to date. */
struct store_revive {
    struct store_op op;
    struct task_change change;
    bool is_fresh;    /* without the checkpoint of the life before */
    struct task task; /* the caller's to release */
};
extern const struct store_verb store_verb_revive;

/* Forgets a done future. rc FUT_ERR_NOT_FOUND; FUT_ERR_STATE while it is not done. */
struct store_delete {
    struct store_op op;
    struct task_id id;
};
extern const struct store_verb store_verb_delete;

#define STORE_LOG_MAX (64u << 10) /* bytes of log kept per task, the latest */
#define STORE_PLACE_MAX 1000      /* places that are counted; one more: farther behind */
#define STORE_WAKES_SHOWN 10      /* futures that a task is suspended for */
struct store_reported {
    double progress;  /* 0..1; < 0: never reported */
    char *message;    /* NULL: none; the caller's */
    uint64_t log_end; /* bytes of log ever written */
    uint32_t place;   /* in its lane, queue and fairness key, from 1 while queued; 0: not counted */
    uint32_t n_wakes;
    struct task_id *wakes; /* while suspended: n_wakes of those it waits for; the caller's */
};
void store_reported_release(struct store_reported *reported); /* then it never reported */

/* Reads one future as of some moment after the call. rc FUT_ERR_NOT_FOUND. */
struct store_get {
    struct store_op op;
    struct task_id id;
    bool with_input;                /* else task comes without */
    bool with_checkpoint;           /* with its body; else task.checkpoint comes without */
    struct task task;               /* out; released by the caller */
    struct store_reported reported; /* out: what it reported */
};
extern const struct store_verb store_verb_get;

/* Tasks that are read together. */
struct store_page {
    size_t limit;       /* 1..STORE_LIST_MAX */
    size_t max_bytes;   /* of results: the task that brings them to so many is the last; 0: any */
    struct task *tasks; /* space for limit, the caller's memory; out: released by the caller */
    size_t n;           /* out */
    size_t bytes;       /* out: of their results */
    bool is_full;       /* out: false: this was the end */
};

/* Releases the tasks of a page, which has none then. */
void store_page_release(struct store_page *p);

/* Reads several futures as store_verb_get, each as of a moment of its own. */
struct store_get_several {
    struct store_op op;
    const struct task_id *ids; /* n_ids, borrowed until done */
    size_t n_ids;
    struct store_page page; /* of the first ones; its task has no spec: there is no such future */
    struct store_reported *reported; /* space for page.limit, the caller's memory; out: page.n,
                                        released by the caller */
};
extern const struct store_verb store_verb_get_several;

#define STORE_ATTEMPTS_MAX 100     /* kept per task, the latest */
#define STORE_ATTEMPT_LOG_MAX 2048 /* bytes of log kept per attempt, the last */
struct store_attempt {
    uint32_t attempt;
    enum task_state state; /* failed or cancelled */
    int64_t started_wall_ms, finished_wall_ms;
    struct task_outcome *outcome; /* one reference; NULL: not known */
};

/* Reads the attempts that have ended without ending the task, and those of its earlier lives,
 * oldest first. How the task has ended, if it has, is not among them. rc 0 also for an unknown id.
 */
struct store_attempts {
    struct store_op op;
    struct task_id id;
    struct store_attempt *attempts; /* out: the caller's, store_attempts_free; NULL: none */
    size_t n;                       /* out */
};
extern const struct store_verb store_verb_attempts;
/* NULL ok. */
void store_attempts_free(struct store_attempt *attempts, size_t n);

/* Reads the states of many futures at once, without results. */
struct store_brief {
    bool found;
    enum task_state state;
    uint64_t seq; /* 0 while not done */
};
struct store_get_many {
    struct store_op op;
    const struct task_id *ids; /* borrowed until done */
    size_t n;
    struct store_brief *briefs; /* space for n, the caller's memory */
};
extern const struct store_verb store_verb_get_many;

/* Members of a batch in order of submission, from place `from` on, with outcomes when with_body. */
struct store_members {
    struct store_op op;
    struct task_id id;
    uint32_t from;
    bool with_body;
    struct store_page page;
};
extern const struct store_verb store_verb_members;

/* Reads what these tasks wait for, or waited for before they began or went on; edges.child is the
 * place in ids. Of a task that is not known: nothing. */
struct store_edges {
    struct store_op op;
    const struct task_id *ids; /* each once; borrowed until done */
    size_t n_ids;
    struct store_edge *edges; /* out: by ascending child, then parent; free() it */
    size_t n;                 /* out */
};
extern const struct store_verb store_verb_edges;

/* Records progress and log of a running attempt. rc FUT_ERR_STALE when it no longer runs. */
struct store_report {
    struct store_op op;
    struct task_id id;
    uint32_t attempt;
    struct task_spec *spec; /* of the task, for the listeners; borrowed until done; NULL ok */
    double progress;        /* < 0: leave as it is */
    const char *message;    /* NULL: leave as it is; borrowed until done, like log */
    const char *log;        /* appended */
    size_t log_len;
};
extern const struct store_verb store_verb_report;

/* Reads progress and the kept log from a byte offset on. rc FUT_ERR_NOT_FOUND: unknown future. */
struct store_log {
    struct store_op op;
    struct task_id id;
    uint64_t from;                  /* offset in all that was ever written */
    enum task_state state;          /* out */
    struct store_reported reported; /* out */
    uint64_t begin; /* out: offset of the first byte in log (> from: some is gone) */
    char *log;      /* out: free() it; NULL when empty */
    size_t log_len; /* out */
};
extern const struct store_verb store_verb_log;

/* Reads a page, newest first. Looks at a bounded number of rows: a page may be short or empty and
 * still have a next one. */
#define STORE_LIST_MAX 1000
struct store_list {
    struct store_op op;
    struct task_filter filter;
    uint64_t before;    /* keys below this; 0 = from the newest */
    size_t limit;       /* 1..STORE_LIST_MAX */
    struct task *tasks; /* capacity limit, the caller's memory; out: released by the caller;
                           outcomes carry code, exit code and signal, but no body and no log */
    size_t n;           /* out */
    uint64_t next;      /* out: `before` of the next page; 0 = the end */
};
extern const struct store_verb store_verb_list;

/* Groups the failed futures that the filter means (states are not looked at) by handler and error
 * code. Looks at STORE_FAILURES_SCAN failed or cancelled futures at most, newest first. */
#define STORE_FAILURES_SCAN 100000
#define STORE_FAILURES_MAX 1000 /* groups */
struct store_failure {
    char handler[TASK_HANDLER_MAX + 1];
    char code[TASK_FILTER_CODE_MAX + 1]; /* cut to fit */
    char message[256];                   /* of the example, cut to fit; "" none */
    struct task_id example;              /* the one that ended last */
    uint64_t n;
    int64_t first_wall_ms, last_wall_ms; /* when they ended */
};
struct store_failures {
    struct store_op op;
    struct task_filter filter;
    struct store_failure *groups; /* out: free() it; the largest first */
    size_t n;                     /* out */
    uint64_t seen;                /* out: futures that were looked at */
    bool is_all;                  /* out: no more than that are kept, and all groups are there */
};
extern const struct store_verb store_verb_failures;

/* ---- bulks: one change of many futures, carried out in small steps, newest first --------------
 */

enum store_bulk_kind { STORE_BULK_CANCEL, STORE_BULK_RETRY, STORE_BULK_DELETE };
#define STORE_BULK_KINDS 3
#define STORE_BULKS_MAX 100  /* that are unfinished */
#define STORE_BULKS_KEPT 900 /* that are finished; the oldest go */
#define STORE_BULK_BY_SIZE 80

struct store_bulk {
    struct task_id id; /* futures with a lower id.hi are looked at */
    enum store_bulk_kind kind;
    bool is_dry; /* counts only */
    bool is_stopped;
    struct task_filter filter;
    char by[STORE_BULK_BY_SIZE]; /* who asked for it */
    int64_t created_wall_ms;
    int64_t finished_wall_ms; /* 0: it goes on */
    uint64_t next;            /* while it goes on: only futures below this are left to look at */
    uint64_t seen, matched;   /* looked at; meant, and in a state that this kind changes */
    uint64_t changed;         /* of these */
    uint64_t refused;         /* of these: another unfinished task has the unique key by now */
};

/* The states that this kind changes, as bits. */
unsigned store_bulk_states(enum store_bulk_kind kind);

/* Records a bulk, which begins at once; a step and what it changes are one commit, so it goes on
 * where it was after a restart. Listeners hear of each future that it cancels or revives, and of
 * the bulk's own id as TASK_SUCCEEDED when it ends. A retry waits while the queue is full. rc
 * FUT_ERR_FULL: STORE_BULKS_MAX go on. */
struct store_bulk_start {
    struct store_op op;
    struct store_bulk bulk; /* in: id, kind, is_dry, filter, by; out: as it stands */
};
extern const struct store_verb store_verb_bulk_start;

/* Ends a bulk where it is; one that has ended stays as it is. rc FUT_ERR_NOT_FOUND. */
struct store_bulk_stop {
    struct store_op op;
    struct task_id id;
    struct store_bulk bulk; /* out */
};
extern const struct store_verb store_verb_bulk_stop;

/* rc FUT_ERR_NOT_FOUND. */
struct store_bulk_get {
    struct store_op op;
    struct task_id id;
    struct store_bulk bulk; /* out */
};
extern const struct store_verb store_verb_bulk_get;

/* All that are kept, newest first. */
struct store_bulk_list {
    struct store_op op;
    struct store_bulk *bulks; /* out: free() it */
    size_t n;                 /* out */
};
extern const struct store_verb store_verb_bulk_list;

struct store_stats {
    uint64_t live[LANE_COUNT][TASK_STATE_COUNT]; /* unfinished tasks now, by lane and state */
    uint64_t submitted, claimed;                 /* since boot */
    uint64_t finished[TASK_STATE_COUNT];         /* since boot, by final state */
    uint64_t pruned;
    /* Tasks that deliver callbacks: unfinished ones now, ended ones since boot. */
    uint64_t callbacks[TASK_STATE_COUNT];
    uint64_t commits, ops; /* transactions, and operations in them, since boot */
    uint64_t recovered;    /* tasks found running at boot */
    double drain_per_s;    /* tasks finished per second, smoothed over about 10 s */
    uint64_t max_queued;
    uint64_t file_bytes, log_bytes; /* on disk: the database, and the log of its latest changes */
    int health;                     /* 0, or the FUT_ERR_* of the failure that is in force */
    /* Attempts and tasks that ended otherwise than well, by enum end_code; the last: by a code of
     * their handler's own. */
    uint64_t ended_by[END_CODE_COUNT + 1];
};
/* Any thread; takes a short lock. */
void store_stats(struct store *s, struct store_stats *out);
/* How long things took, since boot. Each value is counted after the commit that made it true. */
struct store_durations {
    struct histogram wait[LANE_COUNT]; /* from a task's submission, or the time before which it was
                                          not to begin, to the begin of its first attempt */
    struct histogram run[LANE_COUNT];  /* the attempt with which a task ended */
    struct histogram commit;           /* a transaction's commit, which waits for the disk */
};
/* How long its log took to reach the disk, each time; as long as it lives. NULL: what is below has
 * no log of its own. Any thread. */
const struct histogram *store_log_syncs(const struct store *s);
/* Of the store, as long as it lives. Any thread. */
const struct store_durations *store_durations(const struct store *s);
/* Has the writer committed, or found nothing to commit, since the last call? True the first time,
 * and of a store that is not running. Each call that says yes asks anew. One thread. */
bool store_has_moved(struct store *s);

#endif
