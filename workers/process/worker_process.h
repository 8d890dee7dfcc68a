/* worker_process: the daemon's side of one worker process, from its start to its end: its channel
 * (workers/wire), what it prints and the tasks that it runs. One object is one generation; the
 * process that replaces it has an object of its own. The scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_PROCESS_H
#define FUT_WORKERS_PROCESS_WORKER_PROCESS_H

#include "core/attempt_token.h"
#include "core/mem.h"
#include "core/pool_view.h"
#include "workers/base/sink.h"
#include "workers/fork/children.h"
#include "workers/handlers/exec_command.h"
#include "workers/wire/wire_stream.h"

enum worker_state {
    WORKER_STARTING, /* has not said HELLO */
    WORKER_READY,    /* idle or busy */
    WORKER_TEMPLATE, /* forks workers and runs no tasks */
    WORKER_LEAVING,  /* its channel is closed, which makes it exit */
    WORKER_DYING,    /* was killed, or has closed its channel */
};

/* How a task that was given to a worker ended. */
enum worker_end_how {
    WORKER_ENDED_DONE,
    WORKER_ENDED_FAILED,
    WORKER_ENDED_SUSPENDED, /* it ended itself, to go on later */
    WORKER_ENDED_TOO_LARGE, /* the result is larger than any may be */
    WORKER_ENDED_OUTPUT,    /* more output than the handler's limit; the process goes on */
    WORKER_ENDED_PROTOCOL,  /* the process was killed because it broke the protocol */
    WORKER_ENDED_DIED,
    WORKER_ENDED_ABANDONED, /* told to stop, did not, and the process has other tasks to run */
    WORKER_ENDED_RETURNED,  /* taken back before any worker had it */
    WORKER_ENDED_REFUSED,   /* the protocol cannot express the task */
    WORKER_ENDED_SESSION,   /* the init of its session has failed, or the process takes none */
};

/* Borrowed for the call. */
struct worker_end {
    enum worker_end_how how;
    const struct wire_head *head; /* DONE, FAILED, SUSPENDED, SESSION; NULL: it takes no sessions */
    const unsigned char *payload; /* of these: head->bytes of them */
    bool closed_channel;          /* DIED: it had closed its channel, and was killed for that */
    bool known;                   /* DIED, PROTOCOL: the fork server has told what follows */
    int status;                   /* as waitpid tells */
    uint64_t max_rss_kib, cpu_ms;
    enum limit_kind met; /* the limit for which the process was killed */
    enum task_oom oom;
    const char *log; /* the last bytes of the task's log: what the process printed during it, its
                      * LOG messages and the details of its error; "" when none */
    size_t log_len;
};

struct tickets;
struct worker_process;
struct worker_program;

/* One task for a worker; lives in its attempt. */
struct worker_job {
    struct list_node link; /* in its program's waiting jobs, or in its worker's jobs or ahead */
    struct worker_program *program;
    struct worker_process *worker; /* while it runs or is given ahead */
    uint64_t id;                   /* on the channel */
    const struct task *task;       /* borrowed until done */
    uint64_t written;              /* bytes printed, logged and of its result */
    bool is_stopped;               /* it was told to end */
    bool is_storing;               /* its worker waits for worker_process_answer */
    bool is_lent;                  /* its task waits for others, and has lent its slot */
    bool has_limit;  /* so many tasks of its session may run: given ahead behind such ones only */
    struct buf tail; /* the end of its log, up to twice TASK_LOG_MAX bytes */
    /* Once and last; the job is its owner's again. */
    void (*done)(struct worker_job *job, const struct worker_end *end);
    struct sink *sink; /* gets progress and log, before done */
    /* Before done: the worker wants these bytes stored (borrowed for the call) and waits for
     * worker_process_answer; it sends no other ones before. */
    void (*checkpoint)(struct worker_job *job, const char *type, const void *bytes, size_t n);
    /* When the job is given to a worker that asks for tokens: the token into text, and where the
     * daemon is (borrowed), or NULL: there is no token. NULL: it is given none. */
    const char *(*token)(struct worker_job *job, char text[ATTEMPT_TOKEN_SIZE]);
    /* Before done: the task takes more CPU time or output than its handler's limits allow and is to
     * be stopped. cpu_ms: what it has used, for LIMIT_CPU. */
    void (*exceeded)(struct worker_job *job, enum limit_kind limit, uint64_t cpu_ms);
    /* A job that waited for a process has one now: its time counts from here. NULL ok. */
    void (*given)(struct worker_job *job);
    /* One of the two for a job that was given ahead: it runs now; or it is its owner's again. */
    void (*begun)(struct worker_job *job);
    void (*back)(struct worker_job *job);
};

/* What the owner of a process hears of it. */
struct worker_hooks {
    void (*started)(struct worker_process *w); /* its pid is known; maybe after ready */
    void (*ready)(struct worker_process *w);   /* it has said HELLO */
    void (*has_capacity)(
        struct worker_process *w); /* it has ended a task and may take another one */
    /* Once and last, after done of each of its jobs. The process is its owner's again, who must not
     * free it before the end of the turn. */
    void (*gone)(struct worker_process *w, const struct worker_end *end);
};

/* A task whose attempt has ended while its code goes on. */
struct worker_abandoned {
    uint64_t id; /* of its RUN */
    struct task_id task;
};

/* A session with an init of which the process has run a task, or is about to. */
struct worker_session {
    struct task_id id;
    uint64_t init_id;   /* of its INIT, while that is not answered; 0: the session is ready */
    uint32_t n_started; /* tasks */
    bool is_closed;     /* while its INIT is not answered: the process is told behind that */
};

struct worker_process {
    struct list_node link;         /* its owner's */
    struct loop_deferred deferred; /* its owner's */
    void *owner;
    uint32_t slot; /* its owner's: the process's row in the view */

    struct loop *loop;
    struct children *children;
    const struct worker_hooks *hooks;
    size_t max_result_bytes;

    enum worker_state state;
    struct child child;
    pid_t pid; /* 0: not known yet */
    struct loop_source channel, out, err;
    struct wire_stream stream;
    struct loop_soon flush; /* sends what was put into the stream during this turn */
    struct loop_timer timer;
    struct list jobs;        /* those that it runs */
    struct list ahead;       /* those that it was given and has not begun; only while it runs one */
    struct tickets *tickets; /* for these; NULL: it takes none ahead */
    uint32_t max_ahead;      /* of these */
    uint64_t last_id;        /* of a RUN; a template's: of a FORK */
    uint32_t max_jobs;       /* tasks that it takes at once */
    struct worker_abandoned *abandoned; /* tasks that it still runs and nobody waits for */
    uint32_t n_abandoned;
    struct worker_session *sessions; /* the oldest first; NULL: none */
    uint32_t n_sessions;
    bool is_builtin;
    bool said_hello, takes_cancel, cancel_is_soft, takes_checkpoints, takes_yield, takes_results,
        takes_tokens, takes_sessions, takes_closes;
    bool we_ended_it;    /* its end was our wish */
    bool broke_rules;    /* it was killed for what it wrote on its channel */
    bool killed;         /* after the end of its channel */
    bool closed_channel; /* it was killed because its channel had ended, and it had not */
    bool retiring;       /* gets no more tasks and leaves when those it has have ended */
    bool has_successor;  /* its owner's: another process was started to take its place */
    bool said_late;      /* a late answer was logged */
    struct buf printed;  /* up to twice TASK_LOG_MAX, of which the end counts */

    struct list forks;               /* a template's: workers that wait to be forked by it */
    struct worker_process *template; /* the one that this process waits for */
    struct list_node fork_link;      /* in template->forks */
    uint64_t fork_id;
    int unadopted_fd; /* our end of the channel until the fork server has adopted it; else -1 */
    bool is_forked;   /* by a template */
    struct limits limits;

    uint64_t tasks_done;
    int64_t started_wall_ms, ready_mono_ms, idle_mono_ms;
};

/* What a process is started from. */
struct worker_start {
    const struct exec_command *command; /* NULL: the built-ins */
    struct worker_process *template;    /* not NULL: it forks the process */
    uint32_t max_jobs;                  /* tasks at once that its HELLO may ask for */
    int64_t hello_ms;                   /* how long it may take until HELLO */
    size_t max_result_bytes;
};

/* Starts a process; w is zeroed memory. FUT_ERR_IO, FUT_ERR_CLOSED (the fork server has ended),
 * FUT_ERR_TOO_BIG: nothing was started. */
FUT_MUST_CHECK int worker_process_start(struct worker_process *w, struct loop *l,
                                        struct children *c, const struct worker_start *how,
                                        const struct worker_hooks *hooks, void *owner);
/* Whether it takes a task now: ready, not retiring, and it runs fewer than it takes at once. */
bool worker_process_has_capacity(const struct worker_process *w);
/* What GET /v1/pools says of it. */
enum pool_worker_state worker_process_shown_state(const struct worker_process *w);
/* Has it no place for a task until others have ended, for which all of its own wait? */
bool worker_process_is_blocked(const struct worker_process *w);
/* Gives it a task; only when it has capacity. FUT_ERR_INVAL, FUT_ERR_TOO_BIG: the protocol cannot
 * express the task; nothing has changed. */
FUT_MUST_CHECK int worker_process_give(struct worker_process *w, struct worker_job *job);
/* SIGTERM asks for the end of that job alone; SIGKILL makes it end. done follows, at once or
 * later. */
void worker_process_stop_job(struct worker_process *w, struct worker_job *job, int signal);
/* The checkpoint that the job asked to be stored is on disk (why NULL), or is not. */
void worker_process_answer(struct worker_job *job, const char *why);
/* Asks the job to store a checkpoint and to suspend itself, if its worker understands that. */
void worker_process_yield(struct worker_job *job);
/* Asks all its jobs so, which can go on in another process. */
void worker_process_yield_all(struct worker_process *w);
/* Forgets the job without done. The process is killed when it runs nothing else. */
void worker_process_abandon_job(struct worker_process *w, struct worker_job *job);
/* Takes back a job that was given ahead. True: job->back was called and the task never begins
 * there. False: it has begun (job->begun was called) and may even have ended. */
FUT_MUST_CHECK bool worker_process_withdraw(struct worker_job *job);
/* No more tasks for it; it leaves as soon as it has none. hooks->gone follows. */
void worker_process_retire(struct worker_process *w);
/* Closes the channel (an idle worker exits then) and forgets everything; no hook is called any
 * more. Its jobs must have been abandoned before. */
void worker_process_release(struct worker_process *w);

/* Resident memory now, in bytes, or 0 when it cannot be known. Reads a file of /proc. */
uint64_t worker_process_rss_bytes(const struct worker_process *w);

/* The process whose `link` stands in its program's list. */
static inline struct worker_process *worker_process_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_process, link);
}

#endif
