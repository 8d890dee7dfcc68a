/* batches: the commands on tasks that belong together: batch, graph and sessions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "core/clock.h"
#include "core/mem.h"

#define LONGEST_WAIT 50.0 /* seconds of one request */

/* Values of options; one command runs per process. */
static const char *wait_text;
static bool wants_dot;
static bool wants_unfinished;

static const struct cli_option batch_options[] = {
    {"wait", 'w', "TIME", "with results: wait so long for those that are not done", &wait_text,
     NULL},
    {"unfinished", 0, NULL, "without a name: list those alone that are not done", NULL,
     &wants_unfinished},
    {0},
};
static const struct cli_option graph_options[] = {
    {"dot", 0, NULL, "print it for Graphviz", NULL, &wants_dot},
    {0},
};

static const char *text_of(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static int list_batches(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {{"ID", "id"},
                                                {"FINISHED", "finished"},
                                                {"TOTAL", "total"},
                                                {"FAILED", "counts.failed"},
                                                {"CANCELLED", "counts.cancelled"},
                                                {"RATE", "rate"},
                                                {"ETA", "eta"},
                                                {"CREATED", "created_at"}};
    (void)argc, (void)argv;
    return cli_list(
        c, wants_unfinished ? "/v1/batches?limit=1000&done=false" : "/v1/batches?limit=1000",
        "batches", columns, FUT_COUNT(columns));
}

static int show_batch(struct cli *c, int argc, char **argv)
{
    (void)argc;
    return cli_show_one(c, "/v1/batches/", argv[0]);
}

static int list_members(struct cli *c, int argc, char **argv)
{
    (void)argc;
    return futures_list_batch(c, argv[0]);
}

/* One request whose answer is printed as JSON alone. */
static int change(struct cli *c, const char *method, const char *all, const char *name,
                  const char *what)
{
    int code = CLI_OK;
    char *path = cli_path(c, all, name, what);
    json_t *answer = cli_ask(c, &(struct remote_request){.method = method, .path = path}, &code);
    if (answer && c->format == CLI_JSON)
        cli_print_json(answer);
    json_decref(answer);
    free(path);
    return code;
}

static int cancel_batch(struct cli *c, int argc, char **argv)
{
    (void)argc;
    return change(c, "POST", "/v1/batches/", argv[0], "/cancel");
}

/* ---- results --------------------------------------------------------------------------------- */

struct results {
    struct cli *cli;
    struct cli_table *table; /* NULL: JSON, printed as it comes */
    struct buf line;         /* an unfinished line of the stream */
    size_t seen;             /* lines of futures */
    size_t skip;             /* of which so many are printed already */
    bool is_cut;             /* the time of this request was up before the end */
    int code;                /* the worst end */
};

/* A future's result, or its error, as one cell. */
static char *result_cell(const json_t *future)
{
    const json_t *result = json_object_get(future, "result"),
                 *error = json_object_get(future, "error");
    char *text = NULL;
    if (error && asprintf(&text, "%s: %s", text_of(error, "code"), text_of(error, "message")) < 0)
        abort();
    if (!text && json_is_string(json_object_get(result, "text")) &&
        json_object_get(result, "content_type"))
        text = xstrdup(text_of(result, "text"));
    return text ? text : cli_cell(result);
}

static void take_future(struct results *r, const json_t *future, const char *line, size_t len)
{
    int end = (int)cli_exit_of(future);
    if (json_is_true(json_object_get(future, "timed_out"))) {
        r->is_cut = true;
        return;
    }
    if (r->is_cut || r->seen++ < r->skip)
        return;
    r->code = end > r->code ? end : r->code;
    if (!r->table) {
        (void)fwrite(line, 1, len, stdout);
        putchar('\n');
        return;
    }
    char *result = result_cell(future);
    cli_table_row(r->table, (const char *const[]){text_of(future, "id"), text_of(future, "handler"),
                                                  text_of(future, "state"), result});
    free(result);
}

static bool on_bytes(void *ctx, const char *bytes, size_t n)
{
    struct results *r = ctx;
    const char *end;
    buf_put(&r->line, bytes, n);
    while ((end = memchr(r->line.data, '\n', r->line.len))) {
        size_t len = (size_t)(end - r->line.data);
        json_t *value = json_loadb(r->line.data, len, 0, NULL);
        if (text_of(value, "state")) /* the last line may be the problem not_done */
            take_future(r, value, r->line.data, len);
        json_decref(value);
        buf_consume(&r->line, len + 1);
    }
    return true;
}

/* One request, which waits at most `wait` seconds. */
static int ask_results(struct results *r, const char *id, double wait)
{
    struct remote_answer a;
    char after[64] = "/results";
    int code = CLI_OK;
    if (wait > 0)
        snprintf(after, sizeof(after), "/results?wait=%.3f", wait);
    char *path = cli_path(r->cli, "/v1/batches/", id, after);
    r->skip = r->seen;
    r->seen = 0;
    r->is_cut = false;
    r->line.len = 0;
    remote_call(r->cli->remote,
                &(struct remote_request){.path = path, .on_bytes = on_bytes, .ctx = r}, &a);
    if (a.status / 100 != 2)
        code = cli_refused(r->cli, &a);
    remote_answer_release(&a);
    free(path);
    return code;
}

static int print_results(struct cli *c, int argc, char **argv)
{
    static const char *const heads[] = {"ID", "HANDLER", "STATE", "RESULT"};
    struct results r = {.cli = c};
    double seconds = wait_text ? cli_seconds(wait_text) : 0;
    (void)argc;
    if (seconds < 0)
        return cli_fail(CLI_USAGE, "--wait %s is not a time, such as 90 or 10m.", wait_text);
    if (c->format != CLI_JSON)
        r.table = cli_table_new(c, FUT_COUNT(heads), heads);
    double end = (double)clock_mono_us() * 1e-6 + seconds, remaining;
    int code;
    do {
        remaining = end - (double)clock_mono_us() * 1e-6;
        code = ask_results(&r, argv[0], remaining < LONGEST_WAIT ? remaining : LONGEST_WAIT);
    } while (code == CLI_OK && r.is_cut && remaining > LONGEST_WAIT);
    if (r.table)
        cli_table_end(r.table);
    buf_release(&r.line);
    if (code == CLI_OK && r.is_cut)
        code = cli_fail(CLI_NOT_DONE, "The rest is not done in time, and goes on.");
    return code > r.code ? code : r.code;
}

static int run_batch(struct cli *c, int argc, char **argv)
{
    static const struct cli_action actions[] = {{"show", 1, 1, show_batch},
                                                {"members", 1, 1, list_members},
                                                {"results", 1, 1, print_results},
                                                {"cancel", 1, 1, cancel_batch},
                                                {0}};
    return cli_act(c, actions, argc ? show_batch : list_batches, argc ? 1 : 0, argc, argv);
}

/* ---- graph ----------------------------------------------------------------------------------- */

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

/* Its name in the batch, else its id. */
static const char *label_of(const json_t *nodes, const char *id)
{
    const json_t *node = json_object_get(nodes, id);
    const char *name = text_of(node, "name");
    return name ? name : id;
}

/* By the id of a task: the labels of those that it waits for, with a comma between. */
static json_t *parents_of(const json_t *graph, const json_t *nodes)
{
    json_t *parents = json_object(), *edge;
    size_t i;
    json_array_foreach (json_object_get(graph, "edges"), i, edge) {
        const char *to = text_of(edge, "to"), *from = label_of(nodes, text_of(edge, "from")),
                   *before = text_of(parents, to);
        json_object_set_new(parents, to,
                            before ? json_sprintf("%s,%s", before, from) : json_string(from));
    }
    return parents;
}

static void print_graph(struct cli *c, const json_t *graph)
{
    static const char *const heads[] = {"ID", "NAME", "HANDLER", "STATE", "AFTER"};
    struct cli_table *t = cli_table_new(c, FUT_COUNT(heads), heads);
    json_t *nodes = json_object(), *node;
    size_t i;
    json_array_foreach (json_object_get(graph, "nodes"), i, node)
        json_object_set(nodes, text_of(node, "id"), node);
    json_t *parents = parents_of(graph, nodes);
    json_array_foreach (json_object_get(graph, "nodes"), i, node)
        cli_table_row(t, (const char *const[]){text_of(node, "id"), text_of(node, "name"),
                                               text_of(node, "handler"), text_of(node, "state"),
                                               text_of(parents, text_of(node, "id"))});
    cli_table_end(t);
    json_decref(parents);
    json_decref(nodes);
}

static int run_graph(struct cli *c, int argc, char **argv)
{
    int code = CLI_OK;
    char *path = cli_path(c, "/v1/batches/", argv[0], "/graph");
    json_t *graph = NULL;
    (void)argc;
    if (wants_dot)
        code = print_dot(c, path);
    else
        graph = cli_get(c, path, &code);
    if (graph && c->format == CLI_JSON)
        cli_print_json(graph);
    else if (graph)
        print_graph(c, graph);
    json_decref(graph);
    free(path);
    return code;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static int list_sessions(struct cli *c, int argc, char **argv)
{
    static const struct cli_column columns[] = {{"ID", "id"},
                                                {"HANDLER", "handler"},
                                                {"MAX", "max_running"},
                                                {"CLOSED", "closed"},
                                                {"TOTAL", "total"},
                                                {"UNFINISHED", "unfinished"},
                                                {"CREATED", "created_at"}};
    (void)argc, (void)argv;
    return cli_list(c, "/v1/sessions?limit=1000", "sessions", columns, FUT_COUNT(columns));
}

static int show_session(struct cli *c, int argc, char **argv)
{
    (void)argc;
    return cli_show_one(c, "/v1/sessions/", argv[0]);
}

static int change_sessions(struct cli *c, const char *method, const char *what, int argc,
                           char **argv)
{
    int code = CLI_OK;
    for (int i = 0; i < argc && code == CLI_OK; i++)
        code = change(c, method, "/v1/sessions/", argv[i], what);
    return code;
}

static int cancel_sessions(struct cli *c, int argc, char **argv)
{
    return change_sessions(c, "POST", "/cancel", argc, argv);
}

static int close_sessions(struct cli *c, int argc, char **argv)
{
    return change_sessions(c, "DELETE", "", argc, argv);
}

static int run_sessions(struct cli *c, int argc, char **argv)
{
    static const struct cli_action actions[] = {{"show", 1, 1, show_session},
                                                {"cancel", 1, -1, cancel_sessions},
                                                {"close", 1, -1, close_sessions},
                                                {0}};
    return cli_act(c, actions, argc ? show_session : list_sessions, argc ? 1 : 0, argc, argv);
}

const struct cli_command cli_batches_commands[] = {
    {"batch", "[show|members|results|cancel] [BATCH]",
     "list the batches, show how far one is, list its members, print its results, or cancel it",
     batch_options, 0, 2, run_batch},
    {"graph", "BATCH", "show what the tasks of a batch wait for", graph_options, 1, 1, run_graph},
    {"sessions", "[show|cancel|close] [SESSION...]",
     "list the sessions, show one, cancel what is unfinished of them, or close them", NULL, 0, -1,
     run_sessions},
    {0},
};
