/* load: presses a daemon with one kind of request on many connections and prints one line of JSON.
 * Exit status 1 when a request stayed without an answer, 3 when nobody answered at all. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/load.h"
#include "tests/support/options.h"

static const char *const modes[] = {[LOAD_POST] = "post",
                                    [LOAD_POST_WAIT] = "post-wait",
                                    [LOAD_POST_POLL] = "post-poll",
                                    [LOAD_GET] = "get"};

struct options {
    const char *address, *mode, *handler, *input, *path;
    double connections, requests, seconds, wait, late, grace, body;
};

static void parse(int argc, char **argv, struct options *o)
{
    const struct option_row rows[] = {
        {"address", &o->address, NULL, "host:port of the daemon"},
        {"mode", &o->mode, NULL, "post, post-wait, post-poll (POST and GET ?wait in turn) or get"},
        {"handler", &o->handler, NULL, "whose tasks are posted"},
        {"input", &o->input, NULL, "their input, as JSON, instead of --body"},
        {"body", NULL, &o->body, "bytes of input"},
        {"path", &o->path, NULL, "of --mode get"},
        {"connections", NULL, &o->connections, "kept alive, one request each at a time"},
        {"requests", NULL, &o->requests, "stop after so many; 0: after --seconds"},
        {"seconds", NULL, &o->seconds, "how long"},
        {"wait", NULL, &o->wait, "seconds, in Prefer: wait and ?wait"},
        {"late", NULL, &o->late, "seconds after which an answer counts as late"},
        {"grace", NULL, &o->grace, "seconds for the last answers"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
}

static bool configure(const struct options *o, struct load_config *cfg)
{
    size_t mode = 0;
    while (mode < FUT_COUNT(modes) && strcmp(modes[mode], o->mode) != 0)
        mode++;
    if (mode == FUT_COUNT(modes) || o->connections < 1 || o->connections > 100000 ||
        o->body > 64 * 1024 * 1024)
        return false;
    *cfg = (struct load_config){
        .mode = (enum load_mode)mode,
        .address = o->address,
        .handler = o->handler,
        .input = o->input,
        .path = o->path,
        .connections = (unsigned)o->connections,
        .requests = (int64_t)o->requests,
        .seconds = o->seconds,
        .wait_s = o->wait,
        .late_s = o->late,
        .grace_s = o->grace,
        .body_bytes = (unsigned)o->body,
    };
    return true;
}

static json_t *status_counts(const struct load_report *r)
{
    json_t *counts = json_object();
    for (int s = 0; s < LOAD_STATUS_MAX; s++) {
        char key[16];
        if (!r->by_status[s])
            continue;
        (void)snprintf(key, sizeof(key), "%d", s);
        (void)json_object_set_new(counts, key, json_integer(r->by_status[s]));
    }
    return counts;
}

static void print_report(const struct options *o, struct load_report *r)
{
    double rate = r->seconds > 0 ? (double)r->answered / r->seconds : 0;
    json_t *line = json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:o, s:f, s:f, s:f, s:f, s:f, s:f}",
        "mode", o->mode, "connections", (int)o->connections, "requests", (json_int_t)r->requests,
        "answered", (json_int_t)r->answered, "unanswered", (json_int_t)r->unanswered,
        "disconnected", (json_int_t)r->disconnected, "late", (json_int_t)r->late, "late_over_s",
        o->late, "waited", (json_int_t)r->waited, "undone", (json_int_t)r->undone, "status",
        status_counts(r), "seconds", r->seconds, "rate", rate, "p50_ms",
        samples_ms(&r->samples, 0.5), "p99_ms", samples_ms(&r->samples, 0.99), "p99_9_ms",
        samples_ms(&r->samples, 0.999), "max_ms", samples_ms(&r->samples, 1));
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6));
    (void)puts(text ? text : "{}");
    free(text);
    json_decref(line);
}

int main(int argc, char **argv)
{
    struct options o = {.address = "127.0.0.1:8420",
                        .mode = "post",
                        .handler = "echo",
                        .path = "/healthz",
                        .connections = 64,
                        .seconds = 10,
                        .wait = 30,
                        .late = 5,
                        .grace = 40,
                        .body = 64};
    struct load_config cfg;
    struct load_report report = {0};
    parse(argc, argv, &o);
    if (!configure(&o, &cfg)) {
        (void)fprintf(stderr,
                      "load: --mode, --connections (1..100000) or --body (64 MiB) is off\n");
        return 2;
    }
    bool reached = load_run(&cfg, &report);
    print_report(&o, &report);
    bool lost = report.unanswered || report.disconnected;
    samples_release(&report.samples);
    return !reached ? 3 : lost ? 1 : 0;
}
