/* service: the commands that look at the daemon and steer it: batch, pools, queues, pause, resume,
 * purge, workers, handlers, stats, graph. */
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

/* A column of a listing: a member of each element, shown as text. */
struct column {
    const char *head, *member;
};

/* Numbers without trailing zeros, booleans as words, what is missing as nothing. */
static char *cell_of(const json_t *value)
{
    char *text = NULL;
    if (json_is_string(value))
        return xstrdup(json_string_value(value));
    if (json_is_real(value) && asprintf(&text, "%.3g", json_real_value(value)) < 0)
        abort();
    if (!text && value && !json_is_null(value))
        text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? text : xstrdup("");
}

static int list(struct cli *c, const char *path, const char *member, const struct column *columns,
                size_t n)
{
    const char *heads[16] = {0};
    char *cells[16];
    int code = CLI_OK;
    size_t at;
    json_t *row, *answer = cli_get(c, path, &code);
    if (!answer)
        return code;
    if (c->format == CLI_JSON) {
        cli_print_json(answer);
        json_decref(answer);
        return CLI_OK;
    }
    for (size_t i = 0; i < n; i++)
        heads[i] = columns[i].head;
    struct cli_table *t = cli_table_new(c, n, heads);
    json_array_foreach (json_object_get(answer, member), at, row) {
        for (size_t i = 0; i < n; i++)
            cells[i] = cell_of(json_object_get(row, columns[i].member));
        cli_table_row(t, (const char *const *)cells);
        for (size_t i = 0; i < n; i++)
            free(cells[i]);
    }
    cli_table_end(t);
    json_decref(answer);
    return CLI_OK;
}

static int run_pools(struct cli *c, int argc, char **argv)
{
    static const struct column columns[] = {{"LANE", "lane"},       {"SLOTS", "capacity"},
                                            {"BUSY", "busy"},       {"QUEUED", "queued"},
                                            {"UNSAVED", "unsaved"}, {"PAUSED", "paused"}};
    (void)argc, (void)argv;
    return list(c, "/v1/pools", "pools", columns, FUT_COUNT(columns));
}

static int run_workers(struct cli *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"PID", "pid"},       {"PROGRAM", "program"}, {"LANE", "lane"},
        {"STATE", "state"},   {"TASKS", "tasks"},     {"DONE", "tasks_done"},
        {"RSS", "rss_bytes"}, {"CPU", "cpu"},         {"TASK", "task"}};
    (void)argc, (void)argv;
    return list(c, "/v1/workers", "workers", columns, FUT_COUNT(columns));
}

static int run_handlers(struct cli *c, int argc, char **argv)
{
    static const struct column columns[] = {{"NAME", "name"},       {"KIND", "kind"},
                                            {"LANE", "lane"},       {"TIMEOUT", "timeout"},
                                            {"RETRIES", "retries"}, {"LIMITS", "limits"}};
    (void)argc, (void)argv;
    return list(c, "/v1/handlers", "handlers", columns, FUT_COUNT(columns));
}

static int print_object(struct cli *c, json_t *answer, const char *indent)
{
    const char *name;
    json_t *value;
    if (c->format == CLI_JSON) {
        cli_print_json(answer);
        return CLI_OK;
    }
    json_object_foreach (answer, name, value) {
        char *cell = cell_of(value);
        printf("%s%s%s", indent, name, c->format == CLI_TSV ? "\t" : ": ");
        cli_print_safe(stdout, cell);
        putchar('\n');
        free(cell);
    }
    return CLI_OK;
}

static int show(struct cli *c, const char *path)
{
    int code = CLI_OK;
    json_t *answer = cli_get(c, path, &code);
    if (answer)
        code = print_object(c, answer, "");
    json_decref(answer);
    return code;
}

static int run_stats(struct cli *c, int argc, char **argv)
{
    (void)argc, (void)argv;
    return show(c, "/v1/stats");
}

static int run_batch(struct cli *c, int argc, char **argv)
{
    char *path = cli_path(c, "/v1/batches/", argv[0], "");
    int code = show(c, path);
    (void)argc;
    free(path);
    return code;
}

static bool wants_dot;

static const struct cli_option graph_options[] = {
    {"dot", 0, NULL, "print it for Graphviz", NULL, &wants_dot},
    {0},
};

static int print_dot(struct cli *c, const char *path)
{
    struct remote_answer a;
    int code = CLI_OK;
    remote_call(c->remote, &(struct remote_request){.path = path, .accept = "text/vnd.graphviz"},
                &a);
    if (a.status != 200)
        code = cli_refused(c, &a);
    else if (fwrite(a.body.data, 1, a.body.len, stdout) != a.body.len || fflush(stdout) != 0)
        code = cli_fail(CLI_USAGE, "The graph cannot be written: %s.", strerror(errno));
    remote_answer_release(&a);
    return code;
}

static int run_graph(struct cli *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"ID", "id"}, {"NAME", "name"}, {"HANDLER", "handler"}, {"STATE", "state"}};
    char *path = cli_path(c, "/v1/batches/", argv[0], "/graph");
    int code = wants_dot ? print_dot(c, path) : list(c, path, "nodes", columns, FUT_COUNT(columns));
    (void)argc;
    free(path);
    return code;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static int run_queues(struct cli *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"NAME", "name"},           {"WEIGHT", "weight"},           {"MAX", "max_running"},
        {"SCHEDULED", "scheduled"}, {"QUEUED", "queued"},           {"RUNNING", "running"},
        {"PER_S", "started_per_s"}, {"OLDEST", "oldest_queued_at"}, {"PAUSED", "paused"},
        {"REASON", "reason"}};
    if (argc == 0)
        return list(c, "/v1/queues?limit=1000", "queues", columns, FUT_COUNT(columns));
    char *path = cli_path(c, "/v1/queues/", argv[0], "");
    int code = show(c, path);
    free(path);
    return code;
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
    {"batch", "ID", "show how far a batch is", NULL, 1, 1, run_batch},
    {"graph", "ID", "show what the tasks of a batch wait for", graph_options, 1, 1, run_graph},
    {"pools", "", "show the slots of each lane", NULL, 0, 0, run_pools},
    {"queues", "[QUEUE]", "list the queues, or show one", NULL, 0, 1, run_queues},
    {"pause", "NAME...", "start no more tasks of a queue, or of the lane io or cpu", pause_options,
     1, -1, run_pause},
    {"resume", "NAME...", "go on with what is paused", resume_options, 1, -1, run_resume},
    {"purge", "QUEUE", "cancel what waits in a queue", purge_options, 1, 1, run_purge},
    {"workers", "", "list the worker processes", NULL, 0, 0, run_workers},
    {"handlers", "", "list what can be run", NULL, 0, 0, run_handlers},
    {"stats", "", "print the daemon's numbers", NULL, 0, 0, run_stats},
    {0},
};
