#include "client/cli/progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"

#define LONGEST_WAIT 50.0   /* seconds of one request: proxies in between end longer ones */
#define WATCH_AT_ONCE 10000 /* ids in one request */

static double now(void)
{
    return (double)clock_mono_us() * 1e-6;
}

/* What one request may wait of the time until `deadline` (negative: none). */
static double slice(double deadline)
{
    double remaining = deadline < 0 ? LONGEST_WAIT : deadline - now();
    return remaining < 0 ? 0 : remaining > LONGEST_WAIT ? LONGEST_WAIT : remaining;
}

json_t *progress_wait(struct cli *c, const char *id, double seconds, int *code)
{
    double deadline = seconds < 0 ? -1 : now() + seconds;
    for (;;) {
        char after[48];
        snprintf(after, sizeof(after), "?wait=%.3f", slice(deadline));
        char *path = cli_path(c, "/v1/futures/", id, after);
        json_t *future = cli_get(c, path, code);
        free(path);
        if (!future || json_is_true(json_object_get(future, "done")) ||
            (deadline >= 0 && now() >= deadline))
            return future;
        json_decref(future);
    }
}

int progress_result(struct cli *c, const char *id, double seconds, FILE *f)
{
    struct remote_answer a;
    int code = CLI_OK;
    json_t *future = progress_wait(c, id, seconds, &code);
    if (!future)
        return code;
    code = (int)cli_exit_of(future);
    if (code != CLI_OK) {
        cli_explain(future);
        json_decref(future);
        return code;
    }
    json_decref(future);
    char *path = cli_path(c, "/v1/futures/", id, "/result");
    remote_call(c->remote, &(struct remote_request){.path = path}, &a);
    free(path);
    if (a.status != 200)
        code = cli_refused(c, &a);
    else if (fwrite(a.body.data ? a.body.data : "", 1, a.body.len, f) != a.body.len ||
             fflush(f) != 0)
        code = cli_fail(CLI_USAGE, "The result cannot be written: %s.", strerror(errno));
    else if (isatty(fileno(f)) && a.body.len > 0 && a.body.data[a.body.len - 1] != '\n')
        fputc('\n', f);
    remote_answer_release(&a);
    return code;
}

/* ---- many ------------------------------------------------------------------------------------ */

struct watch {
    struct cli *cli;
    char *const *ids;
    bool *is_done;
    size_t n, n_done;
    double began, deadline;
    void (*done)(void *ctx, size_t index, enum cli_exit end);
    void *ctx;
    struct buf line; /* an unfinished line of the stream */
    size_t *by_id;   /* indices in the order of their ids */
};

static void draw(const struct watch *w)
{
    char bar[31];
    double spent = now() - w->began, rate = spent > 0 ? (double)w->n_done / spent : 0;
    size_t filled = w->n ? w->n_done * (sizeof(bar) - 1) / w->n : 0;
    if (!w->cli->has_terminal_err)
        return;
    memset(bar, '.', sizeof(bar) - 1);
    memset(bar, '#', filled);
    bar[sizeof(bar) - 1] = '\0';
    fprintf(stderr, "\r[%s] %zu/%zu  %.1f/s", bar, w->n_done, w->n, rate);
    if (rate > 0 && w->n_done < w->n)
        fprintf(stderr, "  %.0f s left", (double)(w->n - w->n_done) / rate);
    fputs("\033[K", stderr);
    if (w->n_done == w->n)
        fputc('\n', stderr);
}

static const struct watch *sorting; /* qsort and bsearch have no context */
static int by_id(const void *a, const void *b)
{
    return strcmp(sorting->ids[*(const size_t *)a], sorting->ids[*(const size_t *)b]);
}

static void take_done(struct watch *w, const json_t *future)
{
    const char *id = json_string_value(json_object_get(future, "id"));
    size_t low = 0, high = w->n;
    while (id && low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(w->ids[w->by_id[middle]], id);
        if (order == 0) {
            low = middle;
            break;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    /* One id may stand there several times (tasks that joined one by a unique key). */
    while (id && low > 0 && strcmp(w->ids[w->by_id[low - 1]], id) == 0)
        low--;
    for (; id && low < w->n && strcmp(w->ids[w->by_id[low]], id) == 0; low++) {
        size_t i = w->by_id[low];
        if (w->is_done[i])
            continue;
        w->is_done[i] = true;
        w->n_done++;
        w->done(w->ctx, i, cli_exit_of(future));
    }
}

/* One event of the stream, a line of JSON. */
static void take_line(struct watch *w, const char *line, size_t len)
{
    json_t *event = json_loadb(line, len, 0, NULL);
    const char *name = json_string_value(json_object_get(event, "event"));
    if (name && strcmp(name, "done") == 0)
        take_done(w, json_object_get(event, "data"));
    json_decref(event);
}

static bool on_bytes(void *ctx, const char *bytes, size_t n)
{
    struct watch *w = ctx;
    const char *end;
    buf_put(&w->line, bytes, n);
    while ((end = memchr(w->line.data, '\n', w->line.len))) {
        size_t len = (size_t)(end - w->line.data);
        take_line(w, w->line.data, len);
        buf_consume(&w->line, len + 1);
    }
    draw(w);
    return w->deadline < 0 || now() < w->deadline;
}

/* One stream over at most WATCH_AT_ONCE of the futures that are not done. */
static int stream_once(struct watch *w)
{
    struct remote_answer a;
    json_t *ids = json_array();
    int code = CLI_OK;
    for (size_t i = 0; i < w->n && json_array_size(ids) < WATCH_AT_ONCE; i++) {
        if (!w->is_done[i])
            json_array_append_new(ids, json_string(w->ids[i]));
    }
    json_t *body = json_pack("{s:o}", "ids", ids);
    char *text = json_dumps(body, JSON_COMPACT);
    w->line.len = 0;
    remote_call(w->cli->remote,
                &(struct remote_request){.path = "/v1/as_completed",
                                         .body = text,
                                         .body_len = strlen(text),
                                         .accept = "application/x-ndjson",
                                         .on_bytes = on_bytes,
                                         .ctx = w},
                &a);
    if (a.status != 0 && a.status / 100 != 2)
        code = cli_refused(w->cli, &a);
    remote_answer_release(&a);
    free(text);
    json_decref(body);
    return code;
}

int progress_watch(struct cli *c, char *const *ids, size_t n, double seconds,
                   void (*done)(void *ctx, size_t index, enum cli_exit end), void *ctx)
{
    struct watch w = {.cli = c, .ids = ids, .n = n, .began = now(), .done = done, .ctx = ctx};
    int code = CLI_OK, silent = 0;
    w.deadline = seconds < 0 ? -1 : w.began + seconds;
    w.is_done = xcalloc(n, sizeof(*w.is_done));
    w.by_id = xcalloc(n, sizeof(*w.by_id));
    for (size_t i = 0; i < n; i++)
        w.by_id[i] = i;
    sorting = &w;
    qsort(w.by_id, n, sizeof(*w.by_id), by_id);
    draw(&w);
    while (code == CLI_OK && w.n_done < n && (w.deadline < 0 || now() < w.deadline)) {
        size_t before = w.n_done;
        code = stream_once(&w);
        /* A daemon that restarts ends its streams: the futures are kept, so come back for a while.
         */
        silent = w.n_done > before ? 0 : silent + 1;
        if (silent > 20)
            code = cli_fail(CLI_UNREACHABLE,
                            "%s ends the stream again and again; the futures are kept.",
                            remote_url(c->remote));
        if (code == CLI_OK && silent > 0 && w.n_done < n)
            usleep(500000);
    }
    if (code == CLI_OK && w.n_done < n)
        code =
            cli_fail(CLI_NOT_DONE, "%zu of %zu are not done in time; they go on.", n - w.n_done, n);
    buf_release(&w.line);
    free(w.by_id);
    free(w.is_done);
    return code;
}
