/* service: the commands that look at the daemon and steer it: batch, pools, pause, resume, workers,
 * handlers, stats, graph. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "core/mem.h"

/* Value of an option; one command runs per process. */
static const char *reason;

static const struct cli_option pause_options[] = {
    {"reason", 0, "TEXT", "why, for those who wait", &reason, NULL},
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

static int set_paused(struct cli *c, char **lanes, int n, bool is_paused)
{
    int code = CLI_OK;
    for (int i = 0; i < n && code == CLI_OK; i++) {
        json_t *body = json_pack("{s:b}", "paused", is_paused);
        if (reason)
            json_object_set_new(body, "reason", json_string(reason));
        char *text = json_dumps(body, JSON_COMPACT),
             *path = cli_path(c, "/v1/pools/", lanes[i], "");
        json_t *answer =
            cli_ask(c,
                    &(struct remote_request){
                        .method = "PATCH", .path = path, .body = text, .body_len = strlen(text)},
                    &code);
        if (answer && c->format == CLI_JSON)
            cli_print_json(answer);
        json_decref(answer);
        free(path);
        free(text);
        json_decref(body);
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
    {"pause", "LANE...", "take no more tasks from the queue of io or cpu", pause_options, 1, 2,
     run_pause},
    {"resume", "LANE...", "go on with a paused lane", NULL, 1, 2, run_resume},
    {"workers", "", "list the worker processes", NULL, 0, 0, run_workers},
    {"handlers", "", "list what can be run", NULL, 0, 0, run_handlers},
    {"stats", "", "print the daemon's numbers", NULL, 0, 0, run_stats},
    {0},
};
