/* RFC 9112 and 9110: what makes the bounds of a request doubtful is refused and the connection
 * closed, so that nobody before the daemon reads them in another way; and what is no error is none.
 */
#include <errno.h>

#include "tests/support/suite.h"
#include "tests/unit/api/fixture.h"

static struct fixture f;

#define HOST "Host: localhost\r\n"
#define GET "GET /healthz HTTP/1.1\r\n"
#define POST "POST /v1/tasks/echo HTTP/1.1\r\n" HOST
#define NEXT GET HOST "\r\n"

enum end { CLOSES, STAYS };

static const struct {
    const char *what, *text;
    size_t n; /* 0: as long as it is */
    int status;
    enum end end;
    const char *says;
} cases[] = {
    {"two lengths", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" NEXT, 0, 400, CLOSES,
     "Content-Length"},
    {"one length twice", POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0, 400, CLOSES,
     "Content-Length"},
    {"length and chunked",
     POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" NEXT, 0,
     400, CLOSES, "Content-Length"},
    {"two codings",
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 0, 400,
     CLOSES, "Transfer-Encoding"},
    {"space before a colon", GET HOST "X-A : b\r\n\r\n", 0, 400, CLOSES, "X-A"},
    {"length with a space before its colon", POST "Content-Length : 5\r\n\r\n" NEXT, 0, 400, CLOSES,
     "Content-Length"},
    {"an empty value, tabs and spaces", GET HOST "X:\r\nY: \t a\tb \t\r\n\r\n", 0, 200, STAYS,
     "ok"},
    {"bytes over 127", GET HOST "X: \xC3\xA9\r\n\r\n", 0, 200, STAYS, "ok"},
    {"a bare LF", GET HOST "X: a\nY: b\r\n\r\n", 0, 400, CLOSES, NULL},
    {"an empty line before", "\r\n" GET HOST "\r\n", 0, 200, STAYS, "ok"},
    {"no Host", GET "\r\n", 0, 400, CLOSES, "Host"},
    {"no Host in HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n", 0, 200, CLOSES, "ok"},
    {"two Hosts", GET HOST "Host: 127.0.0.1\r\n\r\n", 0, 400, CLOSES, "Host"},
    {"the whole URL", "GET http://localhost/healthz HTTP/1.1\r\n" HOST "\r\n", 0, 200, STAYS, "ok"},
    {"the whole URL with a query",
     "GET http://localhost:1/v1/futures?limit=3 HTTP/1.1\r\n" HOST "\r\n", 0, 200, STAYS,
     "futures"},
    {"a URL without a path", "GET http://localhost HTTP/1.1\r\n" HOST "\r\n", 0, 200, STAYS,
     "routes"},
    {"another host in the URL", "GET http://evil.example/healthz HTTP/1.1\r\n" HOST "\r\n", 0, 421,
     STAYS, "unknown_host"},
    {"NUL in a value", GET HOST "X: a\0b\r\n\r\n", sizeof(GET HOST "X: a\0b\r\n\r\n") - 1, 400,
     CLOSES, NULL},
    {"NUL in a name", GET HOST "X\0Y: a\r\n\r\n", sizeof(GET HOST "X\0Y: a\r\n\r\n") - 1, 400,
     CLOSES, NULL},
    {"NUL in the path", "GET /healthz\0x HTTP/1.1\r\n" HOST "\r\n",
     sizeof("GET /healthz\0x HTTP/1.1\r\n" HOST "\r\n") - 1, 400, CLOSES, "request line"},
    {"NUL in the query", "GET /v1/futures?limit=1\0 HTTP/1.1\r\n" HOST "\r\n",
     sizeof("GET /v1/futures?limit=1\0 HTTP/1.1\r\n" HOST "\r\n") - 1, 400, CLOSES, "request line"},
    {"bare CR in the path", "GET /healthz\rx HTTP/1.1\r\n" HOST "\r\n", 0, 400, CLOSES, NULL},
    {"another control character", "GET /v1/futures?a=\x01 HTTP/1.1\r\n" HOST "\r\n", 0, 400, CLOSES,
     "request line"},
    {"bare CR", GET HOST "X: a\rY: b\r\n\r\n", 0, 400, CLOSES, NULL},
    {"bare CR before a length", POST "X: a\rContent-Length: 5\r\n\r\n" NEXT, 0, 400, CLOSES, NULL},
    {"a folded line", GET HOST "X: a\r\n b\r\n\r\n", 0, 400, CLOSES, NULL},
    {"a compressed body", POST "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello" NEXT, 0,
     415, STAYS, "unsupported_encoding"},
    {"a compressed body in capitals",
     POST "CONTENT-ENCODING: gzip\r\nCONTENT-LENGTH: 5\r\n\r\nhello" NEXT, 0, 415, STAYS,
     "unsupported_encoding"},
    {"identity", POST "Content-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 0, 202, STAYS,
     NULL},
    {"Expect of what is refused",
     "POST /nothing HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 0, 404,
     CLOSES, "unknown_route"},
    {"Expect of a compressed body",
     POST "Content-Encoding: br\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 0, 415,
     CLOSES, "unsupported_encoding"},
    {"Expect of a page elsewhere",
     POST "Origin: null\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 0, 403, CLOSES,
     "foreign_origin"},
    {"Expect of what is taken", POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 0,
     100, STAYS, NULL},
    {"a byte order mark",
     "POST /v1/tasks HTTP/1.1\r\n" HOST
     "Content-Length: 33\r\n\r\n\xEF\xBB\xBF{\"handler\":\"echo\",\"input\":\"a\"}",
     0, 202, STAYS, NULL},
};

/* Is the connection closed once the answer is read? What may still come is an answer too much. */
static bool is_closed(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

START_TEST(test_strict_about_bounds)
{
    size_t n = cases[_i].n ? cases[_i].n : strlen(cases[_i].text);
    int fd = client_connect(&f);
    client_send(fd, cases[_i].text, n);
    struct reply r = cases[_i].status == 100 ? client_read_head_only(fd) : client_read(fd);
    ck_assert_msg(r.status == cases[_i].status, "%s: %s%s", cases[_i].what, r.head,
                  r.body ? r.body : "");
    ck_assert_msg(!cases[_i].says || reply_has(&r, cases[_i].says), "%s: %s", cases[_i].what,
                  r.body);
    free(r.body);
    if (cases[_i].end == CLOSES)
        ck_assert_msg(is_closed(fd), "%s: the connection stays", cases[_i].what);
    else if (cases[_i].status != 100 && !strstr(cases[_i].text, NEXT))
        expect(client_do(fd, "GET /healthz", "", NULL), 200, "ok", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* The mark is no part of a JSON input: it would make every answer that shows the result bad JSON.
 */
START_TEST(test_strict_drops_the_mark_before_an_input)
{
    expect(ask(&f, "POST /v1/tasks/echo?wait=10", "Content-Type: application/json\r\n",
               "\xEF\xBB\xBF{\"a\":1}"),
           200, "\"result\":{\"a\":1}", NULL, NULL);
}
END_TEST

static void setup(void)
{
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

int main(void)
{
    TCase *t = tcase_create("strict");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_strict_about_bounds, 0, FUT_COUNT(cases));
    tcase_add_test(t, test_strict_drops_the_mark_before_an_input);
    return suite_run_cases("strict", t, NULL);
}
