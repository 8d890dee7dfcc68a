#include "daemon/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/proc.h"

int64_t cpus_from_quota(const char *cpu_max)
{
    char *end;
    long long quota = strtoll(cpu_max, &end, 10);
    if (end == cpu_max || *end != ' ')
        return INT64_MAX;
    long long period = strtoll(end, NULL, 10);
    if (quota <= 0 || period <= 0)
        return INT64_MAX;
    return (quota + period - 1) / period;
}

static int64_t from_affinity(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return CPU_COUNT(&set);
}

static int64_t read_quota(const char *dir)
{
    char path[4400], text[64];
    (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", dir);
    return file_read_text(path, text, sizeof(text)) > 0 ? cpus_from_quota(text) : INT64_MAX;
}

/* A quota on any group above holds for us too. */
static int64_t from_cgroup(void)
{
    char dir[4200];
    int64_t least = INT64_MAX;
    (void)proc_own_cgroup(dir, sizeof(dir)); /* "" then: the root, which has no file */
    for (;;) {
        int64_t quota = read_quota(dir);
        least = quota < least ? quota : least;
        char *slash = strrchr(dir, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

int64_t cpus_usable(void)
{
    int64_t a = from_affinity(), c = from_cgroup();
    int64_t n = a < c ? a : c;
    return n > 0 ? n : 1;
}
