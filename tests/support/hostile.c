#include "tests/support/hostile.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/address.h"
#include "tests/support/fail.h"

#define HUNG_MS 50000 /* less than the daemon gives an idle connection */

enum verdict {
    REFUSED = 1, /* an answer of 400 or more */
    CLOSED = 2,  /* no answer */
    SERVED = 4,  /* 2xx */
    LEFT = 8,    /* it waits for the rest, rightly, and we leave; when we have closed our side, it
                    has to close, too */
};

/* The text is `head`, then `fill` repeated up to `times`, then `tail`. */
struct kind {
    const char *name;
    size_t right; /* verdicts */
    const char *head, *fill;
    size_t times;
    const char *tail;
    size_t tail_len; /* 0: a string */
};

#define POST_TASK "POST /v1/tasks HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\n"
#define ENDS "Connection: close\r\n"
#define BODY(length, text) "Content-Length: " length "\r\n" ENDS "\r\n" text
#define SIMPLE(name, right, text)                                                                  \
    {                                                                                              \
        name, right, text, "", 0, "", 0                                                            \
    }
#define GET(path) "GET " path " HTTP/1.1\r\nHost: [::1]\r\n" ENDS "\r\n"
#define FUTURE "/v1/futures/01890a5d-ac96-774b-bcce-b302099a8057"

static const struct kind kinds[] = {
    SIMPLE("a right request", SERVED, POST_TASK BODY("18", "{\"handler\":\"echo\"}")),
    SIMPLE("a right chunked one", SERVED,
           POST_TASK "Transfer-Encoding: chunked\r\n" ENDS
                     "\r\n9\r\n{\"handler\r\n9\r\n\":\"echo\"}\r\n0\r\n\r\n"),
    SIMPLE("nothing", LEFT, ""),
    SIMPLE("blank lines", LEFT, "\r\n\r\n\r\n\r\n"),
    SIMPLE("noise", CLOSED | REFUSED, "\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n"),
    SIMPLE("no version", CLOSED | REFUSED | SERVED, "GET /healthz\r\n\r\n"),
    SIMPLE("version 9", CLOSED | REFUSED, "GET /healthz HTTP/9.9\r\nHost: [::1]\r\n" ENDS "\r\n"),
    SIMPLE("no host", REFUSED | SERVED, "GET /healthz HTTP/1.1\r\n" ENDS "\r\n"),
    SIMPLE("unknown method", REFUSED, "BREW /v1/tasks HTTP/1.1\r\nHost: [::1]\r\n" ENDS "\r\n"),
    SIMPLE("cut in the headers", LEFT, "GET /healthz HTTP/1.1\r\nHo"),
    SIMPLE("cut in the body", LEFT, POST_TASK BODY("50", "{\"handler\":\"echo\"}")),
    SIMPLE("a length that is too short", REFUSED, POST_TASK BODY("9", "{\"handler\":\"echo\"}")),
    SIMPLE("a negative length", CLOSED | REFUSED, POST_TASK BODY("-1", "{}")),
    SIMPLE("a length beyond 64 bits", CLOSED | REFUSED,
           POST_TASK BODY("99999999999999999999999", "{}")),
    SIMPLE("a length of 8 EiB", CLOSED | REFUSED, POST_TASK BODY("9223372036854775807", "{}")),
    SIMPLE("a length that is no number", CLOSED | REFUSED, POST_TASK BODY("ten", "{}")),
    SIMPLE("two lengths", CLOSED | REFUSED,
           POST_TASK "Content-Length: 5\r\n" BODY("18", "{\"handler\":\"echo\"}")),
    SIMPLE("length and chunks", CLOSED | REFUSED | SERVED,
           POST_TASK "Transfer-Encoding: chunked\r\n" BODY("5", "0\r\n\r\n")),
    SIMPLE("a chunk size that is none", CLOSED | REFUSED,
           POST_TASK "Transfer-Encoding: chunked\r\n" ENDS "\r\nxyz\r\n{}\r\n0\r\n\r\n"),
    SIMPLE("a chunk beyond 64 bits", CLOSED | REFUSED,
           POST_TASK "Transfer-Encoding: chunked\r\n" ENDS "\r\nfffffffffffffffff\r\n{}"),
    SIMPLE("an unknown coding", CLOSED | REFUSED,
           POST_TASK "Transfer-Encoding: gzip\r\n" ENDS "\r\n"),
    {"a long URL", CLOSED | REFUSED, "GET /", "a", 60000, " HTTP/1.1\r\nHost: [::1]\r\n\r\n", 0},
    {"a long header", CLOSED | REFUSED, "GET /healthz HTTP/1.1\r\nHost: [::1]\r\nX: ", "y", 60000,
     "\r\n" ENDS "\r\n", 0},
    {"many headers", CLOSED | REFUSED, "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n", "A: b\r\n", 9000,
     ENDS "\r\n", 0},
    {"many parameters", REFUSED, "GET /v1/futures?", "a=b&", 900,
     "c=d HTTP/1.1\r\nHost: [::1]\r\n" ENDS "\r\n", 0},
    {"a few hundred parameters", REFUSED, "GET /v1/futures?", "a=b&", 250,
     "c=d HTTP/1.1\r\nHost: [::1]\r\n" ENDS "\r\n", 0},
    {"many cookies", CLOSED | REFUSED, "GET /healthz HTTP/1.1\r\nHost: [::1]\r\nCookie: ", "a=b; ",
     900, "\r\n" ENDS "\r\n", 0},
    {"many pipelined requests", CLOSED | SERVED, "", "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n",
     300, GET("/healthz"), 0},
    {"1,000 deep", REFUSED, POST_TASK "Content-Length: 1000\r\n" ENDS "\r\n", "[", 1000, "", 0},
    {"1,000 deep as an input", REFUSED,
     POST_TASK "Content-Length: 1026\r\n" ENDS "\r\n{\"handler\":\"echo\",\"input\":", "[", 1000,
     "", 0},
    {"a number of 500 digits", REFUSED,
     POST_TASK "Content-Length: 529\r\n" ENDS "\r\n{\"handler\":\"echo\",\"retries\":", "9", 500,
     "}", 0},
    {"a number beyond a double", REFUSED,
     POST_TASK BODY("36", "{\"handler\":\"echo\",\"input\":1e999999}}"), "", 0, "", 0},
    SIMPLE("duplicate keys", REFUSED,
           POST_TASK BODY("35", "{\"handler\":\"echo\",\"handler\":\"echo\"}")),
    SIMPLE("duplicate keys, one escaped", REFUSED,
           POST_TASK BODY("40", "{\"handler\":\"echo\",\"\\u0068andler\":\"echo\"}")),
    SIMPLE("cut UTF-8", REFUSED,
           POST_TASK BODY("29", "{\"handler\":\"echo\",\"input\":\"\xE2\x82")),
    SIMPLE("overlong UTF-8", REFUSED,
           POST_TASK BODY("31", "{\"handler\":\"echo\",\"input\":\"\xC0\xAF\"}")),
    {"a NUL in the JSON", REFUSED,
     POST_TASK "Content-Length: 29\r\n" ENDS "\r\n{\"handler\":\"echo\",\"input\":1", "", 0, "\0}",
     2},
    {"a NUL in a header", CLOSED | REFUSED, "GET /v1/nothing HTTP/1.1\r\nHost: [::1]\r\nX: ", "", 0,
     "a\0b\r\nConnection: close\r\n\r\n", 27},
    SIMPLE("dots", REFUSED, GET("/v1/../../etc/passwd")),
    SIMPLE("escaped dots", REFUSED, GET("/v1/%2e%2e/%2e%2e/etc/passwd")),
    SIMPLE("an escaped slash", REFUSED, GET(FUTURE "%2fresult")),
    SIMPLE("an escaped NUL", REFUSED, GET(FUTURE "%00/result")),
    SIMPLE("a bad escape", REFUSED, GET("/v1/futures/%zz")),
    SIMPLE("double slashes", REFUSED, GET("//v1//stats")),
    SIMPLE("an absolute path of another host", REFUSED | CLOSED, GET("http://evil.example/v1/x")),
    SIMPLE("a backslash", REFUSED, GET("/v1\\stats")),
    SIMPLE("a folded header", CLOSED | REFUSED | SERVED,
           "GET /healthz HTTP/1.1\r\nHost: [::1]\r\nX: a\r\n b\r\n" ENDS "\r\n"),
    SIMPLE("a wait beyond all numbers", REFUSED,
           GET(FUTURE "?wait=99999999999999999999999999999999")),
    SIMPLE("a wait that is none", REFUSED, GET(FUTURE "?wait=nan")),
    SIMPLE("a broken cursor", REFUSED, GET("/v1/futures?cursor=AAAAAAAAAAAAAAAA")),
    SIMPLE("an id with blanks", REFUSED, GET("/v1/futures/%20")),
};

/* How the bytes leave: the length of each piece (0: all at once), and whether our side is closed
 * behind them. */
static const struct way {
    size_t piece;
    bool half_close;
} ways[] = {{0, false}, {0, true}, {1, true}, {7, true}};

size_t hostile_kinds(void)
{
    return FUT_COUNT(kinds) * FUT_COUNT(ways);
}

static void make(const struct kind *k, struct buf *out)
{
    buf_puts(out, k->head);
    for (size_t i = 0; i < k->times; i++)
        buf_puts(out, k->fill);
    buf_put(out, k->tail, k->tail_len ? k->tail_len : strlen(k->tail));
}

static int open_socket(const char *address)
{
    struct sockaddr_in to;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!address_parse(address, &to))
        fail("not an address: %s", address);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fd_close(&fd);
    return fd;
}

/* The daemon may have had enough and be gone: that is its right. */
static void send_all(int fd, const struct buf *text, const struct way *way)
{
    size_t piece = way->piece && text->len < 2000 ? way->piece : text->len;
    for (size_t at = 0; at < text->len; at += piece) {
        size_t n = text->len - at < piece ? text->len - at : piece;
        if (send(fd, text->data + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
    }
    if (way->half_close)
        (void)shutdown(fd, SHUT_WR);
}

/* The latest status; 0: the connection ended without one; -1: nothing for a minute. */
static int read_status(int fd)
{
    char in[4096];
    int status = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, HUNG_MS) == 0)
            return -1;
        ssize_t n = recv(fd, in, sizeof(in) - 1, 0);
        if (n <= 0)
            return status;
        in[n] = '\0';
        if (strncmp(in, "HTTP/1.", 7) == 0)
            status = (int)strtol(in + 9, NULL, 10);
    }
}

static unsigned verdict_of(int status)
{
    return status == 0                     ? CLOSED
           : status >= 400                 ? REFUSED
           : status >= 200 && status < 300 ? SERVED
                                           : 0;
}

static void judge(const struct kind *k, const struct way *way, int status, struct hostile_report *r)
{
    unsigned verdict = status < 0 ? 0 : verdict_of(status);
    bool right = verdict & (k->right == LEFT ? CLOSED | REFUSED : k->right);
    r->tried++;
    r->served += right && verdict == SERVED;
    r->refused += right && verdict == REFUSED;
    r->closed += right && verdict == CLOSED;
    r->hung += status < 0;
    r->wrong += status >= 0 && !right;
    if (!right)
        (void)snprintf(r->what, sizeof(r->what), "%s (pieces of %zu, %s): %d", k->name, way->piece,
                       way->half_close ? "half-closed" : "open", status);
}

struct hostile_one hostile_begin(const char *address, size_t i)
{
    struct buf text = BUF_INIT;
    struct hostile_one one = {i, open_socket(address)};
    if (one.fd < 0)
        fail("no connection to %s: errno %d", address, errno);
    make(&kinds[i / FUT_COUNT(ways)], &text);
    send_all(one.fd, &text, &ways[i % FUT_COUNT(ways)]);
    buf_release(&text);
    return one;
}

void hostile_end(struct hostile_one *one, struct hostile_report *r)
{
    const struct kind *k = &kinds[one->i / FUT_COUNT(ways)];
    const struct way *way = &ways[one->i % FUT_COUNT(ways)];
    if (k->right == LEFT && !way->half_close) {
        r->tried++;
        r->given_up++;
    } else {
        judge(k, way, read_status(one->fd), r);
    }
    fd_close(&one->fd);
}

const char *hostile_name(size_t i)
{
    return kinds[i / FUT_COUNT(ways)].name;
}

void hostile_run(const char *address, unsigned rounds, struct hostile_report *r)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t i = 0; i < hostile_kinds(); i++) {
            struct hostile_one one = hostile_begin(address, i);
            hostile_end(&one, r);
        }
    }
}

/* ---- connections that stay ------------------------------------------------------------------- */

struct hostile_idle {
    size_t n, next; /* next: of the drip */
    int fds[];
};

struct hostile_idle *hostile_hold(const char *address, size_t n, const char *text)
{
    struct hostile_idle *idle = xcalloc(1, sizeof(*idle) + n * sizeof(int));
    while (idle->n < n) {
        int fd = open_socket(address);
        if (fd < 0)
            break;
        if (*text && send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
            fail("a fresh connection takes nothing: errno %d", errno);
        idle->fds[idle->n++] = fd;
    }
    return idle;
}

void hostile_drip(struct hostile_idle *idle, size_t n, char byte)
{
    for (; n && idle->n; n--) { /* it may have been closed: that is right */
        (void)!send(idle->fds[idle->next], &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        idle->next = (idle->next + 1) % idle->n;
    }
}

size_t hostile_count(const struct hostile_idle *idle)
{
    return idle->n;
}

void hostile_drop(struct hostile_idle **idle)
{
    for (size_t i = 0; i < (*idle)->n; i++)
        fd_close(&(*idle)->fds[i]);
    free(*idle);
    *idle = NULL;
}

size_t hostile_rss_kib(pid_t pid)
{
    char path[64], line[128];
    size_t kib = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return kib;
}
