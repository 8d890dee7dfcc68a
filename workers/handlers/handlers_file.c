#include "workers/handlers/handlers_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/retry_json.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/handlers/exec_argv.h"

#define DEFAULT_TIMEOUT_MS 300000LL
#define DEFAULT_RETRIES 3 /* exit 75 says "try again": by default we do */
#define DESCRIPTION_MAX 500
#define SHOWN_BYTES 60

/* Where a mistake would be. */
struct place {
    const char *path, *handler, *field;
    struct fut_errbuf *err;
};

static int mistake(const struct place *at, const json_t *found, const char *allowed)
{
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    int rc = fut_fail(at->err, FUT_ERR_INVAL,
                      "%s: handler \"%.64s\": field \"%.64s\" is %.*s%s; allowed: %s", at->path,
                      at->handler, at->field, SHOWN_BYTES, text ? text : "missing",
                      text && strlen(text) > SHOWN_BYTES ? "…" : "", allowed);
    free(text);
    return rc;
}

/* A string without NUL inside, or NULL. */
static const char *text_of(const json_t *value)
{
    const char *s = json_string_value(value);
    return s && strlen(s) == json_string_length(value) ? s : NULL;
}

/* ---- one function per field ---- */

/* What runs: a program per task, one that stays, or a plug-in. */
static int read_program(const struct place *at, const json_t *value, struct handler *h)
{
    bool is_plugin = strcmp(at->field, "plugin") == 0;
    if (h->exec->argv)
        return mistake(at, value, "one of \"exec\", \"worker\" and \"plugin\"");
    h->is_worker = strcmp(at->field, "exec") != 0;
    const char *allowed =
        is_plugin ? exec_argv_of_plugin(value, h->exec) : exec_argv_read(value, h->exec);
    return allowed ? mistake(at, value, allowed) : 0;
}

static int read_option(const struct place *at, const json_t *value, struct handler *h)
{
    const char *allowed = worker_options_read(at->field, value, &h->worker);
    return allowed ? mistake(at, value, allowed) : 0;
}

static int read_lane(const struct place *at, const json_t *value, struct handler *h)
{
    const char *lane = text_of(value);
    return lane && lane_parse(lane, &h->info.lane) ? 0 : mistake(at, value, "\"io\" or \"cpu\"");
}

static int read_timeout(const struct place *at, const json_t *value, struct handler *h)
{
    double ms = json_number_value(value) * 1000.0;
    if (!json_is_number(value) || !(ms >= 1 && ms <= (double)TASK_TIMEOUT_MAX_MS))
        return mistake(at, value, "a number of seconds from 0.001 to 86400");
    h->info.timeout_ms = (int64_t)ms;
    return 0;
}

static int read_retries(const struct place *at, const json_t *value, struct handler *h)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || n > TASK_RETRIES_MAX)
        return mistake(at, value, "a whole number from 0 to 100");
    h->info.retries = (uint32_t)n;
    return 0;
}

static int read_content_type(const struct place *at, const json_t *value, struct handler *h)
{
    const char *type = text_of(value);
    if (!type || !exec_command_type_ok(type))
        return mistake(at, value, "a content type like \"text/csv\" of up to 127 bytes");
    free(h->exec->content_type);
    h->exec->content_type = xstrdup(type);
    return 0;
}

static int read_description(const struct place *at, const json_t *value, struct handler *h)
{
    const char *text = text_of(value);
    if (!text || strlen(text) > DESCRIPTION_MAX)
        return mistake(at, value, "a string of up to 500 bytes");
    free((char *)(uintptr_t)h->info.description);
    h->info.description = xstrdup(text);
    return 0;
}

static int read_env(const struct place *at, const json_t *value, struct handler *h)
{
    static const char allowed[] =
        "an object of names (letters, digits, _; not FUTURED_…) and strings";
    const char *name;
    json_t *entry, *env = (json_t *)(uintptr_t)value; /* jansson's iteration is not const */
    if (!json_is_object(value))
        return mistake(at, value, allowed);
    json_object_foreach (env, name, entry) {
        const char *text = text_of(entry);
        if (!text || !exec_command_env_name_ok(name))
            return mistake(at, value, allowed);
        exec_command_set_env(&h->exec->env, name, text);
    }
    return 0;
}

static int read_cwd(const struct place *at, const json_t *value, struct handler *h)
{
    const char *dir = text_of(value);
    struct stat st;
    if (!dir || *dir != '/' || stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return mistake(at, value, "the absolute path of a directory that exists");
    h->exec->cwd = xstrdup(dir);
    return 0;
}

static int read_retry_on(const struct place *at, const json_t *value, struct handler *h)
{
    struct retry_json_error err;
    return retry_json_on(value, &h->info.retry, &err) == 0 ? 0 : mistake(at, value, err.allowed);
}

/* A mistake in one member is told of that member. */
static int read_backoff(const struct place *at, const json_t *value, struct handler *h)
{
    struct retry_json_error err;
    if (retry_json_backoff(value, &h->info.retry, &err) == 0)
        return 0;
    const char *dot = strchr(err.field, '.');
    const json_t *found = dot ? json_object_get(value, dot + 1) : value;
    struct place member = {at->path, at->handler, err.field, at->err};
    return mistake(&member, found, err.allowed);
}

static int read_limits(const struct place *at, const json_t *value, struct handler *h)
{
    const char *allowed = limits_read(value, &h->exec->limits);
    h->info.limits = h->exec->limits;
    return allowed ? mistake(at, value, allowed) : 0;
}

static const struct {
    const char *name;
    int (*read)(const struct place *, const json_t *, struct handler *);
} fields[] = {
    {"exec", read_program},
    {"worker", read_program},
    {"plugin", read_program},
    {"lane", read_lane},
    {"timeout", read_timeout},
    {"retries", read_retries},
    {"retry_on", read_retry_on},
    {"backoff", read_backoff},
    {"content_type", read_content_type},
    {"description", read_description},
    {"env", read_env},
    {"cwd", read_cwd},
    {"limits", read_limits},
    {"max_tasks", read_option},
    {"max_age", read_option},
    {"max_rss", read_option},
    {"start_timeout", read_option},
};

/* ---- one handler ---- */

static int read_field(struct place *at, const json_t *value, struct handler *h)
{
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        if (strcmp(at->field, fields[i].name) == 0)
            return fields[i].read(at, value, h);
    }
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < FUT_COUNT(fields); i++)
        buf_printf(&names, "%s%s", i ? ", " : "", fields[i].name);
    int rc =
        fut_fail(at->err, FUT_ERR_INVAL, "%s: handler \"%s\": unknown field \"%.64s\"; allowed: %s",
                 at->path, at->handler, at->field, names.data);
    buf_release(&names);
    return rc;
}

static int check_name(const struct place *at)
{
    if (!task_handler_name_ok(at->handler))
        return fut_fail(at->err, FUT_ERR_INVAL,
                        "%s: handler name \"%.80s\"; allowed: 1 to 64 of a-z A-Z 0-9 . _ -, not "
                        "beginning with . or -",
                        at->path, at->handler);
    if (builtins_find(at->handler))
        return fut_fail(at->err, FUT_ERR_INVAL,
                        "%s: handler \"%s\" is the name of a built-in; allowed: any other name",
                        at->path, at->handler);
    return 0;
}

static void init_handler(struct handler *h, const char *name)
{
    *h = (struct handler){
        .info = {.name = xstrdup(name),
                 .kind = "exec",
                 .description = xstrdup(""),
                 .lane = LANE_CPU,
                 .any_lane = true,
                 .timeout_ms = DEFAULT_TIMEOUT_MS,
                 .retries = DEFAULT_RETRIES},
        .exec = xnew(struct exec_command),
        .worker = WORKER_OPTIONS_DEFAULT,
    };
    h->exec->env = exec_command_base_env();
    h->exec->content_type = xstrdup(CONTENT_TEXT);
}

void handlers_file_release(struct handler *h)
{
    free((char *)(uintptr_t)h->info.name);
    free((char *)(uintptr_t)h->info.description);
    exec_command_free(&h->exec);
    free(h->definition);
}

/* What differs between a program per task and one that stays. */
static int finish_worker(struct place *at, const json_t *entry, struct handler *h)
{
    for (size_t i = 0; !h->is_worker && (at->field = worker_options_field(i)) != NULL; i++) {
        const json_t *found = json_object_get(entry, at->field);
        if (found)
            return mistake(at, found, "this field for \"worker\" handlers only");
    }
    if (!h->is_worker)
        return 0;
    at->field = "limits";
    if (h->exec->limits.cpu_ms && h->info.lane == LANE_IO)
        return mistake(at, json_object_get(entry, at->field),
                       "limits without \"cpu\" for a \"worker\" handler of the io lane (it may run "
                       "several tasks at once, and nobody can tell whose CPU time it is)");
    h->definition = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
    h->info.kind = "worker";
    h->info.any_lane = false; /* its processes belong to one lane */
    exec_command_set_env(&h->exec->env, "FUTURED_WORKER_FD", "3");
    exec_command_set_env(&h->exec->env, "FUTURED_HANDLER", h->info.name);
    if (!json_object_get(entry, "content_type")) {
        free(h->exec->content_type);
        h->exec->content_type = xstrdup(CONTENT_BYTES);
    }
    return 0;
}

/* h is initialized already and released by the caller whatever happens. */
static int read_handler(struct place *at, json_t *entry, struct handler *h)
{
    int rc = check_name(at);
    if (rc != 0)
        return rc;
    if (!json_is_object(entry))
        return fut_fail(at->err, FUT_ERR_INVAL,
                        "%s: handler \"%s\" is not an object; allowed: {\"exec\": […], …}",
                        at->path, at->handler);
    json_t *value;
    json_object_foreach (entry, at->field, value) {
        rc = read_field(at, value, h);
        if (rc != 0)
            return rc;
    }
    at->field = "exec";
    if (!h->exec->argv)
        return mistake(at, NULL,
                       "an array of strings: program and arguments (or \"worker\", "
                       "or \"plugin\")");
    rc = finish_worker(at, entry, h);
    if (rc != 0)
        return rc;
    size_t bytes = exec_command_bytes(h->exec);
    if (bytes > EXEC_COMMAND_MAX_BYTES)
        return fut_fail(
            at->err, FUT_ERR_TOO_BIG,
            "%s: handler \"%s\": arguments and environment are %zu bytes; allowed: up to %d",
            at->path, at->handler, bytes, EXEC_COMMAND_MAX_BYTES);
    return 0;
}

/* ---- the file ---- */

static int read_all(const char *path, json_t *root, struct handler *items, size_t *n,
                    struct fut_errbuf *err)
{
    struct place at = {.path = path, .err = err};
    json_t *entry;
    *n = 0;
    json_object_foreach (root, at.handler, entry) {
        struct handler *h = &items[(*n)++];
        init_handler(h, at.handler);
        int rc = read_handler(&at, entry, h);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int from_json(const char *path, json_t *root, struct handler **out_items, size_t *out_n,
                     struct fut_errbuf *err)
{
    if (!json_is_object(root))
        return fut_fail(err, FUT_ERR_INVAL,
                        "%s is not an object; allowed: {\"name\": {\"exec\": […]}, …}", path);
    size_t n = 0;
    struct handler *items = xcalloc(json_object_size(root), sizeof(*items));
    int rc = read_all(path, root, items, &n, err);
    if (rc == 0) {
        *out_items = items;
        *out_n = n;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        handlers_file_release(&items[i]);
    free(items);
    return rc;
}

int handlers_file_load(const char *path, struct handler **out_items, size_t *out_n,
                       struct fut_errbuf *err)
{
    struct buf text = BUF_INIT;
    json_t *root = NULL;
    json_error_t why;
    int rc = file_read_regular(path, HANDLERS_FILE_MAX_BYTES, &text, err);
    if (rc != 0)
        goto out;
    root = json_loadb(text.len ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &why);
    if (!root) {
        rc = fut_fail(err, FUT_ERR_INVAL, "%s: line %d, column %d: %s", path, why.line, why.column,
                      why.text);
        goto out;
    }
    rc = from_json(path, root, out_items, out_n, err);
out:
    json_decref(root);
    buf_release(&text);
    return rc;
}
