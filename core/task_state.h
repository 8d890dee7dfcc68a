/* task_state: THE state machine. One table says which event may meet which state and what follows;
 * nobody else names a next state. Pure: no I/O, no clock, no lock; any thread.
 *
 * A transition is computed here as a task_change and executed by a store as compare-and-set on
 * (id, from_state, from_attempt): a late worker can never overwrite a cancelled or retried task. */
#ifndef FUT_CORE_TASK_STATE_H
#define FUT_CORE_TASK_STATE_H

#include "core/err.h"
#include "core/task.h"

enum task_event {
    EVENT_DUE,     /* its time has come */
    EVENT_START,   /* an attempt begins: counted in the commit before it runs */
    EVENT_SUCCEED, /* the attempt brought a result */
    EVENT_FAIL,    /* the attempt failed for good */
    EVENT_RETRY,   /* the attempt failed for now: tried again while retries are left */
    EVENT_RELEASE, /* given back unharmed (drain): the attempt is not charged */
    EVENT_DEFER,   /* given back likewise, for a while: what it needs is taken */
    EVENT_SUSPEND, /* the attempt ended itself, to go on from its checkpoint later: not charged */
    EVENT_LOSE,    /* the daemon died with it: run again, TASK_DAEMON_DEATHS_MAX times at most */
    EVENT_EXPIRE,  /* no attempt has begun in time */
    EVENT_OVERDUE, /* the time for all attempts is over; the one that runs is stopped */
    EVENT_RESOLVE, /* of a promise: somebody brings its result */
    EVENT_REJECT,  /* of a promise: somebody says that it failed */
    EVENT_CANCEL,
    EVENT_REVIVE, /* a client gives a task that failed or was cancelled another life: queued again,
                     with all its retries; attempts go on counting */
};
#define TASK_EVENT_COUNT 15

struct task_in {
    int64_t due_in_ms; /* EVENT_RETRY, EVENT_DEFER, EVENT_SUSPEND: from now, by the store's clock */
    struct task_outcome *outcome; /* how the attempt (or the task) ended; borrowed */
};

struct task_change {
    struct task_id id;
    enum task_state from_state;
    uint32_t from_attempt;
    enum task_state to_state;
    uint32_t attempt, earlier_attempts, daemon_deaths;
    int64_t due_in_ms;            /* when to_state is TASK_SCHEDULED; < 0: it waits for no time */
    bool suspends;                /* EVENT_SUSPEND */
    struct task_outcome *outcome; /* of the task when to_state is final, else of the attempt that
                                     this event ends; borrowed from task_in; NULL: neither */
};

/* What EVENT does to a task in `from`, for verbs that change many rows at once.
 * 0, or FUT_ERR_STATE when the pair is not legal (out untouched). Guarded events are refused too.
 */
struct task_move {
    enum task_state from, to;
    int attempt_delta;
};
FUT_MUST_CHECK int task_move_of(enum task_state from, enum task_event ev, struct task_move *out);

/* May this event meet a task in this state, if its guard lets it? */
bool task_event_is_legal(enum task_state from, enum task_event ev);

/* Computes the change. 0, or FUT_ERR_STATE when this event cannot meet this state (out untouched).
 */
FUT_MUST_CHECK int task_apply(const struct task *t, enum task_event ev, const struct task_in *in,
                              struct task_change *out);

/* The name of the event, for the table and for logs. */
const char *task_event_name(enum task_event ev);
/* Prints the table as the Markdown that api/README.md shows. */
void task_state_dump(void);

#endif
