/* The worker protocol's header lines. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/suite.h"
#include "workers/wire/wire.h"

static int parse(const char *text, struct wire_head *out)
{
    static char line[WIRE_LINE_MAX + 64];
    (void)snprintf(line, sizeof(line), "%s", text);
    return wire_parse(line, strlen(text), out);
}

START_TEST(test_wire_round_trip_of_every_field)
{
    struct buf b = BUF_INIT;
    struct wire_head h = WIRE_HEAD(WIRE_HELLO), g; /* which may have all */
    h.id = WIRE_ID_MAX;
    h.bytes = 17;
    h.fd = h.fork = h.memfd = h.results = h.token_wanted = true;
    h.cancel = WIRE_CANCEL_SOFT;
    h.concurrency = 1000;
    h.ahead = 7;
    h.fraction = 0.25;
    h.retry = 0;
    h.text = 5;
    h.checkpoint = h.yield = true;
    h.for_ms = 31536000000;
    h.attempt = 3;
    h.timeout_ms = 86400000;
    h.max_result = 1;
    h.pid = 77;
    h.kind = "Value_Error.x-1";
    h.task = "01a2";
    h.handler = "nlp";
    h.trace = "00-aa-bb-01";
    h.type = "text/plain; charset=utf-8; a=b";
    ck_assert_int_eq(wire_put(&b, &h), 0);
    ck_assert_int_eq(b.data[b.len - 1], '\n');
    b.data[b.len - 1] = '\0';
    ck_assert_int_eq(wire_parse(b.data, b.len - 1, &g), 0);
    ck_assert(g.verb == WIRE_HELLO && g.id == h.id && g.bytes == 17);
    ck_assert(g.fd && g.cancel == WIRE_CANCEL_SOFT && g.fork && g.memfd && g.concurrency == 1000);
    ck_assert(g.results && g.token_wanted && g.ahead == 7);
    ck_assert(g.checkpoint && g.yield && g.for_ms == 31536000000);
    ck_assert(g.fraction > 0.249 && g.fraction < 0.251 && g.retry == 0 && g.text == 5);
    ck_assert(g.attempt == 3 && g.timeout_ms == 86400000 && g.max_result == 1 && g.pid == 77);
    ck_assert_str_eq(g.kind, h.kind);
    ck_assert_str_eq(g.task, h.task);
    ck_assert_str_eq(g.handler, h.handler);
    ck_assert_str_eq(g.trace, h.trace);
    ck_assert_str_eq(g.type, h.type);
    buf_release(&b);
}
END_TEST

/* A key that one side leaves out the other one never sees. */
START_TEST(test_wire_says_that_a_task_comes_ahead)
{
    struct buf b = BUF_INIT;
    struct wire_head h = WIRE_HEAD(WIRE_RUN), g;
    h.id = 2;
    h.ahead = 1;
    ck_assert_int_eq(wire_put(&b, &h), 0);
    b.data[b.len - 1] = '\0';
    ck_assert_int_eq(wire_parse(b.data, b.len - 1, &g), 0);
    ck_assert_uint_eq(g.ahead, 1);
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_reads_the_documented_lines)
{
    struct wire_head h;
    ck_assert_int_eq(parse("HELLO 1 0", &h), 0);
    ck_assert(h.verb == WIRE_HELLO && h.id == 1 && !h.cancel && h.concurrency == 0);
    ck_assert_int_eq(parse("DONE 12 5 type=application/json", &h), 0);
    ck_assert_str_eq(h.type, "application/json");
    ck_assert_int_eq(parse("PROGRESS 1 0 fraction=1e-05", &h), 0); /* as Python prints it */
    ck_assert_int_eq(parse("PROGRESS 1 0 fraction=0.5", &h), 0);
    ck_assert_int_eq(parse("PROGRESS 1 4", &h), 0);
    ck_assert(h.fraction < 0);
    ck_assert_int_eq(parse("FAIL 1 0 colour=blue new=1 retry=1", &h), 0); /* unknown keys */
    ck_assert_int_eq(h.retry, 1);
    ck_assert_int_eq(parse("DONE 1 0 fd=1 cancel=1", &h), 0); /* one of HELLO's */
    ck_assert(h.fd && !h.cancel);
    ck_assert_int_eq(parse("FAIL 1 0", &h), 0);
    ck_assert(h.retry == -1 && !h.kind && h.text == -1);
    ck_assert_int_eq(parse("FAIL 1 9 text=0 kind=K type=application/x-pickle", &h), 0);
    ck_assert(h.text == 0 && wire_text_bytes(&h) == 0);
    ck_assert_str_eq(h.type, "application/x-pickle");
    ck_assert_int_eq(parse("HELLO 1 0 cancel=1", &h), 0);
    ck_assert_int_eq(h.cancel, WIRE_CANCEL_HARD);
    ck_assert_int_eq(parse("HELLO 1 0 cancel=0", &h), 0);
    ck_assert_int_eq(h.cancel, WIRE_CANCEL_NONE);
    ck_assert_int_eq(parse("HELLO 1 0 cancel=softly", &h), FUT_ERR_INVAL);
    ck_assert_int_eq(parse("FAIL 1 0 text=-1", &h), FUT_ERR_INVAL);
    ck_assert_int_eq(parse("FAIL 1 0 text=9223372036854775808", &h), FUT_ERR_INVAL);
    ck_assert_int_eq(parse("CANCEL 9223372036854775807 0", &h), 0);
    ck_assert_int_eq(parse("HELLO 1 0 checkpoint=1 yield=1 results=1 sessions=1 closes=1", &h), 0);
    ck_assert(h.checkpoint && h.yield && h.results && h.sessions && h.closes);
    ck_assert_int_eq(parse("CLOSE 0 0 session=a closes=1", &h), 0);
    ck_assert(h.verb == WIRE_CLOSE && h.id == 0 && strcmp(h.session, "a") == 0 && !h.closes);
    ck_assert_int_eq(parse("CHECKPOINT 7 3 attempt=2 type=text/plain; a=b", &h), 0);
    ck_assert(h.verb == WIRE_CHECKPOINT && h.attempt == 2);
    ck_assert_str_eq(h.type, "text/plain; a=b");
    ck_assert_int_eq(parse("SUSPEND 7 0 for_ms=1500", &h), 0);
    ck_assert(h.verb == WIRE_SUSPEND && h.for_ms == 1500);
    ck_assert_int_eq(parse("SAVED 7 0", &h), 0);
    ck_assert_int_eq(parse("REFUSED 7 16", &h), 0);
    ck_assert_int_eq(parse("YIELD 7 0", &h), 0);
    ck_assert_int_eq(parse("RESULTS 7 2 type=application/json", &h), 0);
    ck_assert(h.verb == WIRE_RESULTS && h.bytes == 2);
}
END_TEST

static const char *const malformed[] = {
    "",
    "HELLO",
    "HELLO 1",
    "HELLO 1 ",
    "HELLO  1 0",
    "hello 1 0",
    "HELLO 1 0 ",
    "HELLO 1 0  cancel=1",
    "HELLO 1 0 cancel",
    "HELLO 1 0 =1",
    "HELLO 1 0 cancel=2",
    "HELLO 1 0 cancel=",
    "HELLO 1 0 concurrency=x",
    "HELLO -1 0",
    "HELLO +1 0",
    "HELLO 1 0x1",
    "DONE 9223372036854775808 0",
    "DONE 99999999999999999999 0",
    "DONE 1 99999999999999999999",
    "DONE 1 0 type=",
    "DONE 1 0 type=a\tb",
    "DONE 1 0 type=a\r",
    "PROGRESS 1 0 fraction=1.01",
    "PROGRESS 1 0 fraction=-0.5",
    "PROGRESS 1 0 fraction=nan",
    "PROGRESS 1 0 fraction=1e1",
    "PROGRESS 1 0 fraction=0x1",
    "PROGRESS 1 0 fraction=.",
    "FAIL 1 0 kind=a/b",
    "FAIL 1 0 kind=",
    "STOP 1 0",
};

START_TEST(test_wire_refuses_what_is_malformed)
{
    struct wire_head h;
    ck_assert_msg(parse(malformed[_i], &h) == FUT_ERR_INVAL, "%s", malformed[_i]);
}
END_TEST

START_TEST(test_wire_line_limits)
{
    char line[WIRE_LINE_MAX + 1];
    struct wire_head h = WIRE_HEAD(WIRE_DONE);
    struct buf b = BUF_INIT;
    memset(line, 'x', sizeof(line));
    memcpy(line, "DONE 1 0 type=", 14);
    line[WIRE_LINE_MAX - 1] = '\0';
    ck_assert_int_eq(wire_parse(line, WIRE_LINE_MAX - 1, &h), 0);
    h.type = line + 14;
    ck_assert_int_eq(wire_put(&b, &h), 0); /* exactly as long */
    ck_assert_uint_eq(b.len, WIRE_LINE_MAX);
    memset(line, 'x', sizeof(line));
    memcpy(line, "DONE 1 0 type=", 14);
    line[WIRE_LINE_MAX] = '\0';
    ck_assert_int_eq(wire_parse(line, WIRE_LINE_MAX, &h), FUT_ERR_INVAL);
    h.type = line + 14;
    ck_assert_int_eq(wire_put(&b, &h), FUT_ERR_INVAL);
    ck_assert_uint_eq(b.len, WIRE_LINE_MAX); /* nothing of it */
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_says_nothing_that_cannot_be_read)
{
    struct buf b = BUF_INIT;
    struct wire_head h = WIRE_HEAD(WIRE_RUN);
    h.type = "a\nDONE 1 0";
    ck_assert_int_eq(wire_put(&b, &h), FUT_ERR_INVAL);
    h.type = "";
    ck_assert_int_eq(wire_put(&b, &h), FUT_ERR_INVAL);
    h.type = NULL;
    h.handler = "two words";
    ck_assert_int_eq(wire_put(&b, &h), FUT_ERR_INVAL);
    ck_assert_uint_eq(b.len, 0);
    buf_release(&b);
}
END_TEST

int main(void)
{
    TCase *lines = tcase_create("lines");
    tcase_add_test(lines, test_wire_round_trip_of_every_field);
    tcase_add_test(lines, test_wire_says_that_a_task_comes_ahead);
    tcase_add_test(lines, test_wire_reads_the_documented_lines);
    tcase_add_loop_test(lines, test_wire_refuses_what_is_malformed, 0, FUT_COUNT(malformed));
    tcase_add_test(lines, test_wire_line_limits);
    tcase_add_test(lines, test_wire_says_nothing_that_cannot_be_read);
    return suite_run_cases("wire", lines, NULL);
}
