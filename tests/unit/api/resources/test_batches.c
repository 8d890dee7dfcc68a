/* Batches: three ways to submit one, all or nothing, and their results in order. */
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

/* The lines of /results, with ?wait. */
static void read_results(const struct made *m, struct buf *out)
{
    stream_rest(stream_batch(&f, m, "results?wait=10", ""), out);
}

START_TEST(test_batches_map_gives_results_in_order)
{
    static struct made m;
    struct buf b = BUF_INIT;
    char want[64];
    make_many(&f, "echo", 100, &m);
    ck_assert_uint_eq(m.n, 100);
    read_results(&m, &b);
    const char *at = b.data;
    for (size_t i = 0; i < m.n; i++) {
        at = strstr(at, m.ids[i]);
        ck_assert_msg(at != NULL, "result %zu is not in its place", i);
        ck_assert_ptr_nonnull(strstr(at, line_of(want, sizeof(want), "\"result\":%zu,", i)));
    }
    ck_assert_uint_eq(text_count(b.data, "\n{\"id\":"), 100);
    buf_release(&b);
}
END_TEST

START_TEST(test_batches_take_tasks_and_lines)
{
    static const char *const bodies[] = {
        "{\"tasks\":[{\"handler\":\"echo\",\"input\":[1, \"]\"]},{\"handler\":\"echo\",\"input\":"
        "\"b\",\"lane\":\"cpu\",\"timeout\":5,\"retries\":3}],\"fail_fast\":true}",
        "{\"handler\":\"echo\",\"input\":[1, \"]\"]}\n\n  \n{\"handler\":\"echo\",\"input\":\"b\","
        "\"lane\":\"cpu\"}"};
    static const char *const types[] = {"application/json", "application/x-ndjson"};
    static struct made m;
    struct buf b = BUF_INIT;
    char header[64];
    made_read(&m,
              ask(&f, "POST /v1/batches?fail_fast=true",
                  line_of(header, sizeof(header), "Content-Type: %s\r\n", types[_i]), bodies[_i]));
    ck_assert_uint_eq(m.n, 2);
    read_results(&m, &b);
    ck_assert_ptr_nonnull(strstr(b.data, "\"result\":[1, \"]\"]"));
    ck_assert_ptr_nonnull(strstr(b.data, "\"text\":\"b\""));
    ck_assert_ptr_nonnull(strstr(b.data, "\"lane\":\"cpu\""));
    char line[128];
    expect(ask(&f, line_of(line, sizeof(line), "GET /v1/batches/%s", m.batch), "", NULL), 200,
           "\"fail_fast\":true", "\"succeeded\":2", "\"done\":true");
    buf_release(&b);
}
END_TEST

static const struct {
    const char *body, *type;
    int status;
    const char *code, *more;
} refusals[] = {
    {"", "application/json", 400, "bad_json", "column"},
    {"[]", "application/json", 422, "wrong_type", "object"},
    {"{}", "application/json", 422, "missing_field", "\"field\":\"tasks\""},
    {"{\"tasks\":1}", "application/json", 422, "wrong_type", "\"field\":\"tasks\""},
    {"{\"tasks\":[]}", "application/json", 422, "invalid_value", "at least one"},
    {"{\"tasks\":[{\"handler\":\"echo\"},7]}", "application/json", 422, "wrong_type", "tasks[1]"},
    {"{\"tasks\":[{\"handler\":\"echo\"},{}]}", "application/json", 422, "missing_field",
     "\"field\":\"tasks[1].handler\""},
    {"{\"tasks\":[{\"handler\":\"nope\"}]}", "application/json", 422, "unknown_handler",
     "\"field\":\"tasks[0].handler\""},
    {"{\"tasks\":[{\"handler\":\"hold\",\"lane\":\"io\"}]}", "application/json", 422, "lane_fixed",
     "\"field\":\"tasks[0].lane\""},
    {"{\"tasks\":[{\"handler\":\"echo\"}],\"fail_fast\":1}", "application/json", 422, "wrong_type",
     "\"field\":\"fail_fast\""},
    {"{\"tasks\":[{\"handler\":\"echo\"}],\"inputs\":[]}", "application/json", 422, "unknown_field",
     "\"field\":\"inputs\""},
    {"{\"inputs\":[1]}", "application/json", 422, "missing_field", "\"field\":\"handler\""},
    {"{\"handler\":\"nope\",\"inputs\":[1]}", "application/json", 422, "unknown_handler",
     "\"field\":\"handler\""},
    {"{\"handler\":\"echo\",\"inputs\":[1],\"timeout\":0}", "application/json", 422,
     "invalid_value", "\"field\":\"timeout\""},
    {"\n \n", "application/x-ndjson", 422, "invalid_value", "at least one"},
    {"{\"handler\":\"echo\"}\n{\"handler\":}", "application/x-ndjson", 400, "bad_json",
     "\"detail\":\"Line 2, column"},
    {"{\"handler\":\"echo\"}\n{\"handler\":\"nope\"}", "application/x-ndjson", 422,
     "unknown_handler", "\"line\":2"},
};

START_TEST(test_batches_refuse_and_store_nothing)
{
    char header[64], code[64];
    expect(ask(&f, "POST /v1/batches",
               line_of(header, sizeof(header), "Content-Type: %s\r\n", refusals[_i].type),
               refusals[_i].body),
           refusals[_i].status, line_of(code, sizeof(code), "\"code\":\"%s\"", refusals[_i].code),
           refusals[_i].more, NULL);
    expect(ask(&f, "GET /v1/futures", "", NULL), 200, "\"futures\":[]", NULL, NULL);
}
END_TEST

/* n times `one`, between head and tail. */
static void repeat(struct buf *b, const char *head, const char *one, int n, const char *tail)
{
    b->len = 0;
    buf_puts(b, head);
    for (int i = 0; i < n; i++)
        buf_puts(b, i ? one : one + 1);
    buf_puts(b, tail);
}

START_TEST(test_batches_have_a_stated_maximum)
{
    struct buf b = BUF_INIT;
    char line[128];
    struct reply r;
    repeat(&b, "{\"handler\":\"echo\",\"inputs\":[", ",1", 10001, "]}");
    expect(ask(&f, "POST /v1/batches", "", b.data), 413, "\"code\":\"batch_too_large\"",
           "\"limit\":10000", NULL);
    expect(ask(&f, "GET /v1/futures", "", NULL), 200, "\"futures\":[]", NULL, NULL);
    repeat(&b, "{\"handler\":\"echo\",\"inputs\":[", ",1", 10000, "]}");
    r = ask(&f, "POST /v1/batches", "", b.data);
    ck_assert_msg(r.status == 202 && reply_has(&r, "\"total\":10000"), "%s", r.head);
    ck_assert_uint_eq(text_count(r.body, "\"0"), 10001);
    (void)line_of(line, sizeof(line), "GET /v1/batches/%.36s", strstr(r.body, "\"id\":\"") + 6);
    expect(ask(&f, line, "", NULL), 200, "\"total\":10000", NULL, NULL);
    free(r.body);
    buf_release(&b);
}
END_TEST

START_TEST(test_batches_that_do_not_fit_leave_nothing)
{
    struct fixture small;
    static struct made m;
    fixture_start_with(&small, &fixture_config, 5);
    expect(ask(&small, "POST /v1/batches", "", "{\"handler\":\"echo\",\"inputs\":[1,2,3,4,5,6]}"),
           503, "\"code\":\"queue_full\"", "Retry-After", NULL);
    expect(ask(&small, "GET /v1/futures", "", NULL), 200, "\"futures\":[]", NULL, NULL);
    make_many(&small, "echo", 5, &m);
    fixture_stop(&small);
}
END_TEST

START_TEST(test_batches_are_cancelled_as_one)
{
    static struct made m;
    char line[128];
    struct buf b = BUF_INIT;
    make_many(&f, "hold", 30, &m);
    int fd = stream_batch(&f, &m, "events", "");
    ck_assert(stream_until(fd, &b, "retry"));
    expect(ask(&f, line_of(line, sizeof(line), "POST /v1/batches/%s/cancel", m.batch), "", ""), 200,
           "\"total\":30", NULL, NULL);
    stream_rest(fd, &b);
    ck_assert_uint_eq(text_count(b.data, "\"state\":\"cancelled\""), 30);
    expect(ask(&f, line_of(line, sizeof(line), "GET /v1/batches/%s", m.batch), "", NULL), 200,
           "\"cancelled\":30", "\"done\":true", "\"progress\":1,");
    buf_release(&b);
}
END_TEST

START_TEST(test_batches_fail_fast_cancels_the_rest)
{
    static struct made m;
    struct buf b = BUF_INIT;
    make_batch(&f,
               "{\"tasks\":[{\"handler\":\"hold\"},{\"handler\":\"fail\"},{\"handler\":\"hold\"}],"
               "\"fail_fast\":true}",
               &m);
    stream_rest(stream_batch(&f, &m, "events", ""), &b);
    ck_assert_uint_eq(text_count(b.data, "\"state\":\"failed\""), 1);
    ck_assert_uint_eq(text_count(b.data, "\"state\":\"cancelled\""), 2);
    buf_release(&b);
}
END_TEST

START_TEST(test_batches_show_how_far_they_are)
{
    static struct made m;
    char line[128];
    struct buf b = BUF_INIT;
    make_batch(&f, "{\"tasks\":[{\"handler\":\"hold\"},{\"handler\":\"hold\"}]}", &m);
    (void)line_of(line, sizeof(line), "GET /v1/batches/%s", m.batch);
    expect(ask(&f, line, "", NULL), 200, "\"progress\":0,", "\"eta\":null", "\"done\":false");
    cancel_one(&f, m.ids[1]);
    expect(ask(&f, line, "", NULL), 200, "\"progress\":0.5,", "\"finished\":1",
           "\"finished_at\":null");
    stream_rest(stream_batch(&f, &m, "results", ""), &b);
    ck_assert_uint_eq(text_count(b.data, "\"done\":false"), 1); /* without ?wait: as it is */
    expect(ask(&f, "GET /v1/batches/nonsense", "", NULL), 404, "unknown_batch", NULL, NULL);
    expect(ask(&f, "GET /v1/batches/019ab8e5-0000-7000-8000-000000000000/results", "", NULL), 404,
           "unknown_batch", NULL, NULL);
    buf_release(&b);
}
END_TEST

/* Who takes a line without a result for a result is told, and told again at the end. */
START_TEST(test_batches_results_cut_by_their_time_say_so)
{
    static struct made m;
    struct buf b = BUF_INIT;
    made_read(&m, ask(&f, "POST /v1/batches", "",
                      "{\"tasks\":[{\"handler\":\"echo\",\"input\":1},{\"handler\":\"hold\"},"
                      "{\"handler\":\"hold\"}]}"));
    stream_rest(stream_batch(&f, &m, "results?wait=0.2", ""), &b);
    ck_assert_uint_eq(text_count(b.data, "\n{\"id\":"), 3);
    ck_assert_uint_eq(text_count(b.data, ",\"timed_out\":true}\n"), 2);
    const char *end = strstr(b.data, "\n{\"type\":\"/problems/not_done\"");
    ck_assert_msg(end != NULL, "%s", b.data);
    ck_assert_msg(strstr(end, "\"status\":409") && strstr(end, "2 of 3"), "%s", end);
    b.len = 0;
    stream_rest(stream_batch(&f, &m, "results", ""), &b); /* as it is: nothing was waited for */
    ck_assert_ptr_null(strstr(b.data, "timed_out"));
    ck_assert_ptr_null(strstr(b.data, "not_done"));
    buf_release(&b);
}
END_TEST

START_TEST(test_batches_results_wait_for_what_is_not_done)
{
    static struct made m;
    struct buf b = BUF_INIT;
    make_batch(&f,
               "{\"tasks\":[{\"handler\":\"echo\"},{\"handler\":\"hold\"},{\"handler\":"
               "\"echo\"}]}",
               &m);
    int fd = stream_batch(&f, &m, "results?wait=30", "");
    ck_assert(stream_until(fd, &b, "\"state\":\"succeeded\""));
    await_stats(&f, "\"waiters\":1,");
    cancel_one(&f, m.ids[1]);
    stream_rest(fd, &b);
    const char *second = strstr(b.data, m.ids[1]);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_nonnull(strstr(second, "\"state\":\"cancelled\""));
    ck_assert_ptr_nonnull(strstr(second, m.ids[2]));
    await_stats(&f, "\"waiters\":0,");
    buf_release(&b);
}
END_TEST

START_TEST(test_batches_are_replayed_by_their_key)
{
    static struct made first, again;
    static const char key[] = "Idempotency-Key: \"batch-1\"\r\n";
    static const char body[] = "{\"handler\":\"echo\",\"inputs\":[1,2,3]}";
    made_read(&first, ask(&f, "POST /v1/batches", key, body));
    struct reply r = ask(&f, "POST /v1/batches", key, body);
    ck_assert(reply_has(&r, "Idempotency-Replayed: true"));
    made_read(&again, r);
    ck_assert_str_eq(first.batch, again.batch);
    ck_assert_uint_eq(again.n, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(first.ids[i], again.ids[i]);
    expect(ask(&f, "POST /v1/batches", key, "{\"handler\":\"echo\",\"inputs\":[1,2]}"), 422,
           "\"code\":\"idempotency_key_reused\"", NULL, NULL);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("batches", 30, setup, teardown);
    tcase_add_test(t, test_batches_map_gives_results_in_order);
    tcase_add_loop_test(t, test_batches_take_tasks_and_lines, 0, 2);
    tcase_add_loop_test(t, test_batches_refuse_and_store_nothing, 0, (int)FUT_COUNT(refusals));
    tcase_add_test(t, test_batches_have_a_stated_maximum);
    tcase_add_test(t, test_batches_that_do_not_fit_leave_nothing);
    tcase_add_test(t, test_batches_are_cancelled_as_one);
    tcase_add_test(t, test_batches_fail_fast_cancels_the_rest);
    tcase_add_test(t, test_batches_show_how_far_they_are);
    tcase_add_test(t, test_batches_results_wait_for_what_is_not_done);
    tcase_add_test(t, test_batches_results_cut_by_their_time_say_so);
    tcase_add_test(t, test_batches_are_replayed_by_their_key);
    return suite_run_cases("batches", t, NULL);
}
