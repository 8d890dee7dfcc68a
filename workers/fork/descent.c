#include "workers/fork/descent.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "core/proc.h"
#include "workers/fork/table.h"

#define ENVIRON_MAX_BYTES ((size_t)256 << 10)
#define PID_TEXT_SIZE 16 /* in a list of them */
#define DOUBTS_SOON 30   /* some who have no environment get none for long, or never */

struct look {
    struct member *items; /* by pid */
    size_t n, cap;
};

static struct look now, before;
static bool is_unsure, has_doubts;

/* ---- one process ---- */

static bool read_stat(pid_t pid, struct member *out)
{
    struct proc_stat is;
    if (!proc_stat_read(pid, &is))
        return false;
    *out = (struct member){.pid = pid,
                           .ppid = is.parent,
                           .pgrp = is.group,
                           .sid = is.session,
                           .has_ended = is.state == 'Z' || is.state == 'X',
                           .began = is.started,
                           .cpu_ms = is.cpu_ms + is.children_cpu_ms,
                           .rss_kib = is.rss_bytes / 1024};
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
    ssize_t n = proc_read(pid, "environ", text, ENVIRON_MAX_BYTES);
    *out_empty = n == 0;
    int len = snprintf(mark, sizeof(mark), DESCENT_MARK "=%d.", (int)getpid());
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

/* The generation of the child that it is, that it was found to come from before, or whose session
 * it is in; 0: that says nothing. */
static uint64_t recognise(const struct member *m, pid_t me)
{
    const struct fork_child *child = table_of_pid(m->pid);
    const struct member *old = child ? NULL : find(&before, m->pid);
    if (old && old->began == m->began && old->generation)
        return old->generation;
    if (!child && m->pid != me)
        child = table_of_pid(m->sid);
    return child ? child->generation : 0;
}

/* What can be said of m without its parents. False: ask them. */
static bool judge_alone(struct member *m, pid_t me)
{
    m->generation = recognise(m, me);
    if (!m->generation && m->ppid == me)
        m->generation = read_mark(m->pid, &m->is_doubtful);
    m->is_doubtful = m->is_doubtful && !m->has_ended;
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
    has_doubts = true;
    is_unsure = is_unsure || m->doubts < DOUBTS_SOON;
}

bool descent_is_unsure(void)
{
    return is_unsure;
}

bool descent_has_doubts(void)
{
    return has_doubts;
}

const struct member *descent_look(size_t *out_n)
{
    struct look old = before;
    pid_t me = getpid();
    before = now;
    now = old;
    read_all(&now);
    is_unsure = has_doubts = false;
    for (size_t i = 0; i < now.n; i++) {
        judge(&now, &now.items[i], me);
        weigh_doubts(&now.items[i]);
    }
    *out_n = now.n;
    return now.items;
}

/* The kernel's list of our children is exact here: nobody but this thread takes any of them off.
 * (It needs CONFIG_PROC_CHILDREN, which Debian's kernels have.) */
bool descent_has_inherited(void)
{
    static int fd = -2;
    char path[64], text[4096];
    ssize_t n;
    off_t at = 0;
    int pid = 0;
    if (fd == -2) {
        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    do {
        n = fd >= 0 ? pread(fd, text, sizeof(text), at) : 0;
        for (const char *c = text; c < text + n; c++) {
            if (*c == ' ' && !table_of_pid(pid))
                return true;
            pid = *c == ' ' ? 0 : pid * 10 + (*c - '0');
        }
        at += n;
    } while (n > (ssize_t)(sizeof(text) - PID_TEXT_SIZE)); /* else it was the end of the list */
    return fd < 0;
}

uint64_t descent_generation(pid_t pid)
{
    const struct member *m = find(&now, pid);
    return m ? m->generation : 0;
}

uint64_t descent_cpu_ms(pid_t child, uint64_t generation)
{
    struct member is;
    uint64_t sum = read_stat(child, &is) ? is.cpu_ms : 0;
    for (size_t i = 0; i < now.n; i++) {
        const struct member *m = &now.items[i];
        if (m->generation == generation && m->pid != child && read_stat(m->pid, &is) &&
            is.began == m->began)
            sum += is.cpu_ms;
    }
    return sum;
}

void descent_signal(const struct member *m, int signal)
{
    struct member is;
    int fd = pidfd_open(m->pid, 0);
    if (fd >= 0 && read_stat(m->pid, &is) && is.began == m->began)
        (void)pidfd_send_signal(fd, signal, NULL, 0);
    fd_close(&fd);
}

uint64_t descent_pss_kib(const struct member *m)
{
    struct member is;
    uint64_t kib = proc_pss_kib(m->pid);
    if (kib)
        return kib;
    return read_stat(m->pid, &is) && is.began == m->began ? is.rss_kib
                                                          : 0; /* 0 once it has ended */
}
