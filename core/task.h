/* task: what a task is. Four pieces with four lifetimes:
 *   struct task_spec     what was submitted; immutable, shared by reference count
 *   struct task_outcome  how it ended; immutable, shared by reference count
 *   struct task_checkpoint  what an attempt stored for the next; immutable, shared likewise
 *   struct task_init        what prepares the processes of a session; immutable, shared likewise
 *   struct task          one snapshot of its life; a small value that refers to these
 * Reference counts are atomic: any thread may take or drop one. Nothing here blocks. */
#ifndef FUT_CORE_TASK_H
#define FUT_CORE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/id.h"
#include "core/retry.h"

enum lane { LANE_IO, LANE_CPU };
#define LANE_COUNT 2
#define for_each_lane(l) for (enum lane l = LANE_IO; l < LANE_COUNT; l = (enum lane)(l + 1))

/* The numbers are stored: never renumber. */
enum task_state {
    TASK_SCHEDULED = 0, /* waits for a time */
    TASK_QUEUED = 1,
    TASK_RUNNING = 2,
    TASK_SUCCEEDED = 3,
    TASK_FAILED = 4,
    TASK_CANCELLED = 5,
};
#define TASK_STATE_COUNT 6

#define TASK_HANDLER_MAX 64   /* bytes of a handler's name */
#define TASK_KEY_MAX 255      /* bytes of a unique or idempotency key */
#define TASK_QUEUE_MAX 64     /* bytes of a queue's name */
#define TASK_FAIR_KEY_MAX 128 /* bytes of a fairness key */
#define TASK_TYPE_MAX 127     /* bytes of a content type */
#define TASK_LOG_MAX 8192     /* bytes kept of an attempt's standard error */
#define TASK_RETRIES_MAX 100
#define TASK_TIMEOUT_MAX_MS 86400000LL
#define TASK_DAEMON_DEATHS_MAX 3              /* daemon deaths that one task may live through */
#define TASK_CHECKPOINT_MAX ((size_t)1 << 20) /* bytes of a checkpoint */
#define TASK_SUSPEND_MAX_MS 31536000000LL     /* an attempt may suspend its task for a year */
#define TASK_DELAY_MAX_MS 31622400000LL       /* 366 days: of each duration in struct task_times */
#define TASK_PRIORITY_MAX 100                 /* and -100 at least */
#define TASK_QUEUE_DEFAULT "default"
/* Of the tasks that deliver callbacks. No client can name it, and so neither pause nor crowd it. */
#define TASK_QUEUE_CALLBACKS "(callbacks)"

#define CONTENT_JSON "application/json"
#define CONTENT_TEXT "text/plain; charset=utf-8"
#define CONTENT_BYTES "application/octet-stream"

/* When a task may run. Durations count from its submission, those that limit it from the beginning
 * of each life (EVENT_REVIVE), which begins without a delay. 0: not said. */
struct task_times {
    int64_t delay_ms;       /* it does not begin earlier; not beside run_at_wall_ms */
    int64_t run_at_wall_ms; /* it does not begin earlier, by the clock that people read */
    int64_t expires_in_ms;  /* it has begun by then, or it fails */
    int64_t deadline_ms;    /* it has ended by then, over all attempts, or it fails */
};

struct task_spec {
    struct task_id id;
    enum lane lane;
    uint32_t retries;          /* how often a failure that is tried again may be */
    struct retry_policy retry; /* what the submission said; the rest is the handler's */
    int64_t timeout_ms;        /* of one attempt; > 0 */
    struct task_times times;
    bool has_refs;   /* its input refers to results of tasks that it waits for (core/result_ref) */
    bool is_promise; /* no code runs: somebody completes it (EVENT_RESOLVE, EVENT_REJECT) */
    bool once;       /* no second attempt begins unless a client asks for another life */
    bool in_session; /* its batch is a session (storage/session.h) */
    int64_t created_wall_ms;
    const char *handler;
    const char *input_type;     /* content type */
    const unsigned char *input; /* NULL, 0 in snapshots that were read without it */
    size_t input_len;
    struct task_id batch;    /* hi 0: in none */
    uint32_t batch_pos;      /* its place in the batch, from 0 */
    struct task_id after;    /* scheduled until that task or batch is done; hi 0: waits for none */
    struct task_id callback; /* the task that tells of this one's end; hi 0: none */
    const char *name;        /* of a task of a batch; NULL: none */
    struct task_id parent;   /* the task of which an attempt submitted this one; hi 0: none */
    const char *unique;      /* while unfinished, no second task has this key; NULL: none */
    const char *schedule;    /* the schedule that made it; NULL: none */
    const char *queue;       /* the named queue in which it waits; NULL: TASK_QUEUE_DEFAULT */
    const char *limits;      /* core/task_limits; NULL: none */
    const char *fair_key;    /* whose turn within the queue it takes; NULL: of those without key */
    int priority;            /* -TASK_PRIORITY_MAX..TASK_PRIORITY_MAX, higher first; mostly 0 */
    const char *traceparent; /* W3C trace context of the submitter; NULL: none */
};

/* Did the kernel kill the attempt because memory ran out? */
enum task_oom { TASK_OOM_UNKNOWN, TASK_OOM_NO, TASK_OOM_YES };

struct task_outcome {
    const char *type;          /* content type of body; NULL: there is none */
    const unsigned char *body; /* the result; of a failure: data that goes with it */
    size_t body_len;
    const char *code;    /* stable error code ("timeout", "exit", "signal" …); NULL on success */
    const char *message; /* for people; NULL on success */
    const char *error_type; /* the program's own name for its error ("ValueError"); NULL: none */
    int exit_code;          /* -1: none */
    int signal;             /* 0: none */
    enum task_oom oom;
    uint64_t max_rss_kib; /* peak memory of the attempt's processes; 0: not known */
    uint64_t cpu_ms;      /* CPU time of them all; means something where max_rss_kib does */
    const char *log;      /* last bytes of the attempt's standard error; "" when none */
    size_t log_len;
};

/* What an attempt stored for the next one. */
struct task_checkpoint {
    uint32_t attempt;          /* that stored it */
    int64_t stored_wall_ms;    /* when */
    const char *type;          /* content type of body */
    const unsigned char *body; /* NULL in snapshots that were read without it */
    size_t len;                /* bytes of the whole body */
};

/* What a session gives each worker process before the first of its tasks there. */
struct task_init {
    struct task_id session;
    uint32_t max_tasks; /* of the session that one process runs; 0: any number */
    const char *type;   /* content type of body */
    const unsigned char *body;
    size_t len;
    const char *broken; /* why none of its tasks runs any more; NULL: they do */
};

struct task {
    struct task_spec *spec;             /* one reference */
    struct task_outcome *outcome;       /* one reference, or NULL while not done */
    struct task_checkpoint *checkpoint; /* one reference; NULL: none, or not read */
    struct task_checkpoint *results; /* likewise: what became of the futures that the latest attempt
                                        suspended it for, as JSON; for the attempt that comes */
    struct task_init *init;          /* of a claim: one reference; NULL: its session has none */
    enum task_state state;
    uint32_t attempt;          /* runs started so far */
    uint32_t earlier_attempts; /* of those, in earlier lives (EVENT_REVIVE) */
    uint32_t daemon_deaths;    /* of those in this life, ended by the daemon's death */
    uint32_t unmet;            /* while scheduled: parents (struct store_edge) it waits for */
    uint64_t seq;              /* place in the order of completion; 0 while not done */
    int64_t due_wall_ms;       /* while scheduled; else 0 */
    bool is_suspended;         /* while scheduled: its latest attempt asked for that */
    bool has_suspended;        /* of a claim: an attempt of this life has suspended it */
    int64_t started_wall_ms;   /* of the latest attempt; 0: never */
    int64_t finished_wall_ms;  /* 0 while not done */
    int64_t keep_ms;           /* of one that ends now: how long it is kept, 0: as others are */
};

/* Since when the task could have begun, as far as its own times say. */
int64_t task_spec_could_begin_wall_ms(const struct task_spec *spec);
/* Copies everything in *from (strings, input) into one new allocation with one reference. */
struct task_spec *task_spec_new(const struct task_spec *from);
struct task_spec *task_spec_ref(struct task_spec *spec);
void task_spec_unref(struct task_spec *spec); /* NULL ok */

/* Copies everything in *from (NULL strings allowed) into one new allocation with one reference. */
struct task_outcome *task_outcome_new(const struct task_outcome *from);
/* A failure with this code and text, without exit code, signal or log. */
struct task_outcome *task_outcome_error(const char *code, const char *message);
/* One more reference; returns o. */
struct task_outcome *task_outcome_ref(struct task_outcome *o);
/* Gives a reference back; the last one frees. */
void task_outcome_unref(struct task_outcome *o); /* NULL ok */

/* Copies everything in *from (body NULL allowed) into one new allocation with one reference. */
struct task_checkpoint *task_checkpoint_new(const struct task_checkpoint *from);
/* One more reference; returns c. NULL ok. */
struct task_checkpoint *task_checkpoint_ref(struct task_checkpoint *c);
/* Gives a reference back; the last one frees. NULL ok. */
void task_checkpoint_unref(struct task_checkpoint *c);

/* Copies everything in *from into one new allocation with one reference. */
struct task_init *task_init_new(const struct task_init *from);
/* One more reference; returns i. NULL ok. */
struct task_init *task_init_ref(struct task_init *i);
/* Gives a reference back; the last one frees. NULL ok. */
void task_init_unref(struct task_init *i);

/* dst becomes a second holder of all pieces; dst's old content is not released. */
void task_copy(struct task *dst, const struct task *src);
/* Drops all references and zeroes *t. */
void task_release(struct task *t);

/* Appends how a task that is done ended, as a JSON object of id, handler, state, attempt,
 * finished_at and href: what a callback tells of it. */
void task_write_end(struct buf *out, const struct task *t);
/* Do both ask for the same: handler, input, and every option? Both have their input. The client,
 * the time of submission, the tasks that they wait for and the callback do not count. */
bool task_spec_is_same(const struct task_spec *a, const struct task_spec *b);

/* Has an attempt of this life of the task begun? */
bool task_has_begun(const struct task *t);
/* Is a task in this state done? */
bool task_state_is_final(enum task_state s);
/* The name of the state, as clients see it. */
const char *task_state_name(enum task_state s);
/* The state of this name; false when there is none, *out untouched. */
bool task_state_parse(const char *name, enum task_state *out);
/* "io" or "cpu". */
const char *lane_name(enum lane lane);
/* The lane of this name; false when there is none, *out untouched. */
bool lane_parse(const char *name, enum lane *out);
/* Is this content type application/json, with or without parameters? */
bool task_type_is_json(const char *content_type);
/* 1..TASK_QUEUE_MAX of a-z A-Z 0-9 . _ - . */
bool task_queue_name_ok(const char *name);
/* 1..TASK_HANDLER_MAX of a-z A-Z 0-9 . _ - , not beginning with a dot or dash. */
bool task_handler_name_ok(const char *name);

#endif
