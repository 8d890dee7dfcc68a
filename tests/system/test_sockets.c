/* Sockets that somebody else holds: a restart under load turns nobody away. */
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"

static int listen_tcp(uint32_t address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 1024), 0);
    return fd;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 1024), 0);
    return fd;
}

START_TEST(test_sockets_serves_tcp_and_unix_and_leaves_them_where_they_are)
{
    struct daemon *d = daemon_new();
    char *path = daemon_path(d, "sock"), *out = NULL;
    int tcp = listen_tcp(INADDR_LOOPBACK), local = listen_unix(path);
    daemon_pass_socket(d, tcp);
    daemon_pass_socket(d, local);
    daemon_start(d);
    char *line = daemon_wait_log(d, "listening_also");
    ck_assert_ptr_nonnull(strstr(line, path));
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    const char *const curl[] = {
        "/usr/bin/curl", "-s", "--unix-socket", path, "http://localhost/healthz", NULL};
    ck_assert_int_eq(program_run(curl, NULL, WAIT_LONG_MS, &out, NULL), 0);
    ck_assert_msg(strstr(out, "{\"status\":\"ok\"}") != NULL, "%s", out);
    daemon_stop(d);
    ck_assert_int_eq(access(path, F_OK), 0);
    json_decref(f);
    free(line);
    free(out);
    free(path);
    fd_close(&tcp);
    fd_close(&local);
    daemon_free(&d);
}
END_TEST

/* ---- a restart under load -------------------------------------------------------------------- */

#define CLIENTS 8
#define RESTARTS 3
#define BETWEEN 200 /* answers between two restarts */

struct client {
    pthread_t thread;
    const char *base;
    atomic_bool *stop;
    atomic_int *answered;
    char error[256]; /* of the first that failed; "" none */
    char last[ID_TEXT_SIZE];
};

static void *post_on(void *arg)
{
    struct client *c = arg;
    while (!atomic_load(c->stop) && !*c->error) {
        struct http_reply r = api_post(c->base, "/v1/tasks", "{\"handler\":\"echo\",\"input\":1}");
        if (r.status == 202)
            (void)snprintf(c->last, sizeof(c->last), "%s", api_str(r.json, "id"));
        else
            (void)snprintf(c->error, sizeof(c->error), "%d %.200s", r.status,
                           r.error ? r.error : r.body);
        (void)atomic_fetch_add(c->answered, 1);
        http_reply_release(&r);
    }
    return NULL;
}

struct goal {
    atomic_int *answered;
    int count;
};

static bool is_reached(void *goal)
{
    const struct goal *g = goal;
    return atomic_load(g->answered) >= g->count;
}

static void restart_under_load(struct daemon *d, atomic_int *answered)
{
    for (int i = 0; i < RESTARTS; i++) {
        struct goal g = {answered, atomic_load(answered) + BETWEEN};
        ck_assert(wait_until(is_reached, &g, WAIT_LONG_MS));
        daemon_stop(d);
        daemon_start(d);
    }
    struct goal g = {answered, atomic_load(answered) + BETWEEN};
    ck_assert(wait_until(is_reached, &g, WAIT_LONG_MS));
}

START_TEST(test_sockets_a_restart_under_load_refuses_nobody)
{
    struct daemon *d = daemon_new();
    struct client clients[CLIENTS] = {0};
    atomic_bool stop = false;
    atomic_int answered = 0;
    int tcp = listen_tcp(INADDR_LOOPBACK);
    daemon_pass_socket(d, tcp);
    daemon_start(d);
    char *base = xstrdup(daemon_url(d));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].base = base;
        clients[i].stop = &stop;
        clients[i].answered = &answered;
        thread_start(&clients[i].thread, "client", post_on, &clients[i]);
    }
    restart_under_load(d, &answered);
    atomic_store(&stop, true);
    for (int i = 0; i < CLIENTS; i++)
        thread_join(clients[i].thread);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_msg(!*clients[i].error, "a request failed: %s", clients[i].error);
        json_decref(api_done(base, clients[i].last));
    }
    free(base);
    fd_close(&tcp);
    daemon_free(&d);
}
END_TEST

static bool has_a_waiter(void *d)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/stats");
    bool has = api_int(r.json, "http.waiters") == 1;
    http_reply_release(&r);
    return has;
}

START_TEST(test_sockets_a_long_poll_ends_with_its_state_and_comes_back)
{
    struct daemon *d = daemon_new();
    char id[ID_TEXT_SIZE], path[128];
    int tcp = listen_tcp(INADDR_LOOPBACK);
    daemon_pass_socket(d, tcp);
    daemon_set(d, "FUTURED_DRAIN=0ms");
    daemon_set(d, "FUTURED_KILL_GRACE=100ms");
    daemon_start(d);
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}", id);
    api_wait_state(daemon_url(d), id, "running");
    (void)snprintf(path, sizeof(path), "/v1/futures/%s?wait=50", id);
    struct http_request req = {.method = "GET", .path = path};
    char *base = xstrdup(daemon_url(d)); /* the next start writes to the daemon's own */
    struct http_pending *p = http_begin(base, &req);
    ck_assert(wait_until(has_a_waiter, d, WAIT_LONG_MS));
    daemon_stop(d);
    struct http_reply r = http_finish(&p);
    ck_assert_msg(r.status == 200, "%d %s", r.status, r.error ? r.error : r.body);
    ck_assert(!json_is_true(api_at(r.json, "done")));
    http_reply_release(&r);
    p = http_begin(base, &req); /* nobody accepts: it waits in the backlog */
    daemon_start(d);
    api_wait_state(daemon_url(d), id, "running");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    r = http_finish(&p);
    ck_assert_int_eq(r.status, 200);
    ck_assert_str_eq(api_str(r.json, "state"), "cancelled");
    http_reply_release(&r);
    free(base);
    fd_close(&tcp);
    daemon_free(&d);
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------- */

static void check_refused(struct daemon *d, const char *why)
{
    char *said = NULL;
    ck_assert_int_eq(daemon_start_refused(d, &said), 78);
    ck_assert_msg(strstr(said, why) != NULL, "%s", said);
    free(said);
    daemon_free(&d);
}

START_TEST(test_sockets_that_do_not_listen_are_refused)
{
    struct daemon *d = daemon_new();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    daemon_pass_socket(d, fd);
    check_refused(d, "the inherited descriptor 3 is no listening socket");
    fd_close(&fd);
}
END_TEST

START_TEST(test_sockets_more_than_eight_are_refused)
{
    struct daemon *d = daemon_new();
    int fd = listen_tcp(INADDR_LOOPBACK);
    for (int i = 0; i < 9; i++)
        daemon_pass_socket(d, fd);
    check_refused(d, "9 sockets were handed over");
    fd_close(&fd);
}
END_TEST

START_TEST(test_sockets_open_to_others_need_tokens)
{
    struct daemon *d = daemon_new();
    int fd = listen_tcp(INADDR_ANY);
    daemon_pass_socket(d, fd);
    check_refused(d, "without tokens");
    fd_close(&fd);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_sockets_serves_tcp_and_unix_and_leaves_them_where_they_are,
        test_sockets_a_restart_under_load_refuses_nobody,
        test_sockets_a_long_poll_ends_with_its_state_and_comes_back,
        test_sockets_that_do_not_listen_are_refused,
        test_sockets_more_than_eight_are_refused,
        test_sockets_open_to_others_need_tokens,
    };
    return suite_run("sockets", tests, FUT_COUNT(tests));
}
