#include "workers/handlers/handlers_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/retry.h"
#include "core/task_limits.h"
#include "workers/handlers/builtins/builtins.h"

#define DEFAULT_TIMEOUT_MS 300000LL
#define DEFAULT_RETRIES 3 /* exit 75 says "try again": by default we do */
#define DEFAULT_START_TIMEOUT_MS 60000
#define MAX_ARGS 256
#define DESCRIPTION_MAX 500
#define SHOWN_BYTES 60

struct place;

/* A member of an entry. */
struct field {
    const char *name;
    int (*read)(const struct place *, const json_t *, struct handler *);
    const char *allowed, *by_default, *meaning; /* the first is what a refusal says, too */
    int64_t min;                                /* of a number that read_number_option reads */
    size_t option;                              /* where in struct worker_options it is kept */
    bool for_workers;                           /* and plug-ins alone */
    bool for_exec;                              /* alone */
};

/* Where a mistake would be. */
struct place {
    const char *path, *handler, *field;
    const struct field *row; /* of field; NULL where it has none */
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

/* In the words of the table. */
static int refuse(const struct place *at, const json_t *found)
{
    return mistake(at, found, at->row->allowed);
}

/* A string without NUL inside, or NULL. */
static const char *text_of(const json_t *value)
{
    const char *s = json_string_value(value);
    return s && strlen(s) == json_string_length(value) ? s : NULL;
}

/* ---- one function per field ---- */

#define ONE_PROGRAM "one of \"exec\", \"worker\" and \"plugin\""

/* "exec" and "worker": ["program", "argument", …]. What has been read by then is freed with h. */
static int read_program(const struct place *at, const json_t *value, struct handler *h)
{
    struct exec_command *x = h->exec;
    size_t n = json_array_size(value);
    if (x->argv)
        return mistake(at, value, ONE_PROGRAM);
    if (n < 1 || n > MAX_ARGS)
        return refuse(at, value);
    h->is_worker = at->row->for_workers;
    x->argv = xcalloc(n + 1, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *arg = text_of(json_array_get(value, i));
        if (!arg || (i == 0 && !*arg))
            return refuse(at, value);
        x->argv[i] = xstrdup(arg);
    }
    int rc = exec_command_resolve(x->argv[0], &x->path);
    if (rc == FUT_ERR_NOT_FOUND)
        return mistake(at, value, "a program that exists (absolute, or found in PATH)");
    return rc == 0 ? 0 : mistake(at, value, "a program that may be executed");
}

/* This very program in the role of the plug-in's host: its code does not run in the daemon. */
static int read_plugin(const struct place *at, const json_t *value, struct handler *h)
{
    const char *path = text_of(value);
    struct exec_command *x = h->exec;
    struct stat st;
    if (x->argv)
        return mistake(at, value, ONE_PROGRAM);
    if (!path || *path != '/' || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        access(path, R_OK) != 0)
        return refuse(at, value);
    h->is_worker = true;
    x->argv = xcalloc(4, sizeof(char *));
    x->argv[0] = xstrdup("futured");
    x->argv[1] = xstrdup("--role=plugin-host");
    x->argv[2] = xstrdup(path);
    x->path = xstrdup("/proc/self/exe"); /* the fork server's, and so ours */
    return 0;
}

static int read_lane(const struct place *at, const json_t *value, struct handler *h)
{
    const char *lane = text_of(value);
    return lane && lane_parse(lane, &h->info.lane) ? 0 : refuse(at, value);
}

/* A number of seconds. 0: none that is allowed. */
static int64_t ms_of(const json_t *value)
{
    double ms = json_number_value(value) * 1000.0;
    bool fits = json_is_number(value) && ms >= 1 && ms <= (double)TASK_TIMEOUT_MAX_MS;
    return fits ? (int64_t)ms : 0;
}

static int read_timeout(const struct place *at, const json_t *value, struct handler *h)
{
    int64_t ms = ms_of(value);
    if (!ms)
        return refuse(at, value);
    h->info.timeout_ms = ms;
    return 0;
}

static int read_retries(const struct place *at, const json_t *value, struct handler *h)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || n > TASK_RETRIES_MAX)
        return refuse(at, value);
    h->info.retries = (uint32_t)n;
    return 0;
}

static int read_content_type(const struct place *at, const json_t *value, struct handler *h)
{
    const char *type = text_of(value);
    if (!type || !exec_command_type_ok(type))
        return refuse(at, value);
    free(h->exec->content_type);
    h->exec->content_type = xstrdup(type);
    return 0;
}

static int read_description(const struct place *at, const json_t *value, struct handler *h)
{
    const char *text = text_of(value);
    if (!text || strlen(text) > DESCRIPTION_MAX)
        return refuse(at, value);
    free((char *)(uintptr_t)h->info.description);
    h->info.description = xstrdup(text);
    return 0;
}

static int read_env(const struct place *at, const json_t *value, struct handler *h)
{
    const char *name;
    json_t *entry, *env = (json_t *)(uintptr_t)value; /* jansson's iteration is not const */
    if (!json_is_object(value))
        return refuse(at, value);
    json_object_foreach (env, name, entry) {
        const char *text = text_of(entry);
        if (!text || !exec_command_env_name_ok(name))
            return refuse(at, value);
        exec_command_set_env(&h->exec->env, name, text);
    }
    return 0;
}

static int read_cwd(const struct place *at, const json_t *value, struct handler *h)
{
    const char *dir = text_of(value);
    struct stat st;
    if (!dir || *dir != '/' || stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return refuse(at, value);
    h->exec->cwd = xstrdup(dir);
    return 0;
}

static int read_retry_on(const struct place *at, const json_t *value, struct handler *h)
{
    struct retry_json_error err;
    return retry_json_on(value, &h->info.retry, &err) == 0 ? 0 : mistake(at, value, err.allowed);
}

/* A complaint names the member that is wrong. */
static int read_backoff(const struct place *at, const json_t *value, struct handler *h)
{
    struct retry_json_error err;
    if (retry_json_backoff(value, &h->info.retry, &err) == 0)
        return 0;
    const char *dot = strchr(err.field, '.');
    const json_t *found = dot ? json_object_get(value, dot + 1) : value;
    struct place member = {at->path, at->handler, err.field, NULL, at->err};
    return mistake(&member, found, err.allowed);
}

static int read_queue(const struct place *at, const json_t *value, struct handler *h)
{
    const char *name = text_of(value);
    if (!name || !task_queue_name_ok(name))
        return refuse(at, value);
    free((char *)(uintptr_t)h->info.queue);
    h->info.queue = xstrdup(name);
    return 0;
}

static int read_limits(const struct place *at, const json_t *value, struct handler *h)
{
    const char *allowed = limits_read(value, &h->exec->limits);
    h->info.limits = h->exec->limits;
    return allowed ? mistake(at, value, allowed) : 0;
}

static int add_task_limit(struct task_limits *to, const json_t *value)
{
    const json_t *key = json_object_get(value, "key");
    const char *name = text_of(json_is_object(value) ? json_object_get(value, "name") : value);
    const char *text = key ? text_of(key) : "";
    bool is_whole = !json_is_object(value) || json_object_size(value) == (key ? 2 : 1);
    if (!name || !text || !is_whole || !task_limit_name_ok(name) ||
        (key && !task_limit_key_ok(text)))
        return FUT_ERR_INVAL;
    return task_limits_add(to, name, text);
}

static int read_task_limits(const struct place *at, const json_t *value, struct handler *h)
{
    struct task_limits named = {.n = 0};
    char text[TASK_LIMITS_SIZE];
    const json_t *one;
    size_t i;
    if (!json_is_array(value))
        return refuse(at, value);
    json_array_foreach (value, i, one) {
        if (add_task_limit(&named, one) != 0)
            return refuse(at, value);
    }
    task_limits_write(&named, text);
    h->info.task_limits = named.n ? xstrdup(text) : NULL;
    return 0;
}

static int64_t *option_of(const struct place *at, struct handler *h)
{
    return (int64_t *)(void *)((char *)&h->worker + at->row->option);
}

static int read_number_option(const struct place *at, const json_t *value, struct handler *h)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < at->row->min)
        return refuse(at, value);
    *option_of(at, h) = n;
    return 0;
}

static int read_seconds_option(const struct place *at, const json_t *value, struct handler *h)
{
    int64_t ms = ms_of(value);
    if (!ms)
        return refuse(at, value);
    *option_of(at, h) = ms;
    return 0;
}

static int read_checkpoints(const struct place *at, const json_t *value, struct handler *h)
{
    if (!json_is_boolean(value))
        return refuse(at, value);
    h->exec->takes_checkpoints = json_is_true(value);
    return 0;
}

static int read_scope(const struct place *at, const json_t *value, struct handler *h)
{
    const char *scope = text_of(value);
    if (!scope || strcmp(scope, "code") != 0)
        return refuse(at, value);
    h->info.takes_code = true;
    return 0;
}

#define ARGV "an array of 1 to 256 strings: program and arguments"
#define SECONDS "a number of seconds from 0.001 to 86400"

static const struct field fields[] = {
    {"exec", read_program, ARGV, "one of the three is needed",
     .meaning =
         "the program, absolute or found in PATH at start, which is started anew for each task"},
    {"worker", read_program, ARGV, "",
     .meaning =
         "the program, which is started ahead of the work, stays, and speaks the worker protocol",
     .for_workers = true},
    {"plugin", read_plugin, "the absolute path of a shared object that can be read", "",
     .meaning = "see `futured_plugin.h`; what is said of `worker` holds for it"},
    {"lane", read_lane, "\"io\" or \"cpu\"", "\"cpu\"", .meaning = "the pool that runs its tasks"},
    {"timeout", read_timeout, SECONDS, "300", .meaning = "how long an attempt may take"},
    {"retries", read_retries, "a whole number from 0 to 100", "3",
     .meaning = "how often a task is tried again at most"},
    {"retry_on", read_retry_on, "an array of " RETRY_WORDS, "[\"temporary\", \"crash\"]",
     .meaning = "after which ends of an attempt it is (exit status 75 is temporary)"},
    {"backoff", read_backoff,
     "an object of \"first\", \"max\" (seconds from 0.001 to 86400) and \"jitter\" (0 to 1)",
     "1, 300, 0.25", .meaning = "the pause before the next attempt"},
    {"content_type", read_content_type, "a content type like \"text/csv\" of up to 127 bytes",
     "`text/plain; charset=utf-8`; of workers `application/octet-stream`",
     .meaning = "of standard output, or of a worker's results that come without `type=`"},
    {"description", read_description, "a string of up to 500 bytes", "\"\"",
     .meaning = "for people"},
    {"env", read_env, "an object of names (letters, digits, _; not FUTURED_…) and strings", "{}",
     .meaning = "what the environment has besides"},
    {"cwd", read_cwd, "the absolute path of a directory that exists", "the daemon's",
     .meaning = "the working directory"},
    {"scope", read_scope, "\"code\"", "none",
     .meaning = "what a token needs besides `submit`: its input is a program, not data"},
    {"queue", read_queue, "a name of 1 to 64 of A-Z a-z 0-9 . _ -", "`default`",
     .meaning = "the queue of its tasks that name none"},
    {"limits", read_limits, "an object of cpu, memory, output, files, processes", "none",
     .meaning = "what a task may take, see below"},
    {"task_limits", read_task_limits,
     "an array of up to 4 different limits: names, or objects of \"name\" and \"key\"", "[]",
     .meaning = "the limits (`/v1/limits`) that each of its tasks names beside its own"},
    {"checkpoints", read_checkpoints, "true or false", "false",
     .meaning = "whether the program stores checkpoints and suspends itself, by its descriptor 3",
     .for_exec = true},
    {"start_timeout", read_seconds_option, SECONDS, "60",
     .meaning = "how long a worker may take from its start to its HELLO",
     .option = offsetof(struct worker_options, start_timeout_ms), .for_workers = true},
    {"max_tasks", read_number_option, "a whole number from 1", "no maximum",
     .meaning =
         "the most tasks that a worker is given; its successor is started when a tenth is left, "
         "and replaces it as soon as it is ready",
     .min = 1, .option = offsetof(struct worker_options, max_tasks), .for_workers = true},
    {"max_age", read_seconds_option, SECONDS, "no maximum",
     .meaning =
         "the longest time from its HELLO in which a worker is given tasks; its successor is "
         "started when a tenth is left, and replaces it as soon as it is ready",
     .option = offsetof(struct worker_options, max_age_ms), .for_workers = true},
    {"max_rss", read_number_option, "a whole number of bytes from 1048576", "no maximum",
     .meaning = "a worker that holds so much memory after a task is replaced", .min = 1 << 20,
     .option = offsetof(struct worker_options, max_rss_bytes), .for_workers = true},
};

/* ---- one handler ---- */

static int read_field(struct place *at, const json_t *value, struct handler *h)
{
    for (at->row = fields; at->row < fields + FUT_COUNT(fields); at->row++) {
        if (strcmp(at->field, at->row->name) == 0)
            return at->row->read(at, value, h);
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
        .worker = {.start_timeout_ms = DEFAULT_START_TIMEOUT_MS},
    };
    h->exec->env = exec_command_base_env();
    h->exec->writes_much = xnew(bool);
    h->exec->content_type = xstrdup(CONTENT_TEXT);
}

void handlers_file_release(struct handler *h)
{
    free((char *)(uintptr_t)h->info.name);
    free((char *)(uintptr_t)h->info.description);
    free((char *)(uintptr_t)h->info.queue);
    free((char *)(uintptr_t)h->info.task_limits);
    exec_command_free(&h->exec);
    free(h->definition);
}

/* What differs between a program per task and one that stays. */
static int finish_worker(struct place *at, const json_t *entry, struct handler *h)
{
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        bool is_others = h->is_worker ? fields[i].for_exec : fields[i].for_workers;
        const json_t *found = is_others ? json_object_get(entry, fields[i].name) : NULL;
        at->field = fields[i].name;
        if (found)
            return mistake(at, found,
                           h->is_worker ? "this field for \"exec\" handlers only"
                                        : "this field for \"worker\" handlers only");
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
    h->exec->is_local = exec_command_is_local(h->exec);
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

void handlers_file_print_fields(void)
{
    (void)printf("| field | what it says | allowed | default |\n|---|---|---|---|\n");
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        const struct field *f = &fields[i];
        (void)printf("| `%s` | %s | %s | %s |\n", f->name, f->meaning, f->allowed, f->by_default);
    }
}
