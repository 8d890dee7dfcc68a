/* exec_attempt: one run of an operator's program, on the scheduler's loop: input to its standard
 * input, standard output as the result, standard error as the log (live, and its last bytes in the
 * outcome), descriptor 3 for lines of progress. Nothing blocks. It ends when the program itself has
 * exited and its pipes are read empty: whatever it left behind is killed with its group, and what
 * left the group is not waited for. SIGPIPE must be ignored or blocked on the loop's thread. The
 * loop's thread only. */
#ifndef FUT_WORKERS_EXEC_EXEC_ATTEMPT_H
#define FUT_WORKERS_EXEC_EXEC_ATTEMPT_H

#include "core/buf.h"
#include "workers/exec/progress_lines.h"
#include "workers/fork/children.h"
#include "workers/handlers/exec_command.h"
#include "workers/handlers/run.h"

struct exec_attempt;

/* What holds for every program, whatever its handler's own limits are. */
struct exec_bounds {
    size_t max_result_bytes;
    int64_t kill_grace_ms;
};

struct exec_hooks {
    /* class and outcome (one reference, the callback's). The attempt is over: its memory may go at
     * the end of this turn of the loop (loop_defer), not earlier. */
    void (*done)(struct exec_attempt *x, enum run_class class, struct task_outcome *outcome);
    /* Before done, any number of times. message: NULL when there is none. */
    void (*progress)(struct exec_attempt *x, double fraction, const char *message);
    void (*log)(struct exec_attempt *x, const char *bytes, size_t n);
};

struct exec_attempt {
    struct loop *loop;
    struct children *children;
    const struct exec_command *command;
    const struct task *task; /* borrowed until done */
    struct exec_bounds bounds;
    const struct exec_hooks *hooks;

    struct child child;
    struct loop_source in, out, err, progress;
    size_t fed;
    struct buf result;
    struct buf log; /* twice TASK_LOG_MAX at most: the tail of it counts */
    struct progress_lines lines;
    uint64_t written; /* to standard output and standard error */
    bool output_limit_met;
    bool too_large;
    bool over;
    struct loop_timer failed; /* tells of a failed start from the loop */
    char why[256];
};

/* Starts it; what goes wrong is told through done as well, from the loop. x is zeroed memory. */
void exec_attempt_start(struct exec_attempt *x, struct loop *l, struct children *c,
                        const struct exec_command *command, const struct task *task,
                        struct exec_bounds bounds, const struct exec_hooks *hooks);
void exec_attempt_kill(struct exec_attempt *x, int signal);
/* Forgets the program without a word to done: the fork server is dead, or the daemon ends. */
void exec_attempt_abandon(struct exec_attempt *x);

#endif
