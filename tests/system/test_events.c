/* GET /v1/events on the real daemon: what is of no single task, whoever has done it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/receiver.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

static struct daemon *d;
static struct program *reader;

static void setup(void)
{
    static const char *const one[] = {"MAX_WORKERS=1"};
    d = daemon_start_with(one, 1);
}

static void teardown(void)
{
    program_free(&reader);
    daemon_free(&d);
}

static void expect_event(const char *text)
{
    char *line = program_wait_line(reader, PROGRAM_OUT, text, WAIT_LONG_MS);
    ck_assert_msg(line != NULL, "no event with %s", text);
    free(line);
}

/* Follows events of these types. */
static void follow(const char *types)
{
    char *url = text_printf("%s/v1/events?types=%s", daemon_url(d), types);
    reader = program_start((const char *const[]){"/usr/bin/curl", "-sN", "-H",
                                                 "Accept: application/x-ndjson", url, NULL},
                           (const char *const[]){NULL}, daemon_dir(d));
    expect_event("\"event\":\"open\"");
    free(url);
}

START_TEST(test_events_tell_of_a_worker_that_dies)
{
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}"));
    struct http_reply r = api_get(daemon_url(d), "/v1/workers");
    json_int_t pid = api_int(json_array_get(api_at(r.json, "workers"), 0), "pid");
    http_reply_release(&r);
    follow("worker");
    ck_assert_int_eq(kill((pid_t)pid, SIGKILL), 0);
    expect_event("\"name\":\"futured\",\"change\":\"died: signal 9\"");
    r = api_get(daemon_url(d), "/metrics");
    ck_assert_msg(strstr(r.body, "\nfutured_workers_died_total{reason=\"signal\"} 1\n") != NULL,
                  "%s", r.body);
    http_reply_release(&r);
}
END_TEST

START_TEST(test_events_tell_of_a_limit_that_a_host_has_closed)
{
    struct receiver *host = receiver_start(false);
    char id[ID_TEXT_SIZE];
    receiver_answer(host, 1,
                    "HTTP/1.1 429 Slower\r\nContent-Length: 0\r\nRetry-After: 600\r\n"
                    "Connection: close\r\n\r\n");
    const char *const json[] = {"Content-Type: application/json", NULL};
    struct http_reply r =
        http_call(daemon_url(d), &(struct http_request){.method = "PUT",
                                                        .path = "/v1/limits/host:127.0.0.1",
                                                        .headers = json,
                                                        .body = "{\"max_running\":1}",
                                                        .body_len = 17});
    ck_assert_int_eq(r.status, 201);
    http_reply_release(&r);
    follow("limit");
    char *body = text_printf("{\"handler\":\"http\",\"input\":{\"url\":\"http://127.0.0.1:%u/"
                             "\",\"method\":\"POST\",\"body\":\"x\"}}",
                             receiver_port(host));
    api_submit(daemon_url(d), body, id);
    expect_event("\"name\":\"host:127.0.0.1\",\"change\":\"closed\"");
    free(body);
    receiver_stop(&host);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {{test_events_tell_of_a_worker_that_dies, 0},
                                     {test_events_tell_of_a_limit_that_a_host_has_closed, 0}};
    return suite_run_rows("events", SUITE_TIMEOUT_S, setup, teardown, rows, FUT_COUNT(rows));
}
