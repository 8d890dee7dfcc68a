/* worker_process: the daemon's side of one prefork worker: its channel, its generations, what it
 * runs now. A slot that dies comes back as a new generation: at once when it had said hello, else
 * after 2 s doubling to 60 s. The scheduler's loop only. */
#ifndef FUT_WORKERS_WORKER_PROCESS_H
#define FUT_WORKERS_WORKER_PROCESS_H

#include "core/buf.h"
#include "workers/children.h"
#include "workers/wire.h"

enum worker_state {
    WORKER_DOWN,     /* no process; maybe waiting to start one */
    WORKER_STARTING, /* has not said hello */
    WORKER_IDLE,
    WORKER_BUSY,
    WORKER_DYING, /* killed, or its channel is closed: gets no other task in this generation */
};

/* How a task given to a worker ended. */
struct worker_end {
    const struct wire_result *result; /* borrowed for the call; NULL: the process died */
    bool known;                       /* died: the rest is known */
    int status;                       /* as of waitpid */
    uint64_t max_rss_kib, cpu_ms;
    enum task_oom oom;
};

struct worker_process;

struct worker_hooks {
    void (*on_idle)(struct worker_process *w);
    /* on_idle follows by itself when the worker lives. */
    void (*on_end)(struct worker_process *w, const struct worker_end *end);
    /* PROGRESS or LOG of the task that it runs; borrowed for the call. */
    void (*on_report)(struct worker_process *w, const struct wire_frame *f);
    /* A generation ended that nobody had killed; for counting and the log. */
    void (*on_death)(struct worker_process *w, const struct worker_end *end);
};

struct worker_process {
    struct loop *loop;
    struct children *children;
    const struct worker_hooks *hooks;
    void *owner;
    uint32_t slot;
    size_t max_result_bytes;

    enum worker_state state;
    struct child child;
    struct loop_source src;
    struct loop_timer timer;
    struct buf in, out;
    size_t sent;
    uint64_t seq; /* of the task it runs, or ran last */
    bool has_task;
    bool said_hello;
    bool killed; /* by us */
    bool stopped;
    uint32_t failed_starts;
    int64_t retry_ms; /* the pause before this start, for the log */
};

/* w is the caller's memory, zeroed; hooks must outlive it. Nothing runs yet. */
void worker_process_init(struct worker_process *w, struct loop *l, struct children *c,
                         uint32_t slot, size_t max_result_bytes, const struct worker_hooks *hooks,
                         void *owner);
void worker_process_start(struct worker_process *w);
/* Only while idle. FUT_ERR_TOO_BIG: the input does not fit a frame (the worker stays idle). */
FUT_MUST_CHECK int worker_process_give(struct worker_process *w, const char *handler,
                                       const char *input_type, const unsigned char *input,
                                       size_t input_len);
/* Signals its group; it gets no further task. on_end comes when it is dead. */
void worker_process_kill(struct worker_process *w, int signal);
/* Closes the channel (an idle worker exits by that) and forgets all; no hook runs any more. */
void worker_process_stop(struct worker_process *w);

static inline bool worker_process_is_alive(const struct worker_process *w)
{
    return w->state == WORKER_IDLE || w->state == WORKER_BUSY;
}

#endif
