/* children: the table of the processes that run now, on the scheduler's loop: sends requests to the
 * fork server and hands each answer to the child of that generation. Answers for a generation that
 * is no longer in the table are dropped. The loop's thread only. */
#ifndef FUT_WORKERS_FORK_CHILDREN_H
#define FUT_WORKERS_FORK_CHILDREN_H

#include "core/map.h"
#include "workers/base/loop.h"
#include "workers/fork/server.h"

struct children;

/* One generation; lives in its owner, who sets on_event. */
struct child {
    struct map_node node;
    uint32_t slot;
    uint64_t generation; /* 0: never started */
    /* FORK_SPAWNED (in a slot, or when its turn in a line has come), FORK_CPU_EXCEEDED,
     * then at last FORK_EXITED or FORK_SPAWN_FAILED (out of the table by then). */
    void (*on_event)(struct child *child, const struct fork_event *ev);
};

/* on_broken(ctx) runs once when the fork server is found to have ended; no child hears anything
 * after it. fs is borrowed. NULL, errno set, when no descriptor can be had. */
struct children *children_new(struct loop *l, struct fork_server *fs, void (*on_broken)(void *ctx),
                              void *ctx);
/* NULL ok. The fork server lives on. */
void children_free(struct children **c);
bool children_are_broken(const struct children *c);

/* Both take a new generation. A program without a slot (FORK_NO_SLOT) is not told of as started.
 * FUT_ERR_CLOSED (on_broken runs soon), FUT_ERR_TOO_BIG. */
FUT_MUST_CHECK int children_spawn_worker(struct children *c, struct child *child, uint32_t slot,
                                         int channel);
FUT_MUST_CHECK int children_spawn_exec(struct children *c, struct child *child, uint32_t slot,
                                       const struct fork_exec *what);
/* fork_server_line_up, with a new generation. */
FUT_MUST_CHECK int children_line_up(struct children *c, struct child *child,
                                    const struct fork_exec *what);
/* Has a program back that waits in a line, and forgets it. False: it has begun, or does right now.
 */
FUT_MUST_CHECK bool children_withdraw(struct children *c, struct child *child);
/* A process that a child of the fork server has forked for us; takes a new generation.
 * FUT_ERR_CLOSED. */
FUT_MUST_CHECK int children_adopt(struct children *c, struct child *child, uint32_t slot, pid_t pid,
                                  const struct limits *limits);
/* fork_server_task, while it is in the table. */
void children_task(struct children *c, struct child *child, uint64_t task, int64_t cpu_ms);
/* To the child's process group, while it is in the table. */
void children_kill(struct children *c, struct child *child, int signal);
/* Its owner does not want to hear of it any more. */
void children_forget(struct children *c, struct child *child);

#endif
