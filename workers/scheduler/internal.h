/* scheduler_internal: what the rooms of the scheduler share: scheduler.c (the thread), claims.c
 * (taking tasks), claim_ranks.c (whose first), pools.c (how many at once), ready.c (those that wait
 * for a slot), attempt.c (one run), attempt_kinds.c (the ways to run), finish.c (telling the
 * store), cancels.c (hearing from it). All of it belongs to the scheduler's thread unless said. */
#ifndef FUT_WORKERS_SCHEDULER_INTERNAL_H
#define FUT_WORKERS_SCHEDULER_INTERNAL_H

#include <stdatomic.h>

#include "core/map.h"
#include "workers/base/inbox.h"
#include "workers/exec/exec_attempt.h"
#include "workers/handlers/thread_pool.h"
#include "workers/handlers/webhook.h"
#include "workers/process/worker_set.h"
#include "workers/scheduler/report.h"
#include "workers/scheduler/scheduler.h"

/* A slot is free, reserved by a claim that is with the store, or busy with an attempt. */
struct lane_slots {
    uint32_t capacity;
    bool is_paused;
    uint32_t reserved;
    atomic_uint busy;         /* written by the scheduler's thread, read by the view */
    _Atomic uint64_t started; /* likewise */
    atomic_uint unsaved;      /* likewise: ends that the store refused, kept and offered again */
    atomic_int unsaved_rc;    /* likewise: why, of the latest of them */
    int64_t pause_ms;         /* after a claim that failed: before the next one */
    struct loop_timer pause;
    /* Claimed attempts that have not begun. */
    struct list ready;
    struct list ready_last; /* a daemon has died with these: alone, where that can be */
    struct list ahead;      /* before all these: a worker has them, behind the one that it runs */
    struct loop_timer ready_timer;
    int64_t ran_us;         /* moving average of how long an attempt runs */
    uint64_t held;          /* programs that claims which are with the store leave out */
    uint64_t others_served; /* number of the latest task that is not a `worker` handler's */
    bool recalling;         /* these claims are on their way back */
};

/* Slots that nothing can begin in. An end that the store refuses keeps its slot, or a store that
 * takes claims and no results would fill the memory with them. */
static inline uint32_t lane_taken(const struct lane_slots *l)
{
    return atomic_load_explicit(&l->busy, memory_order_relaxed) +
           atomic_load_explicit(&l->unsaved, memory_order_relaxed);
}

/* What a lane is to be; lane_slots follows it. */
struct lane_plan {
    uint32_t capacity, configured;
    bool configured_pause;
    struct pool_pause pause;
};

struct pool_plan {
    struct mutex mu;
    struct lane_plan lanes[LANE_COUNT]; /* guarded by mu */
    const struct handlers *handlers;    /* guarded by mu: for the next turn; NULL: no new ones */
    struct inbox_item item;
    atomic_bool is_told; /* item is in the inbox */
};

struct scheduler {
    struct scheduler_config cfg;
    struct loop *loop;
    struct children *children;
    struct worker_set *workers;
    struct thread_pool *pool;
    struct inbox inbox; /* any thread pushes */
    struct loop_source wake;
    pthread_t thread;
    bool started, quit;

    const struct handlers *handlers; /* for new attempts */
    struct lane_slots lanes[LANE_COUNT];
    struct pool_plan plan;
    uint64_t served;         /* tasks that were claimed */
    uint32_t suspects;       /* attempts, begun or not, of tasks that a daemon has died with */
    struct list claims;      /* with the store, or in the inbox */
    struct list running;     /* attempts */
    struct list finishing;   /* attempts that are over, on their way to the store */
    size_t posted;           /* of these, with the store or on the way back */
    struct map by_id;        /* ready and running attempts by the id's upper half */
    struct list thread_jobs; /* started in this turn, for the pool */
    struct map cancels;      /* cancelled tasks that we have not met yet */
    struct list cancels_by_age;
    uint32_t random;
    struct webhook_secret callback_secret; /* n 0: none */

    atomic_bool claims_stopped;
    atomic_bool broken;
    int broken_fd;

    struct inbox_item ping_item; /* scheduler_has_moved's question */
    atomic_bool is_pinging;
    struct inbox_item drain_item, quit_item;
    struct loop_timer drain_timer;
    bool draining;
    int64_t grace_ms; /* written before drain_item is pushed */
    struct mutex mu;
    struct cond drained_cond;
    bool drained; /* guarded by mu */
};

enum stop_reason { STOP_NONE, STOP_TIMEOUT, STOP_LIMIT, STOP_CANCELLED, STOP_RELEASED };

struct attempt;

/* A way to run: a row of functions. */
struct attempt_kind {
    void (*start)(struct attempt *a);
    /* TERM or KILL. attempt_end follows, maybe before it returns. */
    void (*stop)(struct attempt *a, int signal);
    /* Lets go of everything; attempt_end is not called any more. */
    void (*abandon)(struct attempt *a);
    /* Frees what start made, after the end. */
    void (*release)(struct attempt *a);
    bool needs_fork_server;
    bool keeps_success; /* a success that comes after a stop is a true one */
};

struct attempt {
    struct scheduler *s;
    const struct attempt_kind *kind; /* NULL while never started */
    const struct handlers *handlers; /* keeps handler */
    const struct handler *handler;
    struct worker_program *program; /* NULL: not one of a `worker` handler */
    struct list_node link;          /* ready, running or finishing */
    struct list *ready;             /* the list that it waits in; NULL: it has begun, or is over */
    struct map_node by_id;          /* while ready or running */
    struct store_apply apply;       /* its task is our snapshot */
    struct loop_timer timer;        /* running: deadline, then kill; finishing: try again */
    struct inbox_item item;         /* from the pool, then from the store */
    struct loop_dead dead;
    enum stop_reason stop;
    enum limit_kind met;     /* STOP_LIMIT: which */
    uint64_t met_at_cpu_ms;  /* and, for LIMIT_CPU, what it had used */
    int64_t ready_mono_ms;   /* since when it waits for a slot */
    int64_t started_mono_us; /* 0: has not begun */
    int64_t ran_ms, retry_ms;
    struct report report;
    struct task_outcome *outcome;
    union {
        struct {
            struct pool_job job;
            struct run run;
            struct store_get parent;
            struct inbox_item news;
            atomic_bool news_queued;
        } thread;
        struct worker_job worker;
        struct program_run *program; /* made by start: it is large, and most have none */
    } as;
};

/* attempt.c */
/* Takes the claimed task (RUNNING). */
struct attempt *attempt_new(struct scheduler *s, const struct task *task);
/* Takes a slot and starts. */
void attempt_begin(struct attempt *a);
/* The same for one that was given ahead and has been started by its worker. */
void attempt_begun(struct attempt *a);
/* Asks it to end: TERM now, KILL after the grace; one that has not begun ends at once. Only the
 * first reason counts. */
void attempt_stop(struct attempt *a, enum stop_reason reason);
/* A running one takes more than its handler's limits allow: the same; for output KILL at once. */
void attempt_over(struct attempt *a, enum limit_kind limit, uint64_t cpu_ms);
/* It is over: frees the slot, goes to the store. Takes outcome (NULL allowed when stopped). */
void attempt_end(struct attempt *a, enum run_class class, struct task_outcome *outcome);
/* When a failure is tried again: the task's word, then its handler's, then the house's. */
struct retry_policy attempt_policy(const struct attempt *a);
/* The ready or running attempt of this task with this number, or NULL. */
struct attempt *attempt_find(struct scheduler *s, struct task_id id, uint32_t number);
void attempt_free(struct attempt *a);
/* For those that need the fork server, which is dead: gives their tasks back. */
void attempt_release_orphans(struct scheduler *s);

/* attempt_worker.c */
extern const struct attempt_kind attempt_worker_kind;
/* Gives it to a worker that still runs another one; false: none takes it. */
FUT_MUST_CHECK bool attempt_give_ahead(struct attempt *a);

/* attempt_kinds.c */
const struct attempt_kind *attempt_kind_of(const struct handler *h, enum lane lane);

/* ready.c */
void ready_init(struct scheduler *s);
/* Takes the claimed task. */
void ready_add(struct scheduler *s, const struct task *task);
/* Begins what has a slot; once a turn. */
void ready_begin(struct scheduler *s);
/* How many tasks to claim beyond the slots. */
uint32_t ready_window(const struct scheduler *s, enum lane lane);
/* How many wait for a slot. */
size_t ready_count(const struct scheduler *s, enum lane lane);
/* An attempt of this lane ran so long. */
void ready_measure(struct scheduler *s, enum lane lane, int64_t ran_us);
void ready_free(struct scheduler *s);

/* pools.c */
void pools_init(struct scheduler *s);
void pools_free(struct scheduler *s);
/* scheduler_reload. */
void pools_plan(struct scheduler *s, const struct scheduler_plan *plan);
/* Has the claims of the lane that wait in the store come back. */
void pools_recall(struct scheduler *s, enum lane lane);
/* For pool_view; any thread. */
void pools_change(void *scheduler, enum lane lane, const struct pool_wish *wish);
void pools_read(struct scheduler *s, enum lane lane, struct pool_lane *out);

/* claim_ranks.c */
#define CLAIM_RANKS_MAX 32
/* Which handlers' tasks a claim takes first, where there are `worker` handlers. */
struct claim_ranks {
    size_t n;       /* 0: all alike */
    uint8_t others; /* rank of all that have none of their own */
    uint64_t held;  /* a bit for each program whose tasks are to stay in the queue */
    struct store_rank ranks[CLAIM_RANKS_MAX];
    char names[CLAIM_RANKS_MAX][TASK_HANDLER_MAX + 1];
};
bool claim_ranks_are_needed(const struct scheduler *s);
void claim_ranks_make(const struct scheduler *s, enum lane lane, struct claim_ranks *out);

/* claims.c */
/* Posts a claim for every free slot that has none, and for what is to be ready beside them. */
void claims_post(struct scheduler *s);
void claims_init(struct scheduler *s);
void claims_free(struct scheduler *s);

/* finish.c */
/* Takes the ended attempt; ev with its outcome goes to the store, again and again if need be. */
void finish_post(struct attempt *a, enum task_event ev);
/* No word to the store (it knows): log and free. */
void finish_quietly(struct attempt *a);

/* cancels.c */
/* The store's listener: the writer thread. */
store_listener cancels_listener;
/* Was this attempt cancelled in the moment between its claim and its start? */
bool cancels_take(struct scheduler *s, struct task_id id, uint32_t attempt);
void cancels_free(struct scheduler *s);

#endif
