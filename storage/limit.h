/* limit: how many tasks may run at once, or start in a time: verbs of the store (store.h).
 *
 * A task names up to TASK_LIMITS_MAX of them (spec.limits); it waits in its queue while one is
 * closed. Exact: tasks are counted by the one writer, in the commit that starts them. */
#ifndef FUT_STORAGE_LIMIT_H
#define FUT_STORAGE_LIMIT_H

#include "storage/store.h"

#define STORE_LIMITS_MAX 10000
#define STORE_LIMIT_KEYS_MAX 100000 /* that are in use */
struct store_limit {
    char name[TASK_LIMIT_NAME_MAX + 1];
    bool per_key;         /* each key is counted apart; tasks name it with a key */
    uint32_t max_running; /* 0: any number */
    double rate_tasks;    /* 0: no rate; so many may start */
    int64_t rate_per_ms;  /* in this time, */
    double rate_burst;    /* so many of them at once, >= 1 */
};

/* Defines a limit, or changes it, for tasks that wait already as well. rc FUT_ERR_FULL:
 * STORE_LIMITS_MAX are defined. */
struct store_limit_put {
    struct store_op op;
    struct store_limit limit;
    bool is_new; /* out */
};
extern const struct store_verb store_verb_limit_put;

/* Nothing holds tasks that name it any more. rc FUT_ERR_NOT_FOUND. */
struct store_limit_drop {
    struct store_op op;
    const char *name; /* borrowed until done */
};
extern const struct store_verb store_verb_limit_drop;

/* Keeps one key closed for so long, whatever it counts; 0: opens it. rc FUT_ERR_NOT_FOUND: no such
 * limit; FUT_ERR_AGAIN: STORE_LIMIT_KEYS_MAX are in use. */
struct store_limit_close {
    struct store_op op;
    struct task_limit key;
    int64_t for_ms;
};
extern const struct store_verb store_verb_limit_close;

/* How a limit stands, or one of its keys. */
struct store_limit_use {
    char key[TASK_LIMIT_KEY_MAX + 1]; /* of a limit as a whole: "" */
    uint64_t waiting, running;
    int64_t opens_wall_ms; /* time closes it until then; 0: not */
    bool is_closed;        /* no task of it may start now; of a whole with keys: false */
};
struct store_limit_status {
    struct store_limit limit;
    struct store_limit_use use;
    uint64_t keys; /* in use */
};
/* All limits by name, or one with its keys. rc FUT_ERR_NOT_FOUND: name is none. */
#define STORE_LIMIT_KEYS_SHOWN 100
struct store_limit_list {
    struct store_op op;
    const char *name;                  /* NULL: all; borrowed until done */
    struct store_limit_status *limits; /* out: free() it */
    size_t n;                          /* out */
    struct store_limit_use *keys;      /* out, with a name: those with most waiting; free() it */
    size_t n_keys;                     /* out; STORE_LIMIT_KEYS_SHOWN at most */
};
extern const struct store_verb store_verb_limit_list;

/* Is this limit defined? Any thread; takes a short lock. False: *out_per_key untouched. */
bool store_limit_find(struct store *s, const char *name, bool *out_per_key);
/* How many tasks of this limit (of each of its keys) may run at once; 0: any number, or it is not
 * defined. Any thread; takes a short lock. */
uint32_t store_limit_max_running(struct store *s, const char *name);
/* Has any name TASK_LIMIT_HOST in front? Likewise. */
bool store_limit_has_hosts(struct store *s);
/* The first closed one of the limits that a task names (spec.limits), or the first that is shut, if
 * one is. Likewise; as of some moment ago. False: all are open. */
struct store_limit_closed {
    char name[TASK_LIMIT_NAME_MAX + 1], key[TASK_LIMIT_KEY_MAX + 1];
    uint32_t max_running;
    bool is_full;          /* so many run */
    bool is_shut;          /* it was closed for a time, by store_verb_limit_close */
    int64_t opens_wall_ms; /* when time opens it; 0: an end of a task does */
};
bool store_limit_closed(struct store *s, const char *limits, struct store_limit_closed *out);

#endif
