/* Log lines: their form, and the ring between the threads that log and the one that writes. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"
#include "tests/support/suite.h"

static int reader;
static char seen[1 << 20];

/* Standard error of this test is a pipe that never makes a reader wait. */
static void setup(void)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
    reader = ends[0];
    (void)signal(SIGPIPE,
                 SIG_IGN); /* as the daemon does: a writer that was given up may outlast us */
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

static char sunk[256];

static void format(struct buf *out, enum log_level level, const char *event,
                   const struct log_field *fields)
{
    buf_printf(out, "%d:", (int)level);
    log_format(out, event, fields);
}

static void sink_lines(const char *lines, size_t n)
{
    (void)snprintf(sunk, sizeof(sunk), "%.*s", (int)n, lines);
}

START_TEST(test_log_another_sink_gets_the_lines)
{
    static const struct log_sink sink = {format, sink_lines};
    log_set_sink(&sink);
    log_info("did_it", LOG_STR("who", "a b"), LOG_INT("n", 7));
    ck_assert_str_eq(sunk, "1:did_it who=\"a b\" n=7");
    ck_assert_int_eq(log_ring_start(), 0);
    log_warn("and", LOG_INT("n", 8));
    log_ring_stop(10000);
    ck_assert_str_eq(sunk, "2:and n=8");
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

START_TEST(test_log_ring_keeps_the_order)
{
    char want[32];
    ck_assert_int_eq(log_ring_start(), 0);
    for (int i = 0; i < 1000; i++)
        log_info("line", LOG_INT("n", i));
    ck_assert(log_flush(10000));
    const char *at = written();
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(want, sizeof(want), "line n=%d\n", i);
        at = strstr(at, want);
        ck_assert_msg(at != NULL, "%s", want);
    }
    log_info("last", LOG_INT("n", 1000));
    log_ring_stop(10000);
    ck_assert_ptr_nonnull(strstr(written(), "last n=1000\n"));
}
END_TEST

/* Standard error becomes a blocking pipe that nobody reads. */
static void block_stderr(void)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
    close(reader);
    reader = ends[0];
}

/* Reads until needle has come; *n counts the lines "many". */
static void read_until(const char *needle, uint64_t *n)
{
    static char text[1 << 16];
    size_t len = 0;
    for (;;) {
        ssize_t got = read(reader, text + len, sizeof(text) - 1 - len);
        ck_assert_int_gt(got, 0);
        len += (size_t)got;
        text[len] = '\0';
        for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            *n += strstr(line, " many ") != NULL;
            if (strstr(line, needle)) {
                (void)snprintf(seen, sizeof(seen), "%s", line);
                return;
            }
            len -= (size_t)(end + 1 - line);
            memmove(text, end + 1, len + 1);
            end = text - 1;
        }
    }
}

/* Nobody reads: no call blocks, the memory is bounded, and the loss is told when somebody reads. */
START_TEST(test_log_ring_drops_and_counts)
{
    enum { LINES = 100000 };
    uint64_t came = 0;
    block_stderr();
    ck_assert_int_eq(log_ring_start(), 0);
    for (int i = 0; i < LINES; i++)
        log_info("many", LOG_STR("text", "a text that makes the line a little longer"));
    ck_assert(!log_flush(1));
    read_until("log_lines_lost", &came);
    const char *dropped = strstr(seen, "lines=");
    ck_assert_ptr_nonnull(dropped);
    ck_assert_uint_eq(came + strtoull(dropped + strlen("lines="), NULL, 10), LINES);
    ck_assert_uint_le(came * 80, 3 * LOG_WAITING_MAX);
    log_ring_stop(10000);
}
END_TEST

/* The thread that writes is given up, and nobody else waits in its place. */
START_TEST(test_log_ring_stops_although_nobody_reads)
{
    block_stderr();
    ck_assert_int_eq(log_ring_start(), 0);
    for (int i = 0; i < 10000; i++)
        log_info("many", LOG_STR("text", "a text that makes the line a little longer"));
    log_ring_stop(10);
    log_error("never_written", LOG_INT("n", 1));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("log");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_log_another_sink_gets_the_lines);
    tcase_add_test(t, test_log_line);
    tcase_add_test(t, test_log_ring_keeps_the_order);
    tcase_add_test(t, test_log_ring_drops_and_counts);
    tcase_add_test(t, test_log_ring_stops_although_nobody_reads);
    return suite_run_cases("log", t, NULL);
}
