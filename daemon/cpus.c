#include "daemon/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    FILE *f = fopen(path, "re");
    if (!f)
        return INT64_MAX;
    int64_t quota = fgets(text, sizeof(text), f) ? cpus_from_quota(text) : INT64_MAX;
    (void)fclose(f);
    return quota;
}

/* Writes this process's cgroup v2 path ("/system.slice/x.service") or "" to out. */
static void own_cgroup(char *out, size_t cap)
{
    char line[4200];
    *out = '\0';
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(out, cap, "%s", line + 3);
        }
    }
    (void)fclose(f);
}

/* A quota on any group above holds for us too. */
static int64_t from_cgroup(void)
{
    char dir[4200];
    int64_t least = INT64_MAX;
    own_cgroup(dir, sizeof(dir));
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
