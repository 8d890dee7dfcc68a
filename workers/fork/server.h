/* fork_server: the small single-threaded process that alone forks, kills and reaps. This is the
 * daemon's side of it. main starts it before the first thread, the first database handle and the
 * first TLS call; it ends, and takes every child with it, when the daemon's end of its socket
 * closes for whatever reason.
 *
 * Each child has a slot and a generation that the caller never uses twice: a signal is delivered
 * only while that very child is not reaped, so it can never hit a stranger. After start, one thread
 * uses it (the scheduler's), but for the lease. Sending blocks for the fork server at most, which
 * never waits for us.
 */
#ifndef FUT_WORKERS_FORK_SERVER_H
#define FUT_WORKERS_FORK_SERVER_H

#include <stdint.h>
#include <sys/types.h>

#include "core/err.h"
#include "core/task.h"
#include "workers/base/limits.h"

/* One message: path, directory, arguments and environment, each with its NUL. */
#define FORK_MESSAGE_MAX_BYTES 65536

enum fork_verb {
    FORK_SPAWN_WORKER = 1, /* to the fork server */
    FORK_SPAWN_EXEC,
    FORK_ADOPT,
    FORK_TASK,
    FORK_KILL,
    FORK_LEASE,
    FORK_SPAWNED, /* from the fork server */
    FORK_SPAWN_FAILED,
    FORK_CPU_EXCEEDED,
    FORK_EXITED,
};

#define FORK_TEXT_SIZE 256 /* with the NUL */

/* The slot of a child that has none, as a program for one task: the generation tells it apart. */
#define FORK_NO_SLOT UINT32_MAX

/* Programs may wait for their turn, in so many lines, numbered from 1. */
#define FORK_LINES 2

/* For each spawn and adoption: FORK_SPAWNED (but not without a slot) and then FORK_EXITED, or
 * FORK_SPAWN_FAILED (at once, or after FORK_SPAWNED when the program could not be executed).
 * Nothing follows the last of them. FORK_CPU_EXCEEDED comes between, see fork_server_task. */
struct fork_event {
    enum fork_verb verb;
    uint32_t slot;
    uint64_t generation;
    pid_t pid;
    int status; /* FORK_EXITED: as of waitpid */
    /* FORK_EXITED, of the child and what it waited for; where its limits were watched, of all that
     * came from it: */
    uint64_t max_rss_kib; /* the largest; watched: most at once */
    uint64_t cpu_ms;      /* user and system; FORK_CPU_EXCEEDED: of the task */
    enum limit_kind met;  /* the limit that it was ended for, or (LIMIT_FILES) reached */
    uint64_t task;        /* FORK_CPU_EXCEEDED */
    enum task_oom oom;    /* killed by SIGKILL: by the kernel, for memory? */
    uint64_t next;        /* at the last one: the generation that begins in its place; 0: none */
    int64_t at_mono_us;   /* at the last one: when that was */
    int error;            /* FORK_SPAWN_FAILED: the errno of it, and */
    char text[FORK_TEXT_SIZE]; /* why, in words */
};

#define FORK_EXEC_FDS 4 /* standard input, output, error, and where it reports progress */

struct fork_exec {
    const char *path;
    const char *cwd;         /* NULL: where the daemon was started */
    const char *const *argv; /* NULL-ended */
    const char *const *env;  /* NULL-ended */
    int fds[FORK_EXEC_FDS];  /* become descriptors 0, 1, 2 and 3; stay the caller's */
    struct limits limits;
    int64_t kill_grace_ms; /* from TERM to KILL at the CPU limit */
    /* Nothing that is read for its start can hang (exec_command's is_local): the fork server stands
     * still until the program is there, which costs less than a copy of its memory. */
    bool is_local;
    uint32_t line; /* when it has ended, the first that waits there begins; 0: none does */
};

struct fork_server;

/* Forks it. FUT_BUG when this process has more than one thread already. Standard input, output and
 * error must be open. err: one sentence. FUT_ERR_IO. */
FUT_MUST_CHECK int fork_server_start(struct fork_server **out, struct fut_errbuf *err);
/* Closes the socket and waits until it has killed and reaped everything. NULL ok. */
void fork_server_stop(struct fork_server **fs);

/* What holds an attempt together: "cgroups" where systemd has delegated ours, else
 * "process_groups". */
const char *fork_server_containment(const struct fork_server *fs);
pid_t fork_server_pid(const struct fork_server *fs);
/* From until_mono_ms on, unless it is put off by then, the fork server ends as if the daemon had
 * died, with all its children: other nodes may start the same tasks (0: no longer). Any thread.
 * Blocks for the fork server at most. Nothing when it has ended. */
void fork_server_lease(const struct fork_server *fs, int64_t until_mono_ms);
/* Readable when fork_server_read has something. */
int fork_server_fd(const struct fork_server *fs);

/* The child runs worker_main over channel, which stays the caller's. FUT_ERR_CLOSED: the fork
 * server has ended. */
FUT_MUST_CHECK int fork_server_spawn_worker(struct fork_server *fs, uint32_t slot,
                                            uint64_t generation, int channel);
/* FUT_ERR_TOO_BIG: over FORK_MESSAGE_MAX_BYTES. FUT_ERR_CLOSED. */
FUT_MUST_CHECK int fork_server_spawn_exec(struct fork_server *fs, uint32_t slot,
                                          uint64_t generation, const struct fork_exec *what);
/* The program waits, without a slot, as the last of what->line. When a program of that line ends
 * the first one there begins, without a word from the daemon, unless that has it back before; one
 * that comes after the last of them has ended waits for ever. What has ended in the place of others
 * is told of with them, 2 ms late at most. Never blocks. FUT_ERR_TOO_BIG. FUT_ERR_FULL: too many
 * wait. */
FUT_MUST_CHECK int fork_server_line_up(struct fork_server *fs, uint64_t generation,
                                       const struct fork_exec *what);
/* True: the program that waits never begins, and nothing follows. False: it has begun, or does
 * right now. */
FUT_MUST_CHECK bool fork_server_withdraw(struct fork_server *fs, uint64_t generation);
/* Takes over a process that another child of the fork server has forked, and that has come to it by
 * the death of its parent: from now on it is a child like any other, with these limits (but for
 * cpu_ms) as its own.
 * FORK_SPAWN_FAILED when pid is no such process. The end of one that has already ended is still
 * reported, unless many others have ended since. FUT_ERR_CLOSED. */
FUT_MUST_CHECK int fork_server_adopt(struct fork_server *fs, uint32_t slot, uint64_t generation,
                                     pid_t pid, const struct limits *limits);
/* The child begins with this task, or (0) has none any more: the CPU time of the child and of all
 * that comes from it counts from now on. When it is more than cpu_ms FORK_CPU_EXCEEDED follows,
 * once; what is to be done is the caller's to decide, who knows whether the task still runs.
 * FUT_ERR_CLOSED.
 */
FUT_MUST_CHECK int fork_server_task(struct fork_server *fs, uint32_t slot, uint64_t generation,
                                    uint64_t task, int64_t cpu_ms);
/* Signals the child's process group, and within 100 ms those of its processes that have left the
 * group; nothing happens when it was reaped. Whatever a child leaves behind is killed when it ends.
 * FUT_ERR_CLOSED. */
FUT_MUST_CHECK int fork_server_kill(struct fork_server *fs, uint32_t slot, uint64_t generation,
                                    int signal);
/* Never blocks. 0, FUT_ERR_AGAIN, or FUT_ERR_CLOSED: the fork server has ended. */
FUT_MUST_CHECK int fork_server_read(struct fork_server *fs, struct fork_event *out);
/* Has something come with what was read last? Then fork_server_fd need not be readable for it. */
bool fork_server_has_more(const struct fork_server *fs);

#endif
