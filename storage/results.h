/* results: what attempts are given of other tasks: results in place of references to them, and what
 * became of the futures that a task was suspended for. Part of store.h, whose rules hold here. */
#ifndef FUT_STORAGE_RESULTS_H
#define FUT_STORAGE_RESULTS_H

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
#define STORE_CIRCLE_MAX 32  /* tasks of a circle that are named */
#define STORE_CIRCLE_LOOKS                                                                         \
    10000 /* waits that are looked at for a circle; beyond that none is seen */

/* A circle of waits: each task (or batch) waits for the next one, the last one for the first. */
struct store_circle {
    struct task_id ids[STORE_CIRCLE_MAX];
    size_t n; /* of all, also those that are not named */
};

/* What a suspended task waits for beside its time: the ends of tasks, promises and batches, all of
 * them. */
struct store_wakes {
    const struct task_id *ids;
    size_t n;                   /* 1..STORE_WAKES_MAX */
    size_t refused;             /* out: FUT_ERR_INVAL: which there is not */
    struct store_circle circle; /* out: FUT_ERR_CONFLICT */
};

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
