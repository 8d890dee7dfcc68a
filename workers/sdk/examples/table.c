/* A plug-in with a large table: loaded once, in the process that forks the workers, and read by all
 * of them. TABLE_MIB in the handler's env says how large (64).
 *
 *     {"table": {"plugin": "/…/table.so", "lane": "cpu", "env": {"TABLE_MIB": "500"}}} */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "futured_plugin.h"

static uint32_t *table;
static size_t entries;
static int loader; /* the pid of the process that did it */

static int load(const struct futured_host *host, char *error, size_t error_size)
{
    const char *text = getenv("TABLE_MIB");
    size_t mib = text ? strtoul(text, NULL, 10) : 64;
    (void)host;
    loader = (int)getpid();
    entries = mib * 1024 * 1024 / sizeof(*table);
    table = malloc(entries * sizeof(*table));
    if (!table) {
        (void)snprintf(error, error_size, "no memory for a table of %zu MiB", mib);
        return -1;
    }
    for (size_t i = 0; i < entries; i++)
        table[i] = (uint32_t)(i * 2654435761U);
    return 0;
}

/* Reads every entry. */
static void run(const struct futured_host *host, struct futured_task *task)
{
    char text[128];
    uint64_t sum = 0;
    for (size_t i = 0; i < entries; i++)
        sum += table[i];
    int n = snprintf(text, sizeof(text),
                     "{\"pid\": %d, \"loader\": %d, \"mib\": %zu, \"sum\": %llu}", (int)getpid(),
                     loader, entries * sizeof(*table) / 1024 / 1024, (unsigned long long)sum);
    host->done(task, text, (size_t)n, "application/json");
}

const struct futured_plugin futured_plugin = {
    .abi = FUTURED_PLUGIN_ABI,
    .size = sizeof(struct futured_plugin),
    .init = load,
    .run = run,
};
