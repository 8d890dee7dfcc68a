/* bench_bare: the least that a server on libmicrohttpd can do with POST /v1/tasks: read the body,
 * parse it by jansson, answer 202. No store, no queue, no worker: the limit that the daemon's
 * submit rate is held against. Prints "address=127.0.0.1:PORT"; ends by SIGTERM. */
#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/id.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "tests/support/wait.h"

#define THREADS_MAX 16

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *text,
                              const char *location)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (void *)(size_t)text, MHD_RESPMEM_MUST_COPY);
    (void)MHD_add_response_header(r, "Content-Type", "application/json");
    if (location)
        (void)MHD_add_response_header(r, "Location", location);
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result accept_task(struct MHD_Connection *c, const struct buf *body)
{
    char id[ID_TEXT_SIZE], location[64], text[256];
    json_t *json = json_loadb(body->data, body->len, 0, NULL);
    const char *handler = json_string_value(json_object_get(json, "handler"));
    if (!handler) {
        json_decref(json);
        return answer(c, 400, "{}", NULL);
    }
    id_format(id_new(), id);
    (void)snprintf(location, sizeof(location), "/v1/futures/%s", id);
    (void)snprintf(text, sizeof(text),
                   "{\"id\":\"%s\",\"handler\":\"%.64s\",\"state\":\"queued\",\"done\":false}", id,
                   handler);
    json_decref(json);
    return answer(c, 202, text, location);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *n, void **state)
{
    (void)ctx;
    (void)url;
    (void)version;
    struct buf *body = *state;
    if (!body) {
        *state = xnew(struct buf);
        return MHD_YES;
    }
    if (*n) {
        buf_put(body, bytes, *n);
        *n = 0;
        return MHD_YES;
    }
    if (strcmp(method, "POST") != 0)
        return answer(c, 404, "{}", NULL);
    return accept_task(c, body);
}

static void on_end(void *ctx, struct MHD_Connection *c, void **state,
                   enum MHD_RequestTerminationCode how)
{
    (void)ctx;
    (void)c;
    (void)how;
    struct buf *body = *state;
    if (!body)
        return;
    buf_release(body);
    free(body);
    *state = NULL;
}

/* ---- loops ----------------------------------------------------------------------------------- */

/* Each has a daemon of the library and an epoll of its own, as the daemon's HTTP loops do: the
 * library's own epoll thread stops for good at 128, 256 … connections (api/README.md). */
struct loop {
    struct MHD_Daemon *mhd;
    pthread_t thread;
    int epoll_fd, stop_fd;
};

static int timeout_ms(struct MHD_Daemon *d)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(d, &ms) == MHD_NO || ms > 60000)
        return 60000;
    return (int)ms;
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    struct epoll_event ev[2];
    uint64_t stop = 0;
    while (read(l->stop_fd, &stop, sizeof(stop)) < 0) {
        (void)MHD_run(l->mhd);
        int ms = timeout_ms(l->mhd);
        if (ms != 0)
            (void)epoll_wait(l->epoll_fd, ev, 2, ms);
    }
    return NULL;
}

static void watch(struct loop *l, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
        fail("bench_bare: epoll_ctl: errno %d", errno);
}

/* port 0: any. The port that it listens on. */
static uint16_t loop_start(struct loop *l, uint16_t port, unsigned connections)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    l->mhd = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR,
                              (struct sockaddr *)&at, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
                              MHD_OPTION_CONNECTION_LIMIT, connections,
                              MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!l->mhd)
        fail("bench_bare: libmicrohttpd did not start");
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch(l, MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    watch(l, l->stop_fd);
    if (pthread_create(&l->thread, NULL, loop_main, l) != 0)
        fail("bench_bare: no thread");
    return MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void loop_stop(struct loop *l)
{
    uint64_t one = 1;
    if (write(l->stop_fd, &one, sizeof(one)) != sizeof(one))
        fail("bench_bare: errno %d", errno);
    (void)pthread_join(l->thread, NULL);
    MHD_stop_daemon(l->mhd);
    (void)close(l->epoll_fd);
    (void)close(l->stop_fd);
}

int main(int argc, char **argv)
{
    double threads = 1, connections = 20000;
    struct loop loops[THREADS_MAX] = {{0}};
    const struct option_row rows[] = {
        {"threads", NULL, &threads, "loops, each a thread"},
        {"connections", NULL, &connections, "at most, per loop"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (threads < 1 || threads > THREADS_MAX)
        fail("bench_bare: --threads is 1 to %d", THREADS_MAX);
    wait_term_prepare();
    uint16_t port = 0;
    for (unsigned i = 0; i < (unsigned)threads; i++)
        port = loop_start(&loops[i], port, (unsigned)connections);
    (void)printf("address=127.0.0.1:%u\n", port);
    (void)fflush(stdout);
    wait_term();
    for (unsigned i = 0; i < (unsigned)threads; i++)
        loop_stop(&loops[i]);
    return 0;
}
