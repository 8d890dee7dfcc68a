/* pool_view: the little that api/ may know of the pools: a snapshot of numbers behind one function
 * pointer, handed over by daemon/ at start, so that api/ needs no header of workers/. */
#ifndef FUT_CORE_POOL_VIEW_H
#define FUT_CORE_POOL_VIEW_H

#include <stdint.h>

#include "core/task.h"

struct pool_lane {
    uint32_t capacity; /* MAX_THREADS or MAX_WORKERS */
    uint32_t busy;     /* attempts running now */
    uint64_t started;  /* attempts since boot */
};

struct pool_stats {
    struct pool_lane lanes[LANE_COUNT];
    uint32_t workers_alive;
    uint64_t workers_died; /* unasked, since boot */
    int last_exit_code;    /* of the latest of these; -1: a signal, or not known */
    int last_signal;       /* that ended it; 0: none */
};

struct pool_view {
    void *ctx;
    void (*read)(void *ctx, struct pool_stats *out); /* any thread; never blocks for long */
};

#endif
