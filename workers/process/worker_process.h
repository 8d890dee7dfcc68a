/* worker_process: the daemon's side of one worker process, from its start to its death: its channel
 * (wire.h), what it prints, the tasks that it runs. It is one generation: another process is
 * another worker_process. The scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_PROCESS_H
#define FUT_WORKERS_PROCESS_WORKER_PROCESS_H

#include "workers/fork/children.h"
#include "workers/handlers/exec_command.h"
#include "workers/wire/wire_stream.h"

enum worker_state {
    WORKER_STARTING, /* has not said hello */
    WORKER_READY,    /* idle or busy */
    WORKER_TEMPLATE, /* forks workers, and runs no tasks */
    WORKER_LEAVING,  /* its channel is closed, it exits by that */
    WORKER_DYING,    /* killed, or it closed its channel */
};

/* How a task given to a worker ended. */
enum worker_end_how {
    WORKER_ENDED_DONE,
    WORKER_ENDED_FAILED,
    WORKER_ENDED_TOO_LARGE, /* a result over what any may have */
    WORKER_ENDED_OUTPUT,    /* with more output than the handler's limit; the process is well */
    WORKER_ENDED_PROTOCOL,  /* it was killed: it does not speak the protocol */
    WORKER_ENDED_DIED,
    WORKER_ENDED_LEFT,    /* it was told to stop and did not; the process has other tasks to run */
    WORKER_ENDED_TAKEN,   /* taken back before a worker had it */
    WORKER_ENDED_REFUSED, /* it cannot be put into words for a worker */
};

/* Borrowed for the call. */
struct worker_end {
    enum worker_end_how how;
    const struct wire_head *head; /* DONE, FAILED */
    const unsigned char *payload; /* DONE, FAILED: head->bytes of them */
    bool known;                   /* DIED, PROTOCOL: what follows is known */
    int status;                   /* as of waitpid */
    uint64_t max_rss_kib, cpu_ms;
    enum limit_kind met; /* it was killed for that */
    enum task_oom oom;
    const char *log; /* the last bytes that the process printed during the task; "" when none */
    size_t log_len;
};

struct tickets;
struct worker_process;
struct worker_program;

/* One task for a worker; lives in its attempt. */
struct worker_job {
    struct list_node link; /* waits in its program, or runs in its worker */
    struct worker_program *program;
    struct worker_process *worker; /* while it runs, or is given ahead */
    uint64_t id;                   /* on the channel */
    const struct task *task;       /* borrowed until done */
    uint64_t written;              /* bytes printed and logged, and of its result */
    void (*done)(struct worker_job *job, const struct worker_end *end);
    /* Any number of times before done. fraction < 0, message NULL: no news of that. */
    void (*progress)(struct worker_job *job, double fraction, const char *message);
    void (*log)(struct worker_job *job, const char *bytes, size_t n);
    /* Before done: it takes more CPU time or output than its handler's limits allow, and is to be
     * stopped. cpu_ms: what it has used, for LIMIT_CPU. */
    void (*over)(struct worker_job *job, enum limit_kind limit, uint64_t cpu_ms);
    /* Of one that was given ahead, one of the two: it runs now; it is nobody's again. */
    void (*begun)(struct worker_job *job);
    void (*back)(struct worker_job *job);
};

/* ready and room: it takes a task now. gone comes once and last, after the jobs' done; the process
 * is its owner's again, to be freed at the end of the turn at the earliest. */
struct worker_hooks {
    void (*ready)(struct worker_process *w);
    void (*room)(struct worker_process *w);
    void (*gone)(struct worker_process *w, const struct worker_end *end);
};

struct worker_process {
    struct list_node link; /* its owner's */
    struct loop_dead dead; /* likewise */
    void *owner;
    uint32_t slot;

    struct loop *loop;
    struct children *children;
    const struct worker_hooks *hooks;
    size_t max_result_bytes;

    enum worker_state state;
    struct child child;
    pid_t pid; /* 0: not known yet */
    struct loop_source channel, out, err;
    struct wire_stream stream;
    struct loop_soon flush; /* of what was put into the stream in this turn */
    struct loop_timer timer;
    struct list jobs;        /* that it runs */
    struct list ahead;       /* jobs that it was given and has not begun; only while it runs one */
    struct tickets *tickets; /* for these; NULL: it takes none ahead */
    uint64_t last_id;        /* of a RUN; a template's: of a FORK */
    uint32_t width;          /* tasks at once */
    uint32_t left;           /* tasks that it still runs and nobody waits for */
    bool is_builtin;
    bool said_hello, takes_cancel;
    bool by_us;         /* its end was our wish */
    bool broke_rules;   /* it was killed for what it wrote on its channel */
    bool tired;         /* gets no more tasks, leaves when those it has are over */
    struct buf printed; /* twice TASK_LOG_MAX at most: the tail of it counts */

    struct list forks;               /* a template's: workers that wait for it */
    struct worker_process *template; /* that this one waits for */
    struct list_node fork_link;      /* in its forks */
    uint64_t fork_id;
    int held;       /* our end of its channel until it is adopted; else -1 */
    bool is_forked; /* by a template */
    struct limits limits;

    uint64_t tasks_done;
    int64_t started_mono_ms, started_wall_ms, idle_mono_ms;
};

/* What a process is started from. */
struct worker_start {
    const struct exec_command *command; /* NULL: the built-ins */
    struct worker_process *template;    /* not NULL: it forks the process */
    uint32_t max_width;                 /* tasks at once that it may ask for */
    int64_t hello_ms;                   /* how long it may take until it is ready */
    size_t max_result_bytes;
};

/* w is zeroed memory. FUT_ERR_IO, FUT_ERR_CLOSED (the fork server is dead): nothing runs. */
FUT_MUST_CHECK int worker_process_start(struct worker_process *w, struct loop *l,
                                        struct children *c, const struct worker_start *how,
                                        const struct worker_hooks *hooks, void *owner);
/* Ready, not tired, and fewer tasks than it takes at once. */
bool worker_process_has_room(const struct worker_process *w);
/* Only when it has room. FUT_ERR_INVAL, FUT_ERR_TOO_BIG: the task cannot be put into words; nothing
 * has changed. */
FUT_MUST_CHECK int worker_process_give(struct worker_process *w, struct worker_job *job);
/* TERM: asks for the end of that job alone; KILL: makes it end. done follows, at once or later. */
void worker_process_stop_job(struct worker_process *w, struct worker_job *job, int signal);
/* Forgets the job without done; what runs it is killed when it runs nothing else. */
void worker_process_abandon_job(struct worker_process *w, struct worker_job *job);
/* No more tasks; it leaves as soon as it has none. gone follows. */
void worker_process_retire(struct worker_process *w);
/* Closes the channel (an idle worker exits by that) and forgets all; no hook runs any more. Jobs
 * must have been abandoned. */
void worker_process_release(struct worker_process *w);

/* Resident memory now, or 0 when it cannot be known. Reads a file of /proc. */
uint64_t worker_process_rss_bytes(const struct worker_process *w);

#endif
