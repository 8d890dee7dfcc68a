/* service: the commands that look at the daemon and steer it: pools, queues, limits, schedules,
 * nodes, pause, resume, purge, workers, handlers, stats. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "core/mem.h"

/* Values of options; one command runs per process. */
static const char *reason, *wait_text;
static bool of_handlers, of_queues, is_dry;
static double seconds; /* of wait_text; < 0: not given */

/* Rows of two tables; clang-format would break them apart. */
/* clang-format off */
#define NAME_OPTIONS \
    {"handlers", 'H', NULL, "the names are those of handlers", NULL, &of_handlers}, \
    {"queues", 'q', NULL, "the names are those of queues, also io and cpu", NULL, &of_queues}
/* clang-format on */

static const struct cli_option pause_options[] = {
    {"reason", 0, "TEXT", "why, for those who wait", &reason, NULL},
    {"wait", 'w', "SECONDS", "until nothing of it runs any more (4: something still does)",
     &wait_text, NULL},
    NAME_OPTIONS,
    {0},
};
static const struct cli_option resume_options[] = {NAME_OPTIONS, {0}};
static const struct cli_option purge_options[] = {
    {"dry-run", 'n', NULL, "count, and change nothing", NULL, &is_dry},
    {0},
};

static int run_pools(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {{"LANE", "lane"},       {"SLOTS", "capacity"},
                                                {"BUSY", "busy"},       {"QUEUED", "queued"},
                                                {"UNSAVED", "unsaved"}, {"PAUSED", "paused"}};
    (void)argc, (void)argv;
    return cli_list(c, "/v1/pools", "pools", columns, FUT_COUNT(columns));
}

static int run_workers(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {
        {"PID", "pid"},       {"PROGRAM", "program"}, {"LANE", "lane"},
        {"STATE", "state"},   {"TASKS", "tasks"},     {"DONE", "tasks_done"},
        {"RSS", "rss_bytes"}, {"CPU", "cpu"},         {"TASK", "task"}};
    (void)argc, (void)argv;
    return cli_list(c, "/v1/workers", "workers", columns, FUT_COUNT(columns));
}

static int run_handlers(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {{"NAME", "name"},       {"KIND", "kind"},
                                                {"LANE", "lane"},       {"TIMEOUT", "timeout"},
                                                {"RETRIES", "retries"}, {"LIMITS", "limits"}};
    (void)argc, (void)argv;
    return cli_list(c, "/v1/handlers", "handlers", columns, FUT_COUNT(columns));
}

static int run_stats(struct cli *c, int argc, char **argv)
{
    (void)argc, (void)argv;
    return cli_show(c, "/v1/stats");
}

/* ---- queues ---------------------------------------------------------------------------------- */

static int run_queues(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {
        {"NAME", "name"},           {"WEIGHT", "weight"},           {"MAX", "max_running"},
        {"SCHEDULED", "scheduled"}, {"QUEUED", "queued"},           {"RUNNING", "running"},
        {"PER_S", "started_per_s"}, {"OLDEST", "oldest_queued_at"}, {"PAUSED", "paused"},
        {"REASON", "reason"},       {"RETENTION", "retention"},     {"NODES", "nodes"}};
    if (argc == 0)
        return cli_list(c, "/v1/queues?limit=1000", "queues", columns, FUT_COUNT(columns));
    return cli_show_one(c, "/v1/queues/", argv[0]);
}

static int run_purge(struct cli *c, int argc, char **argv)
{
    int code = CLI_OK;
    (void)argc;
    char *path = cli_path(c, "/v1/queues/", argv[0],
                          is_dry ? "/purge?dry_run=true&wait=30" : "/purge?wait=30");
    json_t *answer = cli_ask(c, &(struct remote_request){.method = "POST", .path = path}, &code);
    free(path);
    while (answer && !json_is_true(json_object_get(answer, "done"))) {
        path = cli_path(c, "/v1/operations/", json_string_value(json_object_get(answer, "id")),
                        "?wait=30");
        json_decref(answer);
        answer = cli_get(c, path, &code);
        free(path);
    }
    if (answer && c->format == CLI_JSON)
        cli_print_json(answer);
    else if (answer)
        printf("%lld\n", (long long)json_integer_value(
                             json_object_get(answer, is_dry ? "matched" : "changed")));
    json_decref(answer);
    return code;
}

/* ---- limits and schedules -------------------------------------------------------------------- */

static int run_limits(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {{"NAME", "name"},       {"MAX", "max_running"},
                                                {"RATE", "rate"},       {"PER_KEY", "per_key"},
                                                {"RUNNING", "running"}, {"WAITING", "waiting"},
                                                {"CLOSED", "closed"},   {"OPENS", "opens_at"}};
    if (argc == 0)
        return cli_list(c, "/v1/limits", "limits", columns, FUT_COUNT(columns));
    return cli_show_one(c, "/v1/limits/", argv[0]);
}

static int list_schedules(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {{"NAME", "name"},
                                                {"NEXT", "next_at"},
                                                {"PAUSED", "paused"},
                                                {"SOURCE", "source"},
                                                {"DEFINITION", "definition"}};
    (void)argc, (void)argv;
    return cli_list(c, "/v1/schedules?limit=1000", "schedules", columns, FUT_COUNT(columns));
}

static int show_schedule(struct cli *c, int argc, char **argv)
{
    (void)argc;
    return cli_show_one(c, "/v1/schedules/", argv[0]);
}

/* Starts the task of each, and prints the ids of the futures. */
static int run_now(struct cli *c, int argc, char **argv)
{
    int code = CLI_OK;
    for (int i = 0; i < argc && code == CLI_OK; i++) {
        char *path = cli_path(c, "/v1/schedules/", argv[i], "/run");
        json_t *answer =
            cli_ask(c, &(struct remote_request){.method = "POST", .path = path}, &code);
        if (answer && c->format == CLI_JSON)
            cli_print_json(answer);
        else if (answer)
            puts(json_string_value(json_object_get(answer, "id")));
        json_decref(answer);
        free(path);
    }
    return code;
}

/* Changes what is called so below the path, one after the other. */
static int patch_each(struct cli *c, const char *below, int argc, char **argv, const char *body)
{
    int code = CLI_OK;
    for (int i = 0; i < argc; i++) {
        char *path = cli_path(c, below, argv[i], "");
        json_t *answer =
            cli_ask(c,
                    &(struct remote_request){
                        .method = "PATCH", .path = path, .body = body, .body_len = strlen(body)},
                    &code);
        if (answer && c->format == CLI_JSON)
            cli_print_json(answer);
        json_decref(answer);
        free(path);
    }
    return code;
}

static int pause_schedule(struct cli *c, int argc, char **argv)
{
    return patch_each(c, "/v1/schedules/", argc, argv, "{\"paused\":true}");
}

static int resume_schedule(struct cli *c, int argc, char **argv)
{
    return patch_each(c, "/v1/schedules/", argc, argv, "{\"paused\":false}");
}

static int run_schedules(struct cli *c, int argc, char **argv)
{
    static const struct cli_action actions[] = {{"show", 1, 1, show_schedule},
                                                {"run", 1, -1, run_now},
                                                {"pause", 1, -1, pause_schedule},
                                                {"resume", 1, -1, resume_schedule},
                                                {0}};
    return cli_act(c, actions, argc ? show_schedule : list_schedules, argc ? 1 : 0, argc, argv);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static int list_nodes(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {{"NAME", "name"},         {"STATE", "state"},
                                                {"VERSION", "version"},   {"LANES", "lanes"},
                                                {"LOAD", "load_average"}, {"STARTED", "started_at"},
                                                {"SEEN", "seen_at"}};
    (void)argc, (void)argv;
    return cli_list(c, "/v1/nodes", "nodes", columns, FUT_COUNT(columns));
}

static int drain_nodes(struct cli *c, int argc, char **argv)
{
    return patch_each(c, "/v1/nodes/", argc, argv, "{\"draining\":true}");
}

static int resume_nodes(struct cli *c, int argc, char **argv)
{
    return patch_each(c, "/v1/nodes/", argc, argv, "{\"draining\":false}");
}

static int run_nodes(struct cli *c, int argc, char **argv)
{
    static const struct cli_action actions[] = {
        {"drain", 1, -1, drain_nodes}, {"resume", 1, -1, resume_nodes}, {0}};
    return cli_act(c, actions, list_nodes, 0, argc, argv);
}

/* ---- pause and resume ------------------------------------------------------------------------ */

/* io and cpu are lanes, everything else is a queue. */
static const char *resource_of(const char *name)
{
    bool is_lane = strcmp(name, "io") == 0 || strcmp(name, "cpu") == 0;
    return of_handlers ? "/v1/handlers/" : is_lane && !of_queues ? "/v1/pools/" : "/v1/queues/";
}

static int change_pause(struct cli *c, const char *name, bool is_paused)
{
    int code = CLI_OK;
    json_t *body = json_pack("{s:b}", "paused", is_paused);
    if (reason)
        json_object_set_new(body, "reason", json_string(reason));
    char *text = json_dumps(body, JSON_COMPACT), *query = NULL;
    if (seconds >= 0 && asprintf(&query, "?wait=%.15g", seconds) < 0)
        abort();
    char *path = cli_path(c, resource_of(name), name, query ? query : "");
    json_t *answer =
        cli_ask(c,
                &(struct remote_request){
                    .method = "PATCH", .path = path, .body = text, .body_len = strlen(text)},
                &code);
    json_int_t running = json_integer_value(json_object_get(answer, "running"));
    if (answer && c->format == CLI_JSON)
        cli_print_json(answer);
    if (answer && seconds >= 0 && running)
        code = cli_fail(CLI_NOT_DONE, "%lld tasks of %s still run.", (long long)running, name);
    json_decref(answer);
    json_decref(body);
    free(path);
    free(query);
    free(text);
    return code;
}

static int set_paused(struct cli *c, char **names, int n, bool is_paused)
{
    int code = CLI_OK;
    seconds = wait_text ? cli_seconds(wait_text) : -1;
    if (wait_text && seconds < 0)
        return cli_fail(CLI_USAGE, "--wait %s is not a time, such as 30 or 1.5.", wait_text);
    for (int i = 0; wait_text && i < n; i++) {
        if (strcmp(resource_of(names[i]), "/v1/pools/") == 0)
            return cli_fail(CLI_USAGE, "--wait is for queues and handlers.");
    }
    for (int i = 0; i < n; i++) {
        int one = change_pause(c, names[i], is_paused);
        code = one > code ? one : code;
    }
    return code;
}

static int run_pause(struct cli *c, int argc, char **argv)
{
    return set_paused(c, argv, argc, true);
}

static int run_resume(struct cli *c, int argc, char **argv)
{
    return set_paused(c, argv, argc, false);
}

const struct cli_command cli_service_commands[] = {
    {"pools", "", "show the slots of each lane", NULL, 0, 0, run_pools},
    {"queues", "[QUEUE]", "list the queues, or show one", NULL, 0, 1, run_queues},
    {"limits", "[LIMIT]", "list the limits, or show one with its keys", NULL, 0, 1, run_limits},
    {"schedules", "[show|run|pause|resume] [SCHEDULE...]",
     "list the schedules, or show, run or pause one", NULL, 0, -1, run_schedules},
    {"pause", "NAME...", "start no more tasks of a queue, or of the lane io or cpu", pause_options,
     1, -1, run_pause},
    {"resume", "NAME...", "go on with what is paused", resume_options, 1, -1, run_resume},
    {"purge", "QUEUE", "cancel what waits in a queue", purge_options, 1, 1, run_purge},
    {"nodes", "[drain|resume] [NODE...]",
     "list the daemons that share the database; or some start nothing new, or go on", NULL, 0, -1,
     run_nodes},
    {"workers", "", "list the worker processes", NULL, 0, 0, run_workers},
    {"handlers", "", "list what can be run", NULL, 0, 0, run_handlers},
    {"stats", "", "print the daemon's numbers", NULL, 0, 0, run_stats},
    {0},
};
