#include "workers/fork/descent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/mem.h"
#include "workers/fork/table.h"

#define ENVIRON_MAX_BYTES ((size_t)256 << 10)
#define DOUBTS_MAX 30 /* some who have no environment never get one */

struct look {
    struct member *items; /* by pid */
    size_t n, cap;
};

static struct look now, before;
static bool is_unsure;

/* ---- one process ---- */

static ssize_t read_file(pid_t pid, const char *name, char *into, size_t cap)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = -1;
    while (fd >= 0 && n + 1 < cap && (got = read(fd, into + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    fd_close(&fd);
    into[n] = '\0';
    return n ? (ssize_t)n : got;
}

/* Fields of /proc/PID/stat behind the name and the state, from 0. */
enum {
    STAT_PPID,
    STAT_PGRP,
    STAT_SESSION,
    STAT_UTIME = 10, /* and three more: system, and both of the children that it waited for */
    STAT_STARTTIME = 18,
    STAT_RSS = 20,
    STAT_FIELDS,
};

/* The name of the program may hold anything, so the numbers begin behind its last bracket. */
static bool read_numbers(pid_t pid, char *out_state, uint64_t fields[STAT_FIELDS])
{
    char text[1024], *end;
    const char *at = read_file(pid, "stat", text, sizeof(text)) > 0 ? strrchr(text, ')') : NULL;
    if (!at || strlen(at) < sizeof(") S"))
        return false;
    *out_state = at[2];
    at += sizeof(") S") - 1;
    for (int i = 0; i < STAT_FIELDS; i++, at = end) {
        fields[i] = strtoull(at, &end, 10); /* tpgid is negative: not asked for */
        if (end == at)
            return false;
    }
    return true;
}

static bool read_stat(pid_t pid, struct member *out)
{
    static long page_kib, tick_ms;
    uint64_t f[STAT_FIELDS], ticks = 0;
    char state;
    if (!read_numbers(pid, &state, f))
        return false;
    if (!page_kib) {
        page_kib = sysconf(_SC_PAGESIZE) / 1024;
        tick_ms = 1000 / sysconf(_SC_CLK_TCK);
    }
    for (int i = 0; i < 4; i++)
        ticks += f[STAT_UTIME + i];
    *out = (struct member){.pid = pid,
                           .ppid = (pid_t)f[STAT_PPID],
                           .pgrp = (pid_t)f[STAT_PGRP],
                           .sid = (pid_t)f[STAT_SESSION],
                           .is_dead = state == 'Z' || state == 'X',
                           .began = f[STAT_STARTTIME],
                           .cpu_ms = ticks * (uint64_t)tick_ms,
                           .rss_kib = f[STAT_RSS] * (uint64_t)page_kib};
    return true;
}

/* The generation in the mark that it was started with; 0 when it has none of ours. *out_empty: it
 * has no environment at all, as for the moment in which it becomes another program. */
static uint64_t read_mark(pid_t pid, bool *out_empty)
{
    static char *text; /* kept: there may be many to look at */
    char mark[64];
    if (!text)
        text = xmalloc(ENVIRON_MAX_BYTES);
    ssize_t n = read_file(pid, "environ", text, ENVIRON_MAX_BYTES);
    *out_empty = n == 0;
    int len = snprintf(mark, sizeof(mark), FAMILY_MARK "=%d.", (int)getpid());
    for (const char *at = text; n > 0 && at < text + n; at += strlen(at) + 1) {
        if (strncmp(at, mark, (size_t)len) == 0)
            return strtoull(at + len, NULL, 10);
    }
    return 0;
}

/* ---- one look ---- */

static void add(struct look *l, const struct member *m)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->items = xrealloc(l->items, l->cap * sizeof(*l->items));
    }
    l->items[l->n++] = *m;
}

static int by_pid(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct member *find(const struct look *l, pid_t pid)
{
    struct member key = {.pid = pid};
    return l->n ? bsearch(&key, l->items, l->n, sizeof(*l->items), by_pid) : NULL;
}

static void read_all(struct look *l)
{
    struct member m;
    DIR *dir = opendir("/proc");
    l->n = 0;
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (*e->d_name < '0' || *e->d_name > '9')
            continue;
        if (read_stat((pid_t)strtol(e->d_name, NULL, 10), &m))
            add(l, &m);
    }
    if (dir)
        (void)closedir(dir);
    qsort(l->items, l->n, sizeof(*l->items), by_pid);
}

/* The generation of the kid that it is, that it was found to come from before, or whose session it
 * is in; 0: that says nothing. */
static uint64_t recognise(const struct member *m, pid_t me)
{
    const struct kid *kid = kid_of_pid(m->pid);
    const struct member *old = kid ? NULL : find(&before, m->pid);
    if (old && old->began == m->began && old->generation)
        return old->generation;
    if (!kid && m->pid != me)
        kid = kid_of_pid(m->sid);
    return kid ? kid->generation : 0;
}

/* What can be said of m without its parents. False: ask them. */
static bool judge_alone(struct member *m, pid_t me)
{
    m->generation = recognise(m, me);
    if (!m->generation && m->ppid == me)
        m->generation = read_mark(m->pid, &m->is_doubtful);
    m->is_doubtful = m->is_doubtful && !m->is_dead;
    m->is_known = m->generation || m->ppid == me || m->pid == me || m->ppid == 0;
    return m->is_known;
}

/* Up to the first ancestor who is known, then everybody on the way is. A process that has lost its
 * parent between two reads of /proc is a stranger until the next look. */
static void judge(struct look *l, struct member *m, pid_t me)
{
    struct member *top = m, *parent;
    size_t steps = 0;
    while (!top->is_known && !judge_alone(top, me) && steps++ < l->n &&
           (parent = find(l, top->ppid)) != NULL)
        top = parent;
    m->is_doubtful = m->is_doubtful || !top->is_known;
    uint64_t generation = top->is_known ? top->generation : 0;
    for (struct member *at = m; at && !at->is_known; at = find(l, at->ppid)) {
        at->generation = generation;
        at->is_known = true;
    }
}

static void weigh_doubts(struct member *m)
{
    if (!m->is_doubtful)
        return;
    const struct member *old = find(&before, m->pid);
    m->doubts = old && old->began == m->began ? old->doubts + 1 : 1;
    is_unsure = is_unsure || m->doubts < DOUBTS_MAX;
}

bool family_is_unsure(void)
{
    return is_unsure;
}

const struct member *family_look(size_t *out_n)
{
    struct look old = before;
    pid_t me = getpid();
    before = now;
    now = old;
    read_all(&now);
    is_unsure = false;
    for (size_t i = 0; i < now.n; i++) {
        judge(&now, &now.items[i], me);
        weigh_doubts(&now.items[i]);
    }
    *out_n = now.n;
    return now.items;
}

uint64_t family_generation(pid_t pid)
{
    const struct member *m = find(&now, pid);
    return m ? m->generation : 0;
}

uint64_t family_cpu_ms(pid_t kid, uint64_t generation)
{
    struct member is;
    uint64_t sum = read_stat(kid, &is) ? is.cpu_ms : 0;
    for (size_t i = 0; i < now.n; i++) {
        const struct member *m = &now.items[i];
        if (m->generation == generation && m->pid != kid && read_stat(m->pid, &is) &&
            is.began == m->began)
            sum += is.cpu_ms;
    }
    return sum;
}

void family_signal(const struct member *m, int signal)
{
    struct member is;
    int fd = pidfd_open(m->pid, 0);
    if (fd >= 0 && read_stat(m->pid, &is) && is.began == m->began)
        (void)pidfd_send_signal(fd, signal, NULL, 0);
    fd_close(&fd);
}

uint64_t family_pss_kib(const struct member *m)
{
    char text[2048];
    const char *at =
        read_file(m->pid, "smaps_rollup", text, sizeof(text)) > 0 ? strstr(text, "\nPss:") : NULL;
    return at ? strtoull(at + sizeof("\nPss:") - 1, NULL, 10) : m->rss_kib;
}
