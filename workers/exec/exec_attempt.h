/* exec_attempt: one run of an operator's program, on the scheduler's loop: the task's input is its
 * standard input, its standard output is the result, its standard error the log (live, and its last
 * bytes in the outcome), its descriptor 3 takes lines of progress. Where the command takes
 * checkpoints, that is a socket, by which these are answered. The attempt ends when the
 * program itself has exited and its pipes are read empty: whatever it left behind is killed with
 * its process group, and nobody waits for what has left the group. Nothing blocks. SIGPIPE must be
 * ignored or blocked on the loop's thread. The loop's thread only. */
#ifndef FUT_WORKERS_EXEC_EXEC_ATTEMPT_H
#define FUT_WORKERS_EXEC_EXEC_ATTEMPT_H

#include "core/buf.h"
#include "workers/base/sink.h"
#include "workers/exec/progress_lines.h"
#include "workers/fork/children.h"
#include "workers/handlers/exec_command.h"
#include "workers/handlers/run.h"

struct exec_attempt;

struct exec_start {
    struct loop *loop;
    struct children *children;
    const struct exec_command *command;
    const struct task *task; /* borrowed until done, like the rest */
    const char *url, *token; /* of the daemon and of the attempt; borrowed for the call; or NULL */
    size_t max_result_bytes; /* of any program, whatever its handler's limits are */
    int64_t kill_grace_ms;   /* from TERM to KILL at the CPU limit */
    struct sink *sink;       /* gets progress and log, before done */
    /* Before done, of a command that takes checkpoints: the program wants these bytes stored
     * (borrowed for the call); exec_attempt_answer is to follow, and no other ones come before. */
    void (*checkpoint)(struct exec_attempt *x, const void *bytes, size_t n);
    /* Once and last: class and outcome (one reference, the callee's). The memory of x may go at the
     * end of this turn of the loop (loop_defer) and not earlier. */
    void (*done)(struct exec_attempt *x, enum run_class class, struct task_outcome *outcome);
    /* In place of done, once and last: the program did not start, which is no fault of the task.
     * error: an errno; why: one sentence, borrowed for the call. */
    void (*not_started)(struct exec_attempt *x, int error, const char *why);
    uint32_t line; /* when the program has ended, the first that waits there begins; 0: none */
    /* exec_attempt_line_up: the program began at at_mono_us; before all else that is told. */
    void (*begun)(struct exec_attempt *x, int64_t at_mono_us);
};

struct exec_attempt {
    struct exec_start start;
    struct child child;
    struct loop_source in, out, err, progress;
    struct loop_timer watch_timer; /* when the program's output is watched */
    int theirs[FORK_EXEC_FDS]; /* kept open, so that only what is written wakes the loop; or -1 */
    size_t fed;                /* bytes of the input */
    struct buf result;
    struct buf log; /* up to twice TASK_LOG_MAX, of which the end counts */
    struct progress_lines lines;
    struct buf unread;  /* what came behind a checkpoint that is being stored */
    struct buf answers; /* to the program, from `told` on not sent yet */
    size_t told;
    bool is_storing;  /* a checkpoint waits for exec_attempt_answer */
    bool suspends;    /* it has said so, for lines.suspend_ms; counts when it exits with 0 */
    uint64_t written; /* bytes on standard output and standard error */
    bool output_limit_met;
    bool too_large;
    bool has_ended;
    bool is_waiting;       /* in its line */
    int64_t ended_mono_us; /* 0: it has not, or nobody knows */
};

/* Starts the program. x is zeroed memory. A failed start calls not_started, possibly before this
 * returns. */
void exec_attempt_start(struct exec_attempt *x, const struct exec_start *how);
/* The program waits in its line: it begins when one of that line has ended, unless it is taken back
 * before. False: it cannot wait so, and nothing follows. Not for commands that take checkpoints. */
FUT_MUST_CHECK bool exec_attempt_line_up(struct exec_attempt *x, const struct exec_start *how);
/* Of one that waits so. True: it never begins, nothing follows, and x may be started anew. False:
 * it has begun, or does right now (begun does not follow). */
FUT_MUST_CHECK bool exec_attempt_take_back(struct exec_attempt *x);
/* Signals the program's process group; done follows when it has exited. */
void exec_attempt_kill(struct exec_attempt *x, int signal);
/* The checkpoint is on disk (why NULL), or is not. */
void exec_attempt_answer(struct exec_attempt *x, const char *why);
/* Asks the program to store a checkpoint and to suspend itself, if its command takes them. */
void exec_attempt_yield(struct exec_attempt *x);
/* Forgets the program without done: the fork server has ended, or the daemon ends. */
void exec_attempt_abandon(struct exec_attempt *x);

#endif
