#include "workers/fork/oom.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"

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

/* The line "0::/path" names the group in the one hierarchy of cgroup 2. */
static void find_group(struct buf *path)
{
    char text[4096];
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return;
    line = strchr(line, '/');
    if (line)
        buf_printf(path, "/sys/fs/cgroup%.*s/memory.events", (int)strcspn(line, "\n"), line);
}

void oom_open(struct oom_counter *c)
{
    struct buf path = BUF_INIT;
    find_group(&path);
    oom_open_file(c, path.data ? path.data : "/proc/vmstat");
    if (c->fd < 0)
        oom_open_file(c, "/proc/vmstat");
    buf_release(&path);
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
