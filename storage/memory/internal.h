/* internal: the records of the memory backend, their indexes, and the undo log, for the files of
 * this folder alone. Called by the store's writer, or with mu held where that is said. */
#ifndef FUT_STORAGE_MEMORY_INTERNAL_H
#define FUT_STORAGE_MEMORY_INTERNAL_H

#include "core/buf.h"
#include "core/heap.h"
#include "core/map.h"
#include "core/sync.h"
#include "storage/backend.h"

struct record {
    struct map_node by_key;
    struct list_node in_order;                    /* of ascending keys */
    struct heap_node queued;                      /* by place, in its line */
    struct heap_node due;                         /* by due time */
    struct heap_node timers[BACKEND_TIMER_COUNT]; /* by the time of each */
    struct heap_node done; /* by up_ms, or in kept by its end; members of batches are in neither */
    struct task task;
    struct memory_line *line; /* NULL once it is done */
    int64_t place;
    int64_t due_up_ms;                /* while it waits for a time */
    int64_t born_up_ms;               /* when this life began */
    bool has_suspended;               /* in this life: it has begun, though nothing is charged */
    int64_t up_ms;                    /* when it ended */
    struct memory_reported *reported; /* NULL: nothing reported */
    struct store_attempt *attempts;
    size_t n_attempts;
};

struct memory_line {
    struct map_node by_number;
    struct list_node in_order; /* of creation */
    struct backend_line line;  /* owns its strings */
    struct heap queued;
};

struct memory_reported {
    double progress;
    char *message;
    uint64_t log_end;
    struct buf log;
};

struct memory_batch {
    struct map_node by_key;
    struct list_node in_order;
    struct store_batch batch;
    size_t members, unfinished;
    uint64_t ended[TASK_STATE_COUNT]; /* members by final state, deleted ones included */
    int64_t up_ms;                    /* when the last member ended */
    int64_t keep_ms; /* the longest that a member is kept; 0: as others are, which some members */
    bool keeps_default;           /* are */
    struct store_session session; /* id.hi 0: it is none */
    struct task_init *init;       /* of the session; its `broken` is in session */
    bool spares_running;          /* its cancel does */
};

/* Valid while its task or batch exists; the commit that removes that frees it. */
struct memory_key {
    struct list_node in_order; /* of creation */
    char *key;
    struct backend_key value;
};

struct memory_schedule {
    struct store_schedule row;
    struct store_schedule_run runs[STORE_SCHEDULE_RUNS]; /* the oldest first */
    size_t n_runs;
};

enum undo_kind {
    UNDO_INSERT,
    UNDO_CHANGE,
    UNDO_REMOVE,
    UNDO_ATTEMPT,
    UNDO_BATCH,
    UNDO_SESSION, /* it was added to, closed, or its lease changed */
    UNDO_KEY,
    UNDO_ADD_LINE,
    UNDO_DROP_LINE,
};

struct undo {
    enum undo_kind kind;
    struct record *rec;
    struct memory_line *line; /* of the record before, or the one that came or went */
    int64_t place;            /* of the record before */
    struct task before;
    int64_t keep_ms; /* of its batch, before */
    bool keeps_default;
    struct memory_batch *batch;
    int64_t closed_wall_ms, lease_up_ms, disconnected_wall_ms; /* of the session before */
    bool was_broken;
    uint32_t total;
};

struct memory_graph {
    struct backend_edge *edges;
    struct backend_cascade *cascades;
    size_t n_edges, n_cascades;
    bool is_kept; /* of a copy: it is one */
};

struct backend {
    struct memory_graph graph, graph_before, graph_marked; /* as before the transaction, the mark */
    bool graph_is_marked;
    struct mutex mu; /* guards all below; held by the writer from begin to commit or rollback */
    struct backend_time now; /* of this transaction */
    struct map by_key, batch_by_key, line_by_number;
    struct list in_order, batches, keys, lines;
    struct heap due, timers[BACKEND_TIMER_COUNT], done, kept;
    struct store_bulk *bulks, *bulks_before; /* ascending; as before this transaction, or NULL */
    size_t n_bulks, n_bulks_before;
    struct memory_schedule *schedules, *schedules_before; /* by name; likewise */
    size_t n_schedules, cap_schedules, n_schedules_before;
    struct undo *undo;
    size_t n_undo, cap_undo, mark;
};

/* Transactions hold the lock from begin to commit or rollback. */
int memory_begin(struct backend *b, struct backend_time now);
int memory_commit(struct backend *b);
void memory_rollback(struct backend *b);
int memory_mark(struct backend *b);
int memory_unmark(struct backend *b);
int memory_back(struct backend *b);

/* Records a step of undo. UNDO_BATCH and UNDO_KEY undo the latest one, and rec is NULL. */
void memory_remember(struct backend *b, enum undo_kind kind, struct record *rec);

/* Saves the session for an undo; call it before a change. */
void memory_remember_session(struct backend *b, struct memory_batch *m);
/* Removes the batch; there is no undo. */
void memory_drop_batch(struct backend *b, struct memory_batch *m);
/* Takes back the batch, or the key, that was put last: for a rollback. */
void memory_drop_last_batch(struct backend *b);
void memory_drop_last_key(struct backend *b);

/* prune.c */
int memory_prune(struct backend *b, struct backend_prune *p);

/* lines.c */
/* The line of this number; there is one. */
struct memory_line *memory_find_line(const struct backend *b, int64_t number);
/* Makes one that was dropped in this transaction known again. */
void memory_keep_line(struct backend *b, struct memory_line *line);
/* Takes out one that memory_keep_line may bring back; frees it. */
void memory_hide_line(struct backend *b, struct memory_line *line);
void memory_free_line(struct memory_line *line);
/* Where a queued record stands among those of its lane, queue and fairness key, from 1. */
uint32_t memory_place_of(const struct backend *b, const struct record *r);
int memory_queue_oldest(struct backend_reader *r, struct store_queue_oldest *o);

/* batches.c: batches, keys, reports */
int memory_find_unique(struct backend *b, const char *unique, struct task_id *out);
int memory_find_key(struct backend *b, const char *key, struct backend_key *out);
int memory_put_key(struct backend *b, const struct store_key *key, struct task_id id);
int memory_batch_put(struct backend *b, const struct store_batch *batch);
int memory_batch_failed(struct backend *b, uint64_t key, bool *out_cancel);
int memory_batch_cancel(struct backend *b, struct task_id id, bool spares_running);
int memory_batch_ends(struct backend *b, uint64_t key, struct store_batch *out,
                      uint64_t *out_unfinished);
int memory_batch_set_callback(struct backend *b, uint64_t key, struct task_id callback);
int memory_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n,
                            bool *out_more);
int memory_report(struct backend *b, const struct store_report *o);

/* sessions.c */
int memory_session_put(struct backend *b, const struct store_session *s,
                       const struct task_init *init);
int memory_session_init(struct backend *b, uint64_t key, struct task_init **out);
int memory_session_break(struct backend *b, uint64_t key, const char *why);
int memory_session_find(struct backend *b, uint64_t key, struct store_session *out);
int memory_session_add(struct backend *b, uint64_t key, uint32_t n);
int memory_session_close(struct backend *b, uint64_t key, int64_t now_wall_ms);
int memory_session_renew(struct backend *b, uint64_t key);
int memory_session_renew_all(struct backend *b);
int memory_session_leases(struct backend *b, size_t max, struct store_session *out, size_t *out_n);
int memory_session_end_lease(struct backend *b, uint64_t key, int64_t wall_ms);
int memory_session_get(struct backend_reader *r, struct store_session_get *o);
int memory_session_list(struct backend_reader *r, struct store_session_list *o);
int memory_session_ends(struct backend_reader *r, struct store_session_ends *o);

/* schedules.c */
int memory_schedule_find(struct backend *b, const char *name, struct store_schedule *out);
int memory_schedule_put(struct backend *b, const struct store_schedule *s);
int memory_schedule_remove(struct backend *b, const char *name);
int memory_schedule_count(struct backend *b, size_t *out_all, size_t *out_of_file);
int memory_schedule_of_file(struct backend *b, char (**out)[STORE_SCHEDULE_NAME_MAX + 1],
                            size_t *out_n);
int memory_schedule_add_run(struct backend *b, struct store_schedule *s,
                            const struct store_schedule_run *run);
int memory_schedule_end_waiting(struct backend *b, const char *name);
int memory_schedule_unfinished(struct backend *b, const char *name, size_t max, struct task *tasks,
                               size_t *out_n);
int memory_schedule_get(struct backend_reader *r, struct store_schedule_get *o);
int memory_schedule_list(struct backend_reader *r, struct store_schedule_list *o);
int memory_schedule_due(struct backend_reader *r, struct store_schedule_due *o);
/* A task of this schedule has ended. */
void memory_schedule_end_task(struct backend *b, const char *name);
/* records.c */
void memory_free_schedules(struct backend *b);

/* edges.c, graph.c */
int memory_find_state(struct backend *b, struct task_id id, enum task_state *out);
int memory_put_edge(struct backend *b, const struct backend_edge *e);
int memory_drop_wakes(struct backend *b, uint64_t child);
int memory_pending_edges(struct backend *b, uint64_t parent, size_t max, struct backend_edge *edges,
                         size_t *out_n);
int memory_children(struct backend *b, uint64_t parent, uint64_t after, size_t max,
                    struct backend_edge *edges, size_t *out_n);
int memory_place(struct backend *b, uint64_t key, int64_t *out);
int memory_submitted(struct backend *b, uint64_t key, uint64_t after, size_t max, uint64_t *keys,
                     size_t *out_n);
int memory_parents(struct backend *b, uint64_t child, size_t max, struct backend_edge *edges,
                   size_t *out_n);
int memory_set_due(struct backend *b, const struct task *t);
int memory_queue(struct backend *b, uint64_t key, enum task_state to, int64_t place);
int memory_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                    size_t *out_n);
int memory_set_unmet(struct backend *b, uint64_t child, uint32_t unmet);
int memory_find_live(struct backend *b, uint64_t key, struct task *out);
int memory_find_done(struct backend *b, uint64_t key, struct task *out);
int memory_put_cascade(struct backend *b, const struct backend_cascade *c);
int memory_next_cascade(struct backend *b, struct backend_cascade *out);
int memory_drop_cascade(struct backend *b, const struct backend_cascade *c);

/* attempts.c */
int memory_add_attempt(struct backend *b, uint64_t key, const struct store_attempt *a);
int memory_put_checkpoint(struct backend *b, const struct store_checkpoint *o);
int memory_drop_checkpoint(struct backend *b, uint64_t key);
int memory_load_checkpoint(struct backend *b, uint64_t key, struct task_checkpoint **out);
int memory_set_callback(struct backend *b, uint64_t key, struct task_id callback);
int memory_attempts(struct backend_reader *r, struct store_attempts *o);

/* bulk.c: bulks, and failures in groups */
int memory_bulk_put(struct backend *b, const struct store_bulk *bulk);
int memory_bulk_next(struct backend *b, uint64_t after, struct store_bulk *out, size_t *out_n);
int memory_bulk_find(struct backend *b, struct task_id id, struct store_bulk *out);
int memory_bulk_scan(struct backend *b, struct backend_scan *scan);
/* At the end of a transaction. */
void memory_keep_bulks(struct backend *b, bool is_committed);
int memory_failures(struct backend_reader *r, struct store_failures *o);
int memory_bulk_get(struct backend_reader *r, struct store_bulk_get *o);
int memory_bulk_list(struct backend_reader *r, struct store_bulk_list *o);

/* read.c: what readers ask; each takes the lock. */
struct backend_reader {
    struct backend *b;
};
int memory_reader_open(struct backend *b, struct backend_reader **out);
void memory_reader_close(struct backend_reader *r);
int memory_get(struct backend_reader *r, struct store_get *o);
int memory_list(struct backend_reader *r, struct store_list *o);
int memory_get_many(struct backend_reader *r, struct store_get_many *o);
int memory_batch_get(struct backend_reader *r, struct store_batch_get *o);
/* Whether a list has this one. */
typedef bool memory_is_listed(const struct memory_batch *m, const void *ctx);
/* The newest batch or session of a list with a key below `before`, or NULL. mu held. */
const struct memory_batch *memory_find_older(const struct backend *b, memory_is_listed *is_listed,
                                             const void *ctx, uint64_t before);
int memory_batch_list(struct backend_reader *r, struct store_batch_list *o);
int memory_edges(struct backend_reader *r, struct store_edges *o);
/* Fills *out with some of the futures that the suspended task waits for. mu held. */
void memory_read_wakes(const struct backend *b, const struct task *t, struct store_reported *out);
int memory_members(struct backend_reader *r, struct store_members *o);
int memory_log(struct backend_reader *r, struct store_log *o);

/* Gives it another checkpoint (takes it; NULL: none); can be undone. */
void memory_set_checkpoint(struct backend *b, struct record *r, struct task_checkpoint *c);
/* Gives it another spec (takes it); can be undone. */
void memory_set_spec(struct backend *b, struct record *r, struct task_spec *spec);
/* A batch by the first half of its id; NULL when there is none. */
struct memory_batch *memory_find_batch(const struct backend *b, uint64_t key);
/* NULL when there is none. */
struct record *memory_find(const struct backend *b, uint64_t key);
/* Adds a record, makes `after` a record's task, takes a record out: all three can be undone. line:
 * the one that it belongs to while unfinished. place: BACKEND_PLACE_KEPT: as it is. */
void memory_add(struct backend *b, const struct task *t, struct memory_line *line, int64_t place);
void memory_set(struct backend *b, struct record *r, const struct task *after,
                struct memory_line *line, int64_t place);
void memory_drop(struct backend *b, struct record *r);
/* Edges and cascades as of before the mark, or the transaction: kept, dropped, and taken up again.
 * forget: the child is gone for good. */
void memory_graph_mark(struct backend *b);
void memory_graph_unmark(struct backend *b);
void memory_graph_back(struct backend *b);
void memory_graph_end(struct backend *b, bool is_commit);
void memory_graph_forget(struct backend *b, uint64_t child);
void memory_graph_release(struct backend *b);
/* At the end of the backend: frees all records. */
void memory_clear(struct backend *b);

#endif
