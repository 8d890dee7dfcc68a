/* results: what attempts are given of other tasks: results in place of references to them, and what
 * became of the futures that a task was suspended for. Part of store.h, whose rules hold here. */
#ifndef FUT_STORAGE_RESULTS_H
#define FUT_STORAGE_RESULTS_H

#include "core/attempt_token.h"
#include "storage/store.h"

/* Makes the input with which a claimed task of `has_refs` runs: the results that it refers to in
 * place of the references (core/result_ref). What is stored stays as it is, and so does the spec.
 * rc FUT_ERR_INVAL: it cannot be made, and refused says why. */
struct store_fill {
    struct store_op op;
    const struct task_spec *spec; /* with input; borrowed until done */
    size_t max_bytes;             /* of the input that it makes */
    struct task_spec *filled;     /* out: one reference, the caller's; NULL unless rc is 0 */
    struct task_outcome *refused; /* out: likewise; NULL unless FUT_ERR_INVAL */
};
extern const struct store_verb store_verb_fill;

#define STORE_WAKES_MAX 1000 /* futures that a task is suspended for */
#define STORE_CIRCLE_LOOKS                                                                         \
    10000 /* waits that are looked at for a circle; beyond that none is seen */

/* What a suspended task waits for beside its time: the ends of tasks, promises and batches, all of
 * them. */
struct store_wakes {
    const struct task_id *ids;
    size_t n;                     /* 1..STORE_WAKES_MAX */
    size_t refused;               /* out: FUT_ERR_INVAL: which there is not */
    struct attempt_circle circle; /* out: FUT_ERR_CONFLICT */
};

/* Would a wait of the running task for these futures never end, because they wait for the task
 * itself: by `after`, suspended, under tokens, or as batches with such members? rc
 * FUT_ERR_CONFLICT: it would, as circle says. Posted once attempt_token_wait has taken the wait, so
 * that of two waits that close a circle one at least is told. */
struct store_find_circle {
    struct store_op op;
    struct task_id task;
    const struct task_id *ids; /* borrowed until done */
    size_t n;
    bool is_any;                  /* the first of them is enough */
    struct attempt_circle circle; /* out: FUT_ERR_CONFLICT */
};
extern const struct store_verb store_verb_find_circle;
/* Before store_start: the waits of running attempts, which searches for circles look at. */
void store_set_tokens(struct store *s, struct attempt_tokens *tokens);
/* False: no task has ever waited for another by what is stored. Any thread. */
bool store_has_waits(const struct store *s);

/* Reads what has become of the futures that the task was suspended for last: a JSON object of
 * FUTURE'S ID: {"state", "done", and "result" or "error"}. A result that does not fit is left out,
 * with "truncated". rc 0 also where there are none. */
struct store_wake_results {
    struct store_op op;
    struct task_id id;
    size_t max_bytes;                /* of the whole */
    struct task_checkpoint *results; /* out: one reference, the caller's; NULL: there are none */
};
extern const struct store_verb store_verb_wake_results;

#endif
