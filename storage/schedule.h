/* schedule: the schedules of a store, and the verbs for them. The store keeps a definition as text
 * that it does not read, when the schedule is due next, and what its last runs came to. Whoever
 * reads definitions computes times and makes tasks; a firing, its tasks and the move to the next
 * time are one commit, as compare-and-set on the time.
 *
 * Times are wall times in milliseconds since 1970. */
#ifndef FUT_STORAGE_SCHEDULE_H
#define FUT_STORAGE_SCHEDULE_H

#include "storage/store.h"

#define STORE_SCHEDULES_MAX 10000
#define STORE_SCHEDULE_NAME_MAX 64
#define STORE_SCHEDULE_TEXT_MAX (64u << 10)
#define STORE_SCHEDULE_RUNS 20 /* kept of each, the latest */
#define STORE_SCHEDULE_NEVER INT64_MAX

struct store_schedule {
    char name[STORE_SCHEDULE_NAME_MAX + 1];
    char *text;         /* the definition, NUL-terminated; owned (store_schedule_release) */
    bool is_from_file;  /* of FUTURED_SCHEDULES */
    bool is_paused;     /* never due */
    uint64_t revision;  /* another one with each change of the definition or the pause */
    int64_t since_ms;   /* when this definition came */
    int64_t next_ms;    /* the next time by the definition; STORE_SCHEDULE_NEVER: no more */
    int64_t due_ms;     /* when it is due, with its jitter; likewise */
    int64_t waiting_ms; /* STORE_OVERLAP_QUEUE_ONE: the time whose task waits for the end of another
                           one; STORE_SCHEDULE_NEVER: none does */
    bool is_ready;      /* that other one has ended */
    uint64_t runs;      /* so many were ever recorded */
};
/* Frees the text. */
void store_schedule_release(struct store_schedule *s);

/* What a time came to. The numbers are stored: never renumber. */
enum store_run_kind {
    STORE_RUN_FIRED = 0,
    STORE_RUN_WAITING = 1, /* for the end of another task of the schedule */
    STORE_RUN_OVERLAP = 2, /* skipped: another task of the schedule was unfinished */
    STORE_RUN_MISSED = 3, /* skipped: nobody fired it in time; stands for all from at_ms to to_ms */
    STORE_RUN_REFUSED = 4, /* its task could not be made or was not taken */
    STORE_RUN_PAUSED = 5,  /* waited when the schedule was paused or changed */
};
#define STORE_RUN_KINDS 6

struct store_schedule_run {
    enum store_run_kind kind;
    int64_t at_ms, to_ms; /* the time by the definition; the same unless STORE_RUN_MISSED */
    int64_t done_ms;      /* when this was recorded */
    bool is_manual;
    struct task_id id;     /* the future; hi 0: none */
    bool has_future;       /* out: it is still kept, */
    enum task_state state; /* in this state */
};

enum store_overlap {
    STORE_OVERLAP_ALLOW,
    STORE_OVERLAP_SKIP,
    STORE_OVERLAP_QUEUE_ONE,
    STORE_OVERLAP_CANCEL,
};

/* ---- changing ---------------------------------------------------------------------------------
 */

/* Adds schedules or gives them another definition: name, text, next_ms and due_ms of items count.
 * One whose text is as before stays as it is. All or none: rc FUT_ERR_FULL (more than
 * STORE_SCHEDULES_MAX), FUT_ERR_STATE (one is the file's, and this is not the file). */
struct store_schedules_put {
    struct store_op op;
    const struct store_schedule *items; /* borrowed until done; those of a file ascend by name */
    size_t n;
    bool is_file; /* the whole file: what came from it before and is not there any more goes */
    size_t added, changed, removed; /* out */
};
extern const struct store_verb store_verb_schedules_put;

/* rc FUT_ERR_NOT_FOUND; FUT_ERR_STATE when it is the file's. Its futures stay. */
struct store_schedule_remove {
    struct store_op op;
    const char *name; /* borrowed until done */
};
extern const struct store_verb store_verb_schedule_remove;

/* Pauses, or goes on with these times. rc FUT_ERR_NOT_FOUND; FUT_ERR_STALE: another revision. */
struct store_schedule_pause {
    struct store_op op;
    const char *name; /* borrowed until done */
    uint64_t revision;
    bool is_paused;
    int64_t next_ms, due_ms; /* when it goes on */
};
extern const struct store_verb store_verb_schedule_pause;

enum store_fire_kind {
    STORE_FIRE_TIME,    /* next_ms */
    STORE_FIRE_WAITING, /* waiting_ms */
    STORE_FIRE_NOW,     /* by hand: whatever the time is and runs */
};

/* Submits the tasks as store_submit does, by the rule for overlaps, records what it came to, and
 * moves the schedule on to its next time. rc FUT_ERR_STALE: the schedule has another revision, or
 * time_ms is not its time any more; FUT_ERR_NOT_FOUND; FUT_ERR_FULL: the queue is. Then nothing has
 * happened. */
struct store_schedule_fire {
    struct store_op op;
    enum store_fire_kind kind;
    const char *name; /* borrowed until done, as tasks */
    uint64_t revision;
    int64_t time_ms;        /* which time of the schedule this is */
    int64_t at_ms;          /* the time that is fired: time_ms, or a later one */
    int64_t missed_from_ms; /* times that are left out before it, recorded as missed; 0: none */
    int64_t missed_to_ms;
    enum store_overlap overlap;
    const struct task *tasks; /* as of store_submit; n 0: none, recorded as refused, or as missed
                                 alone when at_ms is 0 */
    size_t n;
    int64_t next_ms, due_ms;       /* STORE_FIRE_TIME: of the next time */
    struct store_schedule_run run; /* out: what was recorded; at_ms 0: missed ones alone */
};
extern const struct store_verb store_verb_schedule_fire;

/* fn runs on the writer thread after each commit in which a schedule has changed, or the task of
 * one has ended; it must not block. Before store_start; one. */
void store_watch_schedules(struct store *s, void (*fn)(void *ctx), void *ctx);

/* ---- reading ----------------------------------------------------------------------------------
 */

/* rc FUT_ERR_NOT_FOUND. */
struct store_schedule_get {
    struct store_op op;
    const char *name;                /* borrowed until done */
    struct store_schedule schedule;  /* out: the caller's to release */
    struct store_schedule_run *runs; /* capacity STORE_SCHEDULE_RUNS, the caller's memory; out: the
                                        latest first */
    size_t n_runs;                   /* out */
};
extern const struct store_verb store_verb_schedule_get;

/* By name. */
struct store_schedule_list {
    struct store_op op;
    const char *after;            /* names behind this one; "": all; borrowed until done */
    size_t limit;                 /* 1..STORE_LIST_MAX */
    struct store_schedule *items; /* capacity limit, the caller's memory; out: to be released */
    size_t n;                     /* out */
    bool is_more;                 /* out */
};
extern const struct store_verb store_verb_schedule_list;

/* Those that are due, the longest first. */
struct store_schedule_due {
    struct store_op op;
    int64_t now_ms;
    size_t limit;
    struct store_schedule *items; /* capacity limit, the caller's memory; out: to be released */
    size_t n;                     /* out */
    int64_t next_ms;              /* out: when the next one is due that is not now */
};
extern const struct store_verb store_verb_schedule_due;

#endif
