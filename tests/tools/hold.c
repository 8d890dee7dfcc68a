/* hold: holds many idle long-polls of one future at once, and does with them what stdin says, a
 * line each: "drop N" (hang up on N), "collect" (wait for the answers of the others), "cancel"
 * (cancel the future, then collect). Each step prints a line of JSON when the daemon has followed.
 * Exit status 1 when it did not, or when an answer was missing or wrong. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/hold.h"
#include "tests/support/options.h"
#include "tests/support/text.h"

struct options {
    const char *address, *id;
    double connections, wait, grace;
};

struct session {
    const struct options *o;
    struct hold *hold;
};

static double seconds_since(int64_t began_mono_us)
{
    return (double)(clock_mono_us() - began_mono_us) / 1e6;
}

/* Prints and frees. */
static void print(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6));
    (void)puts(text ? text : "{}");
    (void)fflush(stdout);
    free(text);
    json_decref(line);
}

static bool add(struct session *s, size_t n)
{
    int64_t began_mono_us = clock_mono_us();
    bool agreed = hold_add(s->hold, n);
    print(json_pack("{s:I, s:b, s:f}", "held", (json_int_t)hold_count(s->hold), "agreed", agreed,
                    "seconds", seconds_since(began_mono_us)));
    return agreed;
}

static bool drop(struct session *s, const char *args)
{
    int64_t began_mono_us = clock_mono_us();
    bool noticed = hold_drop(s->hold, strtoul(args, NULL, 10));
    print(json_pack("{s:I, s:b, s:f}", "held", (json_int_t)hold_count(s->hold), "agreed", noticed,
                    "seconds", seconds_since(began_mono_us)));
    return noticed;
}

static bool collect_since(struct session *s, int64_t began_mono_us)
{
    struct hold_report r;
    hold_collect(s->hold, (int)(s->o->grace * 1000), &r);
    double seconds = r.answered ? (double)(r.last_mono_us - began_mono_us) / 1e6 : 0;
    print(json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:f}", "asked", (json_int_t)r.asked, "answered",
                    (json_int_t)r.answered, "done", (json_int_t)r.right, "lost",
                    (json_int_t)r.disconnected, "unanswered", (json_int_t)r.unanswered,
                    "wrong_status", r.wrong, "seconds", seconds));
    return r.right == r.asked;
}

static bool collect(struct session *s, const char *args)
{
    (void)args;
    return collect_since(s, clock_mono_us());
}

static bool cancel(struct session *s, const char *args)
{
    (void)args;
    int64_t began_mono_us = clock_mono_us();
    char *url = text_printf("http://%s", s->o->address);
    int status = api_cancel(url, s->o->id);
    free(url);
    if (status != 200)
        (void)fprintf(stderr, "hold: cancel: status %d\n", status);
    return collect_since(s, began_mono_us);
}

static const struct command {
    const char *name;
    bool (*run)(struct session *s, const char *args);
} commands[] = {{"drop", drop}, {"collect", collect}, {"cancel", cancel}};

static bool obey(struct session *s, const char *line)
{
    size_t len = strcspn(line, " \n");
    for (size_t i = 0; i < FUT_COUNT(commands); i++) {
        if (strncmp(line, commands[i].name, len) == 0 && !commands[i].name[len])
            return commands[i].run(s, line + len);
    }
    (void)fprintf(stderr, "hold: not a command: %s", line);
    return false;
}

static void parse(int argc, char **argv, struct options *o)
{
    const struct option_row rows[] = {
        {"address", &o->address, NULL, "host:port of the daemon"},
        {"id", &o->id, NULL, "the future to wait for"},
        {"connections", NULL, &o->connections, "one long-poll each"},
        {"wait", NULL, &o->wait, "seconds, in ?wait"},
        {"grace", NULL, &o->grace, "seconds for the answers"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
}

int main(int argc, char **argv)
{
    struct options o = {.address = "127.0.0.1:8420", .connections = 10000, .wait = 60, .grace = 60};
    char line[128];
    parse(argc, argv, &o);
    if (!o.id || o.connections < 1 || o.connections > 100000) {
        (void)fprintf(stderr, "hold: --id is missing, or --connections (1..100000) is off\n");
        return 2;
    }
    struct hold_config cfg = {.address = o.address,
                              .ids = &o.id,
                              .n_ids = 1,
                              .wait_s = o.wait,
                              .expect = "\"done\":true"};
    size_t n = hold_possible((size_t)o.connections);
    if (n < (size_t)o.connections)
        (void)fprintf(stderr, "NOTE: only %zu connections: the hard limit of ulimit -n\n", n);
    struct session s = {.o = &o, .hold = hold_new(&cfg)};
    bool good = add(&s, n);
    while (good && fgets(line, sizeof(line), stdin))
        good = obey(&s, line);
    hold_free(&s.hold);
    return good ? 0 : 1;
}
