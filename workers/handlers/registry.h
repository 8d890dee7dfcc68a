/* handlers: the registry of all that tasks may name: the built-ins, and the operator's programs
 * from the handlers file. Loaded by main at boot and at each reload, immutable after: any thread
 * may read. Whoever keeps one holds a reference, so that a reload takes nothing from a running
 * attempt.
 */
#ifndef FUT_WORKERS_HANDLERS_REGISTRY_H
#define FUT_WORKERS_HANDLERS_REGISTRY_H

#include "core/catalog.h"
#include "core/err.h"
#include "workers/handlers/exec_command.h"
#include "workers/handlers/run.h"

struct handlers;

/* When a process of a worker handler is replaced, which is looked at between its tasks (0: never),
 * and how long it may take to start. */
struct worker_options {
    int64_t max_tasks;
    int64_t max_age_ms;
    int64_t max_rss_bytes;
    int64_t start_timeout_ms; /* until it says that it is ready */
};

struct handler {
    struct handler_info info;  /* strings live as long as the registry */
    run_fn *fn;                /* built-ins; NULL for programs */
    struct exec_command *exec; /* programs; NULL for built-ins */
    bool is_worker;            /* the program stays alive between tasks (README.md, "worker") */
    struct worker_options worker;
    char *definition;  /* worker handlers: its entry of the file, to tell whether it has changed */
    bool needs_parent; /* wants the future that the task was scheduled after */
};

/* path: the handlers file, or NULL for the built-ins alone. Blocks for reading it and for looking
 * at every program it names. err: file, handler, field, what was found, what is allowed.
 * FUT_ERR_INVAL, FUT_ERR_NOT_FOUND (no file), FUT_ERR_TOO_BIG, FUT_ERR_IO. */
FUT_MUST_CHECK int handlers_load(const char *path, struct handlers **out, struct fut_errbuf *err);
/* Gives the caller's reference back; the last one frees. NULLs. NULL ok. */
void handlers_free(struct handlers **h);
/* One more reference, for handlers_unref (NULL ok). Any thread. */
const struct handlers *handlers_ref(const struct handlers *h);
void handlers_unref(const struct handlers *h);

/* Lives as long as h. */
const struct catalog *handlers_catalog(const struct handlers *h);
/* NULL when unknown. */
const struct handler *handlers_find(const struct handlers *h, const char *name);

#endif
