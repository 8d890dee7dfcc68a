/* store_internal: the inside of a store, shared by the files of this room only.
 * Lock: store.mu guards both queues, the flags and the published numbers; nothing is called with it
 * held. Everything in struct writer belongs to the writer thread alone. */
#ifndef FUT_STORAGE_ENGINE_INTERNAL_H
#define FUT_STORAGE_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/sync.h"
#include "storage/backend.h"
#include "storage/engine/spec_cache.h"

#define STORE_READERS_MAX 16
#define STORE_LISTENERS_MAX 4
#define STORE_QUEUE_MAX 65536 /* operations waiting in one queue */

struct store_verb {
    const char *name;
    bool is_read, is_refusable;
};

extern const struct store_verb verb_submit, verb_apply, verb_claim, verb_recall, verb_delete,
    verb_batch_cancel, verb_report, verb_ping, verb_revive, verb_attempts, verb_get, verb_list,
    verb_get_many, verb_batch_get, verb_members, verb_log;

/* Numbers that a failed transaction takes back. */
struct writer_numbers {
    struct store_stats stats;
    uint64_t seq; /* of the latest finished task */
};

/* Up to this key a lane's queue has no task but of handlers that some claims leave out. Saves them
 * from looking at the same long queue again and again. */
#define STORE_MARKS 16
struct claim_mark {
    enum lane lane;
    uint64_t left_out; /* a hash of these handlers; 0: not in use */
    uint64_t key;
};

struct writer {
    bool in_txn;
    bool claims_stopped;
    struct list batch;              /* operations of the transaction, in order */
    struct list parked[LANE_COUNT]; /* claims that wait for a task */
    struct claim_mark marks[STORE_MARKS];
    size_t next_mark;
    bool claims_pending;  /* a search was cut short */
    struct list finished; /* operations whose done is to run after the commit */
    struct writer_numbers now, saved;
    struct store_change *changes;
    size_t n_changes, cap_changes;
    struct spec_cache specs;
    int broken_rc; /* an fsync failed or the file is damaged: nothing more is written; else 0 */
    bool no_room;  /* the disk is full: only ends of tasks are written (store_trouble.c) */
    int64_t next_try_mono_us; /* while health is not 0: when to look whether writes work again */
    bool cancel_pending;      /* a batch may have members left to cancel */
    int64_t next_due_wall_ms; /* -1: nothing scheduled */
    int64_t next_prune_mono_us;
    int64_t retry_mono_us; /* after a failed commit: when to serve parked claims again; -1 */
    int64_t rate_mono_us;  /* when drain_per_s was last brought up to date */
    uint64_t rate_finished;
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

    struct mutex mu;
    struct cond writer_wake, reader_wake;
    struct list write_queue, read_queue; /* guarded by mu */
    bool writer_asleep;                  /* guarded by mu */
    unsigned readers_asleep;             /* guarded by mu */
    bool stopping, claims_stopped;       /* guarded by mu */
    struct store_stats published;        /* guarded by mu */

    struct store_op ping; /* store_has_moved's question */
    atomic_bool is_pinging;

    pthread_t writer_thread, reader_threads[STORE_READERS_MAX];
    struct writer w;
};

/* Writer side (store_writer.c). */
void writer_init(struct store *s, const struct backend_totals *totals);
void writer_release(struct store *s);
void *writer_main(void *store);
/* Runs one transaction over s->w.batch, then listeners and dones. Also called before the thread
 * exists, by recovery. */
void writer_run_batch(struct store *s);
/* Gives back every task that was running when the last daemon ended. Before store_start. */
FUT_MUST_CHECK int writer_recover(struct store *s, const struct store_config *cfg, uint64_t *out_n);

/* Small things that the verbs share (store_verbs.c). */
uint64_t *verb_live_count(struct store *s, enum lane lane, enum task_state state);
/* Brings a snapshot to what the change makes of it. */
void verb_advance(struct store *s, struct task *t, const struct task_change *c);
/* Executes the change in the transaction and brings *t up to date. */
FUT_MUST_CHECK int verb_change(struct store *s, const struct task_change *c, struct task *t);
int store_submit_run(struct store *s, struct store_op *op, bool *out_park); /* store_submit.c */
/* Would n more waiting tasks be too many? */
bool store_submit_is_full(const struct store *s, size_t n);
int store_revive_run(struct store *s, struct store_op *op, bool *out_park); /* store_revive.c */

/* What one write operation does inside the transaction (store_verbs.c). Returns the operation's rc;
 * *out_park: it waits for a task and is in no list any more. */
int verb_run(struct store *s, struct store_op *op, bool *out_park);
FUT_MUST_CHECK int verb_promote(struct store *s);
/* Cancels some members of batches that are to be cancelled. */
FUT_MUST_CHECK int verb_cancel_step(struct store *s);
FUT_MUST_CHECK int verb_prune(struct store *s);
/* Begins the transaction if this is the first write of the batch. */
FUT_MUST_CHECK int store_txn_begin(struct store *s);
/* Remembers a change for the listeners; what it points to must live until the dones have run. */
void store_txn_note(struct store *s, const struct store_change *c);

/* The store cannot write (store_trouble.c): takes rc, one of store_rc_is_fatal's, as its health. */
void store_trouble_note(struct store *s, int rc);
/* The disk is full, and this operation is not one that may use what was held back. */
bool store_trouble_refuses(const struct store *s, const struct store_op *op);
/* When it is time, tries whether writes work again. *out_wait: nothing but ends of tasks yet. */
FUT_MUST_CHECK int store_trouble_mend(struct store *s, bool *out_wait);

/* Claims (store_claims.c). */
int store_claim_run(struct store *s, struct store_op *op, bool *out_park);
int store_recall_run(struct store *s, struct store_op *op, bool *out_park);
/* The first parked claim that takes tasks of this handler, or NULL. */
struct store_claim *claims_find(struct store *s, const struct task_spec *spec);
/* A task has been claimed: hands it over (the reference too). */
void claims_give(struct store *s, struct store_claim *o, struct task *t);
/* Serves parked claims from the queue; operations that got tasks move to w.finished. */
FUT_MUST_CHECK int claims_serve(struct store *s);
/* Takes a served claim's tasks back and parks it again (its transaction failed). */
void claims_repark(struct store *s, struct store_claim *o);
/* The same for claims that are still parked but were given something already; and no mark counts.
 */
void claims_undo(struct store *s);
/* A task stands in the queue that did not before; 0: some tasks. */
void claims_note_queued(struct store *s, enum lane lane, uint64_t key);

/* Reader side (store_reader.c). */
void *reader_main(void *store);

/* True for the codes that end a whole transaction. */
static inline bool store_rc_is_fatal(int rc)
{
    return rc == FUT_ERR_IO || rc == FUT_ERR_NO_SPACE || rc == FUT_ERR_READ_ONLY ||
           rc == FUT_ERR_DAMAGED;
}

#endif
