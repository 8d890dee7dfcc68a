#include <check.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/task_filter.h"
#include "tests/support/suite.h"

#define BATCH "0190163d-8694-739b-aea5-966c26f8ad91"

static int set(struct task_filter *f, const char *name, const char *text)
{
    const char *allowed = NULL;
    int rc = task_filter_set(f, name, text, &allowed);
    ck_assert(rc == FUT_ERR_NOT_FOUND || allowed);
    return rc;
}

static const struct {
    const char *name, *text;
} refused[] = {
    {"state", ""},          {"state", "queued,"},   {"state", "a-state-with-a-long-name"},
    {"state", "Failed"},    {"lane", "gpu"},        {"lane", ""},
    {"handler", "a b"},     {"handler", ""},        {"code", ""},
    {"code", "a&b"},        {"code", "a=b"},        {"batch", "7"},
    {"after", "yesterday"}, {"before", "2026-1-1"}, {"older_than", "-1"},
    {"older_than", "1 d"},  {"queue", ""},          {"queue", "a/b"},
    {"schedule", "-x"},     {"schedule", ""},
};

START_TEST(test_task_filter_refuses)
{
    struct task_filter f = task_filter_all;
    ck_assert_int_eq(set(&f, refused[_i].name, refused[_i].text), FUT_ERR_INVAL);
}
END_TEST

START_TEST(test_task_filter_knows_no_other_member)
{
    struct task_filter f = task_filter_all;
    ck_assert_int_eq(set(&f, "limit", "1"), FUT_ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_task_filter_is_read_as_it_was_written)
{
    static const char text[] = "state=queued,failed&lane=cpu&handler=word.count&queue=mail"
                               "&schedule=nightly&code=timeout"
                               "&batch=" BATCH "&after=2026-11-22T10:00:00.000Z"
                               "&before=2026-11-23T10:00:00.001Z";
    struct task_filter f;
    struct buf written = BUF_INIT;
    ck_assert_int_eq(task_filter_read(text, &f), 0);
    ck_assert_uint_eq(f.states, 1u << TASK_QUEUED | 1u << TASK_FAILED);
    task_filter_write(&written, &f);
    ck_assert_str_eq(written.data, text);
    buf_release(&written);
}
END_TEST

START_TEST(test_task_filter_of_nothing_means_all)
{
    struct task_filter f;
    struct buf written = BUF_INIT;
    struct task_spec spec = {.handler = "echo"};
    struct task t = {.spec = &spec};
    ck_assert_int_eq(task_filter_read("", &f), 0);
    ck_assert(task_filter_wants(&f, &t));
    ck_assert_uint_eq(task_filter_lowest(&f), 0);
    task_filter_write(&written, &f);
    ck_assert_uint_eq(written.len, 0);
    buf_release(&written);
}
END_TEST

/* Each of these means the task below, and its counterpart does not. */
static const struct {
    const char *name, *is, *is_not;
} meant[] = {
    {"state", "failed,queued", "succeeded"},
    {"lane", "cpu", "io"},
    {"handler", "primes", "prime"},
    {"queue", "mail", "mails"},
    {"schedule", "nightly", "night"},
    {"code", "timeout", "exit"},
    {"batch", BATCH, "0190163d-8694-739b-aea5-966c26f8ad92"},
    {"after", "1970-01-01T00:16:40Z", "1970-01-01T00:16:40.001Z"},
    {"before", "1970-01-01T00:16:40.001Z", "1970-01-01T00:16:40Z"},
    {"before", "1970-01-01T00:16:40.001Z", "1970-01-01T00:00:00Z"},
    {"before", "1970-01-01T00:16:40.001Z", "1969-01-01T00:00:00Z"},
    {"older_than", "4", "5"},
};

START_TEST(test_task_filter_means_what_it_says)
{
    struct task_filter f = task_filter_all;
    struct task_outcome o = {.code = "timeout"};
    struct task_spec spec = {.handler = "primes",
                             .queue = "mail",
                             .schedule = "nightly",
                             .lane = LANE_CPU,
                             .created_wall_ms = 1000000};
    struct task t = {.spec = &spec, .outcome = &o, .state = TASK_FAILED};
    ck_assert(id_parse(BATCH, &spec.batch));
    clock_test_set(0, 1004500);
    ck_assert_int_eq(set(&f, meant[_i].name, meant[_i].is), 0);
    ck_assert(task_filter_wants(&f, &t));
    ck_assert_int_eq(set(&f, meant[_i].name, meant[_i].is_not), 0);
    ck_assert(!task_filter_wants(&f, &t));
    clock_test_set(-1, -1);
}
END_TEST

START_TEST(test_task_filter_knows_no_code_of_what_is_not_done)
{
    struct task_filter f = task_filter_all;
    struct task_spec spec = {.handler = "echo"};
    struct task t = {.spec = &spec, .state = TASK_RUNNING};
    ck_assert_int_eq(set(&f, "code", "timeout"), 0);
    ck_assert(!task_filter_wants(&f, &t));
}
END_TEST

START_TEST(test_task_filter_says_below_which_id_nothing_is_meant)
{
    struct task_filter f = task_filter_all;
    struct task_id now = id_new();
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ms() + 500, text);
    ck_assert_int_eq(set(&f, "after", text), 0);
    ck_assert_uint_le(task_filter_lowest(&f), now.hi);
    ck_assert_uint_gt(task_filter_lowest(&f), now.hi - (UINT64_C(2000) << 16));
    ck_assert_int_eq(set(&f, "batch", BATCH), 0);
    ck_assert_uint_gt(task_filter_lowest(&f), f.batch.hi);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_task_filter_refuses, FUT_COUNT(refused)},
        {test_task_filter_knows_no_other_member, 0},
        {test_task_filter_is_read_as_it_was_written, 0},
        {test_task_filter_of_nothing_means_all, 0},
        {test_task_filter_means_what_it_says, FUT_COUNT(meant)},
        {test_task_filter_knows_no_code_of_what_is_not_done, 0},
        {test_task_filter_says_below_which_id_nothing_is_meant, 0},
    };
    return suite_run_rows("task filter", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
