/* One handler for each thing that a worker in C can do. tests/tools/worker_conformance knows them.
 * With tour_main.c it is a program; alone, built with -shared -fPIC, a plug-in. */
#include <stdio.h>
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

static const struct {
    const char *name;
    void (*run)(const struct futured_host *host, struct futured_task *task);
} handlers[] = {
    {"echo", echo},   {"report", report}, {"fail", failing},         {"refuse", refuse},
    {"later", later}, {"print", print},   {"wait", wait_for_cancel},
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
};
