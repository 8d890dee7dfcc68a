#include "core/proc.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"

#define PATH_BYTES 64

/* Numbers of /proc/PID/stat behind the name and the state, from 0. */
enum {
    STAT_PARENT,
    STAT_GROUP,
    STAT_SESSION,
    STAT_UTIME = 10,
    STAT_STIME,
    STAT_CHILDREN_UTIME,
    STAT_CHILDREN_STIME,
    STAT_START = 18,
    STAT_RSS = 20,
    STAT_NUMBERS,
};

static void path_of(pid_t pid, const char *name, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "/proc/%d/%s", (int)pid, name);
}

ssize_t proc_read(pid_t pid, const char *name, char *out, size_t cap)
{
    char path[PATH_BYTES];
    path_of(pid, name, path);
    return file_read_text(path, out, cap);
}

/* The program's name may hold anything, blanks and brackets too: the state follows the last ')'. */
static bool parse_stat(const char *text, char *out_state, uint64_t numbers[STAT_NUMBERS])
{
    const char *at = strrchr(text, ')');
    char *end;
    if (!at || strlen(at) < sizeof(") S"))
        return false;
    *out_state = at[2];
    at += sizeof(") S") - 1;
    for (int i = 0; i < STAT_NUMBERS; i++, at = end) {
        numbers[i] = strtoull(at, &end, 10); /* tpgid may be negative: nobody asks for it */
        if (end == at)
            return false;
    }
    return true;
}

bool proc_stat_read(pid_t pid, struct proc_stat *out)
{
    char text[1024], state;
    uint64_t n[STAT_NUMBERS];
    long tick = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    if (pid <= 0 || proc_read(pid, "stat", text, sizeof(text)) <= 0 || !parse_stat(text, &state, n))
        return false;
    *out = (struct proc_stat){
        .state = state,
        .parent = (pid_t)n[STAT_PARENT],
        .group = (pid_t)n[STAT_GROUP],
        .session = (pid_t)n[STAT_SESSION],
        .started = n[STAT_START],
        .cpu_ms = (n[STAT_UTIME] + n[STAT_STIME]) * 1000 / (uint64_t)tick,
        .children_cpu_ms =
            (n[STAT_CHILDREN_UTIME] + n[STAT_CHILDREN_STIME]) * 1000 / (uint64_t)tick,
        .rss_bytes = n[STAT_RSS] * (uint64_t)page,
    };
    return true;
}

uint32_t proc_count(pid_t pid, const char *name)
{
    char path[PATH_BYTES];
    uint32_t n = 0;
    path_of(pid, name, path);
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return n;
}

uint64_t proc_pss_kib(pid_t pid)
{
    static const char key[] = "\nPss:";
    char text[2048];
    const char *at =
        proc_read(pid, "smaps_rollup", text, sizeof(text)) > 0 ? strstr(text, key) : NULL;
    return at ? strtoull(at + sizeof(key) - 1, NULL, 10) : 0;
}

bool proc_own_cgroup(char *out, size_t cap)
{
    char text[8192];
    *out = '\0';
    if (file_read_text("/proc/self/cgroup", text, sizeof(text)) <= 0)
        return false;
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return false;
    line = strchr(line, ':') + 2;
    size_t n = strcspn(line, "\n");
    if (n >= cap)
        return false;
    memcpy(out, line, n);
    out[n] = '\0';
    return true;
}
