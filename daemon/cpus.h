/* cpus: how many CPUs this process may really use. Reads /proc and /sys; blocks briefly. */
#ifndef FUT_DAEMON_CPUS_H
#define FUT_DAEMON_CPUS_H

#include <stdint.h>

/* The smaller of the affinity mask and the cgroup's CPU quota (rounded up), at least 1. */
int64_t cpus_usable(void);
/* The quota in the text of a cgroup v2 cpu.max file ("150000 100000" is 2), or INT64_MAX for "max"
 * and anything else. Pure. */
int64_t cpus_from_quota(const char *cpu_max);

#endif
