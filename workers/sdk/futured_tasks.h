/* SPDX-License-Identifier: Apache-2.0 */
/* futured_tasks: tasks that submit others and wait for them, in C. Beside futured_worker.c, which
 * needs libc alone, this file needs libcurl and jansson. For plug-ins and for worker programs that
 * say `.submits = 1` in their struct futured_plugin.
 *
 *     char id[FUTURED_ID_SIZE];
 *     struct futured_error error;
 *     struct futured_child child = {.handler = "square", .input = "12", .n = 2};
 *     if (futured_task_submit(host, task, &child, id, &error) == 0)
 *         result = futured_task_result(host, task, id, &n, &error);
 *
 * A task that waits lends its slot to others, so it may wait for tasks of its own handler. Every
 * function blocks, and gives up with the code "cancelled" once its own task is cancelled. */
#ifndef FUTURED_TASKS_H
#define FUTURED_TASKS_H

#include "futured_plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FUTURED_ID_SIZE 37 /* of a future's id, with its NUL */

/* What went wrong: a code of the daemon's problems, such as "task_failed" or "deadlock"; or
 * "cancelled", "unreachable", "no_address", "invalid", "no_memory". */
struct futured_error {
    char code[64], message[512];
};

/* A task that is to be submitted. */
struct futured_child {
    const char *handler;
    const void *input;
    size_t n;
    const char *type;    /* of the input; NULL: application/json */
    const char *key;     /* of this task's own: a later run of it finds what it has submitted under
                            that. Printable, without quotes; NULL: none */
    const char *options; /* as a query: "timeout=10&queue=slow"; NULL: none */
};

/* Submits a task whose parent is this one. 0: it is on disk, id is its future. -1: *error says why.
 */
int futured_task_submit(const struct futured_host *host, struct futured_task *task,
                        const struct futured_child *child, char id[FUTURED_ID_SIZE],
                        struct futured_error *error);
/* Waits until all these futures are done, in whatever way, or so many seconds (below 0: for ever)
 * are over. 1: they are done; 0: the time is over; -1: *error says why. */
int futured_task_wait(const struct futured_host *host, struct futured_task *task,
                      const char *const *ids, size_t n, double seconds,
                      struct futured_error *error);
/* Waits for the result: *n bytes and a NUL behind them, for free(). NULL: there is none, as *error
 * says: "task_failed" with the task's own message, "task_cancelled". */
void *futured_task_result(const struct futured_host *host, struct futured_task *task,
                          const char *id, size_t *n, struct futured_error *error);
/* Submits n tasks and waits for all results, in order; each is for free(). 0; or -1: *error says
 * why, and results holds nothing. */
int futured_task_map(const struct futured_host *host, struct futured_task *task,
                     const struct futured_child *children, size_t n, void **results, size_t *sizes,
                     struct futured_error *error);

#ifdef __cplusplus
}
#endif

#endif
