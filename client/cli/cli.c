#include "client/cli/cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

int cli_fail(int code, const char *fmt, ...)
{
    va_list ap;
    fputs("future: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return code;
}

/* What a person may do about the problems that they meet most. */
static const struct {
    const char *code, *advice;
} advice[] = {
    {"unauthorized", "Name a token by FUTURED_TOKEN or --token-file."},
    {"forbidden", "Use a token that has this scope."},
    {"unknown_handler", "`future handlers` lists what can be run."},
    {"unknown_future",
     "`future ls` lists the futures; done ones are kept for the daemon's FUTURED_RETENTION."},
    {"queue_full", "Try again later, or raise FUTURED_MAX_QUEUED."},
    {"no_space", "Free space on the daemon's disk."},
    {"body_too_large", "The daemon's FUTURED_MAX_BODY is the limit."},
};

static const char *text_of(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

char *cli_refusal(struct cli *c, const struct remote_answer *a)
{
    struct buf b = BUF_INIT;
    size_t len;
    if (a->status == 0) {
        buf_printf(&b,
                   "No answer from %s: %s. Does the daemon run there? FUTURED_URL or --url names "
                   "another.",
                   remote_url(c->remote), a->error);
        return buf_take(&b, &len);
    }
    json_t *problem = json_loadb(a->body.len ? a->body.data : "", a->body.len, 0, NULL);
    const char *detail = text_of(problem, "detail"), *code = text_of(problem, "code");
    if (detail)
        buf_puts(&b, detail);
    else
        buf_printf(&b, "%s answered HTTP %ld.", remote_url(c->remote), a->status);
    for (size_t i = 0; detail && code && i < FUT_COUNT(advice); i++) {
        if (strcmp(code, advice[i].code) == 0)
            buf_printf(&b, " %s", advice[i].advice);
    }
    json_decref(problem);
    return buf_take(&b, &len);
}

int cli_refused(struct cli *c, const struct remote_answer *a)
{
    char *sentence = cli_refusal(c, a);
    int code = cli_fail(a->status ? CLI_REFUSED : CLI_UNREACHABLE, "%s", sentence);
    free(sentence);
    return code;
}

json_t *cli_ask(struct cli *c, const struct remote_request *q, int *code)
{
    struct remote_answer a;
    json_t *value = NULL;
    remote_call(c->remote, q, &a);
    if (a.status / 100 != 2)
        *code = cli_refused(c, &a);
    else if (a.body.len == 0)
        value = json_null();
    else if (!(value = json_loadb(a.body.data, a.body.len, JSON_DECODE_ANY, NULL)))
        *code = cli_fail(CLI_REFUSED, "%s does not speak futured's API: the answer is not JSON.",
                         remote_url(c->remote));
    remote_answer_release(&a);
    return value;
}

json_t *cli_get(struct cli *c, const char *path, int *code)
{
    return cli_ask(c, &(struct remote_request){.path = path}, code);
}

char *cli_path(struct cli *c, const char *before, const char *id, const char *after)
{
    struct buf b = BUF_INIT;
    size_t len;
    buf_puts(&b, before);
    remote_escape(c->remote, &b, id);
    buf_puts(&b, after);
    return buf_take(&b, &len);
}

double cli_seconds(const char *text)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    double value = strtod(text, &end);
    if (end == text || !isfinite(value) || value < 0)
        return -1;
    for (size_t i = 0; i < FUT_COUNT(units); i++) {
        if (strcmp(end, units[i].unit) == 0)
            return value * units[i].seconds;
    }
    return -1;
}

enum cli_exit cli_exit_of(const json_t *future)
{
    static const struct {
        const char *state;
        enum cli_exit code;
    } ends[] = {{"succeeded", CLI_OK}, {"failed", CLI_TASK_FAILED}, {"cancelled", CLI_CANCELLED}};
    const char *state = text_of(future, "state");
    for (size_t i = 0; state && i < FUT_COUNT(ends); i++) {
        if (strcmp(state, ends[i].state) == 0)
            return ends[i].code;
    }
    return CLI_NOT_DONE;
}

void cli_explain(const json_t *future)
{
    const json_t *error = json_object_get(future, "error"),
                 *why = json_object_get(future, "waiting_for");
    const json_t *about = error ? error : why;
    const char *state = text_of(future, "state"), *code = text_of(about, "code"),
               *message = text_of(about, "message");
    fprintf(stderr, "future: %s is %s", text_of(future, "id"),
            state ? state : "in an unknown state");
    if (code) {
        fprintf(stderr, " (%s): ", code);
        cli_print_safe(stderr, message ? message : "");
    }
    fputc('\n', stderr);
    const char *log = text_of(error, "log");
    if (log && *log) {
        fputs("its log ends with:\n", stderr);
        cli_print_safe(stderr, log);
        if (log[strlen(log) - 1] != '\n')
            fputc('\n', stderr);
    }
}

int cli_act(struct cli *c, const struct cli_action *actions,
            int (*otherwise)(struct cli *c, int argc, char **argv), int most, int argc, char **argv)
{
    for (const struct cli_action *a = actions; argc > 0 && a->name; a++) {
        if (strcmp(a->name, argv[0]) != 0)
            continue;
        if (argc - 1 < a->min_arguments || (a->max_arguments >= 0 && argc - 1 > a->max_arguments))
            return cli_fail(CLI_USAGE, "`%s` takes %s%d here.", a->name,
                            a->max_arguments == a->min_arguments ? "" : "at least ",
                            a->min_arguments);
        return a->run(c, argc - 1, argv + 1);
    }
    if (argc > most)
        return cli_fail(CLI_USAGE, "`%s` is nothing that this command does; --help says what is.",
                        argv[0]);
    return otherwise(c, argc, argv);
}
