/* queue: what is said of queues and handlers, and how queues stand: verbs of the store (store.h).
 *
 * A queue is there while tasks are in it, or something is said of it; the default one always is. */
#ifndef FUT_STORAGE_QUEUE_H
#define FUT_STORAGE_QUEUE_H

#include "core/pool_view.h"
#include "storage/limit.h"
#include "storage/node.h"

#define STORE_QUEUES_MAX 10000
#define STORE_FAIR_WEIGHTS_MAX 1000 /* of one queue */
#define STORE_WEIGHT_MIN 0.001
#define STORE_WEIGHT_MAX 1000.0
#define STORE_QUEUE_STARTS 128 /* the latest starts, of which waits and rate are told */
#define STORE_QUEUE_RATE_S 60  /* and no older than this for the rate */

struct store_queue {
    char name[TASK_QUEUE_MAX + 1];
    double weight;            /* its share of the slots beside the others'; 1: as any */
    struct store_limit limit; /* max_running and rate of all its tasks; the rest is not looked at */
    int64_t retention_ms;     /* done futures are kept so long; 0: as store_config.retention_ms. For
                                 those that end from now on. */
    int64_t age_after_ms; /* waiting so long counts as much as one point of priority; 0: priorities
                             are strict. For tasks that are queued from now on. */
};
struct store_fair_weight {
    char key[TASK_FAIR_KEY_MAX + 1];
    double weight; /* turns that the fairness key has for one of another's; 0: forget it */
};

/* Changes what is said of a queue, all of it or nothing. rc FUT_ERR_FULL: there are
 * STORE_QUEUES_MAX queues; FUT_ERR_AGAIN: STORE_LIMIT_KEYS_MAX keys of limits are in use;
 * FUT_ERR_TOO_BIG: more than STORE_FAIR_WEIGHTS_MAX. */
enum store_queue_member {
    STORE_QUEUE_WEIGHT = 1,
    STORE_QUEUE_MAX_RUNNING = 2,
    STORE_QUEUE_RATE = 4,
    STORE_QUEUE_AGE = 8,
    STORE_QUEUE_PAUSE = 16,
    STORE_QUEUE_RETENTION = 32,
};
struct store_queue_set {
    struct store_op op;
    struct store_queue queue; /* in: of it the members in `sets` */
    unsigned sets;            /* enum store_queue_member */
    struct pool_pause pause;  /* no task of it is started; since_wall_ms 0: it goes on */
    const struct store_fair_weight *fair; /* borrowed until done */
    size_t n_fair;
    bool is_all_fair; /* the fairness keys that are not among these have no weight any more */
    bool is_new;      /* out: nothing was said of it */
};
extern const struct store_verb store_verb_queue_set;

/* Forgets what is said of it; its tasks stay. rc FUT_ERR_NOT_FOUND: there is no such queue. */
struct store_queue_drop {
    struct store_op op;
    const char *name; /* borrowed until done */
};
extern const struct store_verb store_verb_queue_drop;

struct store_queue_status {
    struct store_queue queue;
    struct pool_pause pause;
    uint64_t live[LANE_COUNT][TASK_STATE_COUNT];
    bool is_closed;        /* max_running or rate lets no task start now */
    int64_t opens_wall_ms; /* when time opens it; 0: an end of a task does */
    size_t starts;         /* of which the waits are; STORE_QUEUE_STARTS at most; since boot */
    int64_t wait_p50_ms, wait_p95_ms;
    double started_per_s;
};
/* Queues by name: one, or a page of all. rc FUT_ERR_NOT_FOUND: there is no such queue. */
struct store_queue_list {
    struct store_op op;
    const char *name;  /* NULL: all; borrowed until done */
    bool shows_any;    /* one of which nothing is said, and that has no tasks, as such */
    const char *after; /* of all: those behind this name; NULL: from the first; borrowed */
    size_t limit;      /* of all: >= 1 */
    struct store_queue_status *queues; /* out: free() it */
    size_t n;                          /* out */
    bool has_more;                     /* out */
    struct store_fair_weight *fair;    /* out, with a name: by key; free() it */
    size_t n_fair;                     /* out */
};
extern const struct store_verb store_verb_queue_list;

/* When those tasks were submitted that have waited longest, queue by queue. Of each waiting line
 * the first of each priority is looked at (where priorities age: the first), in
 * STORE_QUEUE_LINES_MAX lines of a queue at most. */
#define STORE_QUEUE_LINES_MAX 10000
struct store_queue_oldest {
    struct store_op op;
    const struct store_queue_status *queues; /* borrowed until done */
    size_t n;
    int64_t *wall_ms; /* space for n, the caller's; out: 0: none waits */
};
extern const struct store_verb store_verb_queue_oldest;

/* How many tasks of a queue run on a node. */
struct store_queue_node {
    size_t queue; /* which one of those that were asked for */
    char name[STORE_NODE_NAME_MAX + 1];
    uint64_t running[LANE_COUNT];
};
/* Where the running tasks of queues run. A daemon alone knows without asking its database. */
struct store_queue_nodes {
    struct store_op op;
    const struct store_queue_status *queues; /* by name; borrowed until done */
    size_t n;
    struct store_queue_node *nodes; /* out: those with running tasks, by queue and name; free() */
    size_t n_nodes;                 /* out */
};
extern const struct store_verb store_verb_queue_nodes;

/* Starts no task of the handler until it goes on; what runs goes on. rc FUT_ERR_FULL:
 * STORE_QUEUES_MAX handlers are paused. */
struct store_handler_pause {
    struct store_op op;
    const char *name;        /* borrowed until done */
    bool only_looks;         /* changes nothing */
    struct pool_pause pause; /* since_wall_ms 0: it goes on; out: as it is */
    uint64_t running;        /* out */
};
extern const struct store_verb store_verb_handler_pause;

/* What can be paused. Stored: never renumber. */
enum store_pausable { STORE_PAUSE_QUEUE, STORE_PAUSE_HANDLER };
/* Is it paused? Any thread; takes a short lock; as of some moment ago. False: *out untouched. */
bool store_paused(struct store *s, enum store_pausable kind, const char *name,
                  struct pool_pause *out);
/* Listeners hear of this id when something that is paused has no running task any more. */
struct task_id store_pause_id(enum store_pausable kind, const char *name);
/* Does max_running or rate of the queue let no task start now? As store_limit_closed. */
bool store_queue_closed(struct store *s, const char *name, struct store_limit_closed *out);

#endif
