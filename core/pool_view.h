/* pool_view: the little that api/ may know of the pools, and ask of them: snapshots and wishes as
 * plain data behind function pointers, handed over by daemon/ at start, so that api/ needs no
 * header of workers/. */
#ifndef FUT_CORE_POOL_VIEW_H
#define FUT_CORE_POOL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/task.h"

/* The most that a lane may be given, at start or later. */
#define POOL_THREADS_MAX 4096
#define POOL_WORKERS_MAX 1024
/* Slots of a lane that attempts which wait for other tasks may have lent at a time. */
#define POOL_LENT_MAX 64
/* Bytes of text about a pause, each with its NUL. */
#define POOL_BY_SIZE 64
#define POOL_REASON_SIZE 201
#define POOL_WORDS_SIZE 1001 /* of the last words of a process that did not start */

struct pool_pause {
    int64_t since_wall_ms;         /* 0: not paused */
    char by[POOL_BY_SIZE];         /* who asked for it */
    char reason[POOL_REASON_SIZE]; /* their words; "" none */
};

struct pool_lane {
    uint32_t capacity;   /* attempts that may run at once */
    uint32_t configured; /* MAX_THREADS or MAX_WORKERS: what the capacity was at start or at the
                            last reload */
    uint32_t refused;    /* threads that the system does not give, of what was asked for: the
                            capacity is less by as many */
    uint32_t busy;       /* attempts running now; above capacity after it was made smaller, and by
                            those of slots that are lent, or were when they began */
    uint32_t lent;       /* of these, attempts that wait for other tasks meanwhile */
    uint64_t started;    /* attempts since boot */
    uint32_t claimed;    /* attempts that were taken and whose end the store does not have yet */
    uint32_t unsaved;    /* slots that attempts keep which are over: the store refuses their end */
    int unsaved_rc;      /* why, of the latest: a negative enum fut_err; 0 as long as none was */
    struct pool_pause pause;
};

/* Of what a worker process died. */
enum pool_death {
    POOL_DEATH_EXIT,    /* it has ended itself */
    POOL_DEATH_SIGNAL,  /* a crash, or somebody's kill */
    POOL_DEATH_UNKNOWN, /* nobody could tell */
};
#define POOL_DEATHS (POOL_DEATH_UNKNOWN + 1)

/* Hears of a worker process that died unasked, on the scheduler's thread: must not block. */
typedef void pool_death_listener(void *ctx, const char *program, enum pool_death how, int code);

struct pool_stats {
    struct pool_lane lanes[LANE_COUNT];
    const char *containment; /* what ends an attempt with all that came from it: "cgroups" or
                                "process_groups" */
    uint32_t workers_alive;
    uint64_t workers_died;         /* unasked, since boot */
    uint64_t died_by[POOL_DEATHS]; /* the same by reason */
    uint32_t programs_broken;      /* programs that do not start now */
    int last_exit_code;            /* of the latest of these; -1: a signal, or not known */
    int last_signal;               /* that ended it; 0: none */
};

/* What is to change of a lane; all of it at once. */
struct pool_wish {
    bool sets_capacity;
    uint32_t capacity; /* 1..pool_lane_max; 0: as configured */
    bool sets_pause;
    struct pool_pause pause; /* since_wall_ms 0: the lane goes on */
};

enum pool_worker_state {
    POOL_WORKER_STARTING, /* is not ready to take a task */
    POOL_WORKER_IDLE,
    POOL_WORKER_BUSY,
    POOL_WORKER_TEMPLATE, /* forks the others of its program, runs nothing itself */
    POOL_WORKER_LEAVING,  /* gets no more tasks */
    POOL_WORKER_DYING,    /* killed */
};

/* One worker process. */
struct pool_worker {
    int32_t pid;                        /* 0: not known yet */
    char program[TASK_HANDLER_MAX + 1]; /* the handler whose program it is, or "futured" */
    enum lane lane;
    enum pool_worker_state state;
    uint32_t tasks;      /* that it runs now */
    struct task_id task; /* one of them; hi 0: none */
    uint64_t tasks_done;
    int64_t started_wall_ms;
};

/* A program that does not start: its tasks stay in the queue, it is tried again. */
struct pool_broken {
    int64_t since_wall_ms;
    char words[POOL_WORDS_SIZE]; /* how its last process ended, and the end of what it printed */
    bool of_builtins; /* the worker processes of the built-in handlers, on the cpu lane only */
};

struct pool_view {
    void *ctx;
    /* Any thread; none blocks for long. */
    void (*read)(void *ctx, struct pool_stats *out);
    /* In force for every later read; nothing that runs is cut short. NULL: cannot be changed. */
    void (*change)(void *ctx, enum lane lane, const struct pool_wish *wish);
    /* A heap array of *out_n processes, to be freed. NULL: there are none. */
    struct pool_worker *(*workers)(void *ctx, size_t *out_n);
    /* Is the program of this handler broken? *out is written when it is. NULL: never. */
    bool (*broken)(void *ctx, const char *handler, struct pool_broken *out);
    /* Has the machine no process, memory or descriptor for any program? NULL: never. */
    bool (*shortage)(void *ctx, struct pool_broken *out);
    /* Before the scheduler starts, once; code: of exit, or the signal. NULL: there are no workers.
     */
    void (*listen)(void *ctx, pool_death_listener *fn, void *listener_ctx);
};

static inline uint32_t pool_lane_max(enum lane lane)
{
    return lane == LANE_IO ? POOL_THREADS_MAX : POOL_WORKERS_MAX;
}

#endif
