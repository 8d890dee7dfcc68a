/* fixture: what the store tests share: a store in a directory of its own, and each verb as a call
 * that waits for its done. */
#ifndef FUT_TESTS_CONTRACT_FIXTURE_H
#define FUT_TESTS_CONTRACT_FIXTURE_H

#include <check.h>

#include "core/sync.h"
#include "storage/batch.h"
#include "storage/queue.h"
#include "storage/store.h"

struct database;

struct fixture {
    struct store *store;
    const char *backend;
    char dir[64];
    char path[96];
    char url[256]; /* of the PostgreSQL backend */
    struct store_config cfg;
};

/* Opens and starts a fresh store; aborts the test when that fails. */
void fixture_open(struct fixture *k, const char *backend);
/* Stops and closes; the directory stays. */
void fixture_stop(struct fixture *k);
/* What the store counts now. */
struct store_stats fixture_stats(struct fixture *k);
/* Waits (5 s at most) until the retention has looked twice: a look under way does not count. */
void fixture_wait_looks(struct fixture *k);
/* Opens again on the same directory. */
void fixture_reopen(struct fixture *k);
/* Likewise where the backend keeps what it has: not in memory. */
void fixture_reopen_kept(struct fixture *k);
/* As fixture_open, with this retention. */
void fixture_open_retaining(struct fixture *k, const char *backend, int64_t retention_ms);
/* Waits (10 s at most) until the retention has deleted n in all. */
void fixture_wait_pruned(struct fixture *k, uint64_t n);
/* Stops if needed, removes the directory. */
void fixture_close(struct fixture *k);

/* A queued task with a fresh id; the caller releases it. */
struct task fixture_task(enum lane lane, const char *handler, const char *input);
/* Gives t a copy of spec, which may point into the one that t has. */
void fixture_respec(struct task *t, const struct task_spec *spec);
/* The number in the environment's variable, or preset: for runs that are longer than a test. */
long fixture_setting(const char *variable, long preset);
/* A task with these times, as a client submits it: scheduled when it is to begin later. */
struct task fixture_timed(enum lane lane, struct task_times times);
/* A queued task with this unique key; NULL: none. */
struct task fixture_unique(const char *unique);
/* Submits one fresh task and returns its id. */
struct task_id fixture_submit(struct fixture *k, enum lane lane, const char *input);
int fixture_submit_n(struct fixture *k, const struct task *tasks, size_t n);
/* Claims up to max; tasks are the caller's to release. Waits until there is one. */
size_t fixture_claim(struct fixture *k, enum lane lane, size_t max, struct task *tasks);
/* Claims one of the io lane, the caller's to release. */
struct task fixture_claim_one(struct fixture *k);
int fixture_recall(struct fixture *k, enum lane lane);
/* Applies an event to a snapshot, which is brought up to date on success. */
int fixture_apply(struct fixture *k, struct task *t, enum task_event ev, const struct task_in *in);
/* Suspends the task for so long (< 0: for ever) or until these have ended (NULL: for none). */
int fixture_suspend(struct fixture *k, struct task *t, int64_t due_in_ms, struct store_wakes *w);
int fixture_succeed(struct fixture *k, struct task *t, const char *body);
/* Another life; t (with its outcome) is brought up to date on success. */
int fixture_revive(struct fixture *k, struct task *t);
/* Likewise, without the checkpoint of the life before. */
int fixture_revive_fresh(struct fixture *k, struct task *t);
int fixture_attempts(struct fixture *k, struct store_attempts *o);
int fixture_get(struct fixture *k, struct task_id id, struct task *out);
/* What is known of it beside its record; out: store_reported_release. */
int fixture_get_reported(struct fixture *k, struct task_id id, struct store_reported *out);
int fixture_delete(struct fixture *k, struct task_id id);
/* Run o as the test has filled it. */
int fixture_list(struct fixture *k, struct store_list *o);
/* Any other verb, as the test has filled it. */
int fixture_do(struct fixture *k, const struct store_verb *verb, struct store_op *op);
int fixture_submit_op(struct fixture *k, struct store_submit *o);
int fixture_submit_batch(struct fixture *k, const struct task *tasks, size_t n,
                         const struct store_batch *batch);
int fixture_get_many(struct fixture *k, struct store_get_many *o);
int fixture_batch_get(struct fixture *k, struct store_batch_get *o);
int fixture_members(struct fixture *k, struct store_members *o);
int fixture_batch_cancel(struct fixture *k, struct task_id id);
int fixture_report(struct fixture *k, struct store_report *o);
int fixture_log(struct fixture *k, struct store_log *o);
/* filter: as task_filter_read takes it. */
int fixture_bulk_start(struct fixture *k, enum store_bulk_kind kind, const char *filter,
                       struct store_bulk *out);
int fixture_bulk_stop(struct fixture *k, struct task_id id, struct store_bulk *out);
int fixture_bulk_get(struct fixture *k, struct task_id id, struct store_bulk *out);
int fixture_bulk_list(struct fixture *k, struct store_bulk_list *o);
int fixture_failures(struct fixture *k, const char *filter, struct store_failures *out);
int fixture_limit_put(struct fixture *k, const struct store_limit *limit);
int fixture_limit_drop(struct fixture *k, const char *name);
int fixture_limit_close(struct fixture *k, const char *name, const char *key, int64_t for_ms);
/* o->limits and o->keys: free() them. */
int fixture_limit_list(struct fixture *k, const char *name, struct store_limit_list *o);
/* Of a queue by its name: the members in `sets`, but for the pause; that; and of a handler. */
int fixture_queue_set(struct fixture *k, const char *name, unsigned sets,
                      const struct store_queue *is);
int fixture_queue_pause(struct fixture *k, const char *name, const struct pool_pause *pause);
int fixture_handler_pause(struct fixture *k, const char *name, const struct pool_pause *pause,
                          uint64_t *out_running);
/* What a claim of `max` gets now: it is recalled, a transaction later, when it gets nothing. */
size_t fixture_claim_now(struct fixture *k, enum lane lane, size_t max, struct task *tasks);
/* Starts a bulk and waits (5 s at most) for its end. */
struct store_bulk fixture_bulk(struct fixture *k, enum store_bulk_kind kind, const char *filter);
struct store_bulk fixture_wait_bulk(struct fixture *k, struct task_id id);
/* Stores this text as the checkpoint of the snapshot's attempt. */
int fixture_checkpoint(struct fixture *k, const struct task *t, const char *text);
/* As fixture_get, with the body of the checkpoint. */
int fixture_get_checkpoint(struct fixture *k, struct task_id id, struct task *out);
/* Waits (5 s at most) until the future is in this state; returns the snapshot, caller's. */
struct task fixture_wait_state(struct fixture *k, struct task_id id, enum task_state state);

/* Runs each test once per backend (_i is its place in fixture_backends; FUT_BACKEND=name picks
 * one). Returns main's exit code. */
extern const char *const fixture_backends[];
/* The PostgreSQL server of the test program, on which fixture_open("postgres") makes stores: made
 * by the first call; main frees it behind the tests. */
struct database *fixture_database(void);
/* Makes it in main, so that the tests share it, where that can be. */
void fixture_database_share(void);
/* In a test that stops its server: from here on the test has one of its own. */
void fixture_database_own(void);
void fixture_database_free(void);
int fixture_run_on_all(const char *suite, const TTest *const *tests, size_t n);

/* For verbs that a test posts itself. */
struct fixture_wait {
    struct mutex mu;
    struct cond cond;
    bool done;
};

/* A claim that waits in the store while the test goes on. */
struct fixture_parked {
    struct store_claim o;
    struct fixture_wait wait;
};
/* Posts p->o as the test has filled it. */
void fixture_park(struct fixture *k, struct fixture_parked *p);
/* Waits for its end. */
void fixture_join(struct fixture_parked *p);

#endif
