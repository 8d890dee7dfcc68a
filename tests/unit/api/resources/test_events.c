/* as_completed as a stream: each future once, in the order of the ends, live and resumed. */
#include <stdatomic.h>

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

static int stream_ids(const struct made *m, const char *headers)
{
    struct buf b = BUF_INIT;
    write_ids(&b, m, "");
    int fd = stream_open(&f, "POST /v1/as_completed", headers, b.data);
    buf_release(&b);
    return fd;
}

/* The ids of the events, which must grow. */
static uint64_t last_event(const char *text)
{
    uint64_t last = 0;
    for (const char *at = text; (at = strstr(at, "\nid: ")); at++) {
        uint64_t id = strtoull(at + 5, NULL, 10);
        ck_assert_msg(id > last, "event %lu after %lu", (unsigned long)id, (unsigned long)last);
        last = id;
    }
    return last;
}

START_TEST(test_events_come_in_order_of_completion)
{
    static struct made m;
    static const size_t order[] = {2, 0, 1};
    struct buf b = BUF_INIT;
    make_many(&f, "hold", 3, &m);
    cancel_one(&f, m.ids[order[0]]); /* before the stream */
    int fd = stream_ids(&m, "");
    for (size_t i = 0; i < 3; i++) {
        char want[64];
        if (i)
            cancel_one(&f, m.ids[order[i]]);
        ck_assert(
            stream_until(fd, &b, line_of(want, sizeof(want), "{\"id\":\"%s\"", m.ids[order[i]])));
        ck_assert_uint_eq(text_count(b.data, "event: done\n"), i + 1);
    }
    stream_rest(fd, &b);
    ck_assert_ptr_nonnull(strstr(b.data, "Content-Type: text/event-stream\r\n"));
    ck_assert_ptr_nonnull(strstr(b.data, "event: end\ndata: {\"total\":3,\"sent\":3}\n\n"));
    (void)last_event(b.data);
    await_stats(&f, "\"waiters\":0,");
    buf_release(&b);
}
END_TEST

START_TEST(test_events_resume_after_the_last_one_seen)
{
    static struct made m;
    struct buf b = BUF_INIT;
    char header[64], id[64];
    make_many(&f, "echo", 5, &m);
    stream_rest(stream_batch(&f, &m, "events", ""), &b);
    ck_assert_uint_eq(text_count(b.data, "event: done\n"), 5);
    const char *third = b.data;
    for (int i = 0; i < 3; i++)
        third = strstr(third, "\nid: ") + 5;
    (void)snprintf(id, sizeof(id), "%.*s", (int)strcspn(third, "\n"), third);
    b.len = 0;
    (void)line_of(header, sizeof(header), "Last-Event-ID: %s\r\n", id);
    stream_rest(stream_batch(&f, &m, "events", header), &b);
    ck_assert_uint_eq(text_count(b.data, "event: done\n"), 2);
    ck_assert_uint_gt(strtoull(strstr(b.data, "\nid: ") + 5, NULL, 10), strtoull(id, NULL, 10));
    buf_release(&b);
}
END_TEST

START_TEST(test_events_say_when_the_history_is_gone)
{
    static struct made m;
    char line[128], header[64];
    struct buf b = BUF_INIT;
    make_many(&f, "echo", 2, &m);
    stream_rest(stream_ids(&m, ""), &b);
    (void)line_of(header, sizeof(header), "Last-Event-ID: %lu\r\n",
                  (unsigned long)last_event(b.data));
    expect(ask(&f, line_of(line, sizeof(line), "DELETE /v1/futures/%s", m.ids[0]), "", NULL), 204,
           NULL, NULL, NULL);
    write_ids(&b, &m, "");
    expect(ask(&f, "POST /v1/as_completed", "", b.data), 404, "unknown_future", m.ids[0], NULL);
    expect(ask(&f, "POST /v1/as_completed", header, b.data), 410, "history_gone", NULL, NULL);
    expect(ask(&f, line_of(line, sizeof(line), "GET /v1/batches/%s/events", m.batch), header, NULL),
           410, "history_gone", NULL, NULL);
    expect(ask(&f, "POST /v1/as_completed", "Last-Event-ID: x\r\n", b.data), 400, "invalid_header",
           "Last-Event-ID", NULL);
    expect(ask(&f, "POST /v1/as_completed", "", "{\"ids\":[],\"timeout\":1}"), 422, "unknown_field",
           NULL, NULL);
    buf_release(&b);
}
END_TEST

START_TEST(test_events_come_as_lines_when_asked)
{
    static struct made m;
    struct buf b = BUF_INIT;
    make_batch(&f, "{\"handler\":\"echo\",\"inputs\":[{\n\"a\":\r\n1}]}", &m);
    stream_rest(stream_ids(&m, "Accept: application/x-ndjson\r\n"), &b);
    ck_assert_ptr_nonnull(strstr(b.data, "Content-Type: application/x-ndjson\r\n"));
    ck_assert_ptr_nonnull(strstr(b.data, "\r\n\r\n{\"event\":\"done\",\"id\":"));
    ck_assert_ptr_nonnull(strstr(b.data, "\"result\":{ \"a\":  1}"));
    ck_assert_ptr_nonnull(strstr(b.data, "}}\n{\"event\":\"end\",\"data\":{\"total\":1"));
    buf_release(&b);
}
END_TEST

/* The answer to a submission is the stream, and says first what was accepted; also the second time,
 * under the same key. */
START_TEST(test_events_of_a_batch_just_submitted)
{
    static const char body[] = "{\"handler\":\"echo\",\"inputs\":[1,2,3]}";
    static const char headers[] = "Accept: application/x-ndjson\r\nIdempotency-Key: k\r\n";
    struct buf first = BUF_INIT, again = BUF_INIT;
    stream_rest(stream_open(&f, "POST /v1/batches?events=true&fields=state", headers, body),
                &first);
    ck_assert_ptr_nonnull(strstr(first.data, " 200 "));
    const char *accepted =
        strstr(first.data, "\r\n\r\n{\"event\":\"accepted\",\"data\":{\"id\":\"");
    ck_assert_ptr_nonnull(accepted);
    ck_assert_ptr_nonnull(strstr(accepted, "\"total\":3,"));
    ck_assert_uint_eq(text_count(first.data, "\n{\"event\":\"done\""), 3);
    ck_assert_uint_eq(text_count(first.data, "\",\"state\":\"succeeded\"}}\n"), 3);
    ck_assert_ptr_nonnull(
        strstr(first.data, "\n{\"event\":\"end\",\"data\":{\"total\":3,\"sent\":3}}"));
    stream_rest(stream_open(&f, "POST /v1/batches?events=true&fields=state", headers, body),
                &again);
    ck_assert_ptr_nonnull(strstr(again.data, "Idempotency-Replayed: true\r\n"));
    ck_assert_str_eq(strstr(again.data, "\r\n\r\n"), strstr(first.data, "\r\n\r\n"));
    await_stats(&f, "\"waiters\":0,");
    expect(ask(&f, "POST /v1/batches?fields=state", "", body), 400, "invalid_parameter", "fields",
           NULL);
    expect(ask(&f, "POST /v1/batches?events=yes", "", body), 400, "invalid_parameter", "events",
           NULL);
    expect(ask(&f, "POST /v1/batches?events=true", "", "{\"handler\":\"nobody\",\"inputs\":[1]}"),
           422, "unknown_handler", NULL, NULL);
    buf_release(&first);
    buf_release(&again);
}
END_TEST

static atomic_bool was_reported;
static void reported(struct store_op *op)
{
    ck_assert_int_eq(op->rc, 0);
    atomic_store(&was_reported, true);
}

START_TEST(test_events_tell_of_progress)
{
    static struct made m;
    struct buf b = BUF_INIT;
    struct store_report o = {.attempt = 1, .progress = 0.25, .message = "a \"quarter\""};
    make_many(&f, "hold", 1, &m);
    int fd = stream_ids(&m, "");
    await_stats(&f, "\"waiters\":1,");
    await_stats(&f, "\"running\":1");
    ck_assert(id_parse(m.ids[0], &o.id));
    ck_assert_int_eq(store_post(f.store, &store_verb_report, &o.op, reported), 0);
    ck_assert(stream_until(fd, &b, "event: progress\ndata: {\"id\":\""));
    cancel_one(&f, m.ids[0]);
    stream_rest(fd, &b);
    ck_assert_ptr_nonnull(strstr(b.data, "\"fraction\":0.25,\"message\":\"a \\\"quarter\\\"\""));
    ck_assert_uint_eq(text_count(b.data, "event: done\n"), 1);
    ck_assert(atomic_load(&was_reported));
    buf_release(&b);
}
END_TEST

START_TEST(test_events_of_a_thousand_come_each_once)
{
    static struct made m;
    struct buf b = BUF_INIT;
    make_many(&f, "echo", 1000, &m); /* they end while the stream begins */
    stream_rest(_i ? stream_ids(&m, "") : stream_batch(&f, &m, "events", ""), &b);
    ck_assert_uint_eq(text_count(b.data, "event: done\n"), 1000);
    for (size_t i = 0; i < m.n; i++) {
        char want[64];
        ck_assert_uint_eq(
            text_count(b.data, line_of(want, sizeof(want), "data: {\"id\":\"%s\"", m.ids[i])), 1);
    }
    (void)last_event(b.data);
    buf_release(&b);
}
END_TEST

START_TEST(test_events_readers_that_leave_are_freed)
{
    static struct made m;
    int fds[20];
    make_many(&f, "hold", 50, &m);
    for (size_t i = 0; i < FUT_COUNT(fds); i++)
        fds[i] = stream_batch(&f, &m, "events", "");
    await_stats(&f, "\"waiters\":20,");
    for (size_t i = 0; i < FUT_COUNT(fds); i++)
        ck_assert_int_eq(close(fds[i]), 0);
    await_stats(&f, "\"waiters\":0,");
}
END_TEST

/* A reader that does not read stops the stream where it is; when it reads, nothing is missing. */
START_TEST(test_events_wait_for_a_slow_reader)
{
    static struct made m;
    struct buf body = BUF_INIT, b = BUF_INIT;
    buf_puts(&body, "{\"handler\":\"echo\",\"inputs\":[");
    for (int i = 0; i < 60; i++)
        buf_printf(&body, "%s\"%01500d\"", i ? "," : "", i);
    buf_puts(&body, "]}");
    make_batch(&f, body.data, &m);
    int slow = stream_batch(&f, &m, "events", ""), fd = stream_batch(&f, &m, "results?wait=9", "");
    stream_rest(fd, &b);
    ck_assert_uint_eq(text_count(b.data, "\"state\":\"succeeded\""), 60);
    b.len = 0;
    stream_rest(slow, &b);
    ck_assert_uint_eq(text_count(b.data, "event: done\n"), 60);
    buf_release(&body);
    buf_release(&b);
}
END_TEST

/* As many bytes of a stream as no socket holds are in front of its other events. */
enum { LARGE = 3, LARGE_BYTES = 3 << 20, SMALL = 100 };

static void add_made(struct made *all, const struct made *m)
{
    for (size_t i = 0; i < m->n; i++)
        memcpy(all->ids[all->n++], m->ids[i], ID_TEXT_SIZE);
}

static void make_large(const struct fixture *f2, struct made *all)
{
    static struct made m;
    char *text = text_repeat('x', LARGE_BYTES);
    char *body = text_printf("{\"handler\":\"echo\",\"inputs\":[\"%s\"]}", text);
    for (int i = 0; i < LARGE; i++) {
        make_batch(f2, body, &m);
        add_made(all, &m);
    }
    free(body);
    free(text);
}

static void skip_bytes(int fd, size_t n)
{
    char part[65536];
    while (n > 0) {
        ssize_t got = recv(fd, part, n < sizeof(part) ? n : sizeof(part), 0);
        ck_assert_int_gt(got, 0);
        n -= (size_t)got;
    }
}

static void change(const struct fixture *f2, const char *method, const char *id, const char *what,
                   int status)
{
    char line[128];
    bool is_post = strcmp(method, "POST") == 0;
    (void)snprintf(line, sizeof(line), "%s /v1/futures/%s%s", method, id, what);
    expect(ask(f2, line, "", is_post ? "" : NULL), status, NULL, NULL, NULL);
}

/* While the reader takes its time, futures whose ends it is to be told of are deleted and retried.
 */
START_TEST(test_events_read_together_tell_what_is_so_then)
{
    struct fixture own;
    static struct made all, m;
    struct api_config config = fixture_config;
    struct buf b = BUF_INIT;
    char want[64];
    static const size_t gone[] = {10, 50, 90}, retried[] = {20, 60, SMALL - 1};
    config.max_body_bytes = LARGE_BYTES + 1000;
    fixture_start_with(&own, &config, 1000);
    fixture_work(&own);
    all.n = 0;
    make_large(&own, &all);
    await_stats(&own, "\"succeeded\":3");
    make_many(&own, "hold", SMALL, &m);
    add_made(&all, &m);
    write_ids(&b, &all, "");
    int fd = stream_open(&own, "POST /v1/as_completed", "", b.data);
    await_stats(&own, "\"waiters\":1,");
    for (size_t i = 0; i < SMALL; i++)
        cancel_one(&own, m.ids[i]);
    for (size_t i = 0; i < 3; i++) {
        change(&own, "DELETE", m.ids[gone[i]], "", 204);
        change(&own, "POST", m.ids[retried[i]], "/retry", 202);
    }
    change(&own, "POST", m.ids[30], "/retry", 202); /* and ends behind all others */
    cancel_one(&own, m.ids[30]);
    skip_bytes(fd, (size_t)LARGE * LARGE_BYTES);
    b.len = 0;
    ck_assert(stream_until(fd, &b,
                           line_of(want, sizeof(want), "data: {\"id\":\"%s\"", m.ids[SMALL - 2])));
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_null(
            strstr(b.data, line_of(want, sizeof(want), "data: {\"id\":\"%s\"", m.ids[retried[i]])));
        cancel_one(&own, m.ids[retried[i]]);
    }
    stream_rest(fd, &b);
    ck_assert_uint_eq(text_count(b.data, "event: gone\n"), 3);
    ck_assert_uint_eq(text_count(b.data, "event: done\n"), SMALL - 3);
    ck_assert_ptr_nonnull(strstr(b.data, "event: end\ndata: {\"total\":103,\"sent\":100}\n\n"));
    (void)last_event(b.data);
    buf_release(&b);
    fixture_stop(&own);
}
END_TEST

START_TEST(test_events_end_without_end_when_the_daemon_stops)
{
    struct fixture own;
    static struct made m;
    struct buf b = BUF_INIT;
    fixture_start_with(&own, &fixture_config, 1000);
    make_many(&own, "echo", 3, &m);
    int fd = stream_batch(&own, &m, "events", "");
    await_stats(&own, "\"waiters\":1,");
    fixture_stop(&own);
    stream_rest(fd, &b);
    ck_assert_ptr_nonnull(strstr(b.data, "retry: "));
    ck_assert_uint_eq(text_count(b.data, "event: end"), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_events_are_chunked_for_http_1_1)
{
    static struct made m;
    struct buf b = BUF_INIT;
    char line[128];
    make_many(&f, "echo", 3, &m);
    int fd = client_connect(&f);
    client_ask(fd, line_of(line, sizeof(line), "GET /v1/batches/%s/events", m.batch), "", NULL);
    ck_assert(stream_until(fd, &b, "\r\n0\r\n\r\n"));
    ck_assert_ptr_nonnull(strstr(b.data, "Transfer-Encoding: chunked\r\n"));
    expect(client_do(fd, "GET /healthz", "", NULL), 200, "ok", NULL, NULL); /* kept alive */
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_events_come_in_order_of_completion, 0},
        {test_events_resume_after_the_last_one_seen, 0},
        {test_events_say_when_the_history_is_gone, 0},
        {test_events_come_as_lines_when_asked, 0},
        {test_events_of_a_batch_just_submitted, 0},
        {test_events_tell_of_progress, 0},
        {test_events_of_a_thousand_come_each_once, 2},
        {test_events_readers_that_leave_are_freed, 0},
        {test_events_wait_for_a_slow_reader, 0},
        {test_events_read_together_tell_what_is_so_then, 0},
        {test_events_end_without_end_when_the_daemon_stops, 0},
        {test_events_are_chunked_for_http_1_1, 0},
    };
    return suite_run_rows("events", 30, setup, teardown, rows, FUT_COUNT(rows));
}
