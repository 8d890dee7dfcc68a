/* Sessions that end with their client, whose stream is the sign that it is there: it is killed, or
 * the daemon is. And the cancel that leaves what runs. */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define LATE_MS 20000

static struct daemon *d;
static char session[ID_TEXT_SIZE];

static void end(void)
{
    daemon_end(&d);
}

static void open_session(const char *body)
{
    struct http_reply r = api_post(daemon_url(d), "/v1/sessions", body);
    ck_assert_msg(r.status == 201, "%s", r.body);
    (void)snprintf(session, sizeof(session), "%s", api_str(r.json, "id"));
    http_reply_release(&r);
}

/* Two tasks: one runs for so long, the other one waits for it. */
static void submit_two(int first_ms, char ids[2][ID_TEXT_SIZE])
{
    char *path = text_printf("/v1/sessions/%s/tasks", session);
    char *body =
        text_printf("{\"handler\":\"sleep\",\"inputs\":[{\"ms\":%d},{\"seconds\":60}]}", first_ms);
    struct http_reply r = api_post(daemon_url(d), path, body);
    ck_assert_msg(r.status == 202, "%s", r.body);
    for (size_t i = 0; i < 2; i++)
        (void)snprintf(ids[i], ID_TEXT_SIZE, "%s",
                       json_string_value(json_array_get(json_object_get(r.json, "ids"), i)));
    http_reply_release(&r);
    free(body);
    free(path);
}

/* A client that reads the session's stream at this address. */
static struct program *follow_at(const char *base, const char *last)
{
    char *url = text_printf("%s/v1/sessions/%s/events", base, session);
    const char *const argv[] = {
        "/usr/bin/curl", "-sN", "-H", "Accept: application/x-ndjson", "-H", last, url, NULL};
    struct program *p = program_start(argv, NULL, NULL);
    free(url);
    return p;
}

static struct program *follow(const char *last)
{
    return follow_at(daemon_url(d), last);
}

static void expect_told(struct program *client, const char *what)
{
    char *line = program_wait_line(client, PROGRAM_OUT, what, LATE_MS);
    ck_assert_msg(line != NULL, "no line with %s", what);
    free(line);
}

static bool is(const char *key)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/sessions/%s", session);
    const json_t *v = api_at(r.json, key);
    bool yes = json_is_true(v) || json_is_string(v) || json_integer_value(v) > 0;
    http_reply_release(&r);
    return yes;
}

START_TEST(test_session_clients_that_are_killed_end_it)
{
    char ids[2][ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    open_session(
        "{\"handler\":\"sleep\",\"max_running\":1,\"on_disconnect\":\"cancel\",\"grace\":1}");
    struct program *client = follow("X-No: 1");
    submit_two(2500, ids); /* longer than the session lasts without the client */
    expect_told(client, ids[0]);
    ck_assert(!is("closed") && !is("disconnected_at"));
    api_wait_state(daemon_url(d), ids[1], "running");
    program_signal(client, SIGKILL);
    wait_for(is("disconnected_at"));
    api_expect_end(daemon_url(d), ids[0], "succeeded", "");
    api_expect_end(daemon_url(d), ids[1], "cancelled", "cancelled");
    ck_assert(is("closed") && !is("unfinished"));
    program_free(&client);
    client = follow("X-No: 1"); /* it comes back, and hears what has become of it */
    expect_told(client, "\"event\":\"end\",\"data\":{\"sent\":2}");
    program_free(&client);
    end();
}
END_TEST

START_TEST(test_session_clients_outlive_the_daemon)
{
    char ids[2][ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"sleep\",\"max_running\":1,\"on_disconnect\":\"cancel_queued\","
                 "\"grace\":1.5}");
    struct program *client = follow("X-No: 1");
    submit_two(2500, ids);
    api_wait_state(daemon_url(d), ids[0], "running");
    daemon_kill(d);
    program_free(&client);
    daemon_start(d);
    client = follow("X-No: 1");
    expect_told(client, ids[0]);
    ck_assert(!is("closed"));
    api_wait_state(daemon_url(d), ids[1], "running");
    char more[2][ID_TEXT_SIZE];
    submit_two(1, more);
    daemon_kill(d);
    program_free(&client);
    daemon_start(d); /* and nobody comes back: what runs ends, what waits does not begin */
    wait_for(is("disconnected_at"));
    api_expect_end(daemon_url(d), more[0], "cancelled", "cancelled");
    api_expect_end(daemon_url(d), more[1], "cancelled", "cancelled");
    api_wait_state(daemon_url(d), ids[1], "running");
    ck_assert(is("closed") && is("unfinished"));
    ck_assert_int_eq(api_cancel(daemon_url(d), ids[1]), 200);
    end();
}
END_TEST

/* ---- a network that is gone ------------------------------------------------------------------ */

static int here, there; /* networks */

static void enter(int network)
{
    ck_assert_int_eq(setns(network, CLONE_NEWNET), 0);
}

static void switch_network(bool on)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = on ? IFF_UP : 0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    fd_close(&fd);
}

static int listen_tcp(in_port_t *out_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *out_port = ntohs(at.sin_port);
    return fd;
}

/* A daemon that listens here and there. False: this process may have no other network. */
static bool start_in_two_networks(in_port_t *out_port)
{
    in_port_t port;
    here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNET) != 0) {
        (void)fprintf(stderr, "NOTE: no second network: one that is gone was not tested\n");
        return false;
    }
    there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    switch_network(true);
    int far = listen_tcp(out_port);
    enter(here);
    int near = listen_tcp(&port);
    d = daemon_new();
    daemon_pass_socket(d, near);
    daemon_pass_socket(d, far);
    daemon_start(d);
    fd_close(&near);
    fd_close(&far);
    return true;
}

static bool is_missed(void *ctx)
{
    (void)ctx;
    return is("disconnected_at");
}

/* It closes nothing, and is not there any more. */
START_TEST(test_session_clients_whose_network_is_gone_end_it)
{
    char ids[2][ID_TEXT_SIZE];
    in_port_t port;
    if (!start_in_two_networks(&port))
        return;
    open_session(
        "{\"handler\":\"sleep\",\"max_running\":1,\"on_disconnect\":\"cancel\",\"grace\":1}");
    char *base = text_printf("http://127.0.0.1:%d", (int)port);
    enter(there);
    struct program *client = follow_at(base, "X-No: 1");
    enter(here);
    submit_two(2500, ids);
    expect_told(client, ids[0]);
    ck_assert(!is("closed"));
    enter(there);
    switch_network(false);
    enter(here);
    ck_assert(wait_until(is_missed, NULL, LATE_MS));
    api_expect_end(daemon_url(d), ids[1], "cancelled", "cancelled");
    program_free(&client);
    free(base);
    end();
}
END_TEST

static void expect_refused(const char *members, const char *field)
{
    char *body = text_printf("{\"handler\":\"echo\",%s}", members);
    struct http_reply r = api_post(daemon_url(d), "/v1/sessions", body);
    ck_assert_int_eq(r.status, 422);
    ck_assert_str_eq(api_str(r.json, "code"), "invalid_value");
    ck_assert_msg(strcmp(api_str(r.json, "field"), field) == 0, "%s", r.body);
    http_reply_release(&r);
    free(body);
}

START_TEST(test_session_clients_say_what_becomes_of_it)
{
    d = daemon_start_with(NULL, 0);
    expect_refused("\"on_disconnect\":\"stop\"", "on_disconnect");
    expect_refused("\"on_disconnect\":\"cancel\",\"grace\":0.9", "grace");
    expect_refused("\"on_disconnect\":\"cancel\",\"grace\":86401", "grace");
    expect_refused("\"grace\":30", "grace");
    expect_refused("\"on_disconnect\":\"keep\",\"grace\":30", "grace");
    open_session("{\"handler\":\"echo\",\"on_disconnect\":\"cancel_queued\"}");
    struct http_reply r = api_get(daemon_url(d), "/v1/sessions/%s", session);
    ck_assert_str_eq(api_str(r.json, "on_disconnect"), "cancel_queued");
    ck_assert_int_eq(api_int(r.json, "grace"), 30);
    ck_assert(json_is_null(api_at(r.json, "disconnected_at")));
    http_reply_release(&r);
    open_session("{\"handler\":\"echo\",\"on_disconnect\":\"keep\"}");
    r = api_get(daemon_url(d), "/v1/sessions/%s", session);
    ck_assert_ptr_null(api_at(r.json, "on_disconnect"));
    http_reply_release(&r);
    end();
}
END_TEST

/* _i: of the session, or of the batch that it is. */
START_TEST(test_session_clients_cancel_what_waits)
{
    char ids[2][ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"sleep\",\"max_running\":1}");
    submit_two(60000, ids);
    api_wait_state(daemon_url(d), ids[0], "running");
    char *path =
        text_printf("/v1/%s/%s/cancel?running=false", _i ? "batches" : "sessions", session);
    struct http_reply r = api_post(daemon_url(d), path, "");
    ck_assert_msg(r.status == 200, "%s", r.body);
    http_reply_release(&r);
    api_expect_end(daemon_url(d), ids[1], "cancelled", "cancelled");
    api_wait_state(daemon_url(d), ids[0], "running");
    path[strlen(path) - strlen("?running=false")] = '\0';
    r = api_post(daemon_url(d), path, "");
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    api_expect_end(daemon_url(d), ids[0], "cancelled", "cancelled");
    free(path);
    end();
}
END_TEST

int main(void)
{
    TCase *t = suite_case("session clients", SUITE_TIMEOUT_S, NULL, NULL);
    tcase_add_test(t, test_session_clients_that_are_killed_end_it);
    tcase_add_test(t, test_session_clients_outlive_the_daemon);
    tcase_add_test(t, test_session_clients_whose_network_is_gone_end_it);
    tcase_add_test(t, test_session_clients_say_what_becomes_of_it);
    tcase_add_loop_test(t, test_session_clients_cancel_what_waits, 0, 2);
    return suite_run_cases("system: session clients", t, NULL);
}
