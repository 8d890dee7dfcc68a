/* GET /v1/events: all that happens, filtered, resumed, and what a reader is told that came late. */
#include "tests/support/suite.h"
#include "tests/unit/api/resources/streams.h"

static struct fixture f;

static void setup(void)
{
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

/* Opens the stream and waits until it has begun. */
static int follow(const char *query, const char *headers, struct buf *b)
{
    char line[128];
    int fd = stream_open(&f, line_of(line, sizeof(line), "GET /v1/events%s", query), headers, NULL);
    ck_assert(stream_until(fd, b, "\r\n\r\n"));
    return fd;
}

static uint64_t id_before(const char *text, const char *needle)
{
    const char *at = strstr(text, needle), *id = NULL;
    ck_assert_ptr_nonnull(at);
    for (const char *next = text; (next = strstr(next, "\nid: ")) && next < at; next++)
        id = next;
    ck_assert_ptr_nonnull(id);
    return strtoull(id + 5, NULL, 10);
}

START_TEST(test_activity_shows_the_life_of_a_task)
{
    static const char *const events[] = {"event: open\n", "event: submitted\n", "event: started\n",
                                         "event: ended\n"};
    static struct made m;
    struct buf b = BUF_INIT;
    int fd = follow("", "", &b);
    make_many(&f, "echo", 1, &m);
    ck_assert(stream_until(fd, &b, "\"state\":\"succeeded\""));
    const char *at = b.data;
    for (size_t i = 0; i < FUT_COUNT(events); i++) {
        at = strstr(at, events[i]);
        ck_assert_msg(at != NULL, "no %s (in its place) in %s", events[i], b.data);
    }
    ck_assert_uint_eq(text_count(b.data, m.ids[0]), 3);
    ck_assert_uint_eq(text_count(b.data, m.batch), 3);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_activity_is_filtered_as_lists_are)
{
    static struct made echoed, waiting;
    struct buf b = BUF_INIT;
    int fd = follow("?handler=hold&types=ended", "Accept: application/x-ndjson\r\n", &b);
    make_many(&f, "echo", 3, &echoed);
    make_many(&f, "hold", 1, &waiting);
    cancel_one(&f, waiting.ids[0]);
    ck_assert(stream_until(fd, &b, "\"event\":\"ended\""));
    ck_assert(stream_until(fd, &b, "\"code\":\"cancelled\"}}\n"));
    ck_assert_uint_eq(text_count(b.data, waiting.ids[0]), 1);
    ck_assert_uint_eq(text_count(b.data, "echo"), 0);
    ck_assert_uint_eq(text_count(b.data, "started"), 0);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_activity_goes_on_after_the_last_event_seen)
{
    static struct made first, second;
    char header[64];
    struct buf b = BUF_INIT;
    int fd = follow("?types=ended", "", &b);
    make_many(&f, "echo", 2, &first);
    ck_assert(stream_until(fd, &b, first.ids[1]));
    uint64_t last = id_before(b.data, first.ids[1]);
    ck_assert_int_eq(close(fd), 0);
    make_many(&f, "echo", 1, &second); /* while nobody reads */
    b.len = 0;
    fd = follow("?types=ended",
                line_of(header, sizeof(header), "Last-Event-ID: %lu\r\n", (unsigned long)last), &b);
    ck_assert(stream_until(fd, &b, second.ids[0]));
    ck_assert_uint_eq(text_count(b.data, first.ids[0]) + text_count(b.data, first.ids[1]), 0);
    ck_assert_uint_eq(text_count(b.data, "event: missed"), 0);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_activity_says_what_was_missed)
{
    static struct made m;
    char header[64];
    struct buf b = BUF_INIT;
    int fd = follow("", "Last-Event-ID: 7\r\n", &b);
    ck_assert(stream_until(fd, &b, "event: missed\ndata: {\"count\":null}\n\n"));
    ck_assert_int_eq(close(fd), 0);
    b.len = 0;
    fd = follow("", "", &b);
    ck_assert(stream_until(fd, &b, "event: open"));
    uint64_t open = id_before(b.data, "data: {\"at\"");
    for (int i = 0; i < 9; i++) /* 27,000 events, more than are kept */
        make_many(&f, "echo", 1000, &m);
    struct buf late = BUF_INIT;
    int other = follow(
        "?types=ended",
        line_of(header, sizeof(header), "Last-Event-ID: %lu\r\n", (unsigned long)open), &late);
    ck_assert(stream_until(other, &late, "event: missed\ndata: {\"count\":"));
    ck_assert(stream_until(other, &late, m.ids[999])); /* and then goes on */
    ck_assert_int_eq(close(other), 0);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&late);
    buf_release(&b);
}
END_TEST

/* A reader that keeps up gets each end once, whatever the moment of its sleep. */
START_TEST(test_activity_loses_no_event)
{
    static struct made m;
    struct buf b = BUF_INIT;
    int fd = follow("?types=ended", "", &b);
    for (int i = 0; i < 300; i++) {
        make_many(&f, "echo", 1, &m);
        ck_assert(stream_until(fd, &b, m.ids[0]));
    }
    ck_assert_uint_eq(text_count(b.data, "event: ended\n"), 300);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_activity_refuses_what_it_does_not_know)
{
    expect(ask(&f, "GET /v1/events?types=ended,eaten", "", NULL), 400, "\"parameter\":\"types\"",
           "submitted, started", NULL);
    expect(ask(&f, "GET /v1/events?lane=gpu", "", NULL), 400, "\"parameter\":\"lane\"", NULL, NULL);
    expect(ask(&f, "GET /v1/events", "Last-Event-ID: x\r\n", NULL), 400, "Last-Event-ID", NULL,
           NULL);
    await_stats(&f, "\"waiters\":0,");
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_activity_shows_the_life_of_a_task, 0},
        {test_activity_is_filtered_as_lists_are, 0},
        {test_activity_goes_on_after_the_last_event_seen, 0},
        {test_activity_says_what_was_missed, 0},
        {test_activity_loses_no_event, 0},
        {test_activity_refuses_what_it_does_not_know, 0},
    };
    return suite_run_rows("activity", SUITE_TIMEOUT_S, setup, teardown, rows, FUT_COUNT(rows));
}
