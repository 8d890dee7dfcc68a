/* A machine that runs short: of descriptors, at the start and while the api serves. */
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/support/suite.h"
#include "tests/unit/api/fixture.h"

#define CLIENTS 8

static struct fixture f;
static struct rlimit before;

/* The next descriptor that the process gets would be this one. */
static int next_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
    return fd;
}

static void allow_descriptors(rlim_t n)
{
    struct rlimit lim = {.rlim_cur = n, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
}

static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void connect_socket(int fd)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(f.port)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
}

static int64_t cpu_ms(void)
{
    struct rusage u;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &u), 0);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

/* Clients that come while no descriptor can be had wait in the backlog, cost nothing, and are
 * answered once there are some again, though no other client leaves meanwhile. others: clients that
 * are inside already. */
static void run_short(int others)
{
    int inside[CLIENTS], waiting[CLIENTS];
    for (int i = 0; i < others; i++) {
        inside[i] = client_connect(&f);
        expect(client_do(inside[i], "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
    }
    for (int i = 0; i < CLIENTS; i++)
        waiting[i] = open_socket();
    allow_descriptors((rlim_t)next_fd());
    for (int i = 0; i < CLIENTS; i++) {
        connect_socket(waiting[i]);
        client_ask(waiting[i], "GET /healthz", "", NULL);
    }
    struct pollfd p = {waiting[0], POLLIN, 0};
    int64_t cpu = cpu_ms();
    ck_assert_int_eq(poll(&p, 1, 500), 0); /* nobody can be accepted */
    ck_assert_int_lt(cpu_ms() - cpu, 250); /* and no thread tries all the time */
    for (int i = 0; i < others; i++)
        expect(client_do(inside[i], "GET /healthz", "", NULL), 200, NULL, NULL, NULL);
    allow_descriptors(before.rlim_cur);
    for (int i = 0; i < CLIENTS; i++)
        expect(client_read(waiting[i]), 200, "ok", NULL, NULL);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(close(waiting[i]), 0);
    for (int i = 0; i < others; i++)
        ck_assert_int_eq(close(inside[i]), 0);
}

START_TEST(test_shortage_of_descriptors_passes)
{
    run_short(_i);
}
END_TEST

/* ---- at the start ---------------------------------------------------------------------------- */

static const struct store_config memory_store = {.backend = "memory", .max_queued = 10};

/* Starts an api of its own with this limit of descriptors: what api_start says. */
static int start_within(rlim_t limit, const struct api_config *cfg, struct fut_errbuf *err,
                        struct reply *out_stats)
{
    struct api_config c = *cfg;
    struct store *s = NULL;
    ck_assert_int_eq(store_open(&memory_store, &s, err), 0);
    c.listen = "127.0.0.1:0";
    c.store = s;
    c.catalog = &fixture_catalog;
    c.version = "test";
    struct api *a = api_new(&c);
    store_start(s);
    allow_descriptors(limit);
    int rc = api_start(a, err);
    allow_descriptors(before.rlim_cur);
    if (rc == 0) {
        struct fixture other = {
            .port = (uint16_t)strtoul(strrchr(api_address(a, 0), ':') + 1, NULL, 10)};
        *out_stats = ask(&other, "GET /v1/stats", "", NULL);
    }
    store_stop(s);
    api_stop(a, 5000);
    api_free(&a);
    store_close(&s);
    return rc;
}

/* With few descriptors it starts, or says in a sentence why not. */
START_TEST(test_shortage_at_the_start_is_told)
{
    struct api_config c = fixture_config;
    int n_started = 0, n_refused = 0;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    c.max_connections = 1;
    for (int more = 0; more < 20; more++) {
        struct fut_errbuf err = {""};
        struct reply stats = {0};
        if (start_within((rlim_t)(next_fd() + more), &c, &err, &stats) == 0) {
            n_started++;
            expect(stats, 200, NULL, NULL, NULL);
        } else {
            n_refused++;
            ck_assert_ptr_nonnull(strchr(err.text, ' '));
        }
    }
    ck_assert_int_gt(n_refused, 3);
    ck_assert_int_gt(n_started, 3);
}
END_TEST

/* As many connections are promised as there are descriptors beside those that are reserved. */
START_TEST(test_shortage_connections_fit_the_limit)
{
    struct api_config c = fixture_config;
    struct fut_errbuf err = {""};
    struct reply stats = {0};
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    c.reserved_fds = 100;
    ck_assert_int_eq(start_within(500, &c, &err, &stats), 0);
    expect(stats, 200, "\"max_connections\":400,", "\"max_waiters\":360,", NULL);
    ck_assert_int_eq(start_within(100, &c, &err, &stats), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "open files"));
}
END_TEST

/* Threads whose stacks are larger than the memory of any machine: the system refuses them. */
START_TEST(test_shortage_of_threads_is_told)
{
    struct api_config c = fixture_config;
    struct fut_errbuf err = {""};
    struct store *s = NULL;
    pthread_attr_t normal, huge;
    ck_assert_int_eq(store_open(&memory_store, &s, &err), 0);
    c.listen = "127.0.0.1:0";
    c.store = s;
    c.catalog = &fixture_catalog;
    struct api *a = api_new(&c);
    store_start(s);
    ck_assert_int_eq(pthread_getattr_default_np(&normal), 0);
    ck_assert_int_eq(pthread_getattr_default_np(&huge), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&huge, (size_t)1 << 46), 0);
    ck_assert_int_eq(pthread_setattr_default_np(&huge), 0);
    ck_assert_int_eq(api_start(a, &err), FUT_ERR_AGAIN);
    ck_assert_ptr_nonnull(strstr(err.text, "no more threads"));
    ck_assert_int_eq(pthread_setattr_default_np(&normal), 0);
    store_stop(s);
    api_stop(a, 5000);
    api_free(&a);
    store_close(&s);
}
END_TEST

static void setup(void)
{
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

int main(void)
{
    TCase *t = tcase_create("shortage");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_shortage_of_descriptors_passes, 0, 2);
    TCase *s = tcase_create("start");
    tcase_add_test(s, test_shortage_at_the_start_is_told);
    tcase_add_test(s, test_shortage_connections_fit_the_limit);
    tcase_add_test(s, test_shortage_of_threads_is_told);
    return suite_run_cases("shortage", t, s, NULL);
}
