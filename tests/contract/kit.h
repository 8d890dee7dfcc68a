/* kit: what the store tests share: a store in a directory of its own, and each verb as a call that
 * waits for its done. */
#ifndef FUT_TESTS_CONTRACT_KIT_H
#define FUT_TESTS_CONTRACT_KIT_H

#include <check.h>

#include "core/sync.h"
#include "storage/store.h"

struct kit {
    struct store *store;
    const char *backend;
    char dir[64];
    char path[96];
    struct store_config cfg;
};

/* Opens and starts a fresh store; aborts the test when that fails. */
void kit_open(struct kit *k, const char *backend);
/* Stops and closes; the directory stays. */
void kit_stop(struct kit *k);
/* Opens again on the same directory. */
void kit_reopen(struct kit *k);
/* Stops if needed, removes the directory. */
void kit_close(struct kit *k);

/* A queued task with a fresh id; the caller releases it. */
struct task kit_task(enum lane lane, const char *handler, const char *input);
/* Submits one fresh task and returns its id. */
struct task_id kit_submit(struct kit *k, enum lane lane, const char *input);
int kit_submit_n(struct kit *k, const struct task *tasks, size_t n);
/* Claims up to max; tasks are the caller's to release. Waits until there is one. */
size_t kit_claim(struct kit *k, enum lane lane, size_t max, struct task *tasks);
int kit_recall(struct kit *k, enum lane lane);
/* Applies an event to a snapshot, which is brought up to date on success. */
int kit_apply(struct kit *k, struct task *t, enum task_event ev, const struct task_in *in);
int kit_succeed(struct kit *k, struct task *t, const char *body);
/* Another life; t (with its outcome) is brought up to date on success. callback: NULL none. */
int kit_revive(struct kit *k, struct task *t, const struct task *callback);
int kit_attempts(struct kit *k, struct store_attempts *o);
int kit_get(struct kit *k, struct task_id id, struct task *out);
/* What is known of it beside its record; without the message. */
int kit_get_note(struct kit *k, struct task_id id, struct store_note *out);
int kit_delete(struct kit *k, struct task_id id);
/* Run o as the test has filled it. */
int kit_list(struct kit *k, struct store_list *o);
int kit_submit_op(struct kit *k, struct store_submit *o);
int kit_submit_batch(struct kit *k, const struct task *tasks, size_t n,
                     const struct store_batch *batch);
int kit_get_many(struct kit *k, struct store_get_many *o);
int kit_batch_get(struct kit *k, struct store_batch_get *o);
int kit_members(struct kit *k, struct store_members *o);
int kit_batch_cancel(struct kit *k, struct task_id id);
int kit_report(struct kit *k, struct store_report *o);
int kit_log(struct kit *k, struct store_log *o);
/* Waits (5 s at most) until the future is in this state; returns the snapshot, caller's. */
struct task kit_wait_state(struct kit *k, struct task_id id, enum task_state state);

/* Runs each test once per backend (_i is its place in kit_backends; FUT_BACKEND=name picks one).
 * Returns main's exit code. */
extern const char *const kit_backends[];
int kit_run_on_all(const char *suite, const TTest *const *tests, size_t n);

/* For verbs that a test posts itself. */
struct kit_wait {
    struct mutex mu;
    struct cond cond;
    bool done;
};

/* A claim that waits in the store while the test goes on. */
struct kit_parked {
    struct store_claim o;
    struct kit_wait wait;
};
/* Posts p->o as the test has filled it. */
void kit_park(struct kit *k, struct kit_parked *p);
/* Waits for its end. */
void kit_join(struct kit_parked *p);

#endif
