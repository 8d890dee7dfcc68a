/* as_completed and its relatives on the real binary: live, by the thousand, killed and resumed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/address.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/fetches.h"
#include "tests/support/load_report.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define SCRIPT_MS 60000

/* {"tasks":[sleeps of 0, 1, … ms]}: n of them, the one at `fails` fails instead (-1: none). */
static char *tasks(int n, int fails)
{
    struct buf b = BUF_INIT;
    size_t len;
    buf_puts(&b, "{\"tasks\":[");
    for (int i = 0; i < n; i++)
        buf_printf(&b,
                   i == fails ? "%s{\"handler\":\"sleep\",\"input\":\"bad\"}"
                              : "%s{\"handler\":\"sleep\",\"input\":{\"ms\":%d}}",
                   i ? "," : "", i % 50);
    buf_puts(&b, "]}");
    return buf_take(&b, &len);
}

/* Takes body. */
static json_t *make(struct daemon *d, char *body)
{
    json_t *made = api_batch(daemon_url(d), body);
    free(body);
    return made;
}

START_TEST(test_as_completed_fifty_calls_twenty_at_a_time)
{
    static const char *const settings[] = {"MAX_THREADS=20"};
    struct fetches *f = fetches_start();
    struct daemon *d = daemon_start_with(settings, 1);
    char *script = daemon_built("../../tests/system/as_completed.sh"), *out, *err;
    char *url = text_printf("%s/delay/200", fetches_url(f));
    const char *argv[] = {script, daemon_url(d), url, "50", NULL};
    int status = program_run(argv, NULL, SCRIPT_MS, &out, &err);
    ck_assert_msg(status == 0, "%d: %s%s", status, out, err);
    ck_assert_uint_eq(text_count(out, "is done"), 50);
    json_t *stats = fetches_stats(f);
    ck_assert_int_le(api_int(stats, "held_max"), 20);
    ck_assert_int_ge(api_int(stats, "held_max"), 2);
    json_decref(stats);
    free(out);
    free(err);
    free(script);
    free(url);
    daemon_end(&d);
    fetches_stop(&f);
}
END_TEST

static json_t *wait_many(struct daemon *d, const char *batch, const char *when)
{
    char *body =
        text_printf("{\"batch\":\"%s\",\"return_when\":\"%s\",\"timeout\":50}", batch, when);
    struct http_reply r = api_post(daemon_url(d), "/v1/wait", body);
    ck_assert_msg(r.status == 200 && r.json, "%d %s", r.status, r.error ? r.error : r.body);
    json_t *json = json_incref(r.json);
    http_reply_release(&r);
    free(body);
    return json;
}

START_TEST(test_as_completed_and_waits_over_a_thousand)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    json_t *made = make(d, tasks(1000, 500));
    const char *batch = api_str(made, "id");
    json_t *any = wait_many(d, batch, "FIRST_COMPLETED");
    ck_assert_uint_ge(json_array_size(json_object_get(any, "done")), 1);
    json_t *failed = wait_many(d, batch, "FIRST_EXCEPTION");
    ck_assert_uint_ge(json_array_size(json_object_get(failed, "done")), 1);
    json_t *all = wait_many(d, batch, "ALL_COMPLETED");
    ck_assert_uint_eq(json_array_size(json_object_get(all, "done")), 1000);
    ck_assert(json_equal(json_object_get(all, "done"), json_object_get(made, "ids")));
    json_object_del(made, "id");
    json_object_del(made, "total");
    json_object_del(made, "fail_fast");
    char *ids = json_dumps(made, 0);
    struct http_reply r = api_post(daemon_url(d), "/v1/as_completed", ids);
    ck_assert_int_eq(r.status, 200);
    ck_assert_uint_eq(text_count(r.body, "event: done\n"), 1000);
    ck_assert_uint_eq(text_count(r.body, "\"state\":\"failed\""), 1);
    http_reply_release(&r);
    free(ids);
    json_decref(any);
    json_decref(failed);
    json_decref(all);
    json_decref(made);
    daemon_end(&d);
}
END_TEST

/* ---- killed and resumed ---------------------------------------------------------------------- */

struct reader {
    struct daemon *d;
    const char *batch;
    uint64_t last;
    json_t *seen; /* id of each future that came */
    bool ended;
};

static int open_stream(const struct reader *rd)
{
    struct sockaddr_in to;
    struct timeval patience = {.tv_sec = 30};
    ck_assert(address_parse(daemon_address(rd->d), &to));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    char *text = text_printf("GET /v1/batches/%s/events HTTP/1.0\r\nHost: localhost\r\n"
                             "Last-Event-ID: %" PRIu64 "\r\n\r\n",
                             rd->batch, rd->last);
    ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
    free(text);
    return fd;
}

/* One whole event, from its first line on. */
static void take_event(struct reader *rd, const char *event)
{
    char id[ID_TEXT_SIZE];
    if (strncmp(event, "event: end", 10) == 0)
        rd->ended = true;
    if (strncmp(event, "event: done\nid: ", 16) != 0)
        return;
    uint64_t seq = strtoull(event + 16, NULL, 10);
    ck_assert_msg(seq > rd->last, "event %" PRIu64 " after %" PRIu64, seq, rd->last);
    rd->last = seq;
    (void)snprintf(id, sizeof(id), "%s", strstr(event, "{\"id\":\"") + 7);
    ck_assert_msg(!json_object_get(rd->seen, id), "%s came twice", id);
    json_object_set_new(rd->seen, id, json_true());
}

/* Takes all whole events out of b. How many there were. */
static size_t take_events(struct reader *rd, struct buf *b)
{
    size_t n = 0;
    for (char *end; b->len && (end = strstr(b->data, "\n\n")); n++) {
        *end = '\0';
        take_event(rd, b->data);
        buf_consume(b, (size_t)(end + 2 - b->data));
        if (b->len)
            b->data[b->len] = '\0';
    }
    return n;
}

/* Reads until `want` events came, or the end, and hangs up in the middle of whatever follows. */
static void read_some(struct reader *rd, size_t want)
{
    struct buf b = BUF_INIT;
    char part[700];
    int fd = open_stream(rd);
    ssize_t n = 1;
    for (size_t got = 0; got < want && !rd->ended && n > 0;) {
        n = recv(fd, part, sizeof(part), 0);
        if (n > 0)
            buf_put(&b, part, (size_t)n);
        got += take_events(rd, &b);
    }
    fd_close(&fd);
    buf_release(&b);
}

START_TEST(test_as_completed_killed_readers_miss_and_repeat_nothing)
{
    static const char *const settings[] = {"MAX_THREADS=3"};
    struct daemon *d = daemon_start_with(settings, 1);
    json_t *made = make(d, tasks(400, -1));
    struct reader rd = {.d = d, .batch = api_str(made, "id"), .seen = json_object()};
    int kills = 0;
    daemon_keep_port(d);
    for (; !rd.ended; kills++) {
        read_some(&rd, 2 + (size_t)kills % 3); /* the first of them is "retry" */
        if (kills == 30 || kills == 60) {
            daemon_kill(d);
            daemon_start(d);
        }
    }
    ck_assert_int_ge(kills, 100);
    ck_assert_uint_eq(json_object_size(rd.seen), 400);
    json_decref(rd.seen);
    json_decref(made);
    daemon_end(&d);
}
END_TEST

/* ---- the moment of the end ------------------------------------------------------------------- */

#define MOMENTS 10000

/* Exactly `requests` requests; the tool's report. */
static json_t *press(struct daemon *d, const char *mode, const char *requests)
{
    return load_report(d, (const char *const[]){"--mode", mode, "--connections", "50", "--requests",
                                                requests, "--wait", "30", "--late", "5", "--grace",
                                                "40", NULL});
}

/* Each wait had its answer, 200 with the done future, and none needed its deadline for it. */
static void check_moments(const char *mode, const char *requests)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    json_t *report = press(d, mode, requests);
    ck_assert_int_eq(api_int(report, "waited"), MOMENTS);
    ck_assert_int_eq(api_int(report, "status.200"), MOMENTS);
    ck_assert_int_eq(api_int(report, "unanswered"), 0);
    ck_assert_int_eq(api_int(report, "disconnected"), 0);
    ck_assert_int_eq(api_int(report, "undone"), 0);
    ck_assert_int_eq(api_int(report, "late"), 0);
    json_decref(report);
    daemon_end(&d);
}

/* POST, then the long-poll at once: echo ends while its wait comes in. */
START_TEST(test_as_completed_waits_never_miss_the_moment)
{
    check_moments("post-poll", "20000");
}
END_TEST

START_TEST(test_as_completed_prefer_wait_never_misses_the_moment)
{
    check_moments("post-wait", "10000");
}
END_TEST

/* Many futures in one wait, which end while it comes in. */
START_TEST(test_as_completed_wait_all_never_misses_the_moment)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    for (int i = 0; i < 200; i++) {
        json_t *made =
            api_batch(daemon_url(d), "{\"handler\":\"echo\",\"inputs\":[1,2,3,4,5,6,7,8,9,10]}");
        json_t *all = wait_many(d, api_str(made, "id"), "ALL_COMPLETED");
        ck_assert_uint_eq(json_array_size(json_object_get(all, "done")), 10);
        json_decref(all);
        json_decref(made);
    }
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_as_completed_fifty_calls_twenty_at_a_time,
        test_as_completed_and_waits_over_a_thousand,
        test_as_completed_killed_readers_miss_and_repeat_nothing,
        test_as_completed_waits_never_miss_the_moment,
        test_as_completed_prefer_wait_never_misses_the_moment,
        test_as_completed_wait_all_never_misses_the_moment,
    };
    return suite_run("as_completed", tests, FUT_COUNT(tests));
}
