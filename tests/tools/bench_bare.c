/* bench_bare: the least that a server on libmicrohttpd can do with POST /v1/tasks: read the body,
 * parse it by jansson, answer 202. No store, no queue, no worker: the limit that the daemon's
 * submit rate is held against. Prints "address=127.0.0.1:PORT"; ends by SIGTERM. */
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/id.h"
#include "core/mem.h"
#include "tests/support/options.h"
#include "tests/support/wait.h"

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

int main(int argc, char **argv)
{
    double threads = 2, connections = 4096;
    const struct option_row rows[] = {
        {"threads", NULL, &threads, "epoll threads"},
        {"connections", NULL, &connections, "at most"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    wait_term_prepare();
    /* A pool of one is refused by libmicrohttpd: one thread is no pool (0). */
    unsigned pool = threads > 1 ? (unsigned)threads : 0;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&at, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
        MHD_OPTION_THREAD_POOL_SIZE, pool, MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!d) {
        (void)fprintf(stderr, "bench_bare: libmicrohttpd did not start\n");
        return 1;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    (void)printf("address=127.0.0.1:%u\n", info ? info->port : 0);
    (void)fflush(stdout);
    wait_term();
    MHD_stop_daemon(d);
    return 0;
}
