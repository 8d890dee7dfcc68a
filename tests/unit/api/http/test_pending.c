/* Requests that wait for the store: polled for a moment, suspended when it takes longer, and
 * clients that leave meanwhile. A gate stops the writer for as long as a test wants. */
#include "tests/support/suite.h"
#include "tests/unit/api/fixture.h"

#define CLIENTS 200 /* more than two loops poll */
#define LONG_MS 60  /* longer than a request is polled */

static struct fixture f;

static struct gate {
    struct store_delete op; /* of nothing: its end runs on the writer's thread */
    struct mutex mu;
    struct cond changed;
    bool is_reached, is_open; /* guarded by mu */
} gate;

static void stop_writer(struct store_op *op)
{
    (void)op;
    mutex_lock(&gate.mu);
    gate.is_reached = true;
    cond_broadcast(&gate.changed);
    while (!gate.is_open)
        cond_wait(&gate.changed, &gate.mu);
    mutex_unlock(&gate.mu);
}

static void gate_close(void)
{
    gate.op = (struct store_delete){.id = {1, 1}};
    ck_assert_int_eq(store_post(f.store, &store_verb_delete, &gate.op.op, stop_writer), 0);
    mutex_lock(&gate.mu);
    while (!gate.is_reached)
        cond_wait(&gate.changed, &gate.mu);
    mutex_unlock(&gate.mu);
}

static void gate_open(void)
{
    mutex_lock(&gate.mu);
    gate.is_open = true;
    cond_broadcast(&gate.changed);
    mutex_unlock(&gate.mu);
}

static void setup(void)
{
    mutex_init(&gate.mu);
    cond_init(&gate.changed);
    fixture_start(&f);
    gate_close();
}

static void teardown(void)
{
    fixture_stop(&f);
    cond_destroy(&gate.changed);
    mutex_destroy(&gate.mu);
}

/* Others are served meanwhile, without the store. */
static void pass_time(int64_t ms)
{
    for (int64_t until = clock_mono_ms() + ms; clock_mono_ms() < until;)
        expect(ask(&f, "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
}

static void post(int fd)
{
    client_ask(fd, "POST /v1/tasks", "", "{\"handler\":\"hold\",\"input\":1}");
}

/* An abortive close: the daemon's side sees an error at once. */
static void reset_connection(int fd)
{
    static const struct linger none = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
    ck_assert_int_eq(close(fd), 0);
}

static void open_connections(int fds[CLIENTS])
{
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_connect(&f);
        expect(client_do(fds[i], "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
    }
}

START_TEST(test_pending_are_answered_after_a_short_and_a_long_wait)
{
    int fds[CLIENTS];
    open_connections(fds);
    for (int i = 0; i < CLIENTS; i++)
        post(fds[i]);
    if (_i)
        pass_time(LONG_MS);
    gate_open();
    for (int i = 0; i < CLIENTS; i++) {
        expect(client_read(fds[i]), 202, "Location: /v1/futures/", NULL, NULL);
        expect(client_do(fds[i], "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
        ck_assert_int_eq(close(fds[i]), 0);
    }
}
END_TEST

START_TEST(test_pending_may_lose_their_clients)
{
    int fds[CLIENTS];
    open_connections(fds);
    for (int i = 0; i < CLIENTS; i++)
        post(fds[i]);
    pass_time(_i ? LONG_MS : 1);
    for (int i = 0; i < CLIENTS; i += 2)
        reset_connection(fds[i]);
    pass_time(_i ? 1 : LONG_MS);
    gate_open();
    for (int i = 1; i < CLIENTS; i += 2) {
        expect(client_read(fds[i]), 202, "Location: /v1/futures/", NULL, NULL);
        ck_assert_int_eq(close(fds[i]), 0);
    }
    await_stats(&f, "\"connections\":1,");
    expect(ask(&f, "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
}
END_TEST

START_TEST(test_pending_are_answered_when_the_daemon_stops)
{
    int fd = client_connect(&f);
    post(fd);
    for (int64_t until = clock_mono_ms() + PATIENCE_MS; api_idle(f.api);) {
        ck_assert_int_lt(clock_mono_ms(), until);
        pass_time(1);
    }
    api_quiesce(f.api);
    gate_open();
    expect(client_read(fd), 202, "Connection: close", NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("pending", 60, setup, teardown);
    tcase_add_loop_test(t, test_pending_are_answered_after_a_short_and_a_long_wait, 0, 2);
    tcase_add_loop_test(t, test_pending_may_lose_their_clients, 0, 2);
    tcase_add_test(t, test_pending_are_answered_when_the_daemon_stops);
    return suite_run_cases("pending", t, NULL);
}
