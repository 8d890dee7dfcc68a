/* Batches of lines: read as they come, in whatever pieces, and never held as a whole. */
#include "api/text/batch_in.h"
#include "tests/support/suite.h"
#include "tests/unit/api/resources/streams.h"

#define POST "POST /v1/batches"
#define TYPE "Content-Type: application/x-ndjson\r\n"
#define KEY "Idempotency-Key: \"lines\"\r\n"
#define GOOD "{\"handler\":\"echo\"}\n"
#define LIMIT 100000 /* of the fixture's bodies */

static const char small[] =
    "{\"handler\":\"echo\",\"input\":\"\xc3\xa9\\n\"}\r\n\n{\"handler\":\"fail\"}\n \n"
    "{\"handler\":\"hold\",\"input\":[1, {}]}";
static const char small_read[] =
    "{\"handler\":\"echo\",\"input\":\"\xc3\xa9\\n\"}\r;{\"handler\":\"fail\"};"
    "{\"handler\":\"hold\",\"input\":[1, {}]};";

static struct fixture f;

static void setup(void)
{
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

/* ---- without a server ------------------------------------------------------------------------ */

static int add_line(void *ctx, const char *text, size_t n, struct problem *p)
{
    (void)p;
    buf_put(ctx, text, n);
    buf_putc(ctx, ';');
    return 0;
}

static const struct batch_in_taker taker = {.task = add_line};

static struct batch_lines lines_into(struct buf *got, struct buf *rest)
{
    return (struct batch_lines){
        .in = {.taker = &taker, .ctx = got}, .rest = rest, .max_line_bytes = LIMIT};
}

START_TEST(test_batch_lines_do_not_depend_on_the_pieces)
{
    size_t n = sizeof(small) - 1;
    struct problem p;
    for (size_t from = 0; from <= n; from++) {
        for (size_t to = from; to <= n; to++) {
            struct buf got = BUF_INIT, rest = BUF_INIT;
            struct batch_lines l = lines_into(&got, &rest);
            ck_assert_int_eq(batch_in_put(&l, small, from, &p), 0);
            ck_assert_int_eq(batch_in_put(&l, small + from, to - from, &p), 0);
            ck_assert_int_eq(batch_in_put(&l, small + to, n - to, &p), 0);
            ck_assert_int_eq(batch_in_end(&l, &p), 0);
            ck_assert_str_eq(got.data, small_read);
            buf_release(&got);
            buf_release(&rest);
        }
    }
}
END_TEST

START_TEST(test_batch_lines_keep_only_the_line_that_is_not_complete)
{
    struct buf got = BUF_INIT, rest = BUF_INIT, all = BUF_INIT;
    struct batch_lines l = lines_into(&got, &rest);
    struct problem p;
    for (int i = 0; i < BATCH_IN_MAX; i++)
        buf_puts(&all, "{\"handler\":\"echo\",\"input\":\"some text of no great length\"}\n");
    for (size_t at = 0; at < all.len; at += 1000) {
        size_t n = all.len - at < 1000 ? all.len - at : 1000;
        ck_assert_int_eq(batch_in_put(&l, all.data + at, n, &p), 0);
        ck_assert_uint_lt(rest.len, 100);
        got.len = 0;
    }
    ck_assert_uint_lt(rest.cap, 4096);
    ck_assert_int_eq(batch_in_end(&l, &p), 0);
    ck_assert_uint_eq(l.in.n, BATCH_IN_MAX);
    buf_release(&got);
    buf_release(&rest);
    buf_release(&all);
}
END_TEST

/* ---- frames ---------------------------------------------------------------------------------- */

/* A line that is digits: so many bytes follow; any other is a task. */
static int add_head(void *ctx, const char *text, size_t n, size_t *out_bytes, struct problem *p)
{
    char *end;
    if (n && *text == '!') {
        problem_set(p, PROBLEM_INVALID_VALUE, "bad");
        problem_set_field(p, "lane");
        return FUT_ERR_INVAL;
    }
    unsigned long bytes = strtoul(text, &end, 10);
    buf_putc(ctx, '<');
    buf_put(ctx, text, n);
    if (end != text)
        *out_bytes = bytes;
    return 0;
}

static int add_bytes(void *ctx, const char *bytes, size_t n, struct problem *p)
{
    (void)p;
    buf_putc(ctx, '>');
    buf_put(ctx, bytes, n);
    return 0;
}

static const struct batch_in_taker frame_taker = {.head = add_head, .bytes = add_bytes};

static struct batch_lines frames_into(struct buf *got, struct buf *rest)
{
    return (struct batch_lines){.in = {.taker = &frame_taker, .ctx = got},
                                .rest = rest,
                                .max_line_bytes = 9,
                                .is_framed = true};
}

START_TEST(test_batch_frames_do_not_depend_on_the_pieces)
{
    static const char body[] = "3\n\n1\n0\ntask\n\n9\n12345\n\n\n\n\n1\n\n";
    static const char read[] = "<3>\n1\n<0><task<9>12345\n\n\n\n<1>\n";
    size_t n = sizeof(body) - 1;
    struct problem p;
    for (size_t from = 0; from <= n; from++) {
        for (size_t to = from; to <= n; to++) {
            struct buf got = BUF_INIT, rest = BUF_INIT;
            struct batch_lines l = frames_into(&got, &rest);
            ck_assert_int_eq(batch_in_put(&l, body, from, &p), 0);
            ck_assert_int_eq(batch_in_put(&l, body + from, to - from, &p), 0);
            ck_assert_int_eq(batch_in_put(&l, body + to, n - to, &p), 0);
            ck_assert_int_eq(batch_in_end(&l, &p), 0);
            ck_assert_str_eq(got.data, read);
            ck_assert_uint_eq(l.in.n, 5);
            buf_release(&got);
            buf_release(&rest);
        }
    }
}
END_TEST

static const struct {
    const char *body;
    enum problem_code code;
    const char *field, *says;
    size_t limit;
} bad_frames[] = {
    {"1\nx!\n", PROBLEM_INVALID_VALUE, "frames[1].lane", "frames[1]: bad", 0},
    {"task\n10\n", PROBLEM_BODY_TOO_LARGE, "frames[1].bytes", "up to 9", 9},
    {"task\n5\nabc", PROBLEM_INVALID_VALUE, "frames[1].bytes", "is 5, and the body ends after 3",
     0},
    {"5", PROBLEM_INVALID_VALUE, "frames[0].bytes", "after 0", 0},
    {"a line that is long\n", PROBLEM_BODY_TOO_LARGE, "", "Line 1", 9},
    {"\n \n", PROBLEM_INVALID_VALUE, "", "at least one task", 0},
};

START_TEST(test_batch_frames_that_are_bad)
{
    struct buf got = BUF_INIT, rest = BUF_INIT;
    struct batch_lines l = frames_into(&got, &rest);
    struct problem p;
    int rc = batch_in_put(&l, bad_frames[_i].body, strlen(bad_frames[_i].body), &p);
    if (rc == 0)
        rc = batch_in_end(&l, &p);
    ck_assert_int_eq(rc, FUT_ERR_INVAL);
    ck_assert_int_eq(p.code, bad_frames[_i].code);
    ck_assert_str_eq(p.field, bad_frames[_i].field);
    ck_assert_msg(strstr(p.detail, bad_frames[_i].says), "%s", p.detail);
    ck_assert_uint_eq((size_t)p.limit, bad_frames[_i].limit);
    buf_release(&got);
    buf_release(&rest);
}
END_TEST

/* ---- over HTTP ------------------------------------------------------------------------------- */

/* A request whose body comes in chunks. */
static int begin_chunked(const char *headers)
{
    char all[256];
    int fd = client_connect(&f);
    client_ask(fd, POST,
               line_of(all, sizeof(all), TYPE "Transfer-Encoding: chunked\r\n%s", headers), NULL);
    return fd;
}

/* n 0: the end. */
static void put_chunk(int fd, const char *bytes, size_t n)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%zx\r\n", n);
    buf_put(&b, bytes, n);
    buf_puts(&b, "\r\n");
    client_send(fd, b.data, b.len);
    buf_release(&b);
}

static void expect_nothing_stored(int fd)
{
    expect(client_do(fd, "GET /v1/futures", "", NULL), 200, "\"futures\":[]", NULL, NULL);
}

/* n times `one`, with `odd` in place of the one at `at`. */
static void repeat(struct buf *b, const char *one, int n, const char *odd, int at)
{
    for (int i = 0; i < n; i++)
        buf_puts(b, i == at ? odd : one);
}

/* Posted whole, then with a boundary before each byte: the key finds the first again. */
START_TEST(test_batch_lines_have_one_fingerprint_in_any_chunks)
{
    static struct made first, again;
    made_read(&first, ask(&f, POST, TYPE KEY, small));
    ck_assert_uint_eq(first.n, 3);
    for (size_t at = 1; at < sizeof(small) - 1; at++) {
        int fd = begin_chunked(KEY);
        put_chunk(fd, small, at);
        put_chunk(fd, small + at, sizeof(small) - 1 - at);
        put_chunk(fd, "", 0);
        struct reply r = client_read(fd);
        ck_assert_msg(reply_has(&r, "Idempotency-Replayed: true"), "at %zu: %s", at, r.body);
        made_read(&again, r);
        ck_assert_str_eq(first.batch, again.batch);
        ck_assert_int_eq(close(fd), 0);
    }
    expect(ask(&f, POST, TYPE KEY, GOOD), 422, "\"code\":\"idempotency_key_reused\"", NULL, NULL);
}
END_TEST

START_TEST(test_batch_lines_may_be_more_than_a_body)
{
    struct buf b = BUF_INIT;
    struct reply r;
    repeat(&b, "{\"handler\":\"echo\",\"input\":\"0123456789012345678901234567890123456789\"}\n",
           BATCH_IN_MAX, NULL, -1);
    ck_assert_uint_gt(b.len, (size_t)5 * LIMIT);
    r = ask(&f, POST, TYPE, b.data);
    ck_assert_msg(r.status == 202 && reply_has(&r, "\"total\":10000"), "%s", r.head);
    free(r.body);
    buf_release(&b);
}
END_TEST

START_TEST(test_batch_lines_over_a_limit_store_nothing)
{
    struct buf b = BUF_INIT;
    int fd = client_connect(&f);
    repeat(&b, GOOD, BATCH_IN_MAX + 1, NULL, -1);
    expect(client_do(fd, POST, TYPE, b.data), 413, "\"code\":\"batch_too_large\"",
           "\"limit\":10000", NULL);
    b.len = 0;
    repeat(&b, GOOD, 5, NULL, -1);
    repeat(&b, " ", LIMIT + 1, NULL, -1);
    buf_puts(&b, "\n" GOOD);
    expect(client_do(fd, POST, TYPE, b.data), 413, "\"code\":\"body_too_large\"",
           "\"line\":6,\"limit\":100000", "Line 6 has more than 100000 bytes");
    b.len = 0;
    repeat(&b, "\n", 16 * LIMIT + 1, GOOD, 0);
    expect(client_do(fd, POST, TYPE, b.data), 413, "\"code\":\"body_too_large\"",
           "\"limit\":1600000", NULL);
    expect_nothing_stored(fd);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_batch_lines_chunked_over_the_total_store_nothing)
{
    struct buf b = BUF_INIT;
    int fd = begin_chunked(KEY);
    repeat(&b, "\n", LIMIT, GOOD, 0);
    for (int i = 0; i < 17; i++)
        put_chunk(fd, b.data, b.len);
    put_chunk(fd, "", 0);
    expect(client_read(fd), 413, "\"code\":\"body_too_large\"", "\"limit\":1600000", NULL);
    expect_nothing_stored(fd);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_batch_lines_longest_line_is_taken)
{
    struct buf b = BUF_INIT;
    buf_put(&b, GOOD, strlen(GOOD) - 1);
    repeat(&b, " ", LIMIT - (int)b.len, NULL, -1);
    buf_puts(&b, "\n" GOOD);
    expect(ask(&f, POST, TYPE, b.data), 202, "\"total\":2", NULL, NULL);
    buf_release(&b);
}
END_TEST

START_TEST(test_batch_lines_name_the_bad_one_between_chunks)
{
    struct buf b = BUF_INIT;
    int fd = begin_chunked(KEY);
    repeat(&b, GOOD, 3000, "{\"handler\":}\n", 2000);
    for (size_t at = 0; at < b.len; at += 777)
        put_chunk(fd, b.data + at, b.len - at < 777 ? b.len - at : 777);
    put_chunk(fd, "", 0);
    expect(client_read(fd), 400, "\"code\":\"bad_json\"", "\"line\":2001", "Line 2001, column");
    expect_nothing_stored(fd); /* the rest was swallowed: the connection goes on */
    ck_assert_int_eq(close(fd), 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_batch_lines_of_a_client_that_leaves_are_dropped)
{
    int fd = begin_chunked(KEY);
    put_chunk(fd, small, sizeof(small) - 1);
    ck_assert_int_eq(close(fd), 0);
    fd = client_connect(&f);
    expect_nothing_stored(fd);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* What is wrong beside the body is said first, as with the other forms. */
START_TEST(test_batch_lines_refuse_arguments_before_lines)
{
    expect(ask(&f, POST "?nope=1", TYPE, "bad"), 400, "\"code\":\"unknown_parameter\"", NULL, NULL);
    expect(ask(&f, POST "?fail_fast=1", TYPE, "bad\n" GOOD), 400, "\"code\":\"invalid_parameter\"",
           NULL, NULL);
    expect(ask(&f, POST, TYPE "Idempotency-Key: a b\r\n", "bad\n" GOOD), 400,
           "\"code\":\"invalid_header\"", NULL, NULL);
    expect(ask(&f, POST, TYPE, ""), 422, "\"code\":\"invalid_value\"", "at least one", NULL);
}
END_TEST

#define FRAMES "Content-Type: application/vnd.futured.frames\r\n"
#define WANTS_FRAMES "Accept: application/vnd.futured.frames\r\n"

static void find(const struct buf *b, const char *bytes, size_t n)
{
    ck_assert_msg(memmem(b->data, b->len, bytes, n) != NULL, "%s", b->data);
}

#define FIND(b, literal) find(b, literal, sizeof(literal) - 1)

START_TEST(test_batch_frames_carry_bytes_both_ways)
{
    static const char body[] =
        "{\"handler\":\"echo\",\"bytes\":8,\"content_type\":\"image/x\"}\n\0\n\xff{}\n\0\n"
        "{\"handler\":\"echo\",\"input\":[1]}\n{\"handler\":\"echo\",\"bytes\":0}\n";
    static struct made m;
    struct buf b = BUF_INIT;
    int fd = client_connect(&f);
    client_ask(fd, POST, FRAMES "Transfer-Encoding: chunked\r\n", NULL);
    for (size_t at = 0; at < sizeof(body) - 1; at += 5)
        put_chunk(fd, body + at, sizeof(body) - 1 - at < 5 ? sizeof(body) - 1 - at : 5);
    put_chunk(fd, "", 0);
    made_read(&m, client_read(fd));
    ck_assert_uint_eq(m.n, 3);
    stream_rest(stream_batch(&f, &m, "results?wait=20", WANTS_FRAMES), &b);
    FIND(&b, "Content-Type: application/vnd.futured.frames\r\n");
    FIND(&b, "\"result\":{\"content_type\":\"image/x\",\"href\":");
    FIND(&b, "/result\"},\"log\":\"note\",\"bytes\":8}\n\0\n\xff{}\n\0\n{\"id\":");
    FIND(&b, "\"result\":[1],\"log\":\"note\"}\n{\"id\":");
    FIND(&b, ",\"bytes\":0}\n");
    b.len = 0;
    stream_rest(stream_batch(&f, &m, "events?fields=result", WANTS_FRAMES), &b);
    FIND(&b, "/result\"}},\"bytes\":8}\n\0\n\xff{}\n\0\n{\"event\":");
    FIND(&b, "{\"event\":\"end\",\"data\":{\"total\":3,\"sent\":3}}\n");
    buf_release(&b);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

#define FRAME(members) "{\"handler\":\"echo\"," members "}\n"

START_TEST(test_batch_frames_name_what_is_bad)
{
    expect(ask(&f, POST, FRAMES, FRAME("\"bytes\":1,\"input\":2") "x"), 422, "invalid_value",
           "\"field\":\"frames[0].bytes\"", NULL);
    expect(ask(&f, POST, FRAMES, FRAME("\"bytes\":1") "x" FRAME("\"bytes\":-1")), 422,
           "invalid_value", "\"field\":\"frames[1].bytes\"", NULL);
    expect(ask(&f, POST, FRAMES, FRAME("\"bytes\":\"1\"") "x"), 422, "wrong_type",
           "\"field\":\"frames[0].bytes\"", NULL);
    expect(ask(&f, POST, FRAMES, FRAME("\"bytes\":100001")), 413, "body_too_large",
           "\"field\":\"frames[0].bytes\"", "\"limit\":100000");
    expect(ask(&f, POST, FRAMES, FRAME("\"bytes\":2,\"content_type\":\"application/json\"") "{]"),
           400, "bad_json", "\"field\":\"frames[0].bytes\"", NULL);
    expect(ask(&f, POST, FRAMES, FRAME("\"bytes\":1") "x{\"handler\":\"nobody\",\"bytes\":0}\n"),
           422, "unknown_handler", "\"field\":\"frames[1].handler\"", NULL);
    expect(ask(&f, POST, FRAMES, FRAME("\"bytes\":3") "xy"), 422, "invalid_value",
           "\"field\":\"frames[0].bytes\"", NULL);
    expect(ask(&f, POST, TYPE, FRAME("\"bytes\":1")), 422, "unknown_field", "bytes", NULL);
    expect(ask(&f, "GET /v1/futures", "", NULL), 200, "\"futures\":[]", NULL, NULL);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("batch_lines", 30, setup, teardown);
    tcase_add_test(t, test_batch_lines_do_not_depend_on_the_pieces);
    tcase_add_test(t, test_batch_lines_keep_only_the_line_that_is_not_complete);
    tcase_add_test(t, test_batch_lines_have_one_fingerprint_in_any_chunks);
    tcase_add_test(t, test_batch_lines_may_be_more_than_a_body);
    tcase_add_test(t, test_batch_lines_over_a_limit_store_nothing);
    tcase_add_test(t, test_batch_lines_chunked_over_the_total_store_nothing);
    tcase_add_test(t, test_batch_lines_longest_line_is_taken);
    tcase_add_test(t, test_batch_lines_name_the_bad_one_between_chunks);
    tcase_add_test(t, test_batch_lines_of_a_client_that_leaves_are_dropped);
    tcase_add_test(t, test_batch_lines_refuse_arguments_before_lines);
    tcase_add_test(t, test_batch_frames_do_not_depend_on_the_pieces);
    tcase_add_loop_test(t, test_batch_frames_that_are_bad, 0, (int)FUT_COUNT(bad_frames));
    tcase_add_test(t, test_batch_frames_carry_bytes_both_ways);
    tcase_add_test(t, test_batch_frames_name_what_is_bad);
    return suite_run_cases("batch_lines", t, NULL);
}
