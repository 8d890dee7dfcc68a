/* live: a scheduler over the real memory store with a real fork server, and a listener that lets a
 * test wait for what becomes of a task. For the scheduler's tests only. */
#ifndef FUT_TESTS_UNIT_WORKERS_LIVE_H
#define FUT_TESTS_UNIT_WORKERS_LIVE_H

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/handlers/handlers_text.h"
#include "workers/scheduler/scheduler.h"

#define LIVE_SEEN 4096
#define LIVE_GRACE_MS 200
#define LIVE_AUDIT_MS 100
#define LIVE_AGREE_MS 30000

struct live {
    struct store *store;
    struct handlers *handlers;
    struct fork_server *fs;
    struct scheduler *s;
    struct pool_view view;
    struct mutex mu;
    struct cond changed;
    struct task seen[LIVE_SEEN]; /* guarded by mu: the latest snapshots */
    size_t n_seen;               /* guarded by mu */
};

extern struct live live;

/* For verbs of the store that wait. */
struct live_op {
    struct mutex mu;
    struct cond cond;
    bool done; /* guarded by mu */
};
extern struct live_op live_op;

/* The latest snapshot of a task; a new, empty one for a task not seen yet. Under live.mu. */
struct task *live_slot(struct task_id id);

extern const char *live_file; /* the text of the handlers file */

/* What a handlers file with this text brings; the caller frees it. */
struct handlers *live_handlers_from(const char *json);

extern const char *live_secret;            /* of callbacks; NULL: none */
extern struct attempt_tokens *live_tokens; /* of attempts, the test's own; NULL: none */
extern const char *live_backend;
extern store_listener *live_also; /* hears of changes as well; NULL: nobody */

/* Starts all of it, with so many slots in each lane; aborts the test when that fails. */
void live_start(uint32_t threads, uint32_t workers);

/* Ends all of it, once the store and the scheduler agree on what is running. */
void live_stop(void);

/* ---- store verbs that wait ---- */

/* The done of an operation that live_op_wait awaits. */
void live_op_done(struct store_op *op);

/* Waits for the one operation that was posted. */
void live_op_wait(void);

/* Submits a task in this state and waits for the commit. lost: daemons that are said to have died
 * with it. */
void live_submit_spec(const struct task_spec *spec, enum task_state state, uint32_t daemon_deaths);

/* The spec of a new task; it points to handler and input. */
struct task_spec live_spec(const char *handler, enum lane lane, const char *input,
                           int64_t timeout_ms, uint32_t retries);

/* Submits a queued task, waits for the commit, and returns its id. */
struct task_id live_submit(const char *handler, enum lane lane, const char *input,
                           int64_t timeout_ms, uint32_t retries);

/* Waits until the task is in this state (or the case's timeout strikes); the copy is the caller's.
 */
struct task live_wait(struct task_id id, enum task_state state);

/* Cancels a task as t, a snapshot that this takes, shows it; returns the store's answer. */
int live_cancel_as(struct task t);

/* Cancels a task once it is running. */
void live_cancel(struct task_id id);

/* One that may be ready, running or queued at that moment. */
void live_cancel_any(struct task_id id);

/* The task as the store has it; the caller releases it. */
struct task live_get(struct task_id id);

/* Queues a failed or cancelled task again. */
void live_revive(struct task_id id);

/* What the store counts now. */
struct store_stats live_store_stats(void);

/* What the scheduler counts now. */
struct pool_stats live_stats(void);

#endif
