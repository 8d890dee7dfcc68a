#include "workers/fork/ends.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/fork/answers.h"
#include "workers/fork/groups.h"
#include "workers/fork/oom.h"
#include "workers/fork/orphans.h"
#include "workers/fork/watch.h"

#define OOM_ASK_MS 1000

static struct {
    struct oom_counter oom;
    int64_t asked_mono_ms;
} ends;

void ends_init(void)
{
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

/* What the child said in place of becoming the program (child.c). */
static bool read_error(int fd, struct fork_event *ev)
{
    char bytes[sizeof(ev->error) + sizeof(ev->text)] = {0};
    ssize_t n = fd >= 0 ? read(fd, bytes, sizeof(bytes) - 1) : 0;
    if (n <= (ssize_t)sizeof(ev->error))
        return false;
    memcpy(&ev->error, bytes, sizeof(ev->error));
    memcpy(ev->text, bytes + sizeof(ev->error), sizeof(ev->text));
    return true;
}

void ends_of_kid(struct kid *kid, int status, const struct rusage *ru)
{
    bool mystery = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !kid->killed;
    struct fork_event ev = {.verb = FORK_EXITED,
                            .slot = kid->slot,
                            .generation = kid->generation,
                            .pid = kid->pid,
                            .status = status,
                            .max_rss_kib = larger((uint64_t)ru->ru_maxrss, kid->peak_rss_kib),
                            .cpu_ms = larger(cpu_ms_of(ru) + kid->orphan_cpu_ms, kid->use.cpu_ms),
                            .met = kid->met};
    if (mystery && groups_met_memory(kid->generation)) {
        ev.oom = TASK_OOM_YES;
        ev.met = kid->limits.memory_bytes ? LIMIT_MEMORY : kid->met;
    } else if (mystery) {
        ev.oom = oom_ask(&ends.oom);
    } else if (WIFSIGNALED(status)) {
        ev.oom = TASK_OOM_NO;
    }
    if (read_error(kid->error_fd, &ev))
        ev.verb = FORK_SPAWN_FAILED;
    answers_send(&ev);
    groups_end(kid->generation);
    kid_forget(kid);
}

/* What the kernel had to kill elsewhere must not be laid at the door of a later death of ours. */
static void forget_old_ooms(void)
{
    int64_t now = clock_mono_ms();
    if (now < ends.asked_mono_ms + OOM_ASK_MS)
        return;
    ends.asked_mono_ms = now;
    oom_skip(&ends.oom);
}

static void orphan_ended(pid_t pid, int status, const struct rusage *ru)
{
    orphans_note(pid, status, ru);
    watch_orphan_ended(pid, cpu_ms_of(ru));
}

/* Looks at who has ended before reaping it: while the leader is a zombie its group id is taken, so
 * what is left of the group can be killed without a chance to hit a stranger. */
static void reap_one(pid_t pid)
{
    struct rusage ru;
    int status;
    struct kid *kid = kid_of_pid(pid);
    if (kid)
        (void)kill(-pid, SIGKILL);
    if (wait4(pid, &status, 0, &ru) != pid)
        return;
    if (kid)
        ends_of_kid(kid, status, &ru);
    else
        orphan_ended(pid, status, &ru);
    watch_wake(); /* it may have left somebody behind */
}

void ends_reap(void)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            break;
        reap_one(info.si_pid);
    }
    forget_old_ooms();
}
