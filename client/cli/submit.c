/* submit: the commands that make futures: run, submit, map. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/input.h"
#include "client/cli/progress.h"
#include "core/mem.h"

/* Values of the options; one command runs per process. */
static const char *type, *lane, *queue, *priority, *fair_key, *timeout, *retries, *unique, *key,
    *needs, *wait_time, *out_dir;
static bool wait_for_end, in_order;

/* Rows for a table of options; clang-format would break them apart. */
/* clang-format off */
#define TASK_OPTIONS \
    {"type", 't', "TYPE", "media type of the input (application/json when it parses as JSON)", \
     &type, NULL}, \
    {"lane", 'l', "LANE", "io or cpu, for handlers that allow both", &lane, NULL}, \
    {"queue", 'q', "QUEUE", "the named queue in which it waits (default)", &queue, NULL}, \
    {"priority", 'p', "N", "from -100 to 100, higher first within its queue (0)", &priority, NULL}, \
    {"fair-key", 0, "KEY", "whose turns within the queue it takes", &fair_key, NULL}, \
    {"needs", 0, "LABELS", "labels that the daemon which runs it must have, such as gpu,big", &needs, \
     NULL}, \
    {"timeout", 0, "SECONDS", "longest run of one attempt", &timeout, NULL}, \
    {"retries", 'r', "N", "attempts after failures that are tried again", &retries, NULL}
/* clang-format on */

static const struct cli_option run_options[] = {
    TASK_OPTIONS,
    {"unique", 0, "KEY", "join an unfinished task that has this key", &unique, NULL},
    {"key", 'k', "KEY", "Idempotency-Key: the same submission again brings the same future", &key,
     NULL},
    {"wait", 'w', NULL, "wait for the end and print the result", NULL, &wait_for_end},
    {0},
};
static const struct cli_option submit_options[] = {
    TASK_OPTIONS,
    {"unique", 0, "KEY", "join an unfinished task that has this key", &unique, NULL},
    {"key", 'k', "KEY", "Idempotency-Key: the same submission again brings the same future", &key,
     NULL},
    {0},
};
static const struct cli_option map_options[] = {
    TASK_OPTIONS,
    {"out", 'o', "DIR", "write each result to DIR under the name of its file", &out_dir, NULL},
    {"in-order", 0, NULL, "print results in the order of the files, not as they are done", NULL,
     &in_order},
    {"wait", 'w', "SECONDS", "give up waiting after this time", &wait_time, NULL},
    {0},
};

/* A key that nobody else uses, so that a submission whose answer was lost can be sent again. */
static const char *any_key(char out[40])
{
    unsigned char random[16];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return NULL;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
    return out;
}

static void add_parameter(struct cli *c, struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(path, "%c%s=", memchr(path->data, '?', path->len) ? '&' : '?', name);
    remote_escape(c->remote, path, value);
}

/* Submits one input; NULL with *code set when it is refused. */
static json_t *submit(struct cli *c, const char *handler, const struct input *in, const char *wait,
                      int *code)
{
    struct buf path = BUF_INIT;
    char random[40];
    buf_puts(&path, "/v1/tasks/");
    remote_escape(c->remote, &path, handler);
    add_parameter(c, &path, "lane", lane);
    add_parameter(c, &path, "queue", queue);
    add_parameter(c, &path, "priority", priority);
    add_parameter(c, &path, "fair_key", fair_key);
    add_parameter(c, &path, "needs", needs);
    add_parameter(c, &path, "timeout", timeout);
    add_parameter(c, &path, "retries", retries);
    add_parameter(c, &path, "unique", unique);
    add_parameter(c, &path, "wait", wait);
    json_t *future = cli_ask(c,
                             &(struct remote_request){.path = path.data,
                                                      .body = in->bytes,
                                                      .body_len = in->len,
                                                      .body_type = type ? type : in->type,
                                                      .key = key ? key : any_key(random)},
                             code);
    buf_release(&path);
    return future;
}

static int run_submit(struct cli *c, int argc, char **argv)
{
    struct input in;
    int code = CLI_OK;
    if (input_open(&in, argc > 1 ? argv[1] : NULL) != 0)
        return CLI_USAGE;
    json_t *future = submit(c, argv[0], &in, NULL, &code);
    input_close(&in);
    if (!future)
        return code;
    if (c->format == CLI_JSON)
        cli_print_json(future);
    else
        puts(json_string_value(json_object_get(future, "id")));
    json_decref(future);
    return CLI_OK;
}

static int run_run(struct cli *c, int argc, char **argv)
{
    struct input in;
    int code = CLI_OK;
    if (!wait_for_end)
        return run_submit(c, argc, argv);
    if (input_open(&in, argc > 1 ? argv[1] : NULL) != 0)
        return CLI_USAGE;
    json_t *future = submit(c, argv[0], &in, "50", &code);
    input_close(&in);
    if (!future)
        return code;
    char *id = xstrdup(json_string_value(json_object_get(future, "id")));
    json_decref(future);
    code = progress_result(c, id, -1, stdout);
    free(id);
    return code;
}

/* ---- map ------------------------------------------------------------------------------------- */

struct map {
    struct cli *cli;
    char **files;
    size_t n, printed; /* in order: how many results are out */
    char **ids;
    enum cli_exit *ends; /* CLI_NOT_DONE until the file's future is done */
    int code;            /* the worst end */
};

/* The file's own name, for out_dir: two files of one name would overwrite each other. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool has_twins(const struct map *m)
{
    for (size_t i = 0; out_dir && i < m->n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(base_name(m->files[i]), base_name(m->files[j])) == 0) {
                cli_fail(0, "%s and %s would have one result file in %s.", m->files[j], m->files[i],
                         out_dir);
                return true;
            }
        }
    }
    return false;
}

static FILE *result_file(const char *file)
{
    char *path = NULL;
    FILE *f = NULL;
    if (!out_dir)
        return stdout;
    if (asprintf(&path, "%s/%s", out_dir, base_name(file)) < 0)
        abort();
    f = fopen(path, "we");
    if (!f)
        cli_fail(0, "%s cannot be written: %s.", path, strerror(errno));
    free(path);
    return f;
}

static void fetch(struct map *m, size_t i)
{
    FILE *f = result_file(m->files[i]);
    int code = CLI_USAGE;
    if (f)
        code = progress_result(m->cli, m->ids[i], 0, f);
    if (f && out_dir && fclose(f) != 0)
        code = cli_fail(CLI_USAGE, "%s: %s.", out_dir, strerror(errno));
    if (code > m->code)
        m->code = code;
}

static void one_is_done(void *ctx, size_t i, enum cli_exit end)
{
    struct map *m = ctx;
    m->ends[i] = end;
    if (!in_order)
        fetch(m, i);
    for (; in_order && m->printed < m->n && m->ends[m->printed] != CLI_NOT_DONE; m->printed++)
        fetch(m, m->printed);
}

static int submit_all(struct map *m, const char *handler)
{
    int code = CLI_OK;
    for (size_t i = 0; i < m->n; i++) {
        struct input in;
        char *name = NULL;
        if (asprintf(&name, "@%s", m->files[i]) < 0)
            abort();
        int rc = input_open(&in, name);
        free(name);
        if (rc != 0)
            return CLI_USAGE;
        json_t *future = submit(m->cli, handler, &in, NULL, &code);
        input_close(&in);
        if (!future)
            return code;
        m->ids[i] = xstrdup(json_string_value(json_object_get(future, "id")));
        json_decref(future);
    }
    return CLI_OK;
}

static int run_map(struct cli *c, int argc, char **argv)
{
    struct map m = {.cli = c, .files = argv + 1, .n = (size_t)argc - 1};
    double seconds = wait_time ? cli_seconds(wait_time) : -1;
    if (wait_time && seconds < 0)
        return cli_fail(CLI_USAGE, "--wait %s is not a time, such as 90 or 10m.", wait_time);
    if (out_dir && mkdir(out_dir, 0777) != 0 && errno != EEXIST)
        return cli_fail(CLI_USAGE, "%s cannot be made: %s.", out_dir, strerror(errno));
    if (has_twins(&m))
        return CLI_USAGE;
    m.ids = xcalloc(m.n, sizeof(*m.ids));
    m.ends = xcalloc(m.n, sizeof(*m.ends));
    for (size_t i = 0; i < m.n; i++)
        m.ends[i] = CLI_NOT_DONE;
    int code = submit_all(&m, argv[0]);
    if (code == CLI_OK)
        code = progress_watch(c, m.ids, m.n, seconds, one_is_done, &m);
    for (size_t i = 0; i < m.n; i++)
        free(m.ids[i]);
    free(m.ids);
    free(m.ends);
    return code > m.code ? code : m.code;
}

const struct cli_command cli_submit_commands[] = {
    {"run", "HANDLER [INPUT|-|@FILE]", "submit a task; with --wait print its result", run_options,
     1, 2, run_run},
    {"submit", "HANDLER [INPUT|-|@FILE]", "submit a task and print its id", submit_options, 1, 2,
     run_submit},
    {"map", "HANDLER FILE...", "submit one task per file and print the results", map_options, 2, -1,
     run_map},
    {0},
};
