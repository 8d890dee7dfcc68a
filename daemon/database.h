/* database: opens the store at the start, and waits for a PostgreSQL database that cannot be
 * reached yet. The service manager is told what takes its time. */
#ifndef FUT_DAEMON_DATABASE_H
#define FUT_DAEMON_DATABASE_H

#include "core/err.h"
#include "daemon/config.h"

struct failure_log;
struct store;

/* Threads that read from the store. */
#define DATABASE_READERS 2

struct database_config {
    const struct config *cfg;
    struct failure_log *failures; /* hears what ends */
    int signals;                  /* as signals_next reads them: SIGTERM and SIGINT end the wait */
    /* Called once, before it waits; what it returns but 0 ends the start. */
    int (*serve_early)(void *ctx, struct fut_errbuf *err);
    void (*on_lease)(void *ctx, int64_t until_mono_ms); /* as in store_config */
    void *ctx;
};

/* Blocks, up to FUTURED_DB_WAIT while the database cannot be reached. 0, or as store_open, with
 * *err set; FUT_ERR_CLOSED: a signal has come. */
FUT_MUST_CHECK int database_open(const struct database_config *c, struct store **out,
                                 struct fut_errbuf *err);

#endif
