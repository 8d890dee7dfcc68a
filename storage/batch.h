/* batch: the operations on batches: how far one is, the list of all, and the cancel of one. Verbs
 * as in store.h. */
#ifndef FUT_STORAGE_BATCH_H
#define FUT_STORAGE_BATCH_H

#include "storage/store.h"

/* rc FUT_ERR_NOT_FOUND: no such batch, or all its futures have expired. */
struct store_batch_get {
    struct store_op op;
    struct task_id id;
    struct store_batch batch; /* out */
};
extern const struct store_verb store_verb_batch_get;

/* One of a list. Its counts are those of members that have ended, deleted ones included; without
 * callback, then and finished_wall_ms. */
struct store_batch_row {
    struct store_batch batch;
    uint64_t unfinished;
};
enum store_batches { STORE_BATCHES_ALL, STORE_BATCHES_UNFINISHED, STORE_BATCHES_DONE };

/* Lists batches, the newest first, but for those of sessions. */
struct store_batch_list {
    struct store_op op;
    uint64_t before; /* those with id.hi below this one; 0: all */
    enum store_batches which;
    size_t limit;                 /* 1..STORE_LIST_MAX */
    struct store_batch_row *rows; /* space for limit, the caller's memory */
    size_t n;                     /* out */
    uint64_t next;                /* out: `before` of the next page; 0: there is none */
};
extern const struct store_verb store_verb_batch_list;

/* Cancels what is unfinished of a batch: durable at once, carried out in small steps. One that is
 * being cancelled altogether is not spared. rc FUT_ERR_NOT_FOUND. */
struct store_batch_cancel {
    struct store_op op;
    struct task_id id;
    bool spares_running; /* cancels only what is found waiting */
};
extern const struct store_verb store_verb_batch_cancel;

#endif
