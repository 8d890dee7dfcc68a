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
#define SHARE 20 /* a look may take one in so many parts of the time */

static struct {
    const struct member *members; /* of the last look */
    size_t n;
    int64_t earliest_mono_ms; /* of the next look */
    bool woken, watching, tight;
    void (*over)(const struct kid *kid, uint64_t cpu_ms);
} watch;

void watch_init(void (*over)(const struct kid *kid, uint64_t cpu_ms))
{
    watch.over = over;
    watch.earliest_mono_ms = clock_mono_ms();
}

void watch_wake(void)
{
    watch.woken = true;
}

int watch_timeout_ms(void)
{
    if (!watch.woken && !watch.watching)
        return -1;
    int64_t left = watch.earliest_mono_ms - clock_mono_ms();
    return left > 0 ? (int)left : 0;
}

/* ---- what a kid takes ---- */

static void count(struct kid *kid, const struct member *m)
{
    kid->use.processes++;
    kid->use.rss_kib += m->rss_kib;
    kid->use.cpu_ms += m->cpu_ms;
}

static void count_all(void)
{
    for (struct list_node *n = list_first(kids_all()); n; n = list_next(kids_all(), n)) {
        struct kid *kid = FUT_CONTAINER(n, struct kid, link);
        kid->use = (struct kid_use){.cpu_ms = kid->orphan_cpu_ms};
    }
    for (size_t i = 0; i < watch.n; i++) {
        struct kid *kid =
            watch.members[i].generation ? kid_of_generation(watch.members[i].generation) : NULL;
        if (kid)
            count(kid, &watch.members[i]);
    }
}

/* Resident pages that several processes share count once for each: before anybody is killed for
 * them, each gets its part only. That costs more, so it is asked only near the limit. */
static uint64_t sum_pss_kib(const struct kid *kid)
{
    uint64_t kib = 0;
    for (size_t i = 0; i < watch.n; i++) {
        if (watch.members[i].generation == kid->generation)
            kib += family_pss_kib(&watch.members[i]);
    }
    return kib;
}

/* The parts are read one after the other, while processes come and go: what is over the limit once
 * may have been counted in two places. */
static uint64_t exact_rss_kib(const struct kid *kid)
{
    if (kid->use.processes < 2)
        return kid->use.rss_kib;
    uint64_t first = sum_pss_kib(kid), second = sum_pss_kib(kid);
    return first < second ? first : second;
}

static bool has_all_files_open(const struct kid *kid)
{
    for (size_t i = 0; i < watch.n; i++) {
        const struct member *m = &watch.members[i];
        if (m->generation == kid->generation && proc_count(m->pid, "fd") >= kid->limits.files)
            return true;
    }
    return false;
}

/* ---- what follows ---- */

static void kill_now(struct kid *kid, enum limit_kind why)
{
    if (kid->met == LIMIT_NONE || kid->met == LIMIT_FILES)
        kid->met = why;
    kid_signal(kid, SIGKILL);
}

/* Time is no danger to others: the attempt may put its things in order. */
static void end_for_cpu(struct kid *kid)
{
    kid->met = LIMIT_CPU;
    kid->kill_mono_ms = clock_mono_ms() + kid->kill_grace_ms;
    kid_signal(kid, SIGTERM);
}

static void judge_memory(struct kid *kid)
{
    uint64_t max_kib = kid->limits.memory_bytes / 1024;
    if (kid->use.rss_kib > max_kib)
        kid->use.rss_kib = exact_rss_kib(kid);
    if (kid->use.rss_kib > max_kib)
        kill_now(kid, LIMIT_MEMORY);
}

static uint64_t task_cpu_ms(const struct kid *kid, uint64_t all_ms)
{
    return all_ms > kid->task.base_cpu_ms ? all_ms - kid->task.base_cpu_ms : 0;
}

/* What is over the limit is read once more: a process that was waited for during the look may have
 * been counted twice, by itself and in its parent's time. Told once; then it is others' affair. */
static void judge_task(struct kid *kid)
{
    uint64_t used_ms = task_cpu_ms(kid, kid->use.cpu_ms);
    if (!kid->task.id || used_ms <= kid->task.max_cpu_ms)
        return;
    used_ms = task_cpu_ms(kid, kid->orphan_cpu_ms + family_cpu_ms(kid->pid, kid->generation));
    if (used_ms <= kid->task.max_cpu_ms)
        return;
    watch.over(kid, used_ms);
    kid->task.id = 0;
}

static bool is_near(const struct kid *kid)
{
    const struct limits *l = &kid->limits;
    return (l->memory_bytes && kid->use.rss_kib > l->memory_bytes / 2048) ||
           (l->processes && kid->use.processes > l->processes / 2);
}

static void judge(struct kid *kid)
{
    const struct limits *l = &kid->limits;
    if (l->memory_bytes)
        judge_memory(kid);
    if (kid->use.rss_kib > kid->peak_rss_kib)
        kid->peak_rss_kib = kid->use.rss_kib;
    if (l->processes && kid->use.processes > l->processes && !kid->killed)
        kill_now(kid, LIMIT_PROCESSES);
    if (l->cpu_ms && kid->use.cpu_ms > (uint64_t)l->cpu_ms && !kid->kill_mono_ms)
        end_for_cpu(kid);
    judge_task(kid);
    if (l->files && kid->met == LIMIT_NONE && has_all_files_open(kid))
        kid->met = LIMIT_FILES; /* what it makes of that is its own affair */
    if (kid->kill_mono_ms && clock_mono_ms() >= kid->kill_mono_ms)
        kid_signal(kid, SIGKILL);
    watch.watching = true;
    watch.tight = watch.tight || is_near(kid);
}

/* Those whose kid is no more are to go; those that left their kid's group hear what it heard. A
 * killed one's are killed at each look, as long as there are any. */
static void reach(const struct member *m)
{
    const struct kid *kid = kid_of_generation(m->generation);
    if (!kid)
        family_signal(m, SIGKILL);
    else if (kid->far_signal && m->pgrp != kid->pid && m->pid != kid->pid)
        family_signal(m, kid->far_signal);
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
    for (struct list_node *n = list_first(kids_all()); n; n = list_next(kids_all(), n)) {
        struct kid *kid = FUT_CONTAINER(n, struct kid, link);
        if (!kid->killed)
            kid->far_signal = 0;
    }
}

static void look(void)
{
    watch.woken = watch.watching = watch.tight = false;
    watch.members = family_look(&watch.n);
    count_all();
    for (struct list_node *n = list_first(kids_all()); n; n = list_next(kids_all(), n)) {
        struct kid *kid = FUT_CONTAINER(n, struct kid, link);
        if (limits_need_watch(&kid->limits) || kid->task.id)
            judge(kid);
    }
    reach_all();
    watch.woken = watch.woken || family_is_unsure();
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
}

/* A look first, when it is time for one: then only what was started since the look before this task
 * can be charged to it wrongly, and that has not had the time to use much. */
void watch_task(struct kid *kid, uint64_t task, int64_t max_cpu_ms)
{
    kid->task = (struct kid_task){0};
    if (!task)
        return;
    watch_wake();
    watch_turn();
    kid->task = (struct kid_task){.id = task,
                                  .max_cpu_ms = (uint64_t)max_cpu_ms,
                                  .base_cpu_ms = kid->orphan_cpu_ms +
                                                 family_cpu_ms(kid->pid, kid->generation)};
    watch_wake(); /* a look may have been, and have found no reason for another */
}

void watch_orphan_ended(pid_t pid, uint64_t cpu_ms)
{
    struct kid *kid = kid_of_generation(family_generation(pid));
    if (kid)
        kid->orphan_cpu_ms += cpu_ms;
}

void watch_kill_all(void)
{
    pid_t me = getpid();
    watch.members = family_look(&watch.n);
    for (size_t i = 0; i < watch.n; i++) {
        if (watch.members[i].generation || watch.members[i].ppid == me)
            family_signal(&watch.members[i], SIGKILL);
    }
}
