/* What another process uses, as /proc tells. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/proc.h"
#include "core/sync.h"
#include "tests/support/suite.h"

#define BLOCK ((size_t)64 << 20)

/* Memory that nobody reads need not be written: an optimizing compiler sees that, but for this. */
static void fill(char *block, int byte)
{
    volatile char *bytes = block;
    memset(block, byte, BLOCK);
    for (size_t i = 0; i < BLOCK; i += 4096)
        bytes[i] = (char)byte;
}

START_TEST(test_proc_sees_memory_and_cpu_time)
{
    struct proc_stat before, after;
    ck_assert_int_eq(prctl(PR_SET_NAME, "a) b (c 1 2"), 0); /* the name is not to be believed */
    ck_assert(proc_stat_read(getpid(), &before));
    ck_assert_uint_gt(before.rss_bytes, 0);
    ck_assert_uint_lt(before.rss_bytes, (uint64_t)16 << 30);
    char *block = malloc(BLOCK);
    ck_assert_ptr_nonnull(block);
    for (int i = 1; i == 1 || after.cpu_ms < before.cpu_ms + 30; i++) { /* some ticks of 10 ms */
        fill(block, i & 127);
        ck_assert(proc_stat_read(getpid(), &after));
    }
    ck_assert_uint_ge(after.rss_bytes, before.rss_bytes + BLOCK / 2);
    free(block);
}
END_TEST

static void *stay(void *mu)
{
    mutex_lock(mu);
    mutex_unlock(mu);
    return NULL;
}

/* A sanitizer may have a thread of its own, from the first one of the program on. */
static void check_count_of_threads(void)
{
    struct mutex mu;
    pthread_t first, second;
    mutex_init(&mu);
    mutex_lock(&mu);
    thread_start(&first, "stays", stay, &mu);
    unsigned before = (unsigned)proc_count(getpid(), "task");
    ck_assert_uint_ge(before, 2);
    thread_start(&second, "stays", stay, &mu);
    ck_assert_uint_eq(proc_count(getpid(), "task"), before + 1);
    mutex_unlock(&mu);
    thread_join(second);
    thread_join(first);
    mutex_destroy(&mu);
}

START_TEST(test_proc_tells_who_a_process_is)
{
    struct proc_stat is;
    char text[64];
    ck_assert(proc_stat_read(getpid(), &is));
    ck_assert_int_eq(is.parent, getppid());
    ck_assert_int_eq(is.group, getpgrp());
    ck_assert_int_eq(is.session, getsid(0));
    ck_assert_int_eq(is.state, 'R');
    ck_assert_uint_gt(proc_pss_kib(getpid()), 0);
    check_count_of_threads();
    ck_assert_uint_eq(proc_count(getpid(), "no such directory"), 0);
    ck_assert_int_gt(proc_read(getpid(), "comm", text, sizeof(text)), 0);
    ck_assert_int_lt(proc_read(getpid(), "no such file", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

/* A process that has ended and is not waited for: nothing else may have its pid. */
START_TEST(test_proc_sees_what_children_have_used)
{
    struct proc_stat is;
    pid_t pid = fork();
    if (pid == 0) {
        do
            ck_assert(proc_stat_read(getpid(), &is));
        while (is.cpu_ms < 30);
        _exit(0);
    }
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert(proc_stat_read(pid, &is));
    ck_assert_int_eq(is.state, 'Z');
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert(proc_stat_read(getpid(), &is));
    ck_assert_uint_ge(is.children_cpu_ms, 30);
}
END_TEST

START_TEST(test_proc_knows_nothing_of_ended_processes)
{
    struct proc_stat u;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert(!proc_stat_read(pid, &u));
    ck_assert(!proc_stat_read(0, &u));
    ck_assert(!proc_stat_read(-1, &u));
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_proc_sees_memory_and_cpu_time, 0},
        {test_proc_tells_who_a_process_is, 0},
        {test_proc_sees_what_children_have_used, 0},
        {test_proc_knows_nothing_of_ended_processes, 0},
    };
    return suite_run_rows("proc", 60, NULL, NULL, rows, FUT_COUNT(rows));
}
