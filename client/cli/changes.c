/* changes: cancel, retry and rm: named futures, or all that filters mean; the operations that this
 * starts, and failures in groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/filter.h"
#include "core/mem.h"

#define WAIT_S "30" /* for one answer, while an operation goes on */

static const char *limit;
static bool yes, is_tree;

static const struct cli_option change_options[] = {
    FILTER_OPTIONS,
    {"yes", 'y', NULL, "with filters: do not ask", NULL, &yes},
    {0},
};
static const struct cli_option cancel_options[] = {
    FILTER_OPTIONS,
    {"yes", 'y', NULL, "with filters: do not ask", NULL, &yes},
    {"tree", 0, NULL, "with ids: also what these tasks have submitted, and what those have", NULL,
     &is_tree},
    {0},
};
static const struct cli_option failures_options[] = {
    FILTER_OPTIONS,
    {"limit", 'n', "N", "at most so many groups (100)", &limit, NULL},
    {"yes", 'y', NULL, "with retry and rm: do not ask", NULL, &yes},
    {0},
};

/* What a command does: to one future, and to many. */
struct change {
    const char *method, *after; /* of one: POST or DELETE /v1/futures/ID and this */
    const char *many;           /* POST this */
    const char *verb, *states;  /* what filters mean when they name no states */
};

static const struct change cancel = {"POST", "/cancel", "/v1/futures/cancel", "Cancel",
                                     "scheduled,queued,running"};
static const struct change cancel_tree = {"POST", "/cancel?tree=true", NULL, NULL, NULL};
static const struct change retry = {"POST", "/retry", "/v1/futures/retry", "Retry", "failed"};
static const struct change removal_of_failed = {"DELETE", "", "/v1/futures/delete", "Delete",
                                                "failed"};
static const struct change removal = {"DELETE", "", "/v1/futures/delete", "Delete",
                                      "succeeded,failed,cancelled"};

static int change_one(struct cli *c, const struct change *ch, const char *id)
{
    struct remote_answer a;
    char *path = cli_path(c, "/v1/futures/", id, ch->after);
    remote_call(c->remote, &(struct remote_request){.path = path, .method = ch->method}, &a);
    free(path);
    int code = a.status / 100 == 2 ? CLI_OK : cli_refused(c, &a);
    remote_answer_release(&a);
    return code;
}

/* ---- by filter ------------------------------------------------------------------------------- */

static bool is_agreed(const struct change *ch, json_int_t n)
{
    char line[16];
    if (yes)
        return true;
    fprintf(stderr, "%s %lld futures? [y/N] ", ch->verb, (long long)n);
    return isatty(STDIN_FILENO) && fgets(line, sizeof(line), stdin) &&
           (line[0] == 'y' || line[0] == 'Y');
}

static void show_progress(const struct cli *c, const json_t *operation)
{
    if (c->has_terminal_err)
        fprintf(stderr, "\r%lld of %lld that were looked at ",
                (long long)json_integer_value(json_object_get(operation, "matched")),
                (long long)json_integer_value(json_object_get(operation, "seen")));
}

/* Starts the operation and waits for its end. json_decref() it; NULL with *code set. */
static json_t *operate(struct cli *c, const struct change *ch, json_t *body, int *code)
{
    char *path = cli_path(c, ch->many, "", "?wait=" WAIT_S), *text = json_dumps(body, JSON_COMPACT);
    json_t *operation = cli_ask(
        c, &(struct remote_request){.path = path, .body = text, .body_len = strlen(text)}, code);
    bool has_shown = false;
    free(text);
    free(path);
    while (operation && !json_is_true(json_object_get(operation, "done"))) {
        show_progress(c, operation);
        has_shown = c->has_terminal_err;
        path = cli_path(c, "/v1/operations/", json_string_value(json_object_get(operation, "id")),
                        "?wait=" WAIT_S);
        json_decref(operation);
        operation = cli_get(c, path, code);
        free(path);
    }
    if (has_shown)
        fputc('\n', stderr);
    return operation;
}

static json_int_t number_of(const json_t *operation, const char *member)
{
    return json_integer_value(json_object_get(operation, member));
}

static int report(struct cli *c, const json_t *operation)
{
    if (c->format == CLI_JSON)
        cli_print_json(operation);
    else
        printf("%lld\n", (long long)number_of(operation, "changed"));
    if (number_of(operation, "refused"))
        cli_fail(0, "%lld were not, as another unfinished task has their unique key.",
                 (long long)number_of(operation, "refused"));
    if (!json_is_true(json_object_get(operation, "cancelled")))
        return CLI_OK;
    return cli_fail(CLI_CANCELLED, "Somebody has ended this operation before it was through.");
}

static int change_by_filter(struct cli *c, const struct change *ch)
{
    int code;
    json_t *body = filter_body(ch->states, &code);
    if (!body)
        return code;
    json_object_set_new(body, "dry_run", json_true());
    json_t *counted = operate(c, ch, body, &code), *operation = NULL;
    json_int_t n = number_of(counted, "matched");
    if (counted && n && !is_agreed(ch, n))
        code = cli_fail(CLI_USAGE, "Nothing was changed; --yes agrees beforehand.");
    if (counted && code == CLI_OK) {
        json_object_del(body, "dry_run");
        operation = operate(c, ch, body, &code);
    }
    if (operation)
        code = report(c, operation);
    json_decref(operation);
    json_decref(counted);
    json_decref(body);
    return code;
}

static int change(struct cli *c, const struct change *ch, int argc, char **argv)
{
    int code = CLI_OK;
    if (filter_is_given() == (argc > 0))
        return cli_fail(CLI_USAGE, "Name either ids or filters, such as --state or --handler.");
    if (argc == 0)
        return change_by_filter(c, ch);
    for (int i = 0; i < argc; i++) {
        int one = change_one(c, ch, argv[i]);
        code = one > code ? one : code;
    }
    return code;
}

static int run_cancel(struct cli *c, int argc, char **argv)
{
    if (is_tree && (argc == 0 || filter_is_given()))
        return cli_fail(CLI_USAGE, "--tree is for futures that are named by their ids.");
    return change(c, is_tree ? &cancel_tree : &cancel, argc, argv);
}

static int run_retry(struct cli *c, int argc, char **argv)
{
    return change(c, &retry, argc, argv);
}

static int run_rm(struct cli *c, int argc, char **argv)
{
    return change(c, &removal, argc, argv);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void add_group(struct cli *c, struct cli_table *t, const json_t *g)
{
    char count[24], first[32], last[32];
    const char *first_at = json_string_value(json_object_get(g, "first_at")),
               *last_at = json_string_value(json_object_get(g, "last_at"));
    bool is_plain = c->format == CLI_TSV;
    (void)snprintf(count, sizeof(count), "%lld", (long long)number_of(g, "count"));
    cli_table_row(t, (const char *const[]){json_string_value(json_object_get(g, "handler")),
                                           json_string_value(json_object_get(g, "code")), count,
                                           is_plain ? first_at : cli_ago(first_at, first),
                                           is_plain ? last_at : cli_ago(last_at, last),
                                           json_string_value(json_object_get(g, "example")),
                                           json_string_value(json_object_get(g, "message"))});
}

static int list_failures(struct cli *c, int argc, char **argv)
{
    static const char *const heads[] = {"HANDLER", "CODE",    "COUNT",  "FIRST",
                                        "LAST",    "EXAMPLE", "MESSAGE"};
    struct buf path = BUF_INIT;
    size_t i;
    json_t *group;
    (void)argc, (void)argv;
    buf_puts(&path, "/v1/failures?limit=");
    remote_escape(c->remote, &path, limit ? limit : "100");
    int code = filter_write_query(c, &path);
    json_t *answer = code == CLI_OK ? cli_get(c, path.data, &code) : NULL;
    buf_release(&path);
    if (!answer)
        return code;
    if (c->format == CLI_JSON) {
        cli_print_json(answer);
    } else {
        struct cli_table *t = cli_table_new(c, FUT_COUNT(heads), heads);
        json_array_foreach (json_object_get(answer, "failures"), i, group)
            add_group(c, t, group);
        cli_table_end(t);
    }
    if (!json_is_true(json_object_get(answer, "complete")))
        cli_fail(0, "There are more than were counted.");
    json_decref(answer);
    return code;
}

/* A group is what one row of the list counts: a handler's failures with one code. */
static int change_group(struct cli *c, const struct change *ch, int argc, char **argv)
{
    filter_values[FILTER_HANDLER] = argv[0];
    if (argc > 1)
        filter_values[FILTER_CODE] = argv[1];
    return change_by_filter(c, ch);
}

static int retry_group(struct cli *c, int argc, char **argv)
{
    return change_group(c, &retry, argc, argv);
}

static int remove_group(struct cli *c, int argc, char **argv)
{
    return change_group(c, &removal_of_failed, argc, argv);
}

static int run_failures(struct cli *c, int argc, char **argv)
{
    static const struct cli_action actions[] = {
        {"retry", 1, 2, retry_group}, {"rm", 1, 2, remove_group}, {0}};
    if (filter_values[FILTER_STATE])
        return cli_fail(CLI_USAGE, "--state is not for failures: all of them are failed.");
    return cli_act(c, actions, list_failures, 0, argc, argv);
}

const struct cli_command cli_changes_commands[] = {
    {"cancel", "[ID...]", "cancel futures, named or by filter", cancel_options, 0, -1, run_cancel},
    {"retry", "[ID...]", "give failed or cancelled futures another life", change_options, 0, -1,
     run_retry},
    {"rm", "[ID...]", "delete futures that are done", change_options, 0, -1, run_rm},
    {"failures", "[retry|rm] [HANDLER] [CODE]",
     "count failed futures by handler and error code, or change those of a group", failures_options,
     0, 3, run_failures},
    {0},
};
