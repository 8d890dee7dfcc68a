/* session: a row of tasks of one handler that is added to while it goes on, such as those of one
 * program that runs. Its tasks are members of a batch with the session's id, so all that holds of
 * batches holds of it; beside that it has a limit of its own for what runs at once, and its ends
 * can be read in the order in which they came. It takes tasks until it is closed. One that is used
 * by nobody goes after the retention, as other batches do. */
#ifndef FUT_STORAGE_SESSION_H
#define FUT_STORAGE_SESSION_H

#include "storage/store.h"

#define STORE_SESSION_LIMIT "session:" /* and the id: the name of its limit */
#define STORE_SESSION_LIMIT_SIZE (sizeof(STORE_SESSION_LIMIT) + ID_TEXT_SIZE)

#define STORE_SESSION_INIT_MAX TASK_CHECKPOINT_MAX /* bytes */
#define STORE_SESSION_WHY_MAX 500 /* bytes of what is kept of why a session is broken */

/* What becomes of a session whose client has gone: no stream of its ends has been open for grace_ms
 * of uptime, counted from the latest store_verb_session_renew, its opening, or the start of the
 * daemon that leads. What is stored: never renumber. */
enum store_on_disconnect {
    STORE_KEEP,          /* nothing */
    STORE_CANCEL_QUEUED, /* it is closed, and what waits is cancelled */
    STORE_CANCEL,        /* it is closed, and all of it is cancelled */
};
#define STORE_GRACE_MAX_MS 86400000

struct store_session {
    struct task_id id;
    char handler[TASK_HANDLER_MAX + 1]; /* of all its tasks */
    int64_t created_wall_ms;
    int64_t closed_wall_ms; /* 0: it takes tasks */
    uint32_t total;         /* tasks so far */
    uint64_t unfinished;
    bool has_init;
    uint32_t max_tasks;                     /* that one process runs; 0: any number */
    char broken[STORE_SESSION_WHY_MAX + 1]; /* why none of its tasks runs any more; "": they do */
    enum store_on_disconnect on_disconnect;
    int64_t grace_ms;             /* 0: STORE_KEEP */
    int64_t lease_up_ms;          /* until when its client is taken to be there, by the uptime;
                                     STORE_NO_LEASE: nobody looks (any more) */
    int64_t disconnected_wall_ms; /* when its client was found to have gone; 0: it was not */
};
#define STORE_NO_LEASE INT64_MAX

/* The name of the limit that the tasks of a session have. Pure. */
void store_session_limit(struct task_id id, char out[STORE_SESSION_LIMIT_SIZE]);

/* So many tasks of sessions of this lane, all together, may be claimed beyond the max_running of
 * their sessions, at first none: whoever claims has the next ones at hand, and begins no more of a
 * session than store_limit_max_running allows. A store that nodes share gives none. Any thread. */
void store_session_ahead(struct store *s, enum lane lane, uint32_t n);

/* Tasks join a session by store_verb_submit, with the session as spec.batch, without a batch; the
 * store sets their places (spec.batch_pos). session_rc FUT_ERR_NOT_FOUND; FUT_ERR_STATE: it is
 * closed; FUT_ERR_CONFLICT: it is broken; FUT_ERR_INVAL: a task is of another handler;
 * FUT_ERR_FULL: it has 2^32 tasks. */

/* Opens a session. In: session.id, handler, created_wall_ms, on_disconnect with grace_ms (1 to
 * STORE_GRACE_MAX_MS, or 0), and init, which sets has_init and max_tasks. rc FUT_ERR_EXISTS: the id
 * is taken; FUT_ERR_FULL: there are STORE_LIMITS_MAX limits. */
struct store_session_open {
    struct store_op op;
    struct store_session session;
    uint32_t max_running;   /* tasks of it that may run at once; 0: any number */
    struct task_init *init; /* what its tasks are claimed with; borrowed until done; NULL: none */
};
extern const struct store_verb store_verb_session_open;

/* It takes no more tasks; those that it has go on, and its limit goes with the last of them. One
 * that is closed stays as it is. rc FUT_ERR_NOT_FOUND. */
struct store_session_close {
    struct store_op op;
    struct task_id id;
    int64_t now_wall_ms;
};
extern const struct store_verb store_verb_session_close;

/* Its client is there: it is taken to be for grace_ms and a third of it from now on. To be posted
 * each grace_ms / 3 as long as a stream of its ends is open. Does nothing where nobody looks. */
struct store_session_renew {
    struct store_op op;
    struct task_id id;
};
extern const struct store_verb store_verb_session_renew;

/* Its init has failed: tasks of it that are claimed from now on say so (task_init.broken), and it
 * takes no more. One that is broken stays as it is. rc FUT_ERR_NOT_FOUND. */
struct store_session_break {
    struct store_op op;
    struct task_id id;
    char why[STORE_SESSION_WHY_MAX + 1]; /* not "" */
};
extern const struct store_verb store_verb_session_break;

/* Reads a session. rc FUT_ERR_NOT_FOUND. */
struct store_session_get {
    struct store_op op;
    struct task_id id;
    struct store_session session; /* out */
};
extern const struct store_verb store_verb_session_get;

/* Lists sessions, the newest first. */
struct store_session_list {
    struct store_op op;
    uint64_t before;                /* those with id.hi below this one; 0: all */
    size_t limit;                   /* 1..STORE_LIST_MAX */
    struct store_session *sessions; /* space for limit, the caller's memory */
    size_t n;                       /* out */
    uint64_t next;                  /* out: `before` of the next page; 0: there is none */
};
extern const struct store_verb store_verb_session_list;

/* Reads what has ended in a session, in the order of the ends, with results. Listeners hear of the
 * session's id, as of something reported, after each commit that ends some of its tasks, and when
 * it is closed; session_ended says that it has nothing more to run. rc FUT_ERR_NOT_FOUND. */
struct store_session_ends {
    struct store_op op;
    struct task_id id;
    uint64_t after; /* ends with a seq above this one */
    struct store_page page;
    bool is_finished; /* out: it is closed and all of its tasks have ended; no more will come */
};
extern const struct store_verb store_verb_session_ends;

/* The highest seq that an end may have so far; no session has told of one above it. Any thread. */
uint64_t store_session_newest_seq(const struct store *s);

#endif
