/* One handler for each thing that a worker in C can do. tests/tools/worker_conformance knows them.
 * With tour_main.c it is a program; alone, built with -shared -fPIC, a plug-in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "futured_plugin.h"

static char greeting[32];

static int load(const struct futured_host *host, char *error, size_t error_size)
{
    if (host->abi != FUTURED_PLUGIN_ABI) {
        (void)snprintf(error, error_size, "a host of version %u", (unsigned)host->abi);
        return -1;
    }
    (void)snprintf(greeting, sizeof(greeting), "a line for the log\n");
    return 0;
}

static void echo(const struct futured_host *host, struct futured_task *task)
{
    size_t n;
    const void *input = host->input(task, &n);
    host->done(task, input, n, host->input_type(task));
}

static void report(const struct futured_host *host, struct futured_task *task)
{
    char text[64];
    size_t n;
    (void)host->input(task, &n);
    (void)snprintf(text, sizeof(text), "half of %zu bytes", n);
    host->progress(task, 0.5, text);
    host->log(task, greeting, strlen(greeting));
    host->done(task, "reported", 8, "text/plain");
}

static void failing(const struct futured_host *host, struct futured_task *task)
{
    char text[256];
    size_t n;
    const char *input = host->input(task, &n);
    (void)snprintf(text, sizeof(text), "no good: %.*s\nin tour.c", (int)(n < 100 ? n : 100), input);
    host->fail(task, FUTURED_RETRY_POLICY, "NoGood", text);
}

/* Fails with its input as data. */
static void data(const struct futured_host *host, struct futured_task *task)
{
    size_t n;
    const void *input = host->input(task, &n);
    host->fail_with(task, FUTURED_RETRY_POLICY, "NoGood", "no good", input, n,
                    host->input_type(task));
}

static void refuse(const struct futured_host *host, struct futured_task *task)
{
    host->fail(task, FUTURED_RETRY_NEVER, "Permanent", "never");
}

static void later(const struct futured_host *host, struct futured_task *task)
{
    host->fail(task, FUTURED_RETRY_LATER, "Temporary", "not now");
}

static void print(const struct futured_host *host, struct futured_task *task)
{
    (void)puts("DONE 1 0 a stray line");
    host->done(task, "printed", 7, "text/plain");
}

/* Until it is cancelled. */
static void wait_for_cancel(const struct futured_host *host, struct futured_task *task)
{
    host->progress(task, 0, "waiting");
    if (host->cancelled(task, -1))
        host->fail(task, FUTURED_RETRY_POLICY, "Cancelled", "the task was cancelled");
}

/* Saves its input, goes on a second later, and ends with what it saved. */
static void resume(const struct futured_host *host, struct futured_task *task)
{
    char why[200];
    const char *type;
    size_t n;
    const void *saved = host->checkpoint(task, &n, &type), *input;
    if (saved) {
        host->done(task, saved, n, type);
        return;
    }
    input = host->input(task, &n);
    if (host->save(task, input, n, host->input_type(task), why, sizeof(why)) != 0)
        host->fail(task, FUTURED_RETRY_POLICY, "NotSaved", why);
    else
        host->suspend(task, 1000);
}

/* Is suspended until the futures end whose ids are the input; ends with what became of them. */
static void join(const struct futured_host *host, struct futured_task *task)
{
    char text[2000];
    const char *ids[50];
    size_t n, n_ids = 0;
    char *at = text;
    const char *results = host->results(task, &n), *input;
    if (results) {
        host->done(task, results, n, "application/json");
        return;
    }
    input = host->input(task, &n);
    (void)snprintf(text, sizeof(text), "%.*s", (int)(n < sizeof(text) ? n : 0), input);
    for (char *id; n_ids < 50 && (id = strtok_r(at, "\n", &at)) != NULL;)
        ids[n_ids++] = id;
    host->suspend_until(task, ids, n_ids, 0);
}

/* 0 when it is there. */
static int look_for(const char *dir, unsigned step)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/stop-%u", dir, step);
    FILE *file = fopen(path, "r");
    if (file)
        (void)fclose(file);
    return file ? 0 : -1;
}

static void take_step(const char *dir, unsigned step)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/steps", dir);
    FILE *file = fopen(path, "a");
    if (!file)
        return;
    (void)fprintf(file, "%u\n", step);
    (void)fclose(file);
}

/* Five steps, each saved, in the directory that is the input. After a step it waits while there is
 * a file stop-N. */
static void steps(const struct futured_host *host, struct futured_task *task)
{
    char dir[256], text[16] = "", why[200];
    size_t n;
    const char *input = host->input(task, &n);
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(n < 200 ? n : 200), input);
    const char *saved = host->checkpoint(task, &n, NULL);
    if (saved)
        (void)snprintf(text, sizeof(text), "%.*s", (int)n, saved);
    for (unsigned step = (unsigned)strtoul(text, NULL, 10) + 1; step <= 5; step++) {
        take_step(dir, step);
        int len = snprintf(text, sizeof(text), "%u", step);
        if (host->save(task, text, (size_t)len, "text/plain", why, sizeof(why)) != 0) {
            host->fail(task, FUTURED_RETRY_POLICY, "NotSaved", why);
            return;
        }
        while (look_for(dir, step) == 0) {
            if (host->should_yield(task)) {
                host->suspend(task, 0);
                return;
            }
            if (host->cancelled(task, 20)) {
                host->fail(task, FUTURED_RETRY_POLICY, "Cancelled", "the task was cancelled");
                return;
            }
        }
    }
    host->done(task, "five steps", 10, "text/plain");
}

/* What is `bad` breaks the session. */
static int prepare(const struct futured_host *host, const char *id, const void *init, size_t n,
                   void **made, char *error, size_t error_size)
{
    (void)host, (void)id;
    if (n == 3 && memcmp(init, "bad", n) == 0) {
        (void)snprintf(error, error_size, "a bad init");
        return -1;
    }
    (void)puts("preparing");
    *made = strndup(init, n);
    return *made ? 0 : -1;
}

static void prepared(const struct futured_host *host, struct futured_task *task)
{
    const char *made = host->session(task);
    if (!made)
        made = "None";
    host->done(task, made, strlen(made), "text/plain");
}

/* Saves until it is asked to suspend itself. */
static void yield_when_asked(const struct futured_host *host, struct futured_task *task)
{
    char why[200];
    while (!host->should_yield(task)) {
        if (host->save(task, "so far", 6, "text/plain", why, sizeof(why)) != 0) {
            host->fail(task, FUTURED_RETRY_POLICY, "NotSaved", why);
            return;
        }
    }
    host->suspend(task, 0);
}

static const struct {
    const char *name;
    void (*run)(const struct futured_host *host, struct futured_task *task);
} handlers[] = {
    {"echo", echo},   {"report", report}, {"fail", failing},           {"refuse", refuse},
    {"later", later}, {"print", print},   {"wait", wait_for_cancel},   {"resume", resume},
    {"join", join},   {"steps", steps},   {"yield", yield_when_asked}, {"prepared", prepared},
    {"data", data},
};

static void run(const struct futured_host *host, struct futured_task *task)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(*handlers); i++) {
        if (strcmp(handlers[i].name, host->handler(task)) == 0) {
            handlers[i].run(host, task);
            return;
        }
    }
    host->fail(task, FUTURED_RETRY_NEVER, "UnknownHandler", "this worker has no such handler");
}

const struct futured_plugin futured_plugin = {
    .abi = FUTURED_PLUGIN_ABI,
    .size = sizeof(struct futured_plugin),
    .init = load,
    .run = run,
    .session = prepare,
    .ahead = 1,
};
