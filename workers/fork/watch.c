#include "workers/fork/watch.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/proc.h"
#include "workers/fork/descent.h"

#define EVERY_MS 100
#define EVERY_TIGHT_MS 20
#define DOUBTS_MS 5000 /* between looks for nothing but a process that has long been doubtful */
#define SHARE 20       /* a look may take one in so many parts of the time */

static struct {
    const struct member *members; /* of the last look */
    size_t n;
    int64_t earliest_mono_ms; /* of the next look */
    int64_t doubts_mono_ms;   /* of the next one without another reason; 0: none */
    bool woken, watching, tight;
    void (*exceeded)(const struct fork_child *child, uint64_t cpu_ms);
} watch;

void watch_init(void (*exceeded)(const struct fork_child *child, uint64_t cpu_ms))
{
    watch.exceeded = exceeded;
    watch.earliest_mono_ms = clock_mono_ms();
}

void watch_wake(void)
{
    watch.woken = true;
}

int watch_timeout_ms(void)
{
    bool has_reason = watch.woken || watch.watching;
    if (!has_reason && !watch.doubts_mono_ms)
        return -1;
    int64_t at_ms = has_reason ? watch.earliest_mono_ms : watch.doubts_mono_ms;
    int64_t remaining_ms = at_ms - clock_mono_ms();
    return remaining_ms > 0 ? (int)remaining_ms : 0;
}

/* ---- what a child takes ---- */

static void count(struct fork_child *child, const struct member *m)
{
    child->use.processes++;
    child->use.rss_kib += m->rss_kib;
    child->use.cpu_ms += m->cpu_ms;
}

static void count_all(void)
{
    for (struct list_node *n = list_first(table_all()); n; n = list_next(table_all(), n)) {
        struct fork_child *child = FUT_CONTAINER(n, struct fork_child, link);
        child->use = (struct fork_child_use){.cpu_ms = child->inherited_cpu_ms};
    }
    for (size_t i = 0; i < watch.n; i++) {
        struct fork_child *child =
            watch.members[i].generation ? table_of_generation(watch.members[i].generation) : NULL;
        if (child)
            count(child, &watch.members[i]);
    }
}

/* Resident pages that several processes share count once for each: before anybody is killed for
 * them, each gets its part only. That costs more, so it is asked only near the limit. */
static uint64_t sum_pss_kib(const struct fork_child *child)
{
    uint64_t kib = 0;
    for (size_t i = 0; i < watch.n; i++) {
        if (watch.members[i].generation == child->generation)
            kib += descent_pss_kib(&watch.members[i]);
    }
    return kib;
}

/* The parts are read one after the other, while processes come and go: what is over the limit once
 * may have been counted in two places. */
static uint64_t exact_rss_kib(const struct fork_child *child)
{
    if (child->use.processes < 2)
        return child->use.rss_kib;
    uint64_t first = sum_pss_kib(child), second = sum_pss_kib(child);
    return first < second ? first : second;
}

static bool has_all_files_open(const struct fork_child *child)
{
    for (size_t i = 0; i < watch.n; i++) {
        const struct member *m = &watch.members[i];
        if (m->generation == child->generation && proc_count(m->pid, "fd") >= child->limits.files)
            return true;
    }
    return false;
}

/* ---- what follows ---- */

static void kill_now(struct fork_child *child, enum limit_kind why)
{
    if (child->met == LIMIT_NONE || child->met == LIMIT_FILES)
        child->met = why;
    table_signal(child, SIGKILL);
}

static void judge_memory(struct fork_child *child)
{
    uint64_t max_kib = child->limits.memory_bytes / 1024;
    if (child->use.rss_kib > max_kib)
        child->use.rss_kib = exact_rss_kib(child);
    if (child->use.rss_kib > max_kib)
        kill_now(child, LIMIT_MEMORY);
}

static uint64_t task_cpu_ms(const struct fork_child *child, uint64_t all_ms)
{
    return all_ms > child->task.base_cpu_ms ? all_ms - child->task.base_cpu_ms : 0;
}

/* Above the limit the time is read once more: a process that was waited for during the look may
 * have been counted twice, by itself and in its parent's time. The daemon is told once. */
static void judge_task(struct fork_child *child)
{
    uint64_t used_ms = task_cpu_ms(child, child->use.cpu_ms);
    if (!child->task.id || used_ms <= child->task.max_cpu_ms)
        return;
    used_ms =
        task_cpu_ms(child, child->inherited_cpu_ms + descent_cpu_ms(child->pid, child->generation));
    if (used_ms <= child->task.max_cpu_ms)
        return;
    watch.exceeded(child, used_ms);
    child->task.id = 0;
}

static bool is_near(const struct fork_child *child)
{
    const struct limits *l = &child->limits;
    return (l->memory_bytes && child->use.rss_kib > l->memory_bytes / 2048) ||
           (l->processes && child->use.processes > l->processes / 2);
}

static void judge(struct fork_child *child)
{
    const struct limits *l = &child->limits;
    if (l->memory_bytes)
        judge_memory(child);
    if (child->use.rss_kib > child->peak_rss_kib)
        child->peak_rss_kib = child->use.rss_kib;
    if (l->processes && child->use.processes > l->processes && !child->killed)
        kill_now(child, LIMIT_PROCESSES);
    if (l->cpu_ms && child->use.cpu_ms > (uint64_t)l->cpu_ms && !child->kill_mono_ms) {
        child->met = LIMIT_CPU; /* no danger to others: the attempt may put its things in order */
        child->kill_mono_ms = clock_mono_ms() + child->kill_grace_ms;
        table_signal(child, SIGTERM);
    }
    judge_task(child);
    if (l->files && child->met == LIMIT_NONE && has_all_files_open(child))
        child->met = LIMIT_FILES; /* what it makes of that is its own affair */
    if (child->kill_mono_ms && clock_mono_ms() >= child->kill_mono_ms)
        table_signal(child, SIGKILL);
    watch.watching = true;
    watch.tight = watch.tight || is_near(child);
}

/* Processes whose child has ended are killed. Those that left the child's group get the signal that
 * it got. Those of a killed child are killed at each look while there are any. */
static void reach(const struct member *m)
{
    const struct fork_child *child = table_of_generation(m->generation);
    if (!child)
        descent_signal(m, SIGKILL);
    else if (child->outside_signal && m->pgrp != child->pid && m->pid != child->pid)
        descent_signal(m, child->outside_signal);
    else
        return;
    watch.woken = true;
}

static void reach_all(void)
{
    for (size_t i = 0; i < watch.n; i++) {
        if (watch.members[i].generation)
            reach(&watch.members[i]);
    }
    for (struct list_node *n = list_first(table_all()); n; n = list_next(table_all(), n)) {
        struct fork_child *child = FUT_CONTAINER(n, struct fork_child, link);
        if (!child->killed)
            child->outside_signal = 0;
    }
}

static void look(void)
{
    watch.woken = watch.watching = watch.tight = false;
    watch.members = descent_look(&watch.n);
    count_all();
    for (struct list_node *n = list_first(table_all()); n; n = list_next(table_all(), n)) {
        struct fork_child *child = FUT_CONTAINER(n, struct fork_child, link);
        if (limits_need_watch(&child->limits) || child->task.id)
            judge(child);
    }
    reach_all();
    watch.woken = watch.woken || descent_is_unsure();
}

/* Of the processor: on a loaded machine a look may take long, and cost no more than ever. */
static int64_t used_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void watch_turn(void)
{
    if (watch_timeout_ms() != 0)
        return;
    int64_t began_us = used_us();
    look();
    int64_t took_us = used_us() - began_us;
    int64_t pause_ms = watch.tight ? EVERY_TIGHT_MS : EVERY_MS;
    if (took_us * SHARE > pause_ms * 1000)
        pause_ms = took_us * SHARE / 1000;
    watch.earliest_mono_ms = clock_mono_ms() + pause_ms;
    watch.doubts_mono_ms = descent_has_doubts() ? watch.earliest_mono_ms + DOUBTS_MS : 0;
}

/* A look first, when it is time for one: then only what was started since the look before this task
 * can be charged to it wrongly, and that has not had the time to use much. */
void watch_task(struct fork_child *child, uint64_t task, int64_t max_cpu_ms)
{
    child->task = (struct fork_child_task){0};
    if (!task)
        return;
    watch_wake();
    watch_turn();
    child->task = (struct fork_child_task){
        .id = task,
        .max_cpu_ms = (uint64_t)max_cpu_ms,
        .base_cpu_ms = child->inherited_cpu_ms + descent_cpu_ms(child->pid, child->generation)};
    watch_wake(); /* a look may have been, and have found no reason for another */
}

void watch_inherited_ended(pid_t pid, uint64_t cpu_ms)
{
    struct fork_child *child = table_of_generation(descent_generation(pid));
    if (child)
        child->inherited_cpu_ms += cpu_ms;
}

void watch_kill_all(void)
{
    pid_t me = getpid();
    watch.members = descent_look(&watch.n);
    for (size_t i = 0; i < watch.n; i++) {
        if (watch.members[i].generation || watch.members[i].ppid == me)
            descent_signal(&watch.members[i], SIGKILL);
    }
}
