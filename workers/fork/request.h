/* fork_request: the message from the daemon to its fork server. Both are the same program in
 * memory, so the head is a plain struct; the strings behind it are checked all the same. */
#ifndef FUT_WORKERS_FORK_REQUEST_H
#define FUT_WORKERS_FORK_REQUEST_H

#include "core/arena.h"
#include "core/buf.h"
#include "workers/fork/server.h"

struct fork_request {
    uint32_t verb; /* enum fork_verb */
    uint32_t slot;
    uint64_t generation;
    int32_t signal;
    int32_t pid; /* FORK_ADOPT */
    uint32_t argc, envc;
    uint32_t has_cwd;
    uint64_t task; /* FORK_TASK; limits: its CPU time */
    struct limits limits;
    int64_t kill_grace_ms;
    /* FORK_SPAWN_EXEC: path, cwd, argv…, env…, each NUL-ended */
};

/* FUT_ERR_TOO_BIG: over FORK_MESSAGE_MAX_BYTES. */
FUT_MUST_CHECK int fork_request_encode(struct buf *out, struct fork_request head,
                                       const struct fork_exec *what);
/* out->argv and env are made in a; strings point into bytes. FUT_ERR_INVAL. */
FUT_MUST_CHECK int fork_request_decode(const char *bytes, size_t n, struct arena *a,
                                       struct fork_request *head, struct fork_exec *out);

#endif
