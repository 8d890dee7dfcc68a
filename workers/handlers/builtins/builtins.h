/* builtins: the table of the handlers that futured brings along; one file here for each. A built-in
 * is one function over a struct run: on the io lane a pool thread calls it, on the cpu lane a
 * worker process. It must end soon after run_is_cancelled turns true, and keeps no state of its
 * own. */
#ifndef FUT_WORKERS_HANDLERS_BUILTINS_BUILTINS_H
#define FUT_WORKERS_HANDLERS_BUILTINS_BUILTINS_H

#include "core/catalog.h"
#include "workers/handlers/run.h"

struct builtin {
    struct handler_info info;
    run_fn *fn;
    bool needs_parent; /* the scheduler reads the future that the task was scheduled after */
};

/* The whole table; *out_n entries, immutable. */
const struct builtin *builtins_all(size_t *out_n);
/* NULL when there is none of this name. */
const struct builtin *builtins_find(const char *name);

/* A number for the host and port that the input of a callback's task names; the same for a URL that
 * is none. Pure. */
uint64_t callback_receiver(const void *input, size_t n);

/* handler_info.check_input of `http`: looks at "fail_on" alone. Pure. */
int http_check_input(const void *input, size_t n, const char **out_field, const char **out_allowed);

run_fn echo_run, sleep_run, http_run, sha256_run, primes_run, callback_run;

#endif
