/* Requests that end before they are whole, and such that have too much of something: an answer or
 * an end at once, never a connection that stays. The patience of a client here (10 s) is much less
 * than what an idle connection is given (60 s). */
#include <errno.h>

#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/unit/api/fixture.h"

static struct fixture f;

static void setup(void)
{
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

/* All that comes until the end of the connection. False: the end does not come. */
static bool read_all(int fd, struct buf *in)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        buf_put(in, bytes, (size_t)n);
    return n == 0 || errno == ECONNRESET;
}

static size_t count(const struct buf *in, const char *text)
{
    return in->data ? text_count(in->data, text) : 0;
}

/* Sends, ends the sending side, and reads until the end. */
static void send_and_end(const char *text, size_t n, struct buf *in)
{
    int fd = client_connect(&f);
    client_send(fd, text, n);
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    if (!read_all(fd, in))
        ck_abort_msg("the connection stays open behind: %.100s", text);
    ck_assert_int_eq(close(fd), 0);
}

/* ---- half a request -------------------------------------------------------------------------- */

#define POST "POST /v1/tasks HTTP/1.1\r\nHost: [::1]\r\n"
static const char *const cut[] = {
    "",
    "\r\n\r\n",
    "G",
    "GET /healthz HTTP/1.1",
    "GET /healthz HTTP/1.1\r\nHo",
    "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n",
    POST "Content-Length: 50\r\n\r\n",
    POST "Content-Length: 50\r\n\r\n{\"handler\":\"echo\"}",
    POST "Content-Length: 5000000\r\n\r\n{\"handler\":\"echo\"}", /* too large: swallowed */
    POST "Content-Length: 50\r\nExpect: 100-continue\r\n\r\n{\"handler\":\"echo\"}",
    POST "Transfer-Encoding: chunked\r\n\r\n",
    POST "Transfer-Encoding: chunked\r\n\r\n9\r\n{\"handler\r\n",
    POST "Transfer-Encoding: chunked\r\n\r\n9\r\n{\"handler\r\n0\r\n",
};

START_TEST(test_cut_half_a_request_ends_with_its_sender)
{
    struct buf in = BUF_INIT;
    send_and_end(cut[_i], strlen(cut[_i]), &in);
    ck_assert_uint_eq(count(&in, "HTTP/1.1 2"), 0);
    buf_release(&in);
}
END_TEST

/* The end comes by itself, some time after the last byte was read. */
START_TEST(test_cut_half_a_request_ends_later)
{
    struct buf in = BUF_INIT;
    int fd = client_connect(&f);
    client_send(fd, cut[_i], strlen(cut[_i]));
    await_stats(&f, "\"uptime\"");
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    ck_assert(read_all(fd, &in));
    ck_assert_int_eq(close(fd), 0);
    buf_release(&in);
}
END_TEST

/* ---- whole requests of senders that say no more ---------------------------------------------- */

#define HEALTH "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n"

START_TEST(test_cut_whole_requests_are_answered)
{
    struct buf in = BUF_INIT;
    send_and_end(HEALTH, strlen(HEALTH), &in);
    send_and_end(HEALTH HEALTH HEALTH, 3 * strlen(HEALTH), &in);
    ck_assert_uint_eq(count(&in, "HTTP/1.1 200"), 4);
    buf_release(&in);
}
END_TEST

START_TEST(test_cut_bodies_are_answered)
{
    static const char *const headers[] = {"", "Expect: 100-continue\r\n"};
    for (size_t i = 0; i < FUT_COUNT(headers); i++) {
        struct buf text = BUF_INIT, in = BUF_INIT;
        char *input = xcalloc(1, 90001);
        memset(input, 'x', 90000);
        buf_printf(&text,
                   POST "%sContent-Length: 90029\r\n\r\n{\"handler\":\"echo\",\"input\":\"%s\"}",
                   headers[i], input);
        send_and_end(text.data, text.len, &in);
        ck_assert_uint_eq(count(&in, "HTTP/1.1 202"), 1);
        free(input);
        buf_release(&text);
        buf_release(&in);
    }
}
END_TEST

/* As with a client that leaves: the current state, at once. */
START_TEST(test_cut_long_polls_are_answered)
{
    char path[64], text[160];
    struct buf in = BUF_INIT;
    int fd = client_connect(&f);
    submit(fd, "{\"handler\":\"hold\"}", path);
    (void)line_of(text, sizeof(text), "GET %s?wait=60 HTTP/1.1\r\nHost: [::1]\r\n\r\n", path);
    send_and_end(text, strlen(text), &in);
    ck_assert_uint_eq(count(&in, "\"running\""), 1);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&in);
}
END_TEST

/* ---- too much of something ------------------------------------------------------------------- */

/* `head`, then `fill` n times, then `tail`; the answer's status, 0: none. The connection stays open
 * on our side: it must be theirs to answer or to end it. */
static int ask_with(const char *head, const char *fill, size_t n, const char *tail)
{
    struct buf text = BUF_INIT, in = BUF_INIT;
    int fd = client_connect(&f), status = 0;
    buf_puts(&text, head);
    for (size_t i = 0; i < n; i++)
        buf_puts(&text, fill);
    buf_puts(&text, tail);
    (void)!send(fd, text.data, text.len, MSG_NOSIGNAL); /* cut short when they had enough */
    if (!read_all(fd, &in))
        ck_abort_msg("no answer and no end: %zu times %s behind %s", n, fill, head);
    if (in.len)
        status = (int)strtol(in.data + 9, NULL, 10);
    ck_assert_int_eq(close(fd), 0);
    buf_release(&text);
    buf_release(&in);
    return status;
}

#define CLOSES "Connection: close\r\n\r\n"
#define URL_FITS 2400

START_TEST(test_cut_many_parameters_are_refused)
{
    static const size_t many[] = {1, 17, 30, 60, 90, 120, 200, 250, 300, 350, 400, 900, 1200};
    for (size_t i = 0; i < FUT_COUNT(many); i++) {
        int status =
            ask_with("GET /v1/futures?", "a=b&", many[i], "c=d HTTP/1.1\r\nHost: [::1]\r\n" CLOSES);
        ck_assert(many[i] * 4 < URL_FITS ? status == 400 : status == 414 || status == 431);
        ck_assert_int_eq(
            ask_with("GET /v1/futures?", "a&", many[i], "c HTTP/1.1\r\nHost: [::1]\r\n" CLOSES),
            400);
        status = ask_with("GET /healthz?limit=1", "&&&&", many[i],
                          " HTTP/1.1\r\nHost: [::1]\r\n" CLOSES);
        ck_assert(many[i] * 4 < URL_FITS ? status == 400 : status == 414 || status == 431);
    }
}
END_TEST

START_TEST(test_cut_long_queries_end)
{
    for (size_t n = 1000; n < 20000; n += 190) {
        int status =
            ask_with("GET /v1/futures?a=", "b", n, "&c=d HTTP/1.1\r\nHost: [::1]\r\n" CLOSES);
        ck_assert(status == 400 || status == 414 || status == 431 || status == 0);
    }
}
END_TEST

/* An answer that would find no memory is refused before anything is done. */
START_TEST(test_cut_nothing_is_stored_without_memory_for_the_answer)
{
    char stored[64];
    size_t accepted = 0;
    for (size_t n = 2000; n < 3700; n += 10) {
        int status = ask_with(POST "X: ", "x", n,
                              "\r\nContent-Length: 18\r\nConnection: close\r\n\r\n"
                              "{\"handler\":\"hold\"}");
        accepted += status == 202;
        ck_assert(status == 202 || status == 431 || (status == 0 && n > 2400));
    }
    ck_assert_uint_gt(accepted, 0);
    await_stats(&f, line_of(stored, sizeof(stored), "\"submitted\":%zu,", accepted));
}
END_TEST

/* The library's own answer, as text/html; with too many cookies it writes the head twice. */
START_TEST(test_cut_many_headers_end)
{
    static const char *const fills[] = {"A: b\r\n", "Cookie: a=b\r\n", "a=b; ", "a;",
                                        "A:\r\n b\r\n"};
    for (size_t i = 0; i < FUT_COUNT(fills); i++) {
        bool is_cookie = !strchr(fills[i], '\n');
        for (size_t n = 10; n < 1500; n += 37) {
            int status = ask_with(is_cookie ? "GET /healthz HTTP/1.1\r\nHost: [::1]\r\nCookie: "
                                            : "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n",
                                  fills[i], n, is_cookie ? "\r\n" CLOSES : CLOSES);
            ck_assert(status == 200 || status == 431 || status == 414 || status == 0 ||
                      (status == 400 && i == 4)); /* a folded line */
        }
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cut");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_cut_half_a_request_ends_with_its_sender, 0, FUT_COUNT(cut));
    tcase_add_loop_test(tc, test_cut_half_a_request_ends_later, 0, FUT_COUNT(cut));
    tcase_add_test(tc, test_cut_whole_requests_are_answered);
    tcase_add_test(tc, test_cut_bodies_are_answered);
    tcase_add_test(tc, test_cut_long_polls_are_answered);
    tcase_add_test(tc, test_cut_many_parameters_are_refused);
    tcase_add_test(tc, test_cut_long_queries_end);
    tcase_add_test(tc, test_cut_nothing_is_stored_without_memory_for_the_answer);
    tcase_add_test(tc, test_cut_many_headers_end);
    return suite_run_cases("cut", tc, NULL);
}
