/* A program that cannot be started is no fault of its tasks: they wait in the queue, uncharged, and
 * run when it can. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"
#include "workers/exec/exec_holds.h"

#define LIMIT_MS 60000

enum { MANY = 20 };

static const char file[] = "{\"tool\": {\"exec\": [\"%s/tool\"]},"
                           " \"upper\": {\"exec\": [\"tr\", \"a-z\", \"A-Z\"]}}";
static char dir[] = "/tmp/futured-test-holds-XXXXXX";
static char tool[64], away[64], text[512];

static void write_tool(void)
{
    FILE *f = fopen(tool, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_gt(fprintf(f, "#!/bin/sh\ncat\n"), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(chmod(tool, 0755), 0);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(tool, sizeof(tool), "%s/tool", dir);
    (void)snprintf(away, sizeof(away), "%s/away", dir);
    (void)snprintf(text, sizeof(text), file, dir);
    write_tool();
    live_file = text;
    live_start(4, 2);
}

static void teardown(void)
{
    live_stop();
    (void)unlink(tool);
    (void)unlink(away);
    (void)rmdir(dir);
}

static void submit_many(const char *handler, struct task_id ids[MANY])
{
    for (int i = 0; i < MANY; i++)
        ids[i] = live_submit(handler, i % 2 ? LANE_IO : LANE_CPU, "x", 10000, 0);
}

static void expect_success(struct task_id id, uint32_t attempt)
{
    struct task t = live_wait(id, TASK_SUCCEEDED);
    ck_assert_uint_eq(t.attempt, attempt);
    task_release(&t);
}

static void expect_none_failed(void)
{
    ck_assert_uint_eq(live_store_stats().finished[TASK_FAILED], 0);
}

static bool is_broken(void *out)
{
    return live.view.broken(live.view.ctx, "tool", out);
}

static bool is_short(void *out)
{
    return live.view.shortage(live.view.ctx, out);
}

/* How a program may be made impossible to start, and possible again. */
static void move_away(void)
{
    ck_assert_int_eq(rename(tool, away), 0);
}

static void move_back(void)
{
    ck_assert_int_eq(rename(away, tool), 0);
}

static void forbid(void)
{
    ck_assert_int_eq(chmod(tool, 0644), 0);
}

static void allow(void)
{
    ck_assert_int_eq(chmod(tool, 0755), 0);
}

static void make_garbage(void)
{
    FILE *f = fopen(tool, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_gt(fprintf(f, "#!/nowhere/sh\n"), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static const struct {
    void (*harm)(void);
    void (*mend)(void);
    const char *words;
} harms[] = {
    {move_away, move_back, "No such file"},
    {forbid, allow, "Permission denied"},
    {make_garbage, write_tool, "its interpreter /nowhere/sh: No such file"},
};

START_TEST(test_holds_a_program_that_is_away)
{
    struct task_id ids[MANY], other;
    struct pool_broken b;
    harms[_i].harm();
    submit_many("tool", ids);
    ck_assert(wait_until(is_broken, &b, LIMIT_MS));
    ck_assert_ptr_nonnull(strstr(b.words, harms[_i].words));
    ck_assert_uint_ge(live_stats().programs_broken, 1);
    other = live_submit("upper", LANE_IO, "x", 10000, 0); /* keeps no slot from others */
    expect_success(other, 1);
    other = live_submit("echo", LANE_IO, "1", 10000, 0);
    expect_success(other, 1);
    expect_none_failed();
    harms[_i].mend();
    for (int i = 0; i < MANY; i++)
        expect_success(ids[i], 1);
    expect_none_failed();
    ck_assert_uint_eq(live_stats().programs_broken, 0);
}
END_TEST

START_TEST(test_holds_end_at_a_reload)
{
    struct task_id id;
    struct pool_broken b;
    move_away();
    id = live_submit("tool", LANE_IO, "x", 10000, 0);
    ck_assert(wait_until(is_broken, &b, LIMIT_MS));
    move_back();
    scheduler_reload(live.s, &(struct scheduler_plan){
                                 .handlers = live.handlers, .max_threads = 4, .max_workers = 2});
    expect_success(id, 1);
    expect_none_failed();
}
END_TEST

/* ---- the machine has none to give ---- */

enum { FILES = 256 };

static int filling[FILES];
static size_t n_filling;

static void take_all_descriptors(void)
{
    int fd;
    while (n_filling < FILES && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        filling[n_filling++] = fd;
    ck_assert_uint_lt(n_filling, FILES);
}

static void give_descriptors_back(void)
{
    while (n_filling)
        (void)close(filling[--n_filling]);
}

START_TEST(test_holds_all_when_descriptors_run_out)
{
    struct task_id ids[MANY];
    struct rlimit before, low;
    struct pool_broken b;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = FILES;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    take_all_descriptors();
    submit_many("upper", ids);
    ck_assert(wait_until(is_short, &b, LIMIT_MS));
    struct task_id echo = live_submit("echo", LANE_IO, "1", 10000, 0);
    expect_success(echo, 1); /* needs no process */
    ck_assert(!live.view.broken(live.view.ctx, "echo", &b));
    expect_none_failed();
    give_descriptors_back();
    for (int i = 0; i < MANY; i++)
        expect_success(ids[i], 1);
    expect_none_failed();
    ck_assert(!is_short(&b));
}
END_TEST

/* ---- the holds alone ---- */

START_TEST(test_holds_one_tries_and_the_others_wait)
{
    struct exec_holds h;
    exec_holds_init(&h, live.handlers);
    ck_assert_int_eq(exec_holds_ask(&h, "tool"), EXEC_HOLD_NONE);
    ck_assert(exec_holds_fail(&h, "tool", ENOENT, "why"));
    ck_assert(!exec_holds_fail(&h, "tool", ENOENT, "why")); /* one line for each step */
    ck_assert_int_eq(exec_holds_ask(&h, "tool"), EXEC_HOLD_HELD);
    ck_assert_int_eq(exec_holds_ask(&h, "upper"), EXEC_HOLD_NONE);
    ck_assert_str_eq(exec_holds_name(&h, 0), "tool");
    ck_assert(!exec_holds_all(&h));
    exec_holds_reload(&h, live.handlers);
    ck_assert_int_eq(exec_holds_ask(&h, "tool"), EXEC_HOLD_NONE);
    ck_assert(exec_holds_fail(&h, "tool", EAGAIN, "why"));
    ck_assert(exec_holds_all(&h));
    ck_assert_int_eq(exec_holds_ask(&h, "upper"), EXEC_HOLD_HELD);
    ck_assert_uint_eq(exec_holds_count(&h), 1);
    exec_holds_release(&h);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_holds_a_program_that_is_away, FUT_COUNT(harms)},
        {test_holds_end_at_a_reload, 0},
        {test_holds_all_when_descriptors_run_out, 0},
        {test_holds_one_tries_and_the_others_wait, 0},
    };
    return suite_run_rows("holds", 120, setup, teardown, rows, FUT_COUNT(rows));
}
