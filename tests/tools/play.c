/* play: submits many tasks, shows how they get done, checks that each succeeded, and says how long
 * it took: the demo's and the bench's player.
 *   play --address A --count 50 --handler http --input '{"url":…}'       the same input each time
 *   play --address A --dir texts --handler wordcount                     a task per file, body =
 * input Progress goes to stderr: one line that renews itself on a terminal, plain lines elsewhere.
 * stdout gets one line of JSON, after --show N results. Exit status 1 when a task did not succeed.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/dir.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "tests/support/text.h"

#define TASKS_MAX 10000
#define BAR_WIDTH 30
#define LINE_EVERY_US 1000000

struct one {
    char name[64]; /* of the file; "" */
    char id[ID_TEXT_SIZE];
    bool done, succeeded;
};

struct play {
    const char *address, *dir, *handler, *input, *title;
    double count, show, quiet;
    char base[128];
    struct one *tasks;
    size_t n, n_done, n_failed;
    int64_t began_mono_us, shown_mono_us;
};

/* ---- progress -------------------------------------------------------------------------------- */

static void show_progress(struct play *p, bool is_end)
{
    bool terminal = isatty(STDERR_FILENO) != 0;
    int64_t now_mono_us = clock_mono_us();
    if (p->quiet > 0 || (!terminal && !is_end && now_mono_us - p->shown_mono_us < LINE_EVERY_US))
        return;
    p->shown_mono_us = now_mono_us;
    char bar[BAR_WIDTH + 1];
    size_t filled = p->n ? p->n_done * BAR_WIDTH / p->n : 0;
    for (size_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "%s%s [%s] %zu of %zu done, %.1f s%s", terminal ? "\r" : "", p->title,
                  bar, p->n_done, p->n, (double)(now_mono_us - p->began_mono_us) / 1e6,
                  terminal && !is_end ? "" : "\n");
    (void)fflush(stderr);
}

/* ---- submitting ------------------------------------------------------------------------------ */

static void submit(struct play *p, struct one *t, const char *path, const char *type,
                   const void *body, size_t n)
{
    const char *headers[] = {type, NULL};
    struct http_request req = {
        .method = "POST", .path = path, .body = body, .body_len = n, .headers = headers};
    struct http_reply r = http_call(p->base, &req);
    if (r.status != 202)
        fail("POST %s: %d %s", path, r.status, r.error ? r.error : r.body);
    (void)snprintf(t->id, sizeof(t->id), "%s", api_str(r.json, "id"));
    http_reply_release(&r);
}

static void submit_same(struct play *p)
{
    char *body = text_printf("{\"handler\":\"%s\",\"input\":%s}", p->handler, p->input);
    p->n = (size_t)p->count;
    for (size_t i = 0; i < p->n; i++)
        submit(p, &p->tasks[i], "/v1/tasks", "Content-Type: application/json", body, strlen(body));
    free(body);
}

static void submit_file(struct play *p, const char *name)
{
    struct one *t = &p->tasks[p->n++];
    char *text = dir_read(p->dir, name);
    char *path = text_printf("/v1/tasks/%s", p->handler);
    if (!text)
        fail("cannot read %s/%s", p->dir, name);
    (void)snprintf(t->name, sizeof(t->name), "%.*s", (int)sizeof(t->name) - 1, name);
    submit(p, t, path, "Content-Type: text/plain", text, strlen(text));
    free(path);
    free(text);
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void submit_files(struct play *p)
{
    struct dirent **entries;
    int n = scandir(p->dir, &entries, is_visible, alphasort);
    if (n < 0)
        fail("cannot read the directory %s: errno %d", p->dir, errno);
    for (int i = 0; i < n; i++) {
        if (p->n < TASKS_MAX)
            submit_file(p, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void take_future(struct play *p, struct one *t, const json_t *future)
{
    if (!json_is_true(api_at(future, "done")))
        return;
    t->done = true;
    t->succeeded = strcmp(api_str(future, "state"), "succeeded") == 0;
    p->n_done++;
    p->n_failed += !t->succeeded;
    if (!t->succeeded) {
        char *text = json_dumps(future, JSON_COMPACT);
        (void)fprintf(stderr, "\n%s %s\n", t->name, text);
        free(text);
    }
}

/* The oldest one that is not done is awaited for a moment; what else is done is seen in passing. */
static void wait_all(struct play *p)
{
    for (size_t i = 0; i < p->n;) {
        struct one *t = &p->tasks[i];
        if (t->done) {
            i++;
            continue;
        }
        struct http_reply r = api_get(p->base, "/v1/futures/%s?wait=0.25", t->id);
        if (r.status != 200)
            fail("GET of %s: %d %s", t->id, r.status, r.error ? r.error : r.body);
        take_future(p, t, r.json);
        http_reply_release(&r);
        show_progress(p, false);
    }
}

static void show_results(const struct play *p)
{
    for (size_t i = 0; i < p->n && i < (size_t)p->show; i++) {
        struct http_reply r = api_get(p->base, "/v1/futures/%s/result", p->tasks[i].id);
        (void)printf("  %-28s %.200s%s", p->tasks[i].name, r.body,
                     r.body_len && r.body[r.body_len - 1] == '\n' ? "" : "\n");
        http_reply_release(&r);
    }
}

static void parse(int argc, char **argv, struct play *p)
{
    const struct option_row rows[] = {
        {"address", &p->address, NULL, "host:port of the daemon"},
        {"handler", &p->handler, NULL, "whose tasks are submitted"},
        {"count", NULL, &p->count, "tasks with --input"},
        {"input", &p->input, NULL, "their input, as JSON"},
        {"dir", &p->dir, NULL, "instead: a task for each file in this directory"},
        {"title", &p->title, NULL, "of the progress line"},
        {"show", NULL, &p->show, "so many results at the end"},
        {"quiet", NULL, &p->quiet, "1: no progress"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (p->count > TASKS_MAX)
        fail("--count is at most %d", TASKS_MAX);
    (void)snprintf(p->base, sizeof(p->base), "http://%s", p->address);
}

int main(int argc, char **argv)
{
    struct play p = {.address = "127.0.0.1:8420",
                     .handler = "echo",
                     .input = "null",
                     .title = "tasks",
                     .count = 50};
    parse(argc, argv, &p);
    p.tasks = xcalloc(TASKS_MAX, sizeof(*p.tasks));
    p.began_mono_us = p.shown_mono_us = clock_mono_us();
    if (p.dir)
        submit_files(&p);
    else
        submit_same(&p);
    double submitted_s = (double)(clock_mono_us() - p.began_mono_us) / 1e6;
    wait_all(&p);
    double seconds = (double)(clock_mono_us() - p.began_mono_us) / 1e6;
    show_progress(&p, true);
    show_results(&p);
    (void)printf("{\"tasks\":%zu,\"failed\":%zu,\"submitted_s\":%.3f,\"seconds\":%.3f}\n", p.n,
                 p.n_failed, submitted_s, seconds);
    free(p.tasks);
    return p.n_failed ? 1 : 0;
}
