/* Progress and live log: the lines of programs, and the way of reports into the store. */
#include <poll.h>

#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"
#include "workers/exec/progress_lines.h"
#include "workers/scheduler/report.h"

/* ---- lines ---- */

static const struct {
    const char *bytes;
    bool good;
    double fraction;
    const char *message;
    uint64_t bad;
} lines[] = {
    {"progress 0.5\n", true, 0.5, "", 0},
    {"progress 0.5 half way\r\n", true, 0.5, "half way", 0},
    {"progress 0\nprogress 1 all\n", true, 1, "all", 0},
    {"progress .25  two blanks\n", true, 0.25, " two blanks", 0},
    {"progress 1e-05\n", true, 1e-05, "", 0},
    {"progress 0.5", false, 0, "", 0}, /* not ended yet */
    {"\n\n", false, 0, "", 0},
    {"progress\n", false, 0, "", 1},
    {"progress 1.01\n", false, 0, "", 1},
    {"progress -0.1\n", false, 0, "", 1},
    {"progress nan\n", false, 0, "", 1},
    {"progress 50%\n", false, 0, "", 1},
    {"Progress 0.5\n", false, 0, "", 1},
    {"hello\nprogress 0.5 ok\nhello\n", true, 0.5, "ok", 2},
};

/* True: there was a good line of progress among these bytes. */
static bool feed(struct progress_lines *p, const char *bytes, size_t n)
{
    bool good = false;
    enum progress_word said;
    while ((said = progress_lines_next(p, &bytes, &n)) != PROGRESS_NOTHING)
        good = good || said == PROGRESS_REPORT;
    return good;
}

START_TEST(test_progress_lines)
{
    struct progress_lines p = {0};
    bool good = feed(&p, lines[_i].bytes, strlen(lines[_i].bytes));
    ck_assert_int_eq(good, lines[_i].good);
    ck_assert(p.fraction == lines[_i].fraction);
    ck_assert_str_eq(p.message, lines[_i].message);
    ck_assert_uint_eq(p.bad, lines[_i].bad);
}
END_TEST

START_TEST(test_progress_lines_byte_by_byte)
{
    static const char text[] = "progress 0.75 a message\nprogress 1 end";
    struct progress_lines p = {0};
    int good = 0;
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        good += feed(&p, text + i, 1);
    ck_assert_int_eq(good, 1);
    ck_assert_str_eq(p.message, "a message");
    ck_assert_int_eq(progress_lines_end(&p), PROGRESS_REPORT);
    ck_assert_str_eq(p.message, "end");
    ck_assert_int_eq(progress_lines_end(&p), PROGRESS_NOTHING);
}
END_TEST

START_TEST(test_progress_lines_too_long)
{
    struct progress_lines p = {0};
    char text[4096];
    memset(text, 'x', sizeof(text));
    memcpy(text, "progress 0.5 ", 13);
    for (int i = 0; i < 100; i++)
        ck_assert(!feed(&p, text, sizeof(text)));
    ck_assert(feed(&p, "\nprogress 0.1 short\n", 20));
    ck_assert_uint_eq(p.bad, 1);
    ck_assert_str_eq(p.message, "short");
}
END_TEST

static const struct {
    const char *bytes;
    enum progress_word said;
    const char *checkpoint;
    int64_t suspend_ms;
    uint64_t bad;
} words[] = {
    {"checkpoint YWJj\n", PROGRESS_CHECKPOINT, "YWJj", 0, 0},
    {"checkpoint YWJj\r\n", PROGRESS_CHECKPOINT, "YWJj", 0, 0},
    {"checkpoint \n", PROGRESS_CHECKPOINT, "", 0, 0},
    {"checkpoint\n", PROGRESS_NOTHING, "", 0, 1},
    {"suspend\n", PROGRESS_SUSPEND, "", 0, 0},
    {"suspend 1.5\n", PROGRESS_SUSPEND, "", 1500, 0},
    {"suspend 31536000\n", PROGRESS_SUSPEND, "", 31536000000, 0},
    {"suspend 31536001\n", PROGRESS_NOTHING, "", 0, 1},
    {"suspend -1\n", PROGRESS_NOTHING, "", 0, 1},
    {"suspend soon\n", PROGRESS_NOTHING, "", 0, 1},
    {"suspend  \n", PROGRESS_NOTHING, "", 0, 1},
    {"suspend \x01\xff\n", PROGRESS_NOTHING, "", 0, 1},
    {"until a\n", PROGRESS_UNTIL, "", 0, 0},
    {"until  \n", PROGRESS_NOTHING, "", 0, 1},
    {"until\n", PROGRESS_NOTHING, "", 0, 1},
    {"progress 0.5\n", PROGRESS_REPORT, "", 0, 0},
};

START_TEST(test_progress_lines_of_checkpoints)
{
    struct progress_lines p = {.takes_checkpoints = true}, deaf = {0};
    const char *bytes = words[_i].bytes;
    size_t n = strlen(bytes);
    ck_assert_int_eq(progress_lines_next(&p, &bytes, &n), words[_i].said);
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(p.checkpoint.len, strlen(words[_i].checkpoint));
    if (p.checkpoint.len)
        ck_assert_mem_eq(p.checkpoint.data, words[_i].checkpoint, p.checkpoint.len);
    ck_assert_int_eq(p.suspend_ms, words[_i].suspend_ms);
    ck_assert_uint_eq(p.bad, words[_i].bad);
    bool suspends =
        strncmp(words[_i].bytes, "suspend", 7) == 0 || strncmp(words[_i].bytes, "until", 5) == 0;
    ck_assert_int_eq(*p.refused != '\0', suspends && words[_i].bad);
    ck_assert(feed(&deaf, words[_i].bytes, strlen(words[_i].bytes)) ==
              (words[_i].said == PROGRESS_REPORT)); /* where none are taken */
    progress_lines_release(&p);
}
END_TEST

/* The suspension is refused: nothing that a task waits for is lost. */
START_TEST(test_progress_lines_too_long_for_futures)
{
    struct progress_lines p = {.takes_checkpoints = true};
    char line[2 * PROGRESS_LINE_MAX];
    memset(line, 'a', sizeof(line));
    memcpy(line, "until ", 6);
    line[sizeof(line) - 1] = '\n';
    const char *bytes = line;
    size_t n = sizeof(line);
    ck_assert_int_eq(progress_lines_next(&p, &bytes, &n), PROGRESS_NOTHING);
    ck_assert_mem_eq(p.refused, "until aaa", 9);
    ck_assert_uint_eq(p.bad, 1);
    progress_lines_release(&p);
}
END_TEST

/* More ids than a task may be suspended for are kept, so that it is seen, but not any number. */
START_TEST(test_progress_lines_of_futures)
{
    struct progress_lines p = {.takes_checkpoints = true};
    char line[128];
    (void)feed(&p, "until a\nuntil b c\n", 18);
    ck_assert_uint_eq(p.until.len, strlen("a b c "));
    ck_assert_mem_eq(p.until.data, "a b c ", p.until.len);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(line, sizeof(line), "until 01890000-0000-7000-8000-%012d\n", i);
        (void)feed(&p, line, strlen(line));
    }
    ck_assert_uint_ge(p.until.len, PROGRESS_UNTIL_MAX);
    ck_assert_uint_le(p.until.len, PROGRESS_UNTIL_MAX + PROGRESS_LINE_MAX);
    ck_assert_uint_eq(p.bad, 0);
    progress_lines_release(&p);
}
END_TEST

/* Kept up to the limit, counted beyond it; what follows is read as ever. */
START_TEST(test_progress_lines_of_a_checkpoint_without_end)
{
    struct progress_lines p = {.takes_checkpoints = true};
    static char text[65536];
    const char *bytes = "checkpoint ";
    size_t n = strlen(bytes), total = 0;
    ck_assert_int_eq(progress_lines_next(&p, &bytes, &n), PROGRESS_NOTHING);
    memset(text, 'A', sizeof(text));
    for (; total <= PROGRESS_CHECKPOINT_MAX; total += sizeof(text)) {
        bytes = text;
        n = sizeof(text);
        ck_assert_int_eq(progress_lines_next(&p, &bytes, &n), PROGRESS_NOTHING);
    }
    bytes = "\nprogress 0.5\n";
    n = strlen(bytes);
    ck_assert_int_eq(progress_lines_next(&p, &bytes, &n), PROGRESS_CHECKPOINT);
    ck_assert_uint_eq(p.checkpoint.len, PROGRESS_CHECKPOINT_MAX);
    ck_assert_uint_eq(p.checkpoint_len, total);
    ck_assert_int_eq(progress_lines_next(&p, &bytes, &n), PROGRESS_REPORT);
    progress_lines_release(&p);
}
END_TEST

/* ---- into the store ---- */

static struct {
    struct loop *loop;
    struct mailbox inbox;
    struct report report;
    struct task task;
    bool is_made;
} own; /* for the report by itself */

static void setup(void)
{
    live_start(2, 2);
}

static void teardown(void)
{
    live_stop();
    if (own.is_made)
        mailbox_release(&own.inbox); /* the store's thread may have been about to wake it */
}

static struct store_log read_log(struct task_id id)
{
    struct store_log o = {.id = id};
    ck_assert_int_eq(store_post(live.store, &store_verb_log, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    return o;
}

static void release_log(struct store_log *o)
{
    free(o->log);
    store_reported_release(&o->reported);
}

/* Everything that was said is there at the moment when the future is done. */
START_TEST(test_progress_of_a_program_is_complete_when_done)
{
    for (int i = 0; i < 20; i++) {
        struct task_id id = live_submit("talks", LANE_IO, "x", 10000, 0);
        struct task t = live_wait(id, TASK_SUCCEEDED);
        struct store_log o = read_log(id);
        ck_assert_uint_eq(o.log_len, 8);
        ck_assert_mem_eq(o.log, "one\ntwo\n", 8);
        ck_assert(o.reported.progress == 1.0);
        ck_assert_str_eq(t.outcome->log, "one\ntwo\n");
        release_log(&o);
        task_release(&t);
    }
}
END_TEST

static const enum lane both_lanes[] = {LANE_IO, LANE_CPU};

static bool has_progress(struct task_id id)
{
    struct store_log o = read_log(id);
    bool has = o.reported.progress > 0;
    release_log(&o);
    return has;
}

START_TEST(test_progress_of_a_built_in_is_live)
{
    struct task_id id = live_submit("sleep", both_lanes[_i], "{\"ms\":60000}", 100000, 0);
    wait_for(has_progress(id));
    struct store_log o = read_log(id);
    ck_assert_int_eq(o.state, TASK_RUNNING);
    ck_assert(o.reported.progress < 0.5);
    ck_assert_ptr_nonnull(strstr(o.reported.message, "of 60.0 s"));
    release_log(&o);
    live_cancel(id);
}
END_TEST

/* ---- the report by itself: coalescing ---- */

static void make_report(void)
{
    struct task_id id = live_submit("sleep", LANE_IO, "{\"seconds\":1000}", 1000000, 0);
    own.task = live_wait(id, TASK_RUNNING);
    own.loop = loop_new();
    ck_assert_int_eq(mailbox_init(&own.inbox), 0);
    own.is_made = true;
    report_init(&own.report, live.store, own.loop, &own.inbox, &own.task);
}

static void free_report(void)
{
    while (!list_is_empty(&own.report.posted))
        (void)mailbox_run(&own.inbox);
    report_release(&own.report);
    loop_free(&own.loop);
    task_release(&own.task);
}

START_TEST(test_report_coalesces)
{
    make_report();
    struct sink *sink = report_sink(&own.report);
    uint64_t before = live_store_stats().ops;
    int64_t from_ms = clock_mono_ms();
    while (clock_mono_ms() < from_ms + 1000) {
        sink->progress(sink, 0.5, "m");
        sink->log(sink, "x", 1);
        (void)mailbox_run(&own.inbox);
        loop_turn(own.loop, 1);
    }
    uint64_t ops = live_store_stats().ops - before;
    uint64_t took_ms =
        (uint64_t)(clock_mono_ms() - from_ms); /* more than 1,000 on a busy machine */
    ck_assert_uint_ge(ops, 3);
    ck_assert_uint_le(ops, 2 * (took_ms / 200 + 1)); /* this report's, and those of the sleep */
    free_report();
}
END_TEST

START_TEST(test_report_keeps_what_is_last_and_says_what_is_missing)
{
    static char noise[100000];
    struct task_id id;
    make_report();
    struct sink *sink = report_sink_threads(&own.report);
    id = own.task.spec->id;
    memset(noise, 'n', sizeof(noise));
    for (int i = 0; i < 10; i++)
        sink->log(sink, noise, sizeof(noise));
    sink->log(sink, "last", 4);
    report_flush(&own.report);
    free_report();
    struct store_log o = read_log(id);
    ck_assert_uint_le(o.log_len, STORE_LOG_MAX);
    ck_assert_mem_eq(o.log + o.log_len - 4, "last", 4);
    ck_assert_uint_lt(o.reported.log_end, 300000); /* no million went through */
    release_log(&o);
}
END_TEST

int main(void)
{
    TCase *pure = tcase_create("lines");
    tcase_add_loop_test(pure, test_progress_lines, 0, (int)FUT_COUNT(lines));
    tcase_add_test(pure, test_progress_lines_byte_by_byte);
    tcase_add_test(pure, test_progress_lines_too_long);
    tcase_add_loop_test(pure, test_progress_lines_of_checkpoints, 0, (int)FUT_COUNT(words));
    tcase_add_test(pure, test_progress_lines_of_futures);
    tcase_add_test(pure, test_progress_lines_too_long_for_futures);
    tcase_add_test(pure, test_progress_lines_of_a_checkpoint_without_end);
    TCase *t = suite_case("progress", 60, setup, teardown);
    tcase_add_test(t, test_progress_of_a_program_is_complete_when_done);
    tcase_add_loop_test(t, test_progress_of_a_built_in_is_live, 0, (int)FUT_COUNT(both_lanes));
    tcase_add_test(t, test_report_coalesces);
    tcase_add_test(t, test_report_keeps_what_is_last_and_says_what_is_missing);
    return suite_run_cases("progress", pure, t, NULL);
}
