/* limit_set: how many tasks may run at once, and how many may start in a time, as the writer knows
 * it. A limit is counted for each of its keys apart (a limit without keys has one, ""). How many
 * run is counted from the tasks themselves; what is left of a rate, and until when a key is closed,
 * is a row. The writer thread alone; others see limit_view.h.
 *
 * A rate is a token bucket (a start takes one; they come back evenly, up to the burst): in any time
 * T at most burst + T * tasks / per tasks start. It is measured by the uptime. */
#ifndef FUT_STORAGE_ENGINE_LIMIT_SET_H
#define FUT_STORAGE_ENGINE_LIMIT_SET_H

#include "core/heap.h"
#include "core/list.h"
#include "core/map.h"
#include "storage/backend.h"
#include "storage/engine/limit_view.h"

struct store;

/* The name under which labels that tasks need are limits, by key: one is closed where this daemon
 * has not the label. Nobody else can have it. */
#define LIMIT_SET_LABELS "(label)"

/* What the sessions of a lane may have claimed beyond their limits, all together: the scheduler
 * lets no more of them run than their limits say, and has the next ones at hand. */
struct limit_ahead {
    uint64_t most, used;
};

/* One that is defined. */
struct limit {
    struct map_node by_name;
    struct list_node in_order; /* of all, by name */
    struct list keys;
    struct store_limit is;
    bool is_listed; /* by the latest limit_set_reload */
};

struct limit_key {
    struct map_node by_name;
    struct list_node in_limit; /* of limit->keys, or of limits.loose */
    struct list_node dirty;    /* in limits.dirty: its row is to be written with this commit */
    struct heap_node timer;    /* in limits.timers: when time opens it, or it may be forgotten */
    struct limit *limit;       /* NULL: no limit of this name is defined, so nothing holds */
    struct list nodes;         /* of turns.c: those that are closed with it */
    struct line_queue *queue;  /* of turns.c: closed with it; it has the definition for itself */
    uint64_t waiting, running;
    struct limit_ahead *ahead; /* of a session that has a line; else NULL */
    uint64_t exceeding;        /* of ahead->used: by so many more are claimed than may run */
    double tokens;             /* of its rate, as of tokens_up_ms */
    int64_t tokens_up_ms;
    int64_t closed_until_up_ms; /* whatever else; 0: not */
    struct {
        double tokens;
        int64_t tokens_up_ms, closed_until_up_ms;
    } before; /* while dirty: before this transaction */
    bool is_open, is_stored;
    bool is_elsewhere; /* a label that this daemon has not */
    char name[TASK_LIMIT_NAME_MAX + 1], key[TASK_LIMIT_KEY_MAX + 1];
};

struct limit_set {
    struct map by_name, keys;
    struct list in_order;
    struct list loose; /* keys of names that are not defined */
    struct list dirty;
    struct heap timers;
    struct limit_ahead ahead[LANE_COUNT];
    int64_t now_up_ms;            /* of this transaction */
    struct limit_change *changes; /* of definitions, in this transaction */
    size_t n_changes;
    struct task_needs labels; /* that this daemon has */
    struct limit_view view;
};

/* An empty set; limit_set_release frees. */
void limit_set_init(struct limit_set *l);
/* Frees all keys and definitions. */
void limit_set_release(struct limit_set *l);
/* Fills it from the backend. */
FUT_MUST_CHECK int limit_set_load(struct store *s);

/* Other nodes have changed definitions: brings them up to date. Calls fn for each key. */
FUT_MUST_CHECK int limit_set_reload(struct store *s,
                                    void (*fn)(struct store *s, struct limit_key *k));
/* Another node has written the row of this key, which is made if need be; NULL: as limit_set_get.
 */
struct limit_key *limit_set_hear(struct limit_set *l, const struct backend_limit_key *row);

/* The key, made if need be; NULL: STORE_LIMIT_KEYS_MAX are in use. */
struct limit_key *limit_set_get(struct limit_set *l, const char *name, const char *key);
/* The key, with a definition that no other has (limit_set_find knows none of them): defined, or
 * changed. NULL: as limit_set_get. The caller sets k->queue and updates. */
struct limit_key *limit_set_own(struct limit_set *l, const char *name, const char *key,
                                const struct store_limit *is);
/* The end of such a definition; the key is let go. */
void limit_set_disown(struct limit_set *l, struct limit_key *k);
/* Does any line or queue need the key? */
bool limit_set_is_needed(const struct limit_key *k);
/* A key that no line needs may go, as soon as its bucket is full. */
void limit_set_let_go(struct limit_set *l, struct limit_key *k);

/* The key has a line of this lane. */
void limit_set_join_lane(struct limit_set *l, struct limit_key *k, enum lane lane);
/* How many more tasks may start now, `want` at most. */
uint64_t limit_set_space(const struct limit_set *l, const struct limit_key *k, uint64_t want);
/* n tasks start: they take their tokens. Within the transaction. */
void limit_set_take(struct limit_set *l, struct limit_key *k, uint64_t n);
/* k->is_open as it is now; true when that has changed: turns_update_limit follows. A key of a
 * session may be open without space, when other sessions have had what was ahead; it is never
 * closed while fewer of it run than may. */
bool limit_set_update(struct limit_set *l, struct limit_key *k);
/* The first key that time may have opened, or NULL. */
struct limit_key *limit_set_due(const struct limit_set *l);
/* It is due: forgets it if nobody needs it. True: it is gone. */
FUT_MUST_CHECK bool limit_set_forget(struct store *s, struct limit_key *k);
/* When there is the next, by the uptime; INT64_MAX: never. */
int64_t limit_set_next_up_ms(const struct limit_set *l);

/* Writes the rows of this transaction. */
FUT_MUST_CHECK int limit_set_save(struct store *s);
/* It is committed; or undone: calls fn for each key that may have changed. */
void limit_set_committed(struct limit_set *l);
void limit_set_undo(struct limit_set *l, void (*fn)(struct store *s, struct limit_key *k),
                    struct store *s);

/* ---- the verbs' part ------------------------------------------------------------------------- */

/* The limit of this name, or NULL. */
struct limit *limit_set_find(const struct limit_set *l, const char *name);
/* Defines it, or changes the definition; the keys are the caller's to update. */
struct limit *limit_set_define(struct limit_set *l, const struct store_limit *is);
/* Before a change of a definition (is: as it was; NULL: there was none), so that limit_set_undo can
 * take it back. */
void limit_set_remember(struct limit_set *l, const char *name, const struct store_limit *is);
/* Its keys become loose; the caller updates these. */
void limit_set_undefine(struct limit_set *l, struct limit *limit);
void limit_set_close(struct limit_set *l, struct limit_key *k, int64_t until_up_ms);

#endif
