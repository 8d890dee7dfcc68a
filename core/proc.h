/* proc: what another process uses now, from /proc. One open, read and close: some tens of
 * microseconds, never the disk. Any thread. */
#ifndef FUT_CORE_PROC_H
#define FUT_CORE_PROC_H

#include <stdbool.h>
#include <stdint.h>

struct proc_usage {
    uint64_t rss_bytes;
    uint64_t cpu_ms; /* user and system, since it began */
};

/* False: there is no such process (any more). */
bool proc_usage_read(int32_t pid, struct proc_usage *out);

#endif
