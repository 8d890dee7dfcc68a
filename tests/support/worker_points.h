/* worker_points: what a worker program must do by the protocol, point by point. */
#ifndef FUT_TESTS_SUPPORT_WORKER_POINTS_H
#define FUT_TESTS_SUPPORT_WORKER_POINTS_H

#include "tests/support/worker.h"

/* What a point needs of the worker: the tour's handlers, or a word of its greeting. */
enum worker_need {
    WORKER_TOUR = 1,
    WORKER_CANCEL = 2,
    WORKER_CONCURRENCY = 4,
    WORKER_MEMFD = 8,
    WORKER_FORK = 16,
    WORKER_CHECKPOINT = 32,
    WORKER_YIELD = 64,
    WORKER_RESULTS = 128,
    WORKER_SESSIONS = 256,
    WORKER_SUBMITS = 512,
    WORKER_AHEAD = 1024,
    WORKER_CLOSES = 2048,
};

struct worker_point {
    const char *name;
    void (*run)(struct worker *w); /* fail()s when it does not hold */
    unsigned needs;
};

/* How many there are; *out: the first. */
size_t worker_points(const struct worker_point **out);

#endif
