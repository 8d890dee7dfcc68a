/* mem_internal: the records of the memory backend, their indexes, and the undo log. */
#ifndef FUT_STORAGE_MEM_INTERNAL_H
#define FUT_STORAGE_MEM_INTERNAL_H

#include "core/heap.h"
#include "core/map.h"
#include "core/sync.h"
#include "storage/backend.h"

struct record {
    struct map_node by_key;
    struct list_node in_order; /* of ascending keys */
    struct heap_node queued;   /* by key, in its lane's queue */
    struct heap_node due;      /* by due time */
    struct heap_node done;     /* by seq */
    struct task task;
};

enum undo_kind { UNDO_INSERT, UNDO_CHANGE, UNDO_REMOVE };

struct undo {
    enum undo_kind kind;
    struct record *rec;
    struct task before;
};

struct backend {
    struct mutex mu; /* guards all below; held by the writer from begin to commit or rollback */
    struct map by_key;
    struct list in_order;
    struct heap queue[LANE_COUNT], due, done;
    struct undo *undo;
    size_t n_undo, cap_undo, mark;
};

/* Transactions hold the lock from begin to commit or rollback. */
int mem_begin(struct backend *b);
int mem_commit(struct backend *b);
void mem_rollback(struct backend *b);
int mem_mark(struct backend *b);
int mem_unmark(struct backend *b);
int mem_back(struct backend *b);

/* NULL when there is none. */
struct record *mem_find(const struct backend *b, uint64_t key);
/* Adds a record, makes `after` a record's task, takes a record out: all three can be undone. */
void mem_add(struct backend *b, const struct task *t);
void mem_set(struct backend *b, struct record *r, const struct task *after);
void mem_drop(struct backend *b, struct record *r);
/* At the end of the backend: frees all records. */
void mem_clear(struct backend *b);

#endif
