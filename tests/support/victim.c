#include "tests/support/victim.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/err.h"
#include "core/mem.h"
#include "tests/support/chance.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define CHILDREN_MAX 256
#define TALK_US 10000 /* long enough for an answer that should not go out */

/* ---- processes ------------------------------------------------------------------------------- */

/* The parent as /proc/PID/stat says, behind the name, which may hold anything. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
    if (f)
        (void)fclose(f);
    line[n] = '\0';
    const char *end = strrchr(line, ')');
    return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

static size_t children_of(pid_t parent, pid_t *out, size_t max)
{
    DIR *proc = opendir("/proc");
    size_t n = 0;
    for (struct dirent *e; proc && n < max && (e = readdir(proc));) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 0 && parent_of(pid) == parent)
            out[n++] = pid;
    }
    if (proc)
        (void)closedir(proc);
    return n;
}

/* The daemon's one child, and the parent of all others. */
static pid_t fork_server_of(const struct daemon *d)
{
    pid_t children[CHILDREN_MAX];
    return children_of(daemon_pid(d), children, CHILDREN_MAX) ? children[0] : 0;
}

/* ---- points ---------------------------------------------------------------------------------- */

static const struct {
    unsigned ops, files;
    const char *statement; /* NULL: none */
    const char *name;      /* NULL: the statement */
} points[] = {
    {DISK_OP_STEP, 0, "BEGIN", NULL},
    {DISK_OP_STEP, 0, "INSERT INTO tasks", NULL},
    {DISK_OP_STEP, 0, "INSERT INTO live", NULL},
    {DISK_OP_STEP, 0, "UPDATE live", NULL},
    {DISK_OP_STEP, 0, "DELETE FROM live", NULL},
    {DISK_OP_STEP, 0, "INSERT INTO results", NULL},
    {DISK_OP_STEP, 0, "COMMIT", NULL},
    {DISK_OP_WRITE, DISK_FILE_WAL, NULL, "write to the log"},
    {DISK_OP_WRITE, DISK_FILE_DB, NULL, "write to the database"},
    {DISK_OP_SYNC, DISK_FILE_WAL, NULL, "sync of the log"},
    {DISK_OP_SYNC, DISK_FILE_DB, NULL, "sync of the database"},
};
#define POINTS FUT_COUNT(points)

/* One harness in a process: what was armed last, and how often each was armed and reached. */
static struct {
    size_t point;
    bool is_before;
    unsigned armed[POINTS], before[POINTS], after[POINTS];
} tally;

/* Near ones hit the recovery, far ones the load. Before a kill the daemon's other threads go on for
 * a moment, so that what they say too early is heard. */
static void arm_point(struct disk_control *disk, uint64_t *random)
{
    size_t i = tally.point = (size_t)chance_of(random, POINTS);
    atomic_store(&disk->kill_delay_us, TALK_US);
    unsigned after = (unsigned)chance_of(random, chance_of(random, 2) ? 8 : 200);
    tally.is_before = chance_of(random, 2) != 0;
    tally.armed[i]++;
    disk_arm(disk, 0,
             &(struct disk_order){
                 .ops = points[i].ops,
                 .files = points[i].files,
                 .statement = points[i].statement,
                 .after = after,
                 .times = 1,
                 .action = tally.is_before ? DISK_KILL_BEFORE : DISK_KILL_AFTER,
             });
}

static int some_ms(uint64_t *random)
{
    return (int)chance_of(random, chance_of(random, 2) ? 150 : 1500);
}

/* ---- the ways -------------------------------------------------------------------------------- */

static bool kill_daemon(struct daemon *d, uint64_t *random)
{
    wait_ms(some_ms(random));
    daemon_kill(d);
    return true;
}

static bool kill_point(struct daemon *d, uint64_t *random)
{
    (void)random;
    (void)wait_process_end(daemon_pid(d), 2000); /* the point may not come */
    daemon_kill(d);
    return true;
}

static bool kill_drain(struct daemon *d, uint64_t *random)
{
    static const char *const after[] = {"draining",       "stop_accepting", "stop_claiming",
                                        "answer_waiters", "end_tasks",      "step=commit",
                                        "stop_http"};
    const char *step = after[chance_of(random, FUT_COUNT(after))];
    wait_ms(some_ms(random));
    daemon_signal(d, SIGTERM);
    char *line = daemon_wait_log(d, step);
    bool came = line != NULL;
    free(line);
    daemon_kill(d);
    return came;
}

static bool kill_fork_server(struct daemon *d, uint64_t *random)
{
    wait_ms(some_ms(random));
    pid_t pid = fork_server_of(d);
    if (pid == 0 || kill(pid, SIGKILL) != 0)
        return false;
    int status = daemon_wait_end(d);
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE;
}

static bool kill_workers(struct daemon *d, uint64_t *random)
{
    pid_t fork_server = fork_server_of(d), children[CHILDREN_MAX];
    for (int i = 0; i < 5; i++) {
        wait_ms(some_ms(random) / 4);
        size_t n = children_of(fork_server, children, CHILDREN_MAX);
        if (n)
            (void)kill(children[chance_of(random, n)], SIGKILL); /* it may have ended just now */
    }
    daemon_kill(d);
    return true;
}

static const struct {
    const char *name;
    bool (*kill)(struct daemon *d, uint64_t *random);
} ways[VICTIMS] = {
    [VICTIM_DAEMON] = {"daemon", kill_daemon},
    [VICTIM_POINT] = {"point", kill_point},
    [VICTIM_DRAIN] = {"drain", kill_drain},
    [VICTIM_FORK_SERVER] = {"fork server", kill_fork_server},
    [VICTIM_WORKERS] = {"workers", kill_workers},
};

const char *victim_name(enum victim v)
{
    return ways[v].name;
}

void victim_prepare(enum victim v, struct disk_control *disk, uint64_t *random)
{
    if (v == VICTIM_POINT)
        arm_point(disk, random);
}

bool victim_kill(enum victim v, struct daemon *d, uint64_t *random)
{
    return ways[v].kill(d, random);
}

bool victim_was_hit(enum victim v, struct disk_control *disk)
{
    bool hit = v != VICTIM_POINT || disk_given(disk, 0) > 0;
    disk_disarm(disk, 0);
    if (v == VICTIM_POINT && hit)
        (tally.is_before ? tally.before : tally.after)[tally.point]++;
    return hit;
}

void victim_print_points(void)
{
    for (size_t i = 0; i < POINTS; i++) {
        const char *name = points[i].name ? points[i].name : points[i].statement;
        (void)printf("    %-22s %4u rounds, hit %3u before, %3u after\n", name, tally.armed[i],
                     tally.before[i], tally.after[i]);
    }
}
