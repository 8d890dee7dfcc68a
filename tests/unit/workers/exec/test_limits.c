/* Limits: how they are read, and what becomes of programs that meet them, by real processes. */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/exec/script.h"
#include "workers/fork/oom.h"

/* ---- reading ---- */

static const struct {
    const char *json;
    const char *wrong; /* a word of the answer; NULL: it is right */
    struct limits limits;
} texts[] = {
    {"{}", NULL, {0}},
    {"{\"cpu\": 1.5, \"memory\": \"64M\", \"output\": 10, \"files\": 8, \"processes\": 1}",
     NULL,
     {1500, 64u << 20, 10, 8, 1}},
    {"{\"memory\": 1048576, \"output\": \"2K\"}", NULL, {0, 1u << 20, 2048, 0, 0}},
    {"{\"memory\": \"1G\"}", NULL, {0, 1u << 30, 0, 0, 0}},
    {"7", "object", {0}},
    {"{\"speed\": 1}", "object of cpu", {0}},
    {"{\"cpu\": 0}", "cpu", {0}},
    {"{\"cpu\": \"1\"}", "cpu", {0}},
    {"{\"cpu\": 86401}", "cpu", {0}},
    {"{\"memory\": 1048575}", "memory", {0}},
    {"{\"memory\": \"64\"}", "memory", {0}},
    {"{\"memory\": \"64X\"}", "memory", {0}},
    {"{\"memory\": \"64MB\"}", "memory", {0}},
    {"{\"memory\": \"-1M\"}", "memory", {0}},
    {"{\"memory\": \"99999999999G\"}", "memory", {0}},
    {"{\"output\": 0}", "output", {0}},
    {"{\"files\": 7}", "files", {0}},
    {"{\"files\": 8.5}", "files", {0}},
    {"{\"processes\": 0}", "processes", {0}},
    {"{\"processes\": 1048577}", "processes", {0}},
    {"{\"processes\": null}", "processes", {0}},
};

START_TEST(test_limits_read)
{
    struct limits got = {.files = 99}, before = got;
    json_t *value = json_loads(texts[_i].json, JSON_DECODE_ANY, NULL);
    const char *wrong = limits_read(value, &got);
    if (texts[_i].wrong) {
        ck_assert_ptr_nonnull(wrong);
        ck_assert_msg(strstr(wrong, texts[_i].wrong) != NULL, "%s", wrong);
        ck_assert_mem_eq(&got, &before, sizeof(got));
    } else {
        ck_assert_msg(!wrong, "%s", wrong);
        ck_assert_mem_eq(&got, &texts[_i].limits, sizeof(got));
    }
    json_decref(value);
}
END_TEST

/* ---- programs ---- */

static void start(const char *script, struct limits limits)
{
    script_command.limits = limits;
    script_start(script, NULL, 0, 1 << 20, 300);
}

static void run(const char *script, struct limits limits)
{
    start(script, limits);
    script_finish();
}

#define SPIN "while :; do :; done"
#define HOG                                                                                        \
    "perl -e 'for (1..400) { push @a, \"x\" x 1048576; select(undef,undef,undef,0.005) } "         \
    "sleep 1000'"
#define BOMB "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 1000 & done; wait"
#define FAR_BOMB                                                                                   \
    "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do setsid sleep 1000 & done; wait"
#define FILES "perl -e 'for (0..99) { open($f[$_], \"<\", \"/dev/null\") or die \"$!\\n\" }'"
#define FILES_SILENT                                                                               \
    "perl -e 'for (0..99) { open($f[$_], \"<\", \"/dev/null\") or last } <STDIN>; "                \
    "select(undef,undef,undef,4); exit 3'"

static const struct {
    const char *script;
    struct limits limits;
    const char *code, *says;
} ends[] = {
    {SPIN, {.cpu_ms = 200}, "cpu_limit", "0.2 s of CPU"},
    {"trap '' TERM; " SPIN, {.cpu_ms = 100}, "cpu_limit", "CPU"},
    {"(" SPIN ") & (" SPIN ") & wait", {.cpu_ms = 300}, "cpu_limit", "CPU"},
    {"setsid sh -c '" SPIN "' & wait", {.cpu_ms = 200}, "cpu_limit", "CPU"},
    {HOG, {.memory_bytes = 48u << 20}, "memory_limit", "48 MiB"},
    {"(" HOG ") & (" HOG ") & wait", {.memory_bytes = 48u << 20}, "memory_limit", "48 MiB"},
    {BOMB, {.processes = 10}, "processes_limit", "10 processes"},
    {FAR_BOMB, {.processes = 10}, "processes_limit", "10 processes"},
    {"yes", {.output_bytes = 50000}, "output_limit", "50000"},
    {"yes >&2", {.output_bytes = 50000}, "output_limit", "50000"},
    {FILES, {.files = 16}, "files_limit", "16 open files"},
    {FILES_SILENT, {.files = 16}, "files_limit", "16 open files"},
};

START_TEST(test_limits_ends)
{
    run(ends[_i].script, ends[_i].limits);
    ck_assert_int_eq(script_class, RUN_FAILED);
    ck_assert_msg(strcmp(script_outcome->code, ends[_i].code) == 0, "%s: %s %s", ends[_i].script,
                  script_outcome->code, script_outcome->message);
    ck_assert_msg(strstr(script_outcome->message, ends[_i].says) != NULL, "%s",
                  script_outcome->message);
    ck_assert_uint_gt(script_outcome->max_rss_kib, 0);
}
END_TEST

static const struct {
    const char *script;
    struct limits limits;
    enum run_class class;
    const char *code;
} within[] = {
    {"echo ok", {5000, 64u << 20, 3, 64, 8}, RUN_SUCCESS, NULL},
    {"exit 3", {5000, 64u << 20, 3, 64, 8}, RUN_FAILED, "exit"},
    {"kill -SEGV $$", {5000, 64u << 20, 3, 64, 8}, RUN_FAILED, "signal"},
    /* It could not open all that it wanted, and managed. */
    {FILES " 2>/dev/null; exit 0", {.files = 16}, RUN_SUCCESS, NULL},
    {"printf 'Too many open files' >&2; exit 1", {0}, RUN_FAILED, "exit"},
};

START_TEST(test_limits_within)
{
    run(within[_i].script, within[_i].limits);
    ck_assert_int_eq(script_class, within[_i].class);
    ck_assert_pstr_eq(script_outcome->code, within[_i].code);
}
END_TEST

/* Ten processes share what one of them holds: that is no reason to kill them. */
START_TEST(test_limits_shared_memory_counts_once)
{
    run("perl -e '$n = 30000000; $x = \"x\" x $n; for (1..9) { if (!fork) { sleep 1; exit } } "
        "1 while wait > 0'",
        (struct limits){.memory_bytes = 120u << 20});
    ck_assert_msg(script_class == RUN_SUCCESS, "%s", script_outcome->message);
}
END_TEST

START_TEST(test_limits_costs_of_a_crash)
{
    run("exec perl -e '$x = \"x\" x 30000000; for (1..2000000) { $y++ } kill 11, $$; sleep 9'",
        (struct limits){0});
    ck_assert_str_eq(script_outcome->code, "signal");
    ck_assert_int_eq(script_outcome->signal, SIGSEGV);
    ck_assert_uint_gt(script_outcome->max_rss_kib, 30000);
    ck_assert_uint_gt(script_outcome->cpu_ms, 0);
    ck_assert_int_eq(script_outcome->oom, TASK_OOM_NO);
}
END_TEST

/* ---- what leaves its group ---- */

/* Waits for the end of a process that is not ours. */
static void wait_gone(pid_t pid)
{
    int fd = pidfd_open(pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (fd >= 0)
        ck_assert_int_eq(poll(&p, 1, 20000), 1);
    fd_close(&fd);
}

static const char *const leavers[] = {
    "setsid sleep 1000 >/dev/null 2>&1 & echo $!",
    /* The double fork of a daemon, whose parent is gone before anybody can look. */
    "setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'; true",
    ("{ setsid sh -c 'setsid sleep 1000 & echo $! >&2; exec sleep 1000' 2>&1 >/dev/null & } |"
     "{ read x; echo $x; }"),
    /* Has no environment for a while, as everybody has not while becoming another program: the look
     * that follows the end of the attempt cannot tell whose it is. */
    ("setsid env -i sh -c \"sleep 0.5; FUTURED_CHILD=$FUTURED_CHILD exec sleep 1000\""
     " >/dev/null 2>&1 & while grep -q . /proc/$!/environ; do :; done; echo $!"),
    /* For longer than there are looks close together. */
    ("setsid env -i sh -c \"sleep 5; FUTURED_CHILD=$FUTURED_CHILD exec sleep 1000\""
     " >/dev/null 2>&1 & while grep -q . /proc/$!/environ; do :; done; echo $!"),
};

START_TEST(test_limits_leavers_end_with_the_attempt)
{
    run(leavers[_i], (struct limits){0});
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    long pid = strtol((const char *)script_outcome->body, NULL, 10);
    ck_assert_int_gt(pid, 1);
    wait_gone((pid_t)pid);
}
END_TEST

START_TEST(test_limits_term_reaches_those_outside_of_the_group)
{
    start("setsid sh -c 'trap \"echo far; exit\" TERM; echo up >&2; sleep 1000 & wait' &"
          "trap '' TERM; wait",
          (struct limits){0});
    while (!script_attempt.log.len)
        loop_turn(script_loop, -1);
    exec_attempt_kill(&script_attempt, SIGTERM);
    script_finish();
    ck_assert_int_eq(script_class, RUN_SUCCESS);
    ck_assert_str_eq((const char *)script_outcome->body, "far\n");
}
END_TEST

/* ---- killed for memory ---- */

static void set_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

START_TEST(test_limits_oom_counter)
{
    char path[] = "/tmp/test_limits_XXXXXX";
    struct oom_counter c;
    close(mkstemp(path));
    set_file(path, "low 0\noom 7\noom_kill 3\noom_group_kill 9\n");
    oom_open_file(&c, path);
    ck_assert_int_eq(oom_ask(&c), TASK_OOM_NO);
    set_file(path, "low 0\noom 8\noom_kill 5\noom_group_kill 9\n");
    ck_assert_int_eq(oom_ask(&c), TASK_OOM_YES);
    ck_assert_int_eq(oom_ask(&c), TASK_OOM_YES);
    ck_assert_int_eq(oom_ask(&c), TASK_OOM_NO);
    set_file(path, "oom_kill 6\n");
    oom_skip(&c);
    ck_assert_int_eq(oom_ask(&c), TASK_OOM_NO);
    fd_close(&c.fd);
    ck_assert_int_eq(oom_ask(&c), TASK_OOM_UNKNOWN);
    unlink(path);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("limits"), *text = tcase_create("text");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, script_setup, script_teardown);
    tcase_add_loop_test(t, test_limits_ends, 0, (int)FUT_COUNT(ends));
    tcase_add_loop_test(t, test_limits_within, 0, (int)FUT_COUNT(within));
    tcase_add_test(t, test_limits_shared_memory_counts_once);
    tcase_add_test(t, test_limits_costs_of_a_crash);
    tcase_add_loop_test(t, test_limits_leavers_end_with_the_attempt, 0, (int)FUT_COUNT(leavers));
    tcase_add_test(t, test_limits_term_reaches_those_outside_of_the_group);
    tcase_add_loop_test(text, test_limits_read, 0, (int)FUT_COUNT(texts));
    tcase_add_test(text, test_limits_oom_counter);
    return suite_run_cases("limits", t, text, NULL);
}
