/* Long-polls over real sockets: woken, timed out, left alone by their client, let go at the end. */
#include "tests/support/suite.h"
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

START_TEST(test_long_poll_wakes_when_the_task_ends)
{
    int waiting = client_connect(&f), other = client_connect(&f);
    char path[64], line[128];
    submit(other, "{\"handler\":\"hold\"}", path);
    client_ask(waiting, line_of(line, sizeof(line), "GET %s?wait=30", path), "", NULL);
    await_stats(&f, "\"waiters\":1,");
    expect(client_do(other, line_of(line, sizeof(line), "POST %s/cancel", path), "", ""), 200,
           "cancelled", NULL, NULL);
    /* a client's patience is shorter than its wait */
    expect(client_read(waiting), 200, "\"state\":\"cancelled\",\"done\":true", path + 12, NULL);
    await_stats(&f, "\"waiters\":0,");
    ck_assert_int_eq(close(waiting), 0);
    ck_assert_int_eq(close(other), 0);
}
END_TEST

START_TEST(test_long_poll_ends_with_the_current_state)
{
    int fd = client_connect(&f);
    char path[64], line[128];
    submit(fd, "{\"handler\":\"hold\"}", path);
    int64_t before = clock_mono_ms();
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s?wait=0.25", path), "", NULL), 200,
           "\"state\":\"running\",\"done\":false", NULL, NULL);
    ck_assert_int_ge(clock_mono_ms() - before, 250);
    expect(client_do(fd, line_of(line, sizeof(line), "GET %s/result?wait=0.01", path), "", NULL),
           409, "Retry-After: 1\r\n", "\"code\":\"not_done\"", "running");
    expect(
        client_do(fd, line_of(line, sizeof(line), "GET %s", path), "Prefer: wait=0.020\r\n", NULL),
        200, "Preference-Applied: wait=0.020\r\n", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_long_poll_frees_a_client_that_left)
{
    char path[64], line[128];
    int other = client_connect(&f), fds[20];
    submit(other, "{\"handler\":\"hold\"}", path);
    for (size_t i = 0; i < FUT_COUNT(fds); i++) {
        fds[i] = client_connect(&f);
        client_ask(fds[i], line_of(line, sizeof(line), "GET %s?wait=60", path), "", NULL);
    }
    await_stats(&f, "\"waiters\":20,");
    for (size_t i = 0; i < FUT_COUNT(fds); i++)
        ck_assert_int_eq(close(fds[i]), 0);
    await_stats(&f, "\"waiters\":0,");
    await_stats(&f, "\"connections\":2,"); /* other, and the one that asks */
    ck_assert_int_eq(close(other), 0);
}
END_TEST

START_TEST(test_long_poll_answers_at_once_when_too_many_wait)
{
    struct fixture small;
    struct api_config c = fixture_config;
    char path[64], line[128];
    c.max_connections = 10; /* 9 waiters */
    c.threads = 1;
    fixture_start_with(&small, &c, 100);
    int fds[9], fd = client_connect(&small);
    submit(fd, "{\"handler\":\"hold\"}", path);
    (void)line_of(line, sizeof(line), "GET %s?wait=60", path);
    for (size_t i = 0; i < FUT_COUNT(fds); i++) {
        fds[i] = client_connect(&small);
        client_ask(fds[i], line, "", NULL);
    }
    for (bool full = false; !full;) {
        struct reply r = client_do(fd, "GET /v1/stats", "", NULL);
        full = reply_has(&r, "\"waiters\":9,");
        free(r.body);
    }
    expect(client_do(fd, line, "", NULL), 200, "Retry-After: 1\r\n", "\"done\":false", NULL);
    expect(client_do(fd, "GET /healthz", "", NULL), 200, "ok", NULL, NULL);
    fixture_stop(&small);
    for (size_t i = 0; i < FUT_COUNT(fds); i++)
        expect(client_read(fds[i]), 200, "\"done\":false", "Connection: close", NULL);
}
END_TEST

START_TEST(test_long_poll_and_submits_end_when_the_daemon_stops)
{
    char path[64], line[128];
    struct fixture own;
    fixture_start_with(&own, &fixture_config, 1000);
    int waiting = client_connect(&own), kept = client_connect(&own), idle = client_connect(&own);
    submit(kept, "{\"handler\":\"echo\"}", path);
    client_ask(waiting, line_of(line, sizeof(line), "GET %s?wait=60", path), "", NULL);
    await_stats(&own, "\"waiters\":1,");
    ck_assert(!api_idle(own.api));
    api_quiesce(own.api);
    expect(client_do(kept, "POST /v1/tasks", "", "{\"handler\":\"echo\"}"), 503,
           "\"code\":\"shutting_down\"", "Connection: close", "Retry-After: 1");
    fixture_stop(&own);
    expect(client_read(waiting), 200, "\"state\":\"queued\",\"done\":false", NULL, NULL);
    struct reply end = client_read(idle);
    ck_assert_int_eq(end.status, 0);
    free(end.body);
}
END_TEST

START_TEST(test_long_poll_health_is_answered_while_quiescing)
{
    int fds[2] = {client_connect(&f), client_connect(&f)};
    expect(client_do(fds[0], "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
    expect(client_do(fds[1], "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
    api_quiesce(f.api);
    expect(client_do(fds[0], "GET /healthz", "", NULL), 200, "ok", "Connection: close", NULL);
    expect(client_do(fds[1], "GET /readyz", "", NULL), 503, "not_ready", "shutting down", NULL);
}
END_TEST

/* One connection of the test below: POST, then a long-poll, and again. */
struct player {
    char path[64];
    char in[8192];
    size_t n;
    int rounds;
    bool is_polling;
};

static void player_post(struct player *p, int fd)
{
    p->is_polling = false;
    client_ask(fd, "POST /v1/tasks", "", "{\"handler\":\"echo\",\"input\":{\"n\":1}}");
}

/* A whole answer is in: the next request. */
static void player_answered(struct player *p, int fd)
{
    char line[128];
    if (p->is_polling) {
        ck_assert_ptr_nonnull(strstr(p->in, "\"state\":\"succeeded\""));
        p->rounds++;
        player_post(p, fd);
    } else {
        const char *at = strstr(p->in, "Location: ");
        ck_assert_ptr_nonnull(at);
        p->is_polling = true;
        (void)line_of(line, sizeof(line), "GET %.*s?wait=30", (int)strcspn(at + 10, "\r"), at + 10);
        client_ask(fd, line, "", NULL);
    }
}

static void player_read(struct player *p, int fd)
{
    ssize_t n = recv(fd, p->in + p->n, sizeof(p->in) - 1 - p->n, 0);
    ck_assert_int_gt(n, 0);
    p->n += (size_t)n;
    p->in[p->n] = '\0';
    const char *end = strstr(p->in, "\r\n\r\n"), *len = strstr(p->in, "Content-Length: ");
    if (!end || !len || strlen(end + 4) < strtoul(len + 16, NULL, 10))
        return;
    player_answered(p, fd);
    p->n = 0;
}

#define PLAYERS 256
#define ROUNDS 30

/* libmicrohttpd's own loop stalls here: see api/README.md. */
START_TEST(test_long_poll_alternates_with_posts_on_256_connections)
{
    struct player *players = xcalloc(PLAYERS, sizeof(*players));
    struct pollfd fds[PLAYERS];
    int64_t deadline = clock_mono_ms() + 60000;
    int slowest = 0;
    for (int i = 0; i < PLAYERS; i++) {
        fds[i] = (struct pollfd){.fd = client_connect(&f), .events = POLLIN};
        player_post(&players[i], fds[i].fd);
    }
    while (slowest < ROUNDS) {
        ck_assert_int_lt(clock_mono_ms(), deadline);
        ck_assert_msg(poll(fds, PLAYERS, PATIENCE_MS) > 0, "no answer at all for 10 s");
        slowest = ROUNDS;
        for (int i = 0; i < PLAYERS; i++) {
            if (fds[i].revents)
                player_read(&players[i], fds[i].fd);
            slowest = players[i].rounds < slowest ? players[i].rounds : slowest;
        }
    }
    for (int i = 0; i < PLAYERS; i++)
        ck_assert_int_eq(close(fds[i].fd), 0);
    free(players);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("long_poll", 90, setup, teardown);
    tcase_add_test(t, test_long_poll_wakes_when_the_task_ends);
    tcase_add_test(t, test_long_poll_ends_with_the_current_state);
    tcase_add_test(t, test_long_poll_frees_a_client_that_left);
    tcase_add_test(t, test_long_poll_answers_at_once_when_too_many_wait);
    tcase_add_test(t, test_long_poll_and_submits_end_when_the_daemon_stops);
    tcase_add_test(t, test_long_poll_health_is_answered_while_quiescing);
    tcase_add_test(t, test_long_poll_alternates_with_posts_on_256_connections);
    return suite_run_cases("long_poll", t, NULL);
}
