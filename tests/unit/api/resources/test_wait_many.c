/* POST /v1/wait: all, any, the first failure; in time, and never too late. */
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

/* Sends the wait and returns its connection. */
static int begin_wait(const struct made *m, const char *more)
{
    struct buf b = BUF_INIT;
    int fd = client_connect(&f);
    write_ids(&b, m, more);
    client_ask(fd, "POST /v1/wait", "", b.data);
    buf_release(&b);
    return fd;
}

static struct reply end_wait(int fd)
{
    struct reply r = client_read(fd);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_msg(r.status == 200, "%s%s", r.head, r.body);
    return r;
}

/* Ids under "done". */
static size_t count_done(const struct reply *r)
{
    const char *end = strstr(r->body, "\"not_done\":");
    ck_assert_ptr_nonnull(end);
    return text_count(r->body, "\"0") - text_count(end, "\"0");
}

static const struct {
    const char *when;
    int fails;   /* this one is not cancelled but fails by itself; -1 none */
    size_t done; /* when it answers */
} wishes[] = {
    {"", -1, 3},
    {",\"return_when\":\"ALL_COMPLETED\"", -1, 3},
    {",\"return_when\":\"FIRST_COMPLETED\"", -1, 1},
    {",\"return_when\":\"FIRST_EXCEPTION\"", -1, 3}, /* a cancelled future is no exception */
    {",\"return_when\":\"FIRST_EXCEPTION\"", 1, 1},
};

START_TEST(test_wait_many_answers_when_enough_are_done)
{
    static struct made m;
    make_batch(&f,
               wishes[_i].fails < 0
                   ? "{\"handler\":\"hold\",\"inputs\":[1,2,3]}"
                   : "{\"tasks\":[{\"handler\":\"hold\"},{\"handler\":\"fail\"},{\"handler\":"
                     "\"hold\"}]}",
               &m);
    int fd = begin_wait(&m, wishes[_i].when);
    for (size_t i = 0; i < 3 && wishes[_i].fails < 0; i++) {
        await_stats(&f, "\"waiters\":1,"); /* it still waits */
        cancel_one(&f, m.ids[i]);
        if (i + 1 == wishes[_i].done)
            break;
    }
    struct reply r = end_wait(fd);
    ck_assert_uint_eq(count_done(&r), wishes[_i].done);
    ck_assert_uint_eq(text_count(r.body, "\"0"), 3);
    await_stats(&f, "\"waiters\":0,");
    free(r.body);
}
END_TEST

START_TEST(test_wait_many_ends_with_the_time)
{
    static struct made m;
    make_batch(&f, "{\"tasks\":[{\"handler\":\"hold\"},{\"handler\":\"echo\"}]}", &m);
    int64_t before = clock_mono_ms();
    struct reply r = end_wait(begin_wait(&m, ",\"timeout\":0.3"));
    ck_assert_int_ge(clock_mono_ms() - before, 300);
    ck_assert_uint_eq(count_done(&r), 1);
    free(r.body);
    r = end_wait(begin_wait(&m, ",\"timeout\":0"));
    ck_assert_uint_eq(text_count(r.body, "\"0"), 2);
    free(r.body);
}
END_TEST

START_TEST(test_wait_many_takes_each_id_once)
{
    static struct made m;
    struct buf b = BUF_INIT;
    make_many(&f, "echo", 1, &m);
    buf_printf(&b, "{\"ids\":[\"%s\",\"%s\",\"%s\"]}", m.ids[0], m.ids[0], m.ids[0]);
    struct reply r = ask(&f, "POST /v1/wait", "", b.data);
    ck_assert_uint_eq(text_count(r.body, "\"0"), 1);
    ck_assert_int_eq(r.status, 200);
    free(r.body);
    expect(ask(&f, "POST /v1/wait", "", "{\"ids\":[]}"), 200, "{\"done\":[],\"not_done\":[]}", NULL,
           NULL);
    buf_release(&b);
}
END_TEST

START_TEST(test_wait_many_takes_a_batch)
{
    static struct made m;
    struct buf b = BUF_INIT;
    make_many(&f, "echo", 1000, &m);
    buf_printf(&b, "{\"batch\":\"%s\"}", m.batch);
    struct reply r = ask(&f, "POST /v1/wait", "", b.data);
    ck_assert_int_eq(r.status, 200);
    ck_assert_uint_eq(count_done(&r), 1000);
    free(r.body);
    buf_release(&b);
}
END_TEST

#define LOST "019ab8e5-0000-7000-8000-000000000000"
static const struct {
    const char *body;
    int status;
    const char *code, *more;
} refusals[] = {
    {"{", 400, "bad_json", "line"},
    {"[]", 422, "wrong_type", "object"},
    {"{}", 422, "missing_field", "either"},
    {"{\"ids\":[],\"batch\":\"" LOST "\"}", 422, "invalid_value", "either"},
    {"{\"ids\":3}", 422, "wrong_type", "\"field\":\"ids\""},
    {"{\"ids\":[3]}", 422, "wrong_type", "\"field\":\"ids[0]\""},
    {"{\"ids\":[\"x\"]}", 404, "unknown_future", "\\\"x\\\""},
    {"{\"ids\":[\"" LOST "\"]}", 404, "unknown_future", LOST},
    {"{\"batch\":\"" LOST "\"}", 404, "unknown_batch", LOST},
    {"{\"batch\":1}", 422, "wrong_type", "\"field\":\"batch\""},
    {"{\"ids\":[],\"return_when\":\"SOON\"}", 422, "invalid_value", "FIRST_EXCEPTION"},
    {"{\"ids\":[],\"timeout\":-1}", 422, "invalid_value", "\"field\":\"timeout\""},
    {"{\"ids\":[],\"wait\":1}", 422, "unknown_field", "\"field\":\"wait\""},
};

START_TEST(test_wait_many_refuses)
{
    char code[64];
    expect(ask(&f, "POST /v1/wait", "", refusals[_i].body), refusals[_i].status,
           line_of(code, sizeof(code), "\"code\":\"%s\"", refusals[_i].code), refusals[_i].more,
           NULL);
}
END_TEST

START_TEST(test_wait_many_that_leaves_is_freed)
{
    static struct made m;
    int fds[10];
    make_many(&f, "hold", 60, &m);
    for (size_t i = 0; i < FUT_COUNT(fds); i++)
        fds[i] = begin_wait(&m, "");
    await_stats(&f, "\"waiters\":10,");
    for (size_t i = 0; i < FUT_COUNT(fds); i++)
        ck_assert_int_eq(close(fds[i]), 0);
    await_stats(&f, "\"waiters\":0,");
}
END_TEST

/* The tasks end while the waits for them come in: whatever comes first, none waits for its
 * time-out, which is longer than the client's patience. */
START_TEST(test_wait_many_never_misses_the_moment)
{
    int poster = client_connect(&f), waiter = client_connect(&f);
    static struct made m;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 1000; i++) {
        made_read(&m, client_do(poster, "POST /v1/batches", "",
                                "{\"handler\":\"echo\",\"inputs\":[1,2,3,4,5]}"));
        write_ids(&b, &m, i % 2 ? ",\"timeout\":60" : ",\"return_when\":\"FIRST_COMPLETED\"");
        expect(client_do(waiter, "POST /v1/wait", "", b.data), 200, "\"done\":[\"",
               i % 2 ? "\"not_done\":[]" : NULL, NULL);
    }
    ck_assert_int_eq(close(poster), 0);
    ck_assert_int_eq(close(waiter), 0);
    buf_release(&b);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_wait_many_answers_when_enough_are_done, FUT_COUNT(wishes)},
        {test_wait_many_ends_with_the_time, 0},
        {test_wait_many_takes_each_id_once, 0},
        {test_wait_many_takes_a_batch, 0},
        {test_wait_many_refuses, FUT_COUNT(refusals)},
        {test_wait_many_that_leaves_is_freed, 0},
        {test_wait_many_never_misses_the_moment, 0},
    };
    return suite_run_rows("wait_many", 40, setup, teardown, rows, FUT_COUNT(rows));
}
