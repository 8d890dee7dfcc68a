#include "workers/fork/oom.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/proc.h"

static uint64_t read_count(const struct oom_counter *c)
{
    static const char key[] = "oom_kill ";
    char text[16384];
    ssize_t n = c->fd >= 0 ? pread(c->fd, text, sizeof(text) - 1, 0) : -1;
    text[n > 0 ? n : 0] = '\0';
    for (const char *at = text; (at = strstr(at, key)) != NULL; at++) {
        if (at == text || at[-1] == '\n')
            return strtoull(at + sizeof(key) - 1, NULL, 10);
    }
    return c->seen;
}

void oom_open_file(struct oom_counter *c, const char *path)
{
    *c = (struct oom_counter){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    c->seen = read_count(c);
}

void oom_open(struct oom_counter *c)
{
    char group[4096], path[sizeof(group) + 64];
    *c = (struct oom_counter){.fd = -1};
    if (proc_own_cgroup(group, sizeof(group))) {
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", group);
        oom_open_file(c, path);
    }
    if (c->fd < 0)
        oom_open_file(c, "/proc/vmstat");
}

enum task_oom oom_ask(struct oom_counter *c)
{
    if (c->fd < 0)
        return TASK_OOM_UNKNOWN;
    if (read_count(c) <= c->seen)
        return TASK_OOM_NO;
    c->seen++;
    return TASK_OOM_YES;
}

void oom_skip(struct oom_counter *c)
{
    c->seen = read_count(c);
}
