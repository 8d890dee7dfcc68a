/* scheduler: claims tasks from the store, runs them, reports how they ended. One thread with one
 * epoll loop does all dispatch and all timers; built-ins run on the thread pool (io lane) or in the
 * prefork workers (cpu lane), programs on either lane as processes of their own. It never frees or
 * stops the store, and never decides a state: it names events, core/task_state does the rest.
 *
 * Order of life: store_open, scheduler_new, store_start, scheduler_start … scheduler_drain,
 * scheduler_stop, store_stop, scheduler_free, store_close, fork_server_stop. */
#ifndef FUT_WORKERS_SCHEDULER_SCHEDULER_H
#define FUT_WORKERS_SCHEDULER_SCHEDULER_H

#include "core/attempt_token.h"
#include "core/err.h"
#include "core/pool_view.h"
#include "storage/store.h"
#include "workers/fork/server.h"
#include "workers/handlers/registry.h"

/* What a running scheduler can be told anew. */
struct scheduler_plan {
    const struct handlers *handlers;   /* the scheduler takes a reference of its own */
    uint32_t max_threads, max_workers; /* slots of the io and of the cpu lane, >= 1 */
    unsigned paused;                   /* bit (1u << lane) set for each lane that takes no task */
};

struct scheduler_config {
    struct store *store; /* borrowed, like fs; both outlive the scheduler */
    const struct handlers *handlers;
    struct fork_server *fs;
    uint32_t max_threads, max_workers; /* as the rest of a scheduler_plan */
    unsigned paused;
    int64_t kill_grace_ms;  /* from TERM to KILL */
    size_t max_input_bytes; /* of one that is made of results */
    size_t max_result_bytes;
    int64_t audit_ms; /* between two looks whether the store says the same; 0: the default */
    const char *callback_secret; /* "whsec_…" that webhook_secret_parse has accepted; "" or
                                    NULL: callbacks are not signed */
    const struct http_allow
        *allow; /* of http requests and callbacks; borrowed as above; NULL: none */
    struct attempt_tokens *tokens; /* for attempts of programs; borrowed as above; NULL: none */
};

struct scheduler;

/* Registers with the store, so before store_start. SIGPIPE is ignored from now on. No thread yet.
 * FUT_ERR_IO: no descriptor can be had; *out is untouched. */
FUT_MUST_CHECK int scheduler_new(const struct scheduler_config *cfg, struct scheduler **out,
                                 struct fut_errbuf *err);
/* Starts the threads and the worker processes, and claims. After store_start. */
void scheduler_start(struct scheduler *s);

/* New attempts use these handlers; those that run keep theirs. Of the numbers only what differs
 * from the last plan is put in force, so that a change by pool_view holds until the plan itself
 * says something else. Any thread; never blocks. */
void scheduler_reload(struct scheduler *s, const struct scheduler_plan *plan);

/* No further task is taken; what is running goes on. Any thread; never blocks. */
void scheduler_stop_claiming(struct scheduler *s);
/* Stops claiming and waits until every attempt has ended and is on disk: grace_ms in peace, then
 * TERM, after kill_grace_ms KILL; what did not end by itself is given back uncharged
 * (EVENT_RELEASE). False when that did not come about in time (the store fails, or a handler
 * hangs). One caller, once; blocks for about grace_ms + kill_grace_ms + 5 s at most. */
FUT_MUST_CHECK bool scheduler_drain(struct scheduler *s, int64_t grace_ms);
/* Ends the threads; what still runs is killed and stays as it is in the store. */
void scheduler_stop(struct scheduler *s);
/* After store_stop: every operation of ours must have come back. NULL ok. */
void scheduler_free(struct scheduler **s);

/* The fork server is dead: nothing more is claimed, and the daemon must drain and exit. Any thread.
 */
bool scheduler_broken(const struct scheduler *s);
/* Becomes readable at that moment; stays the scheduler's. */
int scheduler_broken_fd(const struct scheduler *s);

/* Has the loop had a turn since the last call? True the first time, and of one that is not running.
 * Each call that says yes asks anew. One thread. */
bool scheduler_has_moved(struct scheduler *s);

/* For api/: numbers of the pools, and the way to change their size or pause them while they work.
 * Valid until scheduler_free. */
struct pool_view scheduler_view(struct scheduler *s);

#endif
