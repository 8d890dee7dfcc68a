/* config: every knob, from the environment and from the file that FUTURED_ENV_FILE names, which
 * comes first. One table (config.c) is the parser, `--help`, `--check-config` and the README's
 * section at once. Main thread; blocks for reading the file. */
#ifndef FUT_DAEMON_CONFIG_H
#define FUT_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct env_file;

/* Each field is set by the row of the same meaning in config.c. Strings are borrowed from the
 * environment, or from the file, which is here for that. Durations in ms, sizes in bytes. */
struct config {
    struct env_file *file; /* NULL: none */
    const char *env_file;  /* its path; "" none */
    int64_t paused;        /* bit (1 << lane) set for each lane that is paused from the start */
    int64_t max_workers, max_threads;
    const char *listen, *db, *node, *labels, *store, *handlers, *schedules;
    const char *tokens, *tls_cert, *tls_key; /* files; "" none */
    const char *callback_secret;             /* "" none */
    const char *http_prefixes, *http_networks;
    const char *hosts, *origins; /* lists for origin_rules_new */
    const char *run_as;          /* "" nobody else */
    const char *otlp_url;        /* "" no spans are sent */
    int64_t db_wait_ms, retention_ms, max_wait_ms, drain_ms, kill_grace_ms;
    int64_t reserve_bytes, max_body_bytes, max_header_bytes, max_result_bytes, max_buffered_bytes;
    int64_t max_queued, max_connections, http_threads;
    int64_t log_level;
};

/* Fills *out from file, environment and defaults. 0, or FUT_ERR_INVAL with one sentence: which
 * variable, what it was, what is allowed; then there is nothing to release. Unset and empty both
 * mean the default. */
FUT_MUST_CHECK int config_load(struct config *out, struct fut_errbuf *err);
/* True when FUTURED_DB is the URL of a PostgreSQL database. */
bool config_db_is_url(const struct config *c);
/* FUTURED_DB for people: a URL without its user, password and parameters. */
void config_db_name(const struct config *c, char *out, size_t size);
/* Lets the file's strings go. */
void config_release(struct config *c);
/* Calls fn for each variable that differs and that a running daemon cannot follow. */
void config_each_fixed_change(const struct config *before, const struct config *now,
                              void (*fn)(const char *name));
/* Calls fn for each variable of the environment that looks like one of ours (FUTURED_*,
 * MAX_WORKER*, MAX_THREAD*) and is none: a mistyped one. */
void config_each_unknown(void (*fn)(const char *name));
/* The table for people, as text (`--help`) or as the README's Markdown. */
void config_print_help(void);
void config_print_markdown(void);
/* NAME=value lines of what is in force. */
void config_print_values(const struct config *c);

#endif
