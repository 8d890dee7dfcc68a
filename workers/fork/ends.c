#include "workers/fork/ends.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/fork/descent.h"
#include "workers/fork/groups.h"
#include "workers/fork/messages.h"
#include "workers/fork/oom.h"
#include "workers/fork/watch.h"

#define OOM_ASK_MS 1000

#define INHERITED_KEPT 64

static struct {
    struct oom_counter oom;
    int64_t asked_mono_ms;
    struct ends_record inherited[INHERITED_KEPT]; /* a ring: the latest ends */
    size_t next;
    const struct ends_next *hooks;
} ends;

void ends_init(const struct ends_next *hooks)
{
    ends.hooks = hooks;
    if (groups_memory_events())
        oom_open_file(&ends.oom, groups_memory_events());
    else
        oom_open(&ends.oom);
}

static uint64_t cpu_ms_of(const struct rusage *ru)
{
    int64_t us = (int64_t)(ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * 1000000 +
                 ru->ru_utime.tv_usec + ru->ru_stime.tv_usec;
    return (uint64_t)(us / 1000);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool was_refused(const struct fork_child *child, struct fork_event *ev)
{
    struct fork_refusal later;
    const struct fork_refusal *r = child->refusal;
    if (!r && fork_child_refusal(child->refusal_fd, &later))
        r = &later;
    if (!r)
        return false;
    ev->error = r->error;
    memcpy(ev->text, r->text, sizeof(ev->text));
    return true;
}

void ends_report(struct fork_child *child, int status, const struct rusage *ru)
{
    bool unexplained = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !child->killed;
    struct fork_event ev = {.verb = FORK_EXITED,
                            .slot = child->slot,
                            .generation = child->generation,
                            .pid = child->pid,
                            .status = status,
                            .at_mono_us = clock_mono_us(),
                            .max_rss_kib = larger((uint64_t)ru->ru_maxrss, child->peak_rss_kib),
                            .cpu_ms =
                                larger(cpu_ms_of(ru) + child->inherited_cpu_ms, child->use.cpu_ms),
                            .met = child->met};
    if (unexplained && groups_met_memory(child->generation)) {
        ev.oom = TASK_OOM_YES;
        ev.met = child->limits.memory_bytes ? LIMIT_MEMORY : child->met;
    } else if (unexplained) {
        ev.oom = oom_ask(&ends.oom);
    } else if (WIFSIGNALED(status)) {
        ev.oom = TASK_OOM_NO;
    }
    if (was_refused(child, &ev))
        ev.verb = FORK_SPAWN_FAILED;
    ev.next = ends.hooks->take(child);
    (ev.next && ends.hooks->lasts(child) ? message_gather : message_send)(&ev);
    groups_end(child->generation);
    table_remove(child);
    if (ev.next)
        ends.hooks->start();
}

/* What the kernel killed elsewhere must not explain a later death of a child of ours. */
static void forget_old_ooms(void)
{
    int64_t now = clock_mono_ms();
    if (now < ends.asked_mono_ms + OOM_ASK_MS)
        return;
    ends.asked_mono_ms = now;
    oom_skip(&ends.oom);
}

/* ---- processes that came to us by the death of their parents ---- */

static void inherited_ended(pid_t pid, int status, const struct rusage *use)
{
    ends.inherited[ends.next] = (struct ends_record){.pid = pid, .status = status, .use = *use};
    ends.next = (ends.next + 1) % INHERITED_KEPT;
    watch_inherited_ended(pid, cpu_ms_of(use));
}

bool ends_take_record(pid_t pid, struct ends_record *out)
{
    for (size_t i = 1; i <= INHERITED_KEPT; i++) {
        struct ends_record *r = &ends.inherited[(ends.next + INHERITED_KEPT - i) % INHERITED_KEPT];
        if (r->pid != pid || pid == 0)
            continue;
        *out = *r;
        r->pid = 0;
        return true;
    }
    return false;
}

/* ---- reaping ---- */

/* Looks at who has ended before reaping it: while the leader is a zombie its group id is taken, so
 * what is left of the group can be killed without a chance to hit a stranger. */
static void reap_one(pid_t pid)
{
    struct rusage ru;
    int status;
    struct fork_child *child = table_of_pid(pid);
    if (child)
        (void)kill(-pid, SIGKILL);
    if (wait4(pid, &status, 0, &ru) != pid)
        return;
    if (child)
        ends_report(child, status, &ru);
    else
        inherited_ended(pid, status, &ru);
}

void ends_reap(void)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            break;
        reap_one(info.si_pid);
    }
    if (descent_has_inherited())
        watch_wake(); /* what has ended has left processes behind */
    forget_old_ooms();
}
