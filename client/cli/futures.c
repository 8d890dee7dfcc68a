/* futures: the commands on futures that exist: get, result, wait, ls, logs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/filter.h"
#include "client/cli/progress.h"
#include "core/mem.h"

/* Values of the options; one command runs per process. */
static const char *wait_time, *limit, *return_when;
static bool follow, watch, all_pages;

#define WAIT                                                                                       \
    {                                                                                              \
        "wait", 'w', "TIME", "wait so long for the end, such as 30 or 10m", &wait_time, NULL       \
    }

static const struct cli_option get_options[] = {WAIT, {0}};
static const struct cli_option wait_options[] = {
    WAIT,
    {"return-when", 0, "WHEN", "ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION", &return_when,
     NULL},
    {0},
};
static const struct cli_option ls_options[] = {
    FILTER_OPTIONS,
    {"limit", 'n', "N", "at most so many (50)", &limit, NULL},
    {"all", 'a', NULL, "all of them", NULL, &all_pages},
    {"watch", 'W', NULL, "again every two seconds", NULL, &watch},
    {0},
};
static const struct cli_option logs_options[] = {
    {"follow", 'f', NULL, "go on until the task has ended", NULL, &follow},
    {0},
};
static int check_wait(double *seconds, double otherwise)
{
    *seconds = wait_time ? cli_seconds(wait_time) : otherwise;
    if (wait_time && *seconds < 0)
        return cli_fail(CLI_USAGE, "--wait %s is not a time, such as 90 or 10m.", wait_time);
    return CLI_OK;
}

static const char *text_of(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

/* ---- one future ------------------------------------------------------------------------------ */

static void show_member(const char *name, const char *text)
{
    if (!text || !*text)
        return;
    printf("%-12s ", name);
    cli_print_safe(stdout, text);
    putchar('\n');
}

static void show_json(const char *name, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    show_member(name, text);
    free(text);
}

static void show_future(const json_t *f)
{
    static const char *const texts[] = {"id",     "handler",    "lane",       "state",
                                        "batch",  "unique",     "created_at", "started_at",
                                        "due_at", "finished_at"};
    const json_t *error = json_object_get(f, "error"), *why = json_object_get(f, "waiting_for");
    for (size_t i = 0; i < FUT_COUNT(texts); i++)
        show_member(texts[i], text_of(f, texts[i]));
    show_json("attempt", json_object_get(f, "attempt"));
    show_json("progress", json_object_get(f, "progress"));
    show_member("waits", text_of(why, "message"));
    show_json("result", json_object_get(f, "result"));
    show_member("error", text_of(error, "code"));
    show_member("", text_of(error, "message"));
    show_member("log", text_of(error ? error : f, "log"));
}

static int run_get(struct cli *c, int argc, char **argv)
{
    double seconds;
    int code = check_wait(&seconds, 0);
    (void)argc;
    json_t *future = code == CLI_OK ? progress_wait(c, argv[0], seconds, &code) : NULL;
    if (!future)
        return code;
    if (c->format == CLI_TABLE)
        show_future(future);
    else
        cli_print_json(future);
    code = (int)cli_exit_of(future);
    json_decref(future);
    return code;
}

static int run_result(struct cli *c, int argc, char **argv)
{
    double seconds;
    int code = check_wait(&seconds, 0);
    (void)argc;
    return code == CLI_OK ? progress_result(c, argv[0], seconds, stdout) : code;
}

static int run_logs(struct cli *c, int argc, char **argv)
{
    long long from = 0;
    (void)argc;
    for (;;) {
        struct remote_answer a;
        char after[64];
        snprintf(after, sizeof(after), "/log?from=%lld%s", from, follow ? "&wait=50" : "");
        char *path = cli_path(c, "/v1/futures/", argv[0], after);
        remote_call(c->remote, &(struct remote_request){.path = path}, &a);
        free(path);
        if (a.status / 100 != 2) {
            int code = cli_refused(c, &a);
            remote_answer_release(&a);
            return code;
        }
        bool is_final =
            a.state && (strcmp(a.state, "succeeded") == 0 || strcmp(a.state, "failed") == 0 ||
                        strcmp(a.state, "cancelled") == 0);
        bool is_end = !follow || (is_final && a.body.len == 0);
        if (a.body.len > 0)
            cli_print_safe(stdout, a.body.data);
        fflush(stdout);
        from = a.log_next >= 0 ? a.log_next : from;
        remote_answer_release(&a);
        if (is_end)
            return CLI_OK;
    }
}

/* ---- several --------------------------------------------------------------------------------- */

static json_t *ids_of(int argc, char **argv)
{
    json_t *ids = json_array();
    for (int i = 0; i < argc; i++)
        json_array_append_new(ids, json_string(argv[i]));
    return ids;
}

/* One request of POST /v1/wait; it waits at most 50 s, so the caller comes again. */
static json_t *ask_wait(struct cli *c, int argc, char **argv, double seconds, int *code)
{
    json_t *body = json_pack("{s:o, s:f}", "ids", ids_of(argc, argv), "timeout", seconds);
    if (return_when)
        json_object_set_new(body, "return_when", json_string(return_when));
    char *text = json_dumps(body, JSON_COMPACT);
    json_t *answer = cli_ask(
        c, &(struct remote_request){.path = "/v1/wait", .body = text, .body_len = strlen(text)},
        code);
    free(text);
    json_decref(body);
    return answer;
}

static int run_wait(struct cli *c, int argc, char **argv)
{
    double seconds;
    int code = check_wait(&seconds, -1);
    double remaining = seconds;
    bool is_finished = false;
    json_t *answer = NULL;
    bool is_any = return_when && strcmp(return_when, "ALL_COMPLETED") != 0;
    while (code == CLI_OK && !is_finished) {
        double slice = seconds < 0 || remaining > 50 ? 50 : remaining;
        json_decref(answer);
        answer = ask_wait(c, argc, argv, slice, &code);
        size_t waiting = json_array_size(json_object_get(answer, "not_done"));
        is_finished = !answer || waiting == 0 || (is_any && waiting < (size_t)argc) ||
                      (seconds >= 0 && remaining <= slice);
        remaining -= slice;
    }
    if (!answer)
        return code;
    if (c->format == CLI_JSON) {
        cli_print_json(answer);
    } else {
        size_t i;
        json_t *id;
        json_array_foreach (json_object_get(answer, "done"), i, id)
            puts(json_string_value(id));
    }
    if (!is_any && json_array_size(json_object_get(answer, "not_done")) > 0)
        code = CLI_NOT_DONE;
    json_decref(answer);
    return code;
}

static const char *first_of(const char *value, const char *otherwise)
{
    return value ? value : otherwise;
}

/* Calls each(ctx, future) for the futures that the filters name, newest first, at most `most`;
 * stops when it returns non-zero. */
static int each_future(struct cli *c, size_t most, int (*each)(void *ctx, const json_t *future),
                       void *ctx)
{
    char *cursor = NULL;
    size_t n = 0;
    int code = CLI_OK;
    do {
        struct buf path = BUF_INIT;
        size_t i;
        json_t *future;
        buf_printf(&path, "/v1/futures?limit=%zu", most - n < 1000 ? most - n : 1000);
        code = filter_write_query(c, &path);
        if (cursor) {
            buf_puts(&path, "&cursor=");
            remote_escape(c->remote, &path, cursor);
        }
        free(cursor);
        cursor = NULL;
        json_t *page = code == CLI_OK ? cli_get(c, path.data, &code) : NULL;
        buf_release(&path);
        json_array_foreach (json_object_get(page, "futures"), i, future) {
            n++;
            if (code == CLI_OK)
                code = each(ctx, future);
        }
        const char *next = text_of(page, "next_cursor");
        if (next && code == CLI_OK && n < most)
            cursor = xstrdup(next);
        json_decref(page);
    } while (cursor);
    return code;
}

struct listing {
    struct cli *cli;
    struct cli_table *table;
};

static int list_one(void *ctx, const json_t *f)
{
    struct listing *l = ctx;
    char attempt[24], created[32], finished[32];
    const json_t *error = json_object_get(f, "error"), *why = json_object_get(f, "waiting_for");
    if (l->cli->format == CLI_JSON) {
        json_dumpf(f, stdout, JSON_COMPACT);
        putchar('\n');
        return CLI_OK;
    }
    snprintf(attempt, sizeof(attempt), "%lld",
             (long long)json_integer_value(json_object_get(f, "attempt")));
    bool is_plain = l->cli->format == CLI_TSV;
    cli_table_row(l->table,
                  (const char *const[]){text_of(f, "id"), text_of(f, "handler"), text_of(f, "lane"),
                                        text_of(f, "state"), attempt,
                                        is_plain ? text_of(f, "created_at")
                                                 : cli_ago(text_of(f, "created_at"), created),
                                        is_plain ? text_of(f, "finished_at")
                                                 : cli_ago(text_of(f, "finished_at"), finished),
                                        first_of(text_of(error, "code"), text_of(why, "code"))});
    return CLI_OK;
}

static int run_ls(struct cli *c, int argc, char **argv)
{
    static const char *const heads[] = {"ID",      "HANDLER", "LANE",     "STATE",
                                        "ATTEMPT", "CREATED", "FINISHED", "WHY"};
    char *end = NULL;
    size_t most = all_pages ? (size_t)-1 : limit ? strtoul(limit, &end, 10) : 50;
    int code;
    (void)argc, (void)argv;
    if (most == 0 || (end && *end))
        return cli_fail(CLI_USAGE, "--limit %s is not a number from 1.", limit);
    do {
        struct listing l = {.cli = c};
        l.table = c->format == CLI_JSON ? NULL : cli_table_new(c, FUT_COUNT(heads), heads);
        code = each_future(c, most, list_one, &l);
        if (watch && c->format == CLI_TABLE)
            fputs("\033[H\033[2J", stdout);
        if (l.table)
            cli_table_end(l.table);
        fflush(stdout);
    } while (watch && code == CLI_OK && sleep(2) == 0);
    return code;
}

int futures_list_batch(struct cli *c, char *batch)
{
    filter_values[FILTER_BATCH] = batch;
    all_pages = true;
    return run_ls(c, 0, NULL);
}

const struct cli_command cli_futures_commands[] = {
    {"get", "ID", "show a future; the exit code says how it ended", get_options, 1, 1, run_get},
    {"result", "ID", "print the bytes of a result", get_options, 1, 1, run_result},
    {"wait", "ID...", "wait for futures and print the ids of those that are done", wait_options, 1,
     -1, run_wait},
    {"ls", "", "list futures, newest first", ls_options, 0, 0, run_ls},
    {"logs", "ID", "print what a task writes to standard error", logs_options, 1, 1, run_logs},
    {0},
};
