/* exec_end: what the end of a program means: the class of the attempt and its outcome. Pure; any
 * thread; nothing blocks. */
#ifndef FUT_WORKERS_EXEC_EXEC_END_H
#define FUT_WORKERS_EXEC_EXEC_END_H

#include "core/buf.h"
#include "workers/fork/server.h"
#include "workers/handlers/exec_command.h"
#include "workers/handlers/run.h"

#define EXEC_END_MESSAGE_SIZE LIMITS_MESSAGE_SIZE

struct exec_end {
    const struct exec_command *command;
    const struct fork_event *event; /* FORK_EXITED */
    const struct buf *result, *log; /* what it wrote */
    size_t max_result_bytes;
    bool result_too_large; /* killed for that */
    bool output_limit_met; /* likewise */
};

/* *out refers to e, to message and to literals; its log is not set. */
enum run_class exec_end_judge(const struct exec_end *e, struct task_outcome *out,
                              char message[EXEC_END_MESSAGE_SIZE]);

#endif
