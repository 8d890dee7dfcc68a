#include "daemon/database.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/failure_log.h"
#include "daemon/rejoin.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "storage/store.h"

#define STEP_TOLD_MS 1000
#define STEP_EXTENDS_MS 60000
#define AGAIN_MIN_MS 100
#define AGAIN_MAX_MS 2000
#define WAIT_TOLD_MS 30000

/* Opening may migrate a large database or give many tasks back: not to be taken for a hang. */
static void on_store_step(void *told_mono_ms)
{
    int64_t *told = told_mono_ms, now = clock_mono_ms();
    if (*told && now - *told < STEP_TOLD_MS)
        return;
    *told = now;
    service_busy("opening the database", STEP_EXTENDS_MS);
}

/* A thread of the store's. Other nodes may start this one's tasks a moment later, so these end now,
 * as by `kill -9`. */
static void on_node_fenced(void *ctx)
{
    (void)ctx;
    rejoin_now();
}

static int try_open(const struct database_config *c, struct store **out, struct fut_errbuf *err)
{
    int64_t told_mono_ms = 0;
    return store_open(
        &(struct store_config){
            .backend = c->cfg->store,
            .path = c->cfg->db,
            .readers = DATABASE_READERS,
            .max_queued = (uint64_t)c->cfg->max_queued,
            .retention_ms = c->cfg->retention_ms,
            .reserve_bytes = c->cfg->reserve_bytes,
            .node = c->cfg->node,
            .labels = c->cfg->labels,
            .on_fenced = on_node_fenced,
            .on_lease = c->on_lease,
            .fenced_ctx = c->ctx,
            .on_step = on_store_step,
            .step_ctx = &told_mono_ms,
            .listener = failure_log_on_change,
            .listener_ctx = c->failures,
        },
        out, err);
}

/* A PostgreSQL database that cannot be reached, maybe not yet. */
struct database_wait {
    int64_t since_mono_ms, told_mono_ms;
    int pause_ms;
    struct fut_errbuf told; /* the reason that the log has */
};

static void tell_waiting(struct database_wait *w, const struct fut_errbuf *err)
{
    char status[sizeof(err->text) + 32];
    int64_t now = clock_mono_ms();
    (void)snprintf(status, sizeof(status), "waiting for the database: %s", err->text);
    service_busy(status, STEP_EXTENDS_MS);
    if (strcmp(w->told.text, err->text) == 0 && now - w->told_mono_ms < WAIT_TOLD_MS)
        return;
    log_warn("waiting_for_database", LOG_STR("reason", err->text),
             LOG_INT("ms", now - w->since_mono_ms));
    w->told = *err;
    w->told_mono_ms = now;
}

/* False: a signal has come that ends the daemon. */
static bool pause_waiting(struct database_wait *w, int signals)
{
    struct pollfd fd = {.fd = signals, .events = POLLIN};
    if (poll(&fd, 1, w->pause_ms) > 0) {
        int sig = signals_next(signals);
        if (sig == SIGTERM || sig == SIGINT)
            return false;
        log_warn("reload_refused", LOG_STR("reason", "the daemon has not started yet"));
    }
    w->pause_ms = w->pause_ms * 2 < AGAIN_MAX_MS ? w->pause_ms * 2 : AGAIN_MAX_MS;
    return true;
}

static int wait_for_store(const struct database_config *c, struct store **out,
                          struct fut_errbuf *err)
{
    struct database_wait w = {.since_mono_ms = clock_mono_ms(), .pause_ms = AGAIN_MIN_MS};
    struct fut_errbuf why = *err;
    int rc = c->serve_early(c->ctx, err);
    if (rc != 0)
        return rc;
    do {
        tell_waiting(&w, &why);
        if (!pause_waiting(&w, c->signals))
            return fut_fail(err, FUT_ERR_CLOSED, "ended while it waited for the database");
        rc = try_open(c, out, &why);
    } while (rc == FUT_ERR_IO && clock_mono_ms() - w.since_mono_ms < c->cfg->db_wait_ms);
    *err = why;
    if (rc == 0)
        log_info("database_reached", LOG_INT("ms", clock_mono_ms() - w.since_mono_ms));
    return rc;
}

/* What cannot be read of a file is no shortage that passes. */
int database_open(const struct database_config *c, struct store **out, struct fut_errbuf *err)
{
    int rc = try_open(c, out, err);
    bool may_come = rc == FUT_ERR_IO && config_db_is_url(c->cfg) && c->cfg->db_wait_ms > 0;
    return may_come ? wait_for_store(c, out, err) : rc;
}
