/* scheduler_internal: what the modules of the scheduler share, from the lowest to the highest:
 * report, storing (checkpoints), filling (results that it needs), suspension, attempt (one run of a
 * task, and where it stands), attempt_thread, attempt_exec and attempt_worker (the ways to run),
 * cancels (hearing from the store), finish (telling the store), audit (does the store say the
 * same), ready (attempts that wait for a slot), slots (how many at once), exclusions (whose tasks
 * are not taken for now), claims (taking tasks), scheduler (the thread). Everything belongs to the
 * scheduler's thread unless a comment says otherwise. */
#ifndef FUT_WORKERS_SCHEDULER_INTERNAL_H
#define FUT_WORKERS_SCHEDULER_INTERNAL_H

#include <stdatomic.h>

#include "core/mailbox.h"
#include "core/map.h"
#include "workers/exec/exec_attempt.h"
#include "workers/exec/exec_holds.h"
#include "workers/handlers/thread_pool.h"
#include "workers/handlers/webhook.h"
#include "workers/process/worker_set.h"
#include "workers/scheduler/report.h"
#include "workers/scheduler/scheduler.h"

/* Where an attempt stands. attempt_move alone changes it, by the table in attempt.c. */
enum attempt_state {
    ATTEMPT_NEW,      /* is being made */
    ATTEMPT_BLOCKED,  /* claimed, but waits for another one to end (blocked.c), or its input is not
                         there yet */
    ATTEMPT_WAITING,  /* claimed, and waits for a slot of its lane */
    ATTEMPT_SUSPECT,  /* likewise, but a daemon has died with its task: begins when nothing waits */
    ATTEMPT_PENDING,  /* a callback: claimed, and waits for its receiver; given back when that lasts
                       */
    ATTEMPT_OFFERED,  /* with a worker that still runs another one, or with the fork server until a
                         program ends; can be taken back */
    ATTEMPT_RUNNING,  /* has a slot and was started; its timer is the deadline */
    ATTEMPT_STOPPING, /* runs, and was told to end; its timer is the KILL */
    ATTEMPT_ENDED,    /* does not run any more; finish_ended takes it up, with others */
    ATTEMPT_SAVING,   /* its end is with the store */
    ATTEMPT_UNSAVED,  /* the store refused its end; its timer is the next try */
    ATTEMPT_GONE,     /* the store knows; freed at the end of the turn */
};
#define ATTEMPT_STATE_COUNT 12

/* Callbacks that may run at once, in slots beside those of the io lane: a receiver that does not
 * answer keeps no task waiting. */
#define CALLBACK_SLOTS 8u
/* Of these, to one receiver (host and port): one that does not answer keeps no other waiting. */
#define CALLBACKS_PER_RECEIVER 2u
#define CALLBACKS_PENDING 16u /* that are claimed ahead at most */
/* A callback waits so long for its receiver, then for a time that others use. */
#define CALLBACK_WAIT_MS 250LL

/* One lane. A slot is free, reserved by a claim that is with the store, or busy with an attempt. */
struct lane_slots {
    uint32_t capacity;
    bool is_paused;
    uint32_t reserved;
    uint32_t filling;                    /* attempts whose input is with the store */
    struct list in[ATTEMPT_STATE_COUNT]; /* the lane's attempts; attempt_move alone changes them */
    atomic_uint
        refused; /* threads that the system did not give; written by the scheduler's thread */
    int64_t refused_pause_ms; /* before it is asked for them again */
    struct loop_timer refused_timer;
    atomic_uint busy;         /* written by the scheduler's thread, read by the view */
    atomic_uint lent;         /* likewise: of the busy ones, those that wait for other tasks */
    _Atomic uint64_t started; /* likewise */
    atomic_uint claimed;      /* likewise: attempts that are running for all we know of the store */
    atomic_uint unsaved;      /* likewise: ends that the store refused, kept and offered again */
    atomic_int unsaved_rc;    /* likewise: why, of the latest of them */
    struct attempt *callbacks[CALLBACK_SLOTS]; /* that run, in slots of their own; NULL: free */
    uint32_t callbacks_running;
    bool callbacks_full; /* no more of them are claimed until half of their slots are free */
    uint32_t
        callbacks_reserved; /* that a claim which is with the store, for them alone, may bring */
    int64_t callback_due_mono_ms; /* when the callback is due that was deferred last */
    int64_t claim_pause_ms;       /* after a claim that failed: before the next one */
    struct loop_timer claim_pause;
    struct loop_timer ready_timer; /* when the attempt that waits longest has waited too long */
    int64_t ran_us;                /* moving average of how long an attempt runs */
    uint32_t since_once; /* tasks claimed since the last one that runs once; not counted for ever */
    uint64_t excluded;   /* programs that the claims which are with the store leave out */
    bool is_recalling;   /* these claims are on their way back */
    uint32_t told_ahead; /* what the store was told last, by store_session_ahead */
    uint32_t programs;   /* that run in slots */
    uint32_t lined_up;   /* programs that wait with the fork server for the end of one of these */
};

/* Slots that nothing can begin in. An end that the store refuses keeps its slot, or a store that
 * takes claims and no results would fill the memory with them. An attempt that waits for other
 * tasks has lent its own. When it goes on, it does so at once: more run then than there are slots,
 * by as many as were lent, until attempts have ended. */
static inline uint32_t lane_taken(const struct lane_slots *l)
{
    return atomic_load_explicit(&l->busy, memory_order_relaxed) -
           atomic_load_explicit(&l->lent, memory_order_relaxed) +
           atomic_load_explicit(&l->unsaved, memory_order_relaxed);
}

/* How many attempts wait for a slot. */
static inline size_t lane_ready(const struct lane_slots *l)
{
    return l->in[ATTEMPT_WAITING].len + l->in[ATTEMPT_SUSPECT].len + l->in[ATTEMPT_OFFERED].len;
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
    struct mailbox_call item;
    atomic_bool is_told; /* item is in the inbox */
};

struct audit;

struct scheduler {
    struct scheduler_config cfg;
    struct loop *loop;
    struct children *children;
    struct worker_set *workers;
    struct mailbox_call waits_item; /* attempts have begun or ceased to wait for other tasks */
    atomic_bool waits_are_told;     /* it is in the inbox */
    struct thread_pool *pool;
    uint32_t threads;     /* of the pool */
    struct mailbox inbox; /* any thread pushes */
    struct loop_source wake;
    pthread_t thread;
    bool started, quit;

    const struct handlers *handlers; /* for new attempts */
    struct lane_slots lanes[LANE_COUNT];
    struct pool_plan plan;
    uint32_t suspects;       /* unfinished attempts of tasks that a daemon has died with */
    struct list claims;      /* with the store, or in the inbox */
    size_t posted;           /* ends with the store or on the way back */
    int64_t gather_mono_ms;  /* until then ends may wait for others; 0: none waits */
    int64_t warn_mono_ms;    /* not before: the next warning of ends that are not stored */
    uint64_t unwarned;       /* such ends since the last one */
    struct map by_id;        /* attempts that have not ended, by the id's upper half */
    struct map sessions;     /* of which attempts have slots; session_slots.c */
    struct list thread_jobs; /* started in this turn, for the pool */
    struct map cancels;      /* of attempts that have not arrived yet */
    struct list cancels_by_age;
    struct audit *audit;
    struct exec_holds holds;      /* programs that are not started for now */
    struct loop_timer hold_timer; /* when a hold is to be looked at again */
    bool holds_changed;           /* claims with the store must come back to learn of it */
    uint32_t random;
    struct webhook_secret callback_secret; /* n 0: none */

    atomic_bool claims_stopped;
    atomic_bool broken;
    int broken_fd;

    struct thread_probe probe;
    struct mailbox_call probe_item;
    struct mailbox_call drain_item, quit_item;
    struct loop_timer drain_timer;
    bool draining;
    int64_t grace_ms; /* written before drain_item is pushed */
    struct mutex mu;
    struct cond drained_cond;
    bool drained; /* guarded by mu */
};

enum stop_reason {
    STOP_NONE,
    STOP_TIMEOUT,
    STOP_LIMIT,
    STOP_CANCELLED,
    STOP_RELEASED,
    STOP_DEFERRED
};

struct attempt;

/* A way to run: a row of functions. */
struct attempt_kind {
    void (*start)(struct attempt *a);
    /* SIGTERM or SIGKILL. attempt_end follows, maybe before it returns. */
    void (*stop)(struct attempt *a, int signal);
    /* Asks it to suspend itself; it may not know how, or not want to. NULL: it never does. */
    void (*yield)(struct attempt *a);
    /* What attempt_store was given is on disk (why NULL), or is not. NULL: it stores nothing. */
    void (*stored)(struct attempt *a, const char *why);
    /* Offers a waiting attempt to what still runs another one: OFFERED. False: nothing takes it.
     * NULL, as those that follow: none is ever offered. */
    bool (*offer)(struct attempt *a);
    /* Could an offered attempt begin elsewhere, now that a slot is free? */
    bool (*is_misplaced)(const struct attempt *a);
    /* Takes an offered attempt back: it is waiting, running or ended after that. */
    void (*recall)(struct attempt *a);
    /* It has lent its slot, or goes on. NULL: nothing is to be done. */
    void (*lend)(struct attempt *a, bool is_lent);
    /* Lets go of everything; attempt_end is not called any more. */
    void (*abandon)(struct attempt *a);
    /* Frees what start made, after the end. */
    void (*release)(struct attempt *a);
    bool needs_fork_server;
    bool keeps_success; /* a success that comes after a stop is a true one */
};

struct program_run;

struct attempt {
    struct scheduler *s;
    enum attempt_state state;
    const struct attempt_kind *kind; /* NULL while never started */
    const struct handlers *handlers; /* keeps handler */
    const struct handler *handler;   /* NULL: there is none of that name any more */
    bool is_callback;                /* has a slot beside those of its lane */
    bool never_began;                /* it had its slot, and none of its code ran */
    bool is_lent;                    /* it waits for other tasks, and has lent its slot */
    uint64_t receiver;               /* of a callback: whom it calls */
    struct worker_program *program;  /* NULL: not one of a `worker` handler */
    struct list_node link;           /* in the lane's list of its state */
    struct map_node by_id;           /* until it has ended */
    struct task_id id;               /* of its task, and */
    uint32_t number;          /* which attempt it is: also while the store has what follows */
    struct store_apply apply; /* its task is our snapshot */
    struct loop_timer timer;  /* what it means depends on the state */
    struct mailbox_call item; /* from the pool, then from the store */
    struct loop_deferred deferred;
    enum stop_reason stop;
    enum limit_kind met;     /* STOP_LIMIT: which */
    uint64_t met_at_cpu_ms;  /* and, for LIMIT_CPU, what it had used */
    int64_t ready_mono_ms;   /* since when it may have a slot */
    int64_t started_mono_us; /* 0: has not begun */
    int64_t ended_mono_us;   /* 0: when its end is heard of */
    int64_t ran_ms;
    int64_t save_pause_ms; /* before its end is offered to the store again; 0: never refused */
    struct report report;
    struct filling *filling;     /* its input is with the store; NULL: it is here */
    struct storing *storing;     /* its checkpoint is with the store; NULL: none is */
    struct attempt_token *token; /* NULL: its program was given none */
    int64_t retry_after_ms;      /* a temporary failure is tried again no sooner; STOP_DEFERRED and
                                    RUN_SUSPENDED: then */
    struct suspension *suspension; /* RUN_SUSPENDED: until futures have ended; NULL:
                                      none; free() it */
    struct task_limit *gate;       /* that its end closes for retry_after_ms; NULL: none */
    enum run_class class;          /* how it ended, and */
    struct task_outcome *outcome;
    union {
        struct {
            struct pool_job job;
            struct run run;
            struct store_get parent;
        } thread;
        struct worker_job worker;
        struct program_run *program; /* made by start: it is large, and most have none */
    } as;
};

static inline enum lane attempt_lane(const struct attempt *a)
{
    return a->apply.task.spec->lane;
}

static inline struct lane_slots *attempt_slots(const struct attempt *a)
{
    return &a->s->lanes[attempt_lane(a)];
}

/* The first of the lane's attempts in this state, or NULL. */
static inline struct attempt *attempt_first(const struct lane_slots *l, enum attempt_state state)
{
    struct list_node *n = list_first(&l->in[state]);
    return n ? FUT_CONTAINER(n, struct attempt, link) : NULL;
}

/* The next one in the state of `a`, or NULL. */
static inline struct attempt *attempt_next(const struct attempt *a)
{
    struct list_node *n = list_next(&attempt_slots(a)->in[a->state], &a->link);
    return n ? FUT_CONTAINER(n, struct attempt, link) : NULL;
}

/* ---- attempt.c ---- */

/* Makes an attempt of a claimed task, whose references it takes: BLOCKED when it must wait for
 * another to end or its input is not there, else WAITING or SUSPECT. */
struct attempt *attempt_new(struct scheduler *s, const struct task *task);
/* Moves the attempt to the next state; aborts when the table has no such transition. */
void attempt_move(struct attempt *a, enum attempt_state to);
/* It runs now: RUNNING, with a line in the log. Whoever calls this starts it, or has seen that a
 * worker did. */
void attempt_begin(struct attempt *a);
/* It has waited in its slot for a process: its timeout counts from now. */
void attempt_restart_clock(struct attempt *a);
/* Asks the attempt to end: TERM now, KILL after the grace; one that has not begun ends at once.
 * Only the first reason counts. */
void attempt_stop(struct attempt *a, enum stop_reason reason);
/* What a callback that has not begun needs is taken: its task goes back uncharged, for a while. */
void attempt_defer(struct attempt *a);
/* A running attempt takes more than its handler's limits allow (cpu_ms: what it used, for
 * LIMIT_CPU): asks it to end like attempt_stop; over any other limit with KILL at once. */
void attempt_exceeded(struct attempt *a, enum limit_kind limit, uint64_t cpu_ms);
/* The attempt does not run any more: frees its slot. finish_ended tells the store, soon.
 * Takes outcome (NULL when it was stopped). */
void attempt_end(struct attempt *a, enum run_class class, struct task_outcome *outcome);
/* The attempt of this task with this number that has not ended, or NULL. */
struct attempt *attempt_find(struct scheduler *s, struct task_id id, uint32_t number);
/* It waits for other tasks from now on, and lends its slot; or it goes on. */
void attempt_lend(struct attempt *a, bool waits);
/* Gives the attempt a token, in place of one that it has, for its program. The daemon's address, or
 * NULL: there are no tokens, and text is untouched. */
const char *attempt_give_token(struct attempt *a, char text[ATTEMPT_TOKEN_SIZE]);
/* The token that it has, if any, is worth nothing any more. */
void attempt_end_token(struct attempt *a);
/* Frees an attempt that is in no list any more. */
void attempt_free(struct attempt *a);

/* ---- session_slots.c ---- */

/* How many of its session may run at once; 0: any number, or it is of none. */
uint32_t session_slots_max(const struct attempt *a);
/* Does its session allow that it begins now? */
bool session_slots_has_free(const struct attempt *a);
/* It has a slot; or no longer. */
void session_slots_take(struct attempt *a);
void session_slots_free(struct attempt *a);
/* Forgets what all have. */
void session_slots_release(struct scheduler *s);
/* The lane's window, as the store is to know it. */
void session_slots_tell(struct scheduler *s, enum lane lane, uint32_t window);

/* ---- blocked.c ---- */

/* Must it wait, as an earlier life of its task runs still, or a cancelled attempt that has not
 * ended takes what its limits let run? */
bool blocked_must_wait(const struct attempt *a);

/* ---- storing.c ---- */

/* Stores a checkpoint of a running attempt, which must have none with the store: these bytes,
 * copied. a->kind->stored follows, unless the attempt ends before. */
void storing_post(struct attempt *a, const char *type, const void *bytes, size_t n);
/* The attempt wants no answer any more; what is with the store is stored all the same. */
void storing_forget(struct attempt *a);

/* ---- suspension.c ---- */

/* The attempt ends by suspending its task: for so long, or until these futures have ended (their
 * ids, white space between them, borrowed), whatever comes first; for_ms 0 beside futures: until
 * then only. Ends the attempt as failed when they are none. */
void suspension_end(struct attempt *a, uint64_t for_ms, const char *ids, size_t n);
/* Why the store has refused it (FUT_ERR_INVAL, FUT_ERR_CONFLICT), one reference; the attempt is
 * suspended for nothing any more. */
struct task_outcome *suspension_refuse(struct attempt *a, int rc);

/* ---- filling.c ---- */

/* Does the store have something for the attempt of this task: results to which its input refers, or
 * those of the futures that it was suspended for? */
bool filling_is_needed(const struct task *t);
/* How it went: 0, FUT_ERR_INVAL with `refused` (the callee's), or why the store could not read. */
typedef void filling_done(struct attempt *a, int rc, struct task_outcome *refused);
/* Has the store put the results to which the attempt's input refers in their places, and say what
 * became of the futures that the task was suspended for; done follows, maybe before it returns,
 * unless filling_forget comes before. */
void filling_post(struct attempt *a, filling_done *done);
/* The attempt wants no input any more. */
void filling_forget(struct attempt *a);

/* ---- the ways to run ---- */

extern const struct attempt_kind attempt_thread_kind; /* a built-in on a pool thread */
extern const struct attempt_kind attempt_exec_kind;   /* a program */
/* Has the lane's programs back that wait with the fork server; those that begin right now run. */
void attempt_exec_recall_line(const struct lane_slots *slots);
extern const struct attempt_kind attempt_worker_kind; /* a worker process */

/* ---- cancels.c ---- */

/* The store's listener: the writer thread. */
store_listener cancels_listener;
/* Was this attempt cancelled in the moment between its claim and its arrival here? Forgets it. */
bool cancels_take(struct scheduler *s, struct task_id id, uint32_t attempt);
void cancels_free(struct scheduler *s);

/* ---- finish.c ---- */

/* Tells the store of every attempt that is ENDED, again and again if need be; once a turn. */
void finish_ended(struct scheduler *s);

/* ---- audit.c ---- */

/* Begins to compare, now and then, what is running in the store with the attempts that are here: a
 * task that has none is logged and given back. */
void audit_init(struct scheduler *s);
/* After the store has stopped. */
void audit_free(struct scheduler *s);

/* ---- ready.c ---- */

/* Nothing is ready. */
void ready_init(struct scheduler *s);
/* Takes the claimed task. */
void ready_add(struct scheduler *s, const struct task *task);
/* Begins what has a slot; once a turn. */
void ready_begin(struct scheduler *s);
/* How many tasks to claim beyond the slots. */
uint32_t ready_window(const struct scheduler *s, enum lane lane);
/* Have the slots of the lane, all of them busy, enough to do after that until a claim which is
 * posted later is answered? */
bool ready_lasts(const struct scheduler *s, enum lane lane);

/* ---- slots.c ---- */

/* Follows the attempts that have begun or ceased to wait for other tasks. */
void slots_follow_waits(struct scheduler *s);
/* The slots of each lane as configured; slots_free frees. */
void slots_init(struct scheduler *s);
void slots_free(struct scheduler *s);
/* The threads of the io lane have been started: takes as many slots as there are. */
void slots_started(struct scheduler *s);
/* Starts the threads that callbacks need beside the tasks of the lane; before jobs are submitted.
 */
void slots_start_threads(struct scheduler *s);
/* scheduler_reload. Any thread. */
void slots_plan(struct scheduler *s, const struct scheduler_plan *plan);
/* Has the claims of the lane that wait in the store come back. */
void slots_recall(struct scheduler *s, enum lane lane);
/* For pool_view. Any thread. */
void slots_change(void *scheduler, enum lane lane, const struct pool_wish *wish);
void slots_read(struct scheduler *s, enum lane lane, struct pool_lane *out);

/* ---- exclusions.c ---- */

/* What a claim leaves out. */
struct exclusions {
    uint64_t excluded; /* a bit for each program whose tasks are to stay in their lines */
    bool is_only;      /* the handlers are those that it takes, and no others */
    size_t n, cap;
    const char **handlers; /* of names; made by exclusions_make */
    char (*names)[TASK_HANDLER_MAX + 1];
};
/* What a claim of this lane leaves out for now; out is zeroed memory. */
void exclusions_make(struct scheduler *s, enum lane lane, struct exclusions *out);
/* For a claim that takes callbacks alone; out is zeroed memory. */
void exclusions_callbacks_only(const struct scheduler *s, struct exclusions *out);
void exclusions_release(struct exclusions *e);

/* ---- claims.c ---- */

/* No claim is open. */
void claims_init(struct scheduler *s);
/* Posts a claim for every free slot that has none, and for what is to be ready beside them. */
void claims_post(struct scheduler *s);
/* After the store has stopped. */
void claims_free(struct scheduler *s);

#endif
