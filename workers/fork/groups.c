#include "workers/fork/groups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/file.h"
#include "core/list.h"
#include "core/mem.h"
#include "core/proc.h"

#define PATH_SIZE 4096
#define DAEMON "daemon"
#define DAEMON_WEIGHT "500" /* of the cpu, beside 100 of each task: answers before work */
#define PROCESSES_SLACK 32u /* the watch, which knows the error code, is to see it first */

/* A group whose last processes are still ending. */
struct ending_group {
    struct list_node link;
    uint64_t generation;
};

static struct {
    bool in_force;
    char dir[PATH_SIZE - 128]; /* the delegated one */
    char events[PATH_SIZE];
    struct list ending;
} groups;

/* ---- files ---- */

static void path_of(const char *group, const char *file, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%s/%s%s%s", groups.dir, group, *file ? "/" : "", file);
}

static void path_of_child(uint64_t generation, const char *file, char out[PATH_SIZE])
{
    char group[32];
    (void)snprintf(group, sizeof(group), "task-%" PRIu64, generation);
    path_of(group, file, out);
}

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    fd_close(&fd);
    return ok;
}

/* A controller that is not there is no reason to go without the others. */
static void put_child(uint64_t generation, const char *file, uint64_t value)
{
    char path[PATH_SIZE], text[32];
    path_of_child(generation, file, path);
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    (void)put(path, text);
}

/* ---- at boot ---- */

static bool find_mount(char *out, size_t cap)
{
    FILE *f = setmntent("/proc/self/mounts", "re");
    bool found = false;
    for (const struct mntent *m; f && !found && (m = getmntent(f)) != NULL;) {
        found = strcmp(m->mnt_type, "cgroup2") == 0;
        if (found)
            (void)snprintf(out, cap, "%s", m->mnt_dir);
    }
    if (f)
        (void)endmntent(f);
    return found;
}

/* Appends our group's path. False for one outside of our view ("/..") or for the root, which nobody
 * delegates. */
static bool append_own(char *dir, size_t cap)
{
    size_t n = strlen(dir);
    return proc_own_cgroup(dir + n, cap - n) && dir[n] == '/' && dir[n + 1] &&
           strncmp(dir + n, "/..", 3) != 0;
}

/* systemd marks what it delegates. */
static bool is_delegated(const char *dir)
{
    char value[2] = "";
    return getxattr(dir, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1' &&
           access(dir, W_OK) == 0;
}

/* The daemon moves into a group of its own, where it finds itself when it has begun again
 * (daemon/rejoin.h). */
static void leave_daemon(char *dir)
{
    char *last = strrchr(dir, '/');
    if (strcmp(last, "/" DAEMON) != 0)
        return;
    *last = '\0';
    if (!is_delegated(dir))
        *last = '/';
}

/* What the life before has left: numbers of children begin anew. */
static void remove_former(void)
{
    DIR *d = opendir(groups.dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, "task-", strlen("task-")) == 0)
            (void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
    }
    if (d)
        (void)closedir(d);
}

/* A group with limits for its children holds no processes of its own. */
static bool move_daemon(void)
{
    char path[PATH_SIZE];
    path_of(DAEMON, "", path);
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return false;
    path_of(DAEMON, "cgroup.procs", path);
    return put(path, "0");
}

static void enable_controllers(void)
{
    static const char *const wanted[] = {"+memory", "+cpu", "+pids"};
    char path[PATH_SIZE];
    path_of("cgroup.subtree_control", "", path);
    for (size_t i = 0; i < FUT_COUNT(wanted); i++)
        (void)put(path, wanted[i]); /* those that are not to be had are done without */
    path_of(DAEMON, "cpu.weight", path);
    (void)put(path, DAEMON_WEIGHT);
}

void groups_open(void)
{
    list_init(&groups.ending);
    groups.in_force = false;
    if (!find_mount(groups.dir, sizeof(groups.dir)) || !append_own(groups.dir, sizeof(groups.dir)))
        return;
    leave_daemon(groups.dir);
    if (!is_delegated(groups.dir) || !move_daemon())
        return;
    remove_former();
    enable_controllers();
    path_of("memory.events", "", groups.events);
    groups.in_force = true;
}

const char *groups_kind(void)
{
    return groups.in_force ? "cgroups" : "process_groups";
}

const char *groups_memory_events(void)
{
    return groups.in_force ? groups.events : NULL;
}

/* ---- one child ---- */

void groups_make(uint64_t generation, const struct limits *limits)
{
    char path[PATH_SIZE];
    if (!groups.in_force)
        return;
    path_of_child(generation, "", path);
    if (mkdir(path, 0755) != 0) /* there already; else the child stays in ours, and its process */
        return;                 /* group serves */
    put_child(generation, "memory.oom.group", 1);
    if (limits->memory_bytes)
        put_child(generation, "memory.max", limits->memory_bytes);
    if (limits->processes)
        put_child(generation, "pids.max", limits->processes + PROCESSES_SLACK);
}

void groups_join(uint64_t generation)
{
    if (groups.in_force)
        put_child(generation, "cgroup.procs", 0);
}

void groups_take(uint64_t generation, const struct limits *limits, pid_t pid)
{
    groups_make(generation, limits);
    if (groups.in_force)
        put_child(generation, "cgroup.procs", (uint64_t)pid);
}

void groups_kill(uint64_t generation)
{
    if (groups.in_force)
        put_child(generation, "cgroup.kill", 1);
}

bool groups_met_memory(uint64_t generation)
{
    char path[PATH_SIZE], text[1024];
    if (!groups.in_force)
        return false;
    path_of_child(generation, "memory.events", path);
    (void)file_read_text(path, text, sizeof(text));
    const char *count = strstr(text, "\noom_kill ");
    return count && strtoull(count + strlen("\noom_kill "), NULL, 10) > 0;
}

/* ---- the end of one ---- */

static bool is_removed(uint64_t generation)
{
    char path[PATH_SIZE];
    path_of_child(generation, "", path);
    return rmdir(path) == 0 || errno != EBUSY;
}

void groups_end(uint64_t generation)
{
    if (!groups.in_force)
        return;
    groups_kill(generation);
    if (is_removed(generation))
        return;
    struct ending_group *g = xnew(struct ending_group);
    g->generation = generation;
    list_push_back(&groups.ending, &g->link);
}

bool groups_sweep(void)
{
    struct list_node *next;
    if (!groups.in_force)
        return false;
    for (struct list_node *n = list_first(&groups.ending); n; n = next) {
        struct ending_group *g = FUT_CONTAINER(n, struct ending_group, link);
        next = list_next(&groups.ending, n);
        if (!is_removed(g->generation))
            continue;
        list_remove(&groups.ending, n);
        free(g);
    }
    return !list_is_empty(&groups.ending);
}
