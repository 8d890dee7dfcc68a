/* Log lines: their form, and when lines that are held back go out. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"
#include "tests/support/suite.h"

static int reader;
static char seen[65536];

/* Standard error of this test is a pipe that never makes a reader wait. */
static void setup(void)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
    reader = ends[0];
}

static void teardown(void)
{
    close(reader);
}

static const char *written(void)
{
    ssize_t n = read(reader, seen, sizeof(seen) - 1);
    seen[n > 0 ? n : 0] = '\0';
    return seen;
}

static enum log_level sunk_level;
static char sunk[256];

static void sink(enum log_level level, const char *event, const struct log_field *fields)
{
    struct buf line = BUF_INIT;
    log_format(&line, event, fields);
    sunk_level = level;
    (void)snprintf(sunk, sizeof(sunk), "%.*s", (int)line.len, line.data);
    buf_release(&line);
}

START_TEST(test_log_another_sink_gets_each_line_at_once)
{
    log_set_sink(sink);
    log_hold();
    log_info("did_it", LOG_STR("who", "a b"), LOG_INT("n", 7));
    ck_assert_str_eq(sunk, "did_it who=\"a b\" n=7");
    ck_assert_int_eq(sunk_level, LOG_LEVEL_INFO);
    log_let_go();
    log_set_sink(NULL);
    ck_assert_str_eq(written(), "");
    log_warn("again", LOG_INT("n", 8));
    ck_assert_ptr_nonnull(strstr(written(), " warn again n=8\n"));
}
END_TEST

START_TEST(test_log_line)
{
    log_info("did_it", LOG_STR("who", "a b\n\"c\""), LOG_INT("n", -1), LOG_STR("none", NULL));
    const char *line = strchr(written(), ' ');
    ck_assert_str_eq(line, " info did_it who=\"a b\\n\\\"c\\\"\" n=-1 none=\"\"\n");
}
END_TEST

START_TEST(test_log_holds_until_flush)
{
    log_hold();
    log_info("one", LOG_INT("n", 1));
    log_info("two", LOG_INT("n", 2));
    ck_assert_str_eq(written(), "");
    log_flush();
    ck_assert_ptr_nonnull(strstr(written(), "one n=1\n"));
    ck_assert_ptr_nonnull(strstr(seen, "two n=2\n"));
    log_flush();
    ck_assert_str_eq(written(), "");
    log_let_go();
    log_info("three", LOG_INT("n", 3));
    ck_assert_ptr_nonnull(strstr(written(), "three n=3\n"));
}
END_TEST

START_TEST(test_log_warning_goes_out_at_once_in_order)
{
    log_hold();
    log_info("before", LOG_INT("n", 1));
    log_warn("trouble", LOG_INT("n", 2));
    const char *first = strstr(written(), "before"), *second = strstr(seen, "trouble");
    ck_assert(first && second && first < second);
    log_let_go();
}
END_TEST

START_TEST(test_log_holds_a_bounded_amount)
{
    log_hold();
    for (int i = 0; i < 1000; i++)
        log_info("many", LOG_STR("text", "a text that makes the line a little longer"));
    ck_assert_uint_ge(strlen(written()), 32u << 10);
    log_let_go();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("log");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_log_another_sink_gets_each_line_at_once);
    tcase_add_test(t, test_log_line);
    tcase_add_test(t, test_log_holds_until_flush);
    tcase_add_test(t, test_log_warning_goes_out_at_once_in_order);
    tcase_add_test(t, test_log_holds_a_bounded_amount);
    return suite_run_cases("log", t, NULL);
}
