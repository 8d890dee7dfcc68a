/* SPDX-License-Identifier: Apache-2.0 */
/* fib: a task that waits for two others, down to the leaves; it needs one slot only. The handler's
 * name is fib. Below zero it fails, which the task for zero tries out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "futured_tasks.h"
#include "futured_worker.h"

static const char json[] = "application/json";

static void refuse(const struct futured_host *host, struct futured_task *task,
                   const struct futured_error *e)
{
    host->fail(task, FUTURED_RETRY_NEVER, e->code, e->message);
}

/* A key finds the child that was submitted with it; one that failed has no result. 0, or -1 with
 * what is wrong. */
static int try_failure(const struct futured_host *host, struct futured_task *task,
                       struct futured_error *e)
{
    struct futured_child below = {.handler = "fib", .input = "-1", .n = 2, .key = "below"};
    char id[FUTURED_ID_SIZE], again[FUTURED_ID_SIZE];
    const char *ids[] = {id};
    size_t n;
    if (futured_task_submit(host, task, &below, id, e) != 0 ||
        futured_task_submit(host, task, &below, again, e) != 0 ||
        futured_task_wait(host, task, ids, 1, -1, e) != 1)
        return -1;
    void *result = futured_task_result(host, task, id, &n, e);
    int is_right = strcmp(id, again) == 0 && !result && strcmp(e->code, "task_failed") == 0 &&
                   strstr(e->message, "below zero") != NULL;
    free(result);
    return is_right ? 0 : -1;
}

/* -1 with what is wrong. */
static long sum_of_two(const struct futured_host *host, struct futured_task *task, long n,
                       struct futured_error *e)
{
    char inputs[2][32];
    struct futured_child two[2];
    void *results[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        int size = snprintf(inputs[i], sizeof(inputs[i]), "%ld", n - 1 - i);
        two[i] = (struct futured_child){.handler = "fib", .input = inputs[i], .n = (size_t)size};
    }
    if (futured_task_map(host, task, two, 2, results, sizes, e) != 0)
        return -1;
    long sum = strtol(results[0], NULL, 10) + strtol(results[1], NULL, 10);
    free(results[0]);
    free(results[1]);
    return sum;
}

static void run(const struct futured_host *host, struct futured_task *task)
{
    struct futured_error e = {"wrong", "the failed child was not told"};
    char text[32];
    size_t size;
    const char *input = host->input(task, &size);
    (void)snprintf(text, sizeof(text), "%.*s", (int)(size < 31 ? size : 31), input);
    long n = strtol(text, NULL, 10), result = n;
    if (n < 0) {
        host->fail(task, FUTURED_RETRY_NEVER, "BelowZero", "below zero");
        return;
    }
    if (n == 0 && try_failure(host, task, &e) != 0)
        result = -1;
    if (n > 1)
        result = sum_of_two(host, task, n, &e);
    if (result < 0) {
        refuse(host, task, &e);
        return;
    }
    int length = snprintf(text, sizeof(text), "%ld", result);
    host->done(task, text, (size_t)length, json);
}

const struct futured_plugin futured_plugin = {
    .abi = FUTURED_PLUGIN_ABI,
    .size = sizeof(struct futured_plugin),
    .run = run,
    .submits = 1,
};
