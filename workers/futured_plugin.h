/* SPDX-License-Identifier: Apache-2.0 */
/* futured_plugin: the ABI between futured and a handler written in C, as a plug-in (a shared
 * object) or linked into a program of its own (workers/sdk/futured_worker.h). This header stands
 * alone.
 *
 * A plug-in defines one symbol, `const struct futured_plugin futured_plugin`. Its process is
 * started once, loads it, calls init, and then forks each worker from itself, so that what init has
 * loaded is in memory once. A worker is single-threaded and runs one task at a time.
 *
 * Stable: fields are only ever added at the end, and `size` says which are there. Pointers that the
 * host gives are good until run returns. Nothing here may be called from two threads at once. */
#ifndef FUTURED_PLUGIN_H
#define FUTURED_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FUTURED_PLUGIN_ABI 1
#define FUTURED_PLUGIN_SYMBOL "futured_plugin"

struct futured_task; /* the host's own */

enum futured_retry {
    FUTURED_RETRY_POLICY = -1, /* as the handler's entry says */
    FUTURED_RETRY_NEVER = 0,
    FUTURED_RETRY_LATER = 1, /* while it has retries left */
};

/* What a plug-in may ask of its host. */
struct futured_host {
    uint32_t abi;
    uint32_t size; /* of this struct */

    /* The input; not NUL-terminated. Never NULL, even when *n is 0. */
    const void *(*input)(struct futured_task *task, size_t *n);
    const char *(*input_type)(struct futured_task *task);
    const char *(*handler)(struct futured_task *task);
    const char *(*id)(struct futured_task *task);    /* of the future */
    const char *(*trace)(struct futured_task *task); /* traceparent, or "" */
    uint32_t (*attempt)(struct futured_task *task);  /* 1 at the first try */
    uint64_t (*timeout_ms)(struct futured_task *task);

    /* 1 once the task was cancelled: then end soon, with fail(…, "Cancelled", …). Waits for that,
     * so many milliseconds at most (0: only looks; -1: for ever). Cheap enough for a loop. */
    int (*cancelled)(struct futured_task *task, int wait_ms);
    /* fraction 0 to 1 (below 0: not known); message: one line, or NULL. */
    void (*progress)(struct futured_task *task, double fraction, const char *message);
    /* Standard output and error are the task's log as well. */
    void (*log)(struct futured_task *task, const void *bytes, size_t n);

    /* The end of the task, sent at once: the first of these calls counts. A run that returns
     * without one has failed. */
    void (*done)(struct futured_task *task, const void *bytes, size_t n, const char *type);
    /* kind: letters, digits, _ . - (NULL: "Error"). message: its first line is the error. */
    void (*fail)(struct futured_task *task, enum futured_retry retry, const char *kind,
                 const char *message);
    /* Memory for a large result, zeroed, that reaches the daemon without being copied: fill it,
     * then done(task, it, n, type) with n up to what was asked for. NULL: there is no memory. */
    void *(*result_buffer)(struct futured_task *task, size_t n);

    /* What follows is there when size is larger than its offset: an older host lacks it. */

    /* What an earlier run of this task saved last, and its content type; NULL: nothing. *n and
     * *type (NULL: not wanted) are set when there is something. */
    const void *(*checkpoint)(struct futured_task *task, size_t *n, const char **type);
    /* Stores a checkpoint of up to 1 MiB in place of the one before, and waits: on disk when it
     * returns 0. Else the reason is in why (cut to why_size bytes), and the one before still
     * counts. type NULL: application/octet-stream. */
    int (*save)(struct futured_task *task, const void *bytes, size_t n, const char *type, char *why,
                size_t why_size);
    /* 1 when the daemon asks the task to save and to suspend itself, as it shuts down or replaces
     * this worker. Cheap enough for a loop. */
    int (*should_yield)(struct futured_task *task);
    /* Ends this run, like done and fail, without being charged: the task is run again in so many
     * milliseconds (up to a year), with its checkpoint. */
    void (*suspend)(struct futured_task *task, uint64_t ms);

    /* As suspend, but until all these futures have ended (n ids of tasks, promises or batches, up
     * to 1000), and ms at the longest (0: no limit). */
    void (*suspend_until)(struct futured_task *task, const char *const *ids, size_t n, uint64_t ms);
    /* What became of those that the run before named, as JSON, not NUL-terminated: {ID: {"state",
     * "done", "result" or "error"}}. NULL: it named none. */
    const char *(*results)(struct futured_task *task, size_t *n);

    /* What the plug-in's session has made of the init of the task's session; NULL: it has none. */
    void *(*session)(struct futured_task *task);

    /* Where the daemon is ("http://…", "https://…" or "unix:/path") and the token of this attempt,
     * with which it submits tasks and waits for them (futured_tasks.h does). "" where the plug-in
     * does not say `submits`, or the daemon gives none out. */
    const char *(*url)(struct futured_task *task);
    const char *(*token)(struct futured_task *task);

    /* As fail, with data of the failure for those who wait for the future (error.data): n bytes, of
     * this type (NULL: application/octet-stream). What is longer than 1 MiB with its message, or
     * has a type that is none, is left out. */
    void (*fail_with)(struct futured_task *task, enum futured_retry retry, const char *kind,
                      const char *message, const void *data, size_t n, const char *type);
};

struct futured_plugin {
    uint32_t abi;  /* FUTURED_PLUGIN_ABI */
    uint32_t size; /* sizeof(struct futured_plugin) */

    /* Once, before anything is forked. Not 0: the plug-in is of no use, `error` says why. NULL:
     * none. Threads do not survive a fork: start none here. */
    int (*init)(const struct futured_host *host, char *error, size_t error_size);
    /* In each worker, after its fork. NULL: none. */
    void (*begin)(const struct futured_host *host);
    /* One task. */
    void (*run)(const struct futured_host *host, struct futured_task *task);

    /* What follows is there when size is larger than its offset. */

    /* In each worker, before its first task of a session that has an `init`, of which these n bytes
     * are; id: the session's. *made: what host->session gives to its tasks; a worker may be asked
     * for the same session again, and keeps what was made before until then. Not 0: the session is
     * broken, all its tasks fail, and `error` says why. NULL: this plug-in takes no init. */
    int (*session)(const struct futured_host *host, const char *id, const void *init, size_t n,
                   void **made, char *error, size_t error_size);

    uint32_t submits; /* 1: its tasks submit others, so each has a url and a token */

    /* 1: a worker of this plug-in has up to 8 more tasks sent to it while it runs one, so that it
     * does not sleep between two: for tasks of a few milliseconds and less. Each begins when the
     * one before is answered, in the thread that calls `run`; until then the daemon may give it to
     * another worker. What `run` prints may count for the task before: `log` is exact. 0: each task
     * is sent when the one before is answered. */
    uint32_t ahead;
};

extern const struct futured_plugin futured_plugin;

#ifdef __cplusplus
}
#endif

#endif
