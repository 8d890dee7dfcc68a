/* house: a scheduler over the real memory store with a real fork server, and a listener that lets a
 * test wait for what becomes of a task. For the scheduler's tests only. */
#ifndef FUT_TESTS_UNIT_WORKERS_HOUSE_H
#define FUT_TESTS_UNIT_WORKERS_HOUSE_H

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
#include "tests/unit/workers/handlers_text.h"
#include "workers/scheduler/scheduler.h"

#define HOUSE_SEEN 4096
#define HOUSE_GRACE_MS 200
#define HOUSE_AUDIT_MS 100
#define HOUSE_AGREE_MS 30000

static struct house {
    struct store *store;
    struct handlers *handlers;
    struct fork_server *fs;
    struct scheduler *s;
    struct pool_view view;
    struct mutex mu;
    struct cond changed;
    struct task seen[HOUSE_SEEN]; /* guarded by mu: the latest snapshots */
    size_t n_seen;                /* guarded by mu */
} house;

/* For verbs of the store that wait. */
static struct {
    struct mutex mu;
    struct cond cond;
    bool done; /* guarded by mu */
} house_op;

static inline struct task *house_slot(struct task_id id)
{
    for (size_t i = 0; i < house.n_seen; i++) {
        if (id_equal(house.seen[i].spec->id, id))
            return &house.seen[i];
    }
    ck_assert_uint_lt(house.n_seen, HOUSE_SEEN);
    return &house.seen[house.n_seen++];
}

static void house_listener(void *ctx, const struct store_change *changes, size_t n)
{
    (void)ctx;
    mutex_lock(&house.mu);
    for (size_t i = 0; i < n; i++) {
        if (!changes[i].task)
            continue;
        struct task *t = house_slot(changes[i].id);
        task_release(t);
        task_copy(t, changes[i].task);
    }
    cond_broadcast(&house.changed);
    mutex_unlock(&house.mu);
}

static const char house_handlers[] =
    "{\"upper\": {\"exec\": [\"tr\", \"a-z\", \"A-Z\"]},"
    " \"fails\": {\"exec\": [\"sh\", \"-c\", \"echo because >&2; exit 4\"]},"
    " \"later\": {\"exec\": [\"sh\", \"-c\", \"exit 75\"]},"
    " \"talks\": {\"exec\": [\"sh\", \"-c\", \"echo one >&2; echo progress 0.25 start >&3; cat; "
    "echo two >&2; echo progress 1 >&3\"]},"
    " \"long\": {\"exec\": [\"sleep\", \"1000\"], \"lane\": \"io\"},"
    " \"stubborn\": {\"exec\": [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"]}}";

static const char *house_file = house_handlers; /* the text of the handlers file */

static inline struct handlers *house_handlers_from(const char *json)
{
    struct fut_errbuf err;
    struct handlers *h = NULL;
    ck_assert_msg(handlers_from_text(json, &h, &err) == 0, "%s", err.text);
    return h;
}

static const char *house_secret; /* of callbacks; NULL: none */
static const char *house_backend = "memory";

static inline void house_build(uint32_t threads, uint32_t workers)
{
    struct store_config sc = {
        .backend = house_backend, .readers = 1, .max_queued = 100000, .retention_ms = 3600000};
    mutex_init(&house.mu);
    cond_init(&house.changed);
    mutex_init(&house_op.mu);
    cond_init(&house_op.cond);
    house.handlers = house_handlers_from(house_file);
    ck_assert_int_eq(fork_server_start(&house.fs, NULL), 0);
    ck_assert_int_eq(store_open(&sc, &house.store, NULL), 0);
    struct scheduler_config cfg = {.store = house.store,
                                   .handlers = house.handlers,
                                   .fs = house.fs,
                                   .max_threads = threads,
                                   .max_workers = workers,
                                   .kill_grace_ms = HOUSE_GRACE_MS,
                                   .max_result_bytes = 1 << 20,
                                   .audit_ms = HOUSE_AUDIT_MS,
                                   .callback_secret = house_secret};
    house.s = scheduler_new(&cfg);
    house.view = scheduler_view(house.s);
    store_listen(house.store, house_listener, NULL);
    store_start(house.store);
    scheduler_start(house.s);
}

/* What is running in the store has an attempt in the scheduler, and the other way round. */
static bool house_agrees(void *ctx)
{
    struct store_stats in_store;
    struct pool_stats here;
    (void)ctx;
    store_stats(house.store, &in_store);
    house.view.read(house.view.ctx, &here);
    for_each_lane (l) {
        if (in_store.live[l][TASK_RUNNING] != here.lanes[l].claimed)
            return false;
    }
    return true;
}

static inline void house_raze(void)
{
    ck_assert_msg(wait_until(house_agrees, NULL, HOUSE_AGREE_MS),
                  "the store has running tasks that the scheduler does not have, or the reverse");
    scheduler_stop(house.s);
    store_stop(house.store);
    scheduler_free(&house.s);
    store_close(&house.store);
    fork_server_stop(&house.fs);
    handlers_free(&house.handlers);
    for (size_t i = 0; i < house.n_seen; i++)
        task_release(&house.seen[i]);
    house.n_seen = 0;
    cond_destroy(&house_op.cond);
    mutex_destroy(&house_op.mu);
    cond_destroy(&house.changed);
    mutex_destroy(&house.mu);
}

/* ---- store verbs that wait ---- */

static void house_op_done(struct store_op *op)
{
    (void)op;
    mutex_lock(&house_op.mu);
    house_op.done = true;
    cond_signal(&house_op.cond);
    mutex_unlock(&house_op.mu);
}

static inline void house_op_wait(void)
{
    mutex_lock(&house_op.mu);
    while (!house_op.done)
        cond_wait(&house_op.cond, &house_op.mu);
    house_op.done = false;
    mutex_unlock(&house_op.mu);
}

/* lost: daemons that are said to have died with it. */
static inline void house_submit_spec(const struct task_spec *spec, enum task_state state,
                                     uint32_t lost)
{
    struct task t = {.spec = task_spec_new(spec), .state = state, .lost = lost};
    struct store_submit o = {.tasks = &t, .n = 1};
    ck_assert_int_eq(store_post(house.store, &store_verb_submit, &o.op, house_op_done), 0);
    house_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    task_release(&t);
}

static inline struct task_spec house_spec(const char *handler, enum lane lane, const char *input,
                                          int64_t timeout_ms, uint32_t retries)
{
    return (struct task_spec){.id = id_new(),
                              .lane = lane,
                              .retries = retries,
                              .timeout_ms = timeout_ms,
                              .created_wall_ms = clock_wall_ms(),
                              .handler = handler,
                              .input_type = CONTENT_JSON,
                              .input = (const unsigned char *)input,
                              .input_len = strlen(input)};
}

static inline struct task_id house_submit(const char *handler, enum lane lane, const char *input,
                                          int64_t timeout_ms, uint32_t retries)
{
    struct task_spec spec = house_spec(handler, lane, input, timeout_ms, retries);
    house_submit_spec(&spec, TASK_QUEUED, 0);
    return spec.id;
}

/* Waits until the task is in this state (or the case's timeout strikes); the copy is the caller's.
 */
static inline struct task house_wait(struct task_id id, enum task_state state)
{
    struct task copy;
    mutex_lock(&house.mu);
    for (struct task *t = house_slot(id); !t->spec || t->state != state;) {
        if (!t->spec)
            house.n_seen--; /* an empty slot that house_slot has just made */
        cond_wait(&house.changed, &house.mu);
        t = house_slot(id);
    }
    task_copy(&copy, house_slot(id));
    mutex_unlock(&house.mu);
    return copy;
}

/* The store's answer. Takes t, a snapshot. */
static inline int house_cancel_as(struct task t)
{
    struct task_outcome *o = task_outcome_error("cancelled", "cancelled by its client");
    struct store_apply a = {.task = t};
    ck_assert_int_eq(task_apply(&t, EVENT_CANCEL, &(struct task_in){.outcome = o}, &a.change), 0);
    ck_assert_int_eq(store_post(house.store, &store_verb_apply, &a.op, house_op_done), 0);
    house_op_wait();
    task_release(&a.task);
    task_outcome_unref(o);
    return a.op.rc;
}

static inline void house_cancel(struct task_id id)
{
    ck_assert_int_eq(house_cancel_as(house_wait(id, TASK_RUNNING)), 0);
}

/* One that may be ready, running or queued at that moment. */
static inline void house_cancel_any(struct task_id id)
{
    int rc;
    do {
        struct store_get get = {.id = id};
        ck_assert_int_eq(store_post(house.store, &store_verb_get, &get.op, house_op_done), 0);
        house_op_wait();
        rc = house_cancel_as(get.task);
    } while (rc == FUT_ERR_STALE);
    ck_assert_int_eq(rc, 0);
}

static inline struct store_stats house_store_stats(void)
{
    struct store_stats st;
    store_stats(house.store, &st);
    return st;
}

static inline struct pool_stats house_stats(void)
{
    struct pool_stats st;
    house.view.read(house.view.ctx, &st);
    return st;
}

#endif
