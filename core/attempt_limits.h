/* attempt_limits: what one attempt may use, beside its time. Plain data. */
#ifndef FUT_CORE_LIMITS_H
#define FUT_CORE_LIMITS_H

#include <stdint.h>

/* 0: no limit. */
struct limits {
    int64_t cpu_ms;        /* of all processes of the attempt together */
    uint64_t memory_bytes; /* resident, likewise */
    uint64_t output_bytes; /* written to standard output and standard error together */
    uint32_t files;        /* open descriptors of each process */
    uint32_t processes;    /* at once */
};

#endif
