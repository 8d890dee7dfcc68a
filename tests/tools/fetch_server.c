/* fetch_server: the service that the io scenarios call. A thread per connection, so that an answer
 * can be held without any cleverness that the daemon under test might share. /delay/MS      200
 * after MS milliseconds /gate/N        200 as soon as N requests are open here at the same time
 * (504 after 30 s) /status/CODE   that status at once /echo          what was asked, as JSON:
 * method, headers, body /stats         {"served":…,"held_max":…}: answers of /delay and /gate, and
 * most at one time Prints "address=127.0.0.1:PORT"; ends by SIGTERM. */
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/options.h"
#include "tests/support/wait.h"

#define GATE_TIMEOUT_US 30000000LL
#define HOLD_MAX_MS 600000

static struct mutex mu;
static struct cond gate_opens;
static json_int_t served, now_open, most_at_once; /* guarded by mu */
static long gate_waiting, gate_round;             /* guarded by mu */

static void hold(int by)
{
    mutex_lock(&mu);
    now_open += by;
    served += by < 0;
    if (now_open > most_at_once)
        most_at_once = now_open;
    mutex_unlock(&mu);
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    (void)MHD_add_response_header(r, "Content-Type", "application/json");
    enum MHD_Result rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result on_delay(struct MHD_Connection *c, long ms)
{
    if (ms > HOLD_MAX_MS)
        return answer(c, 400, json_pack("{s:s}", "error", "too long"));
    hold(1);
    wait_ms((int)ms);
    hold(-1);
    return answer(c, 200, json_pack("{s:I}", "delayed_ms", (json_int_t)ms));
}

/* The last one of a round opens the gate for all of it. */
static bool pass_gate(long n)
{
    int64_t deadline_mono_us = clock_mono_us() + GATE_TIMEOUT_US;
    mutex_lock(&mu);
    long round = gate_round;
    if (++gate_waiting >= n) {
        gate_waiting = 0;
        gate_round++;
        cond_broadcast(&gate_opens);
    }
    bool in_time = true;
    while (gate_round == round && in_time)
        in_time = cond_wait_until(&gate_opens, &mu, deadline_mono_us);
    bool passed = gate_round != round;
    if (!passed)
        gate_waiting--;
    mutex_unlock(&mu);
    return passed;
}

static enum MHD_Result on_gate(struct MHD_Connection *c, long n)
{
    hold(1);
    bool passed = pass_gate(n);
    hold(-1);
    return answer(c, passed ? 200 : 504, json_pack("{s:b}", "passed", passed));
}

static enum MHD_Result on_status(struct MHD_Connection *c, long status)
{
    if (status < 200 || status > 599)
        status = 400;
    return answer(c, (unsigned)status, json_pack("{s:I}", "status", (json_int_t)status));
}

static enum MHD_Result on_stats(struct MHD_Connection *c, long unused)
{
    (void)unused;
    mutex_lock(&mu);
    json_t *json = json_pack("{s:I, s:I}", "served", served, "held_max", most_at_once);
    mutex_unlock(&mu);
    return answer(c, 200, json);
}

static enum MHD_Result add_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    (void)json_object_set_new(ctx, name, json_string(value ? value : ""));
    return MHD_YES;
}

static enum MHD_Result on_echo(struct MHD_Connection *c, const char *method, const struct buf *body)
{
    json_t *headers = json_object();
    (void)MHD_get_connection_values(c, MHD_HEADER_KIND, add_header, headers);
    json_t *text = json_stringn(body->data ? body->data : "", body->len);
    return answer(c, 200,
                  json_pack("{s:s, s:o, s:o}", "method", method, "headers", headers, "body",
                            text ? text : json_null()));
}

static const struct {
    const char *prefix;
    enum MHD_Result (*fn)(struct MHD_Connection *c, long number);
} routes[] = {
    {"/delay/", on_delay}, {"/gate/", on_gate}, {"/status/", on_status}, {"/stats", on_stats}};

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *n, void **state)
{
    (void)ctx;
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
    if (strcmp(url, "/echo") == 0)
        return on_echo(c, method, body);
    for (size_t i = 0; i < FUT_COUNT(routes); i++) {
        size_t len = strlen(routes[i].prefix);
        if (strncmp(url, routes[i].prefix, len) == 0)
            return routes[i].fn(c, strtol(url + len, NULL, 10));
    }
    return answer(c, 404, json_pack("{s:s}", "error", "no such page"));
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
    double connections = 1024;
    const struct option_row rows[] = {{"connections", NULL, &connections, "at most"}};
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    mutex_init(&mu);
    cond_init(&gate_opens);
    wait_term_prepare();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, on_request,
        NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_NOTIFY_COMPLETED, on_end,
        NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)256 * 1024, MHD_OPTION_END);
    if (!d) {
        (void)fprintf(stderr, "fetch_server: libmicrohttpd did not start\n");
        return 1;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    (void)printf("address=127.0.0.1:%u\n", info ? info->port : 0);
    (void)fflush(stdout);
    wait_term();
    MHD_stop_daemon(d);
    cond_destroy(&gate_opens);
    mutex_destroy(&mu);
    return 0;
}
