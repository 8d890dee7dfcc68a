#include "core/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fields of /proc/PID/stat behind the name, which may hold anything, blanks and brackets too. */
enum {
    FIELD_UTIME = 10,
    FIELD_STIME,
    FIELD_RSS = 20,
    FIELDS
}; /* the number behind the state is 0 */

static bool read_stat(int32_t pid, char *text, size_t size)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%" PRId32 "/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool read_fields(const char *text, uint64_t fields[FIELDS])
{
    const char *at = strrchr(text, ')');
    int i = -1; /* the state, a letter, comes first */
    while (at && i < FIELDS && (at = strchr(at, ' ')) != NULL) {
        at++;
        if (i >= 0)
            fields[i] = strtoull(at, NULL, 10);
        i++;
    }
    return i == FIELDS;
}

bool proc_usage_read(int32_t pid, struct proc_usage *out)
{
    char text[1024];
    uint64_t fields[FIELDS];
    long tick = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    if (pid <= 0 || tick <= 0 || page <= 0 || !read_stat(pid, text, sizeof(text)) ||
        !read_fields(text, fields))
        return false;
    out->cpu_ms = (fields[FIELD_UTIME] + fields[FIELD_STIME]) * 1000 / (uint64_t)tick;
    out->rss_bytes = fields[FIELD_RSS] * (uint64_t)page;
    return true;
}
