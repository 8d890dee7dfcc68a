/* store_fault: a decorator that makes another backend fail when told to. For tests only: no
 * configuration reaches it. The backend "fault+sqlite" is sqlite with the armed fault in front.
 * Faults are process-wide; arming is safe from any thread. */
#ifndef FUT_STORAGE_FAULT_H
#define FUT_STORAGE_FAULT_H

#include "storage/backend.h"

#define STORE_FAULT_PREFIX "fault+"

enum store_fault_point {
    STORE_FAULT_BEGIN,
    STORE_FAULT_COMMIT, /* fails before anything is on disk */
    STORE_FAULT_INSERT,
    STORE_FAULT_CHANGE,
    STORE_FAULT_TAKE,
    STORE_FAULT_RESERVE, /* space cannot be reserved */
    STORE_FAULT_CHECKPOINT,
    STORE_FAULT_GET,      /* a future cannot be read */
    STORE_FAULT_ATTEMPTS, /* how earlier attempts ended cannot be read */
    STORE_FAULT_QUEUE,    /* what is said of a queue: its row, a weight of a key, a pause */
};
#define STORE_FAULT_POINTS 10

/* From now on, calls number after+1 to after+times at this point give rc instead of their work. */
void store_fault_arm(enum store_fault_point point, unsigned after, unsigned times, int rc);
/* Faults given since the point was armed. */
unsigned store_fault_count(enum store_fault_point point);

/* The inner backend with the armed faults in front. One inner backend per process. */
const struct backend_ops *store_fault_wrap(const struct backend_ops *inner);

#endif
