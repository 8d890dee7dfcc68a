/* load: presses a daemon, or a server that it is compared with, with one kind of request on many
 * connections and prints one line of JSON.
 * Exit status 1 when a request stayed without an answer, 3 when nobody answered at all. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/load_script.h"
#include "tests/support/options.h"

static const char *const modes[] = {
    [LOAD_POST] = "post", [LOAD_POST_WAIT] = "post-wait", [LOAD_POST_POLL] = "post-poll",
    [LOAD_BULK] = "bulk", [LOAD_WORK] = "work",           [LOAD_GET] = "get"};

static const struct load_script *const scripts[] = {&load_http, &load_beanstalk, &load_gearman,
                                                    &load_redis};

struct options {
    const char *address, *protocol, *mode, *handler, *input, *path, *lane;
    double connections, requests, seconds, wait, late, grace, body, bulk, raw;
};

static void parse(int argc, char **argv, struct options *o)
{
    const struct option_row rows[] = {
        {"address", &o->address, NULL, "host:port of the daemon"},
        {"protocol", &o->protocol, NULL, "http, beanstalk, gearman or redis"},
        {"mode", &o->mode, NULL,
         "post, post-wait, bulk; http: post-poll (POST and GET ?wait in turn), get; others: work "
         "(be a worker)"},
        {"handler", &o->handler, NULL, "whose tasks are posted; others: the queue's name"},
        {"lane", &o->lane, NULL, "http: where they run"},
        {"input", &o->input, NULL, "their input, as JSON, instead of --body"},
        {"body", NULL, &o->body, "bytes of input"},
        {"raw", NULL, &o->raw, "http: 1 for POST /v1/tasks/HANDLER with the input as the body"},
        {"bulk", NULL, &o->bulk, "tasks per request of --mode bulk"},
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

static const struct load_script *find_script(const char *name)
{
    for (size_t i = 0; i < FUT_COUNT(scripts); i++) {
        if (strcmp(scripts[i]->name, name) == 0)
            return scripts[i];
    }
    return NULL;
}

static bool configure(const struct options *o, struct load_config *cfg)
{
    size_t mode = 0;
    while (mode < FUT_COUNT(modes) && strcmp(modes[mode], o->mode) != 0)
        mode++;
    const struct load_script *script = find_script(o->protocol);
    if (mode == FUT_COUNT(modes) || !script || !script->modes[mode] || o->connections < 1 ||
        o->connections > 100000 || o->body > 64 * 1024 * 1024 || o->bulk < 1 || o->bulk > 1000000)
        return false;
    *cfg = (struct load_config){
        .script = script,
        .mode = (enum load_mode)mode,
        .address = o->address,
        .handler = o->handler,
        .input = o->input,
        .path = o->path,
        .lane = o->lane,
        .raw = o->raw > 0,
        .bulk = (unsigned)o->bulk,
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
        "{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:o, s:f, s:f, s:f, s:f, s:f, s:f, "
        "s:f}",
        "mode", o->mode, "connections", (int)o->connections, "requests", (json_int_t)r->requests,
        "answered", (json_int_t)r->answered, "unanswered", (json_int_t)r->unanswered,
        "disconnected", (json_int_t)r->disconnected, "late", (json_int_t)r->late, "late_over_s",
        o->late, "waited", (json_int_t)r->waited, "undone", (json_int_t)r->undone, "status",
        status_counts(r), "seconds", r->seconds, "rate", rate, "p50_ms",
        samples_ms(&r->samples, 0.5), "p99_ms", samples_ms(&r->samples, 0.99), "p99_9_ms",
        samples_ms(&r->samples, 0.999), "max_ms", samples_ms(&r->samples, 1), "longest_gap_ms",
        (double)r->longest_gap_us / 1e3);
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6));
    (void)puts(text ? text : "{}");
    free(text);
    json_decref(line);
}

int main(int argc, char **argv)
{
    struct options o = {.address = "127.0.0.1:8420",
                        .protocol = "http",
                        .mode = "post",
                        .handler = "echo",
                        .path = "/healthz",
                        .connections = 64,
                        .seconds = 10,
                        .wait = 30,
                        .late = 5,
                        .grace = 40,
                        .body = 64,
                        .bulk = 1000};
    struct load_config cfg;
    struct load_report report = {0};
    parse(argc, argv, &o);
    if (!configure(&o, &cfg)) {
        (void)fprintf(stderr,
                      "load: --protocol, --mode, --connections (1..100000), --bulk (1..1000000) or "
                      "--body (64 MiB) is off\n");
        return 2;
    }
    bool reached = load_run(&cfg, &report);
    print_report(&o, &report);
    bool failed = report.unanswered || report.disconnected;
    samples_release(&report.samples);
    return !reached ? 3 : failed ? 1 : 0;
}
