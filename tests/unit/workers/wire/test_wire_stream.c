/* The stream that carries the worker protocol's messages and descriptors. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "workers/wire/wire_stream.h"

static int pair[2];
static struct wire_stream ours, theirs;

static void setup(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wire_stream_init(&ours, pair[0], 1 << 20);
    wire_stream_init(&theirs, pair[1], 1 << 20);
}

static void teardown(void)
{
    wire_stream_release(&ours);
    wire_stream_release(&theirs);
    close(pair[0]);
    close(pair[1]);
}

static void feed(const char *bytes, size_t n)
{
    ck_assert_int_eq(fd_write_all(pair[1], bytes, n), 0);
    ck_assert_int_eq(wire_stream_read(&ours, MSG_DONTWAIT), 0);
}

START_TEST(test_stream_takes_bytes_one_by_one)
{
    static const char text[] = "LOG 1 3\na\nbPROGRESS 1 0 fraction=1\n";
    struct wire_message m;
    size_t got = 0;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        feed(text + i, 1);
        int rc = wire_stream_next(&ours, &m);
        if (i + 1 == 11) {
            ck_assert_int_eq(rc, 0);
            ck_assert_int_eq(memcmp(m.payload, "a\nb", 3), 0);
        } else if (i + 1 == sizeof(text) - 1) {
            ck_assert_int_eq(rc, 0);
            ck_assert(m.head.verb == WIRE_PROGRESS && m.head.fraction > 0.99);
        } else {
            ck_assert_int_eq(rc, FUT_ERR_AGAIN);
        }
        got += rc == 0;
        while (rc == 0)
            rc = wire_stream_next(&ours, &m);
    }
    ck_assert_uint_eq(got, 2);
    ck_assert(wire_stream_is_clean(&ours));
}
END_TEST

START_TEST(test_stream_takes_many_at_once)
{
    struct buf b = BUF_INIT;
    struct wire_message m;
    for (int i = 1; i <= 1000; i++)
        buf_printf(&b, "LOG %d 2\n%02d", i, i % 100);
    feed(b.data, b.len);
    for (int i = 1; i <= 1000; i++) {
        ck_assert_int_eq(wire_stream_next(&ours, &m), 0);
        ck_assert(m.head.id == (uint64_t)i && m.payload[1] == '0' + i % 10);
    }
    ck_assert_int_eq(wire_stream_next(&ours, &m), FUT_ERR_AGAIN);
    buf_release(&b);
}
END_TEST

/* Left out, and the next one is whole. */
START_TEST(test_stream_skips_what_is_too_long)
{
    struct wire_message m;
    char chunk[1000];
    memset(chunk, 'x', sizeof(chunk));
    feed("DONE 1 2000000\n", 15);
    ck_assert_int_eq(wire_stream_next(&ours, &m), 0);
    ck_assert(m.too_long && !m.payload && m.head.bytes == 2000000);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(wire_stream_next(&ours, &m), FUT_ERR_AGAIN);
        feed(chunk, sizeof(chunk));
    }
    ck_assert_int_eq(wire_stream_next(&ours, &m), FUT_ERR_AGAIN);
    feed("LOG 2 1\nz", 9);
    ck_assert_int_eq(wire_stream_next(&ours, &m), 0);
    ck_assert(m.head.id == 2 && *m.payload == 'z');
}
END_TEST

START_TEST(test_stream_refuses_an_endless_line)
{
    struct wire_message m;
    char line[WIRE_LINE_MAX];
    memset(line, 'a', sizeof(line));
    feed(line, sizeof(line));
    ck_assert_int_eq(wire_stream_next(&ours, &m), FUT_ERR_INVAL);
}
END_TEST

static void send_big(const char *bytes, size_t n)
{
    struct wire_head h = WIRE_HEAD(WIRE_DONE);
    h.id = 1;
    h.bytes = n;
    theirs.peer_takes_fds = true;
    ck_assert_int_eq(wire_stream_put(&theirs, &h, bytes), 0);
    h.id = 2;
    h.bytes = 1;
    ck_assert_int_eq(wire_stream_put(&theirs, &h, "z"), 0);
    ck_assert_int_eq(wire_stream_flush(&theirs, MSG_DONTWAIT), 0); /* a pipe would block here */
}

static void next(struct wire_message *m)
{
    while (wire_stream_next(&ours, m) == FUT_ERR_AGAIN)
        ck_assert_int_eq(wire_stream_read(&ours, 0), 0);
}

/* The bytes do not pass through the socket. */
START_TEST(test_stream_passes_a_large_payload_by_descriptor)
{
    size_t n = 1 << 20;
    char *bytes = xcalloc(1, n);
    struct wire_message m;
    bytes[n - 1] = 7;
    send_big(bytes, n);
    next(&m);
    ck_assert(m.head.fd && m.head.bytes == n);
    ck_assert_int_eq(memcmp(m.payload, bytes, n), 0);
    next(&m);
    ck_assert(m.head.id == 2 && *m.payload == 'z');
    ck_assert_uint_lt(ours.bytes_copied, 100);
    ck_assert_uint_eq(ours.n_fds, 0);
    free(bytes);
}
END_TEST

static void send_fd(int fd, const char *line)
{
    ck_assert_int_eq(fd_send_msg(pair[1], line, strlen(line), &fd, 1), 0);
}

/* A file that may still get shorter under us is read, not mapped. */
START_TEST(test_stream_reads_what_it_cannot_seal)
{
    struct wire_message m;
    int fd = memfd_create("t", MFD_CLOEXEC); /* no seals allowed */
    ck_assert_int_eq(fd_write_all(fd, "hello", 5), 0);
    send_fd(fd, "DONE 1 5 fd=1\n");
    ck_assert_int_eq(ftruncate(fd, 5), 0);
    next(&m);
    ck_assert_ptr_null(ours.map);
    ck_assert_int_eq(memcmp(m.payload, "hello", 5), 0);
    close(fd);
}
END_TEST

START_TEST(test_stream_refuses_descriptors_that_are_not_there_or_too_short)
{
    struct wire_message m;
    feed("DONE 1 5 fd=1\n", 14);
    ck_assert_int_eq(wire_stream_next(&ours, &m), FUT_ERR_INVAL);
    teardown();
    setup();
    int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(fd_write_all(fd, "hell", 4), 0);
    send_fd(fd, "DONE 1 5 fd=1\n");
    ck_assert_int_eq(wire_stream_read(&ours, 0), 0);
    ck_assert_int_eq(wire_stream_next(&ours, &m), FUT_ERR_INVAL);
    close(fd);
}
END_TEST

START_TEST(test_stream_refuses_more_descriptors_than_it_needs)
{
    int rc = 0, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < WIRE_FDS_MAX + 1 && rc == 0; i++) {
        send_fd(null, "LOG 1 0\n");
        struct wire_message m;
        rc = wire_stream_read(&ours, 0);
        while (rc == 0 && wire_stream_next(&ours, &m) == 0)
            ;
    }
    ck_assert_int_eq(rc, FUT_ERR_IO);
    close(null);
}
END_TEST

START_TEST(test_stream_tells_a_clean_end)
{
    struct wire_message m;
    feed("LOG 1 5\nab", 10);
    ck_assert_int_eq(wire_stream_next(&ours, &m), FUT_ERR_AGAIN);
    shutdown(pair[1], SHUT_WR);
    ck_assert_int_eq(wire_stream_read(&ours, 0), FUT_ERR_CLOSED);
    ck_assert(!wire_stream_is_clean(&ours));
}
END_TEST

/* Three descriptors with one header, as FORK has them, in the middle of other messages. */
START_TEST(test_stream_keeps_descriptors_with_their_header)
{
    struct wire_head log = WIRE_HEAD(WIRE_LOG), fork_head = WIRE_HEAD(WIRE_FORK);
    struct wire_message m;
    int fds[3];
    log.bytes = 1;
    for (int i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(wire_stream_put(&theirs, &log, "a"), 0);
    ck_assert_int_eq(wire_stream_put_fds(&theirs, &fork_head, fds, 3), 0);
    ck_assert_int_eq(wire_stream_put(&theirs, &log, "b"), 0);
    ck_assert_int_eq(wire_stream_flush(&theirs, 0), 0);
    next(&m);
    ck_assert_int_eq(*m.payload, 'a');
    next(&m);
    ck_assert_int_eq(m.head.verb, WIRE_FORK);
    ck_assert_uint_eq(ours.n_fds, 3);
    next(&m);
    ck_assert_int_eq(*m.payload, 'b');
}
END_TEST

int main(void)
{
    TCase *stream = suite_case("stream", 60, setup, teardown);
    tcase_add_test(stream, test_stream_takes_bytes_one_by_one);
    tcase_add_test(stream, test_stream_takes_many_at_once);
    tcase_add_test(stream, test_stream_skips_what_is_too_long);
    tcase_add_test(stream, test_stream_refuses_an_endless_line);
    tcase_add_test(stream, test_stream_passes_a_large_payload_by_descriptor);
    tcase_add_test(stream, test_stream_reads_what_it_cannot_seal);
    tcase_add_test(stream, test_stream_refuses_descriptors_that_are_not_there_or_too_short);
    tcase_add_test(stream, test_stream_refuses_more_descriptors_than_it_needs);
    tcase_add_test(stream, test_stream_tells_a_clean_end);
    tcase_add_test(stream, test_stream_keeps_descriptors_with_their_header);
    return suite_run_cases("wire_stream", stream, NULL);
}
