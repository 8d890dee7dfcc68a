/* exec_env: the environment of one run of a program. Pure. */
#ifndef FUT_WORKERS_EXEC_EXEC_ENV_H
#define FUT_WORKERS_EXEC_EXEC_ENV_H

#include "core/arena.h"
#include "workers/exec/exec_attempt.h"

/* That of the handler, and names of our own (FUTURED_…); NULL-ended, made in a, which also has the
 * strings that are not the handler's. */
const char *const *exec_env_make(const struct exec_start *how, struct arena *a);

#endif
