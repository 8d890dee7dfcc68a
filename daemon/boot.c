#include "daemon/boot.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/http/auth.h"
#include "api/http/tls.h"
#include "api/server.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "daemon/service.h"
#include "storage/store.h"
#include "workers/base/http_allow.h"
#include "workers/fork/server.h"
#include "workers/scheduler/scheduler.h"

#define STORE_READERS 2
#define STEP_TOLD_MS 1000
#define STEP_EXTENDS_MS 60000
#define LINGER_MS 1000
#define STEP_SLACK_MS 10000LL /* for a step that should take no time at all */

struct house {
    struct config cfg;
    struct sockets sockets;
    struct auth *auth; /* NULL: no tokens */
    struct origin_rules *origins;
    struct tls_pair tls;
    struct fence *fence;
    struct handlers *handlers;
    struct fork_server *fork_server;
    struct store *store;
    struct scheduler *scheduler;
    struct api *api;
    bool store_runs, scheduler_runs;
};

/* ---- boot ------------------------------------------------------------------------------------ */

/* After the fork server: no worker process gets a copy of these. */
static int load_secrets(struct house *h, struct fut_errbuf *err)
{
    int rc = 0;
    if (*h->cfg.tokens)
        rc = auth_load(h->cfg.tokens, &h->auth, err);
    if (rc == 0 && *h->cfg.tls_cert)
        rc = tls_load(h->cfg.tls_cert, h->cfg.tls_key, &h->tls, err);
    return rc;
}

/* Opening may migrate a large database or give many tasks back: not to be taken for a hang. */
static void on_store_step(void *told_mono_ms)
{
    int64_t *told = told_mono_ms, now = clock_mono_ms();
    if (*told && now - *told < STEP_TOLD_MS)
        return;
    *told = now;
    service_busy("opening the database", STEP_EXTENDS_MS);
}

static int build_store(struct house *h, struct fut_errbuf *err)
{
    int64_t told_mono_ms = 0;
    return store_open(
        &(struct store_config){
            .backend = h->cfg.store,
            .path = h->cfg.db,
            .readers = STORE_READERS,
            .max_queued = (uint64_t)h->cfg.max_queued,
            .retention_ms = h->cfg.retention_ms,
            .reserve_bytes = h->cfg.reserve_bytes,
            .on_step = on_store_step,
            .step_ctx = &told_mono_ms,
        },
        &h->store, err);
}

static void build_scheduler(struct house *h)
{
    h->scheduler = scheduler_new(&(struct scheduler_config){
        .store = h->store,
        .handlers = h->handlers,
        .fs = h->fork_server,
        .max_threads = (uint32_t)h->cfg.max_threads,
        .max_workers = (uint32_t)h->cfg.max_workers,
        .paused = (unsigned)h->cfg.paused,
        .kill_grace_ms = h->cfg.kill_grace_ms,
        .max_result_bytes = (size_t)h->cfg.max_result_bytes,
        .callback_secret = h->cfg.callback_secret,
        .fence = h->fence,
    });
}

static void build_api(struct house *h)
{
    h->api = api_new(&(struct api_config){
        .listen = h->cfg.listen,
        .listen_fds = h->sockets.fds,
        .n_listen_fds = h->sockets.n,
        .threads = (unsigned)h->cfg.http_threads,
        .max_connections = (unsigned)h->cfg.max_connections,
        .max_body_bytes = (size_t)h->cfg.max_body_bytes,
        .max_buffered_bytes = (size_t)h->cfg.max_buffered_bytes,
        .max_header_bytes = (size_t)h->cfg.max_header_bytes,
        .max_wait_ms = h->cfg.max_wait_ms,
        .store = h->store,
        .catalog = handlers_catalog(h->handlers),
        .pools = scheduler_view(h->scheduler),
        .version = FUT_VERSION,
        .auth = h->auth,
        .origins = h->origins,
        .tls_cert_pem = h->tls.cert_pem,
        .tls_key_pem = h->tls.key_pem,
    });
}

static void start_threads(struct house *h)
{
    store_start(h->store);
    h->store_runs = true;
    scheduler_start(h->scheduler);
    h->scheduler_runs = true;
}

static void report_recovery(const struct house *h)
{
    struct store_stats stats;
    store_stats(h->store, &stats);
    if (stats.recovered)
        log_info("tasks_recovered", LOG_INT("running_at_death", stats.recovered));
}

int house_build(const struct config *cfg, struct handlers **handlers, const struct sockets *sockets,
                struct house **out, struct fut_errbuf *err)
{
    struct house *h = xnew(struct house);
    h->sockets = *sockets;
    h->cfg = *cfg;
    h->handlers = *handlers;
    *handlers = NULL;
    int rc = fork_server_start(&h->fork_server, err);
    if (rc == 0)
        rc = load_secrets(h, err);
    if (rc == 0)
        rc = fence_new(h->cfg.http_prefixes, h->cfg.http_networks, &h->fence, err);
    if (rc == 0)
        rc = origin_rules_new(h->cfg.hosts, h->cfg.origins, &h->origins, err);
    if (rc == 0)
        rc = build_store(h, err);
    if (rc == 0) {
        report_recovery(h);
        build_scheduler(h);
        build_api(h);
        start_threads(h);
        rc = api_start(h->api, err);
    }
    if (rc != 0) {
        house_tear_down(&h);
        return rc;
    }
    api_set_ready(h->api, true);
    *out = h;
    return 0;
}

const char *house_address(const struct house *h, size_t i)
{
    return api_address(h->api, i);
}

int house_broken_fd(const struct house *h)
{
    return scheduler_broken_fd(h->scheduler);
}

/* ---- how it is ------------------------------------------------------------------------------- */

const char *house_stuck_room(struct house *h)
{
    bool writer = store_has_moved(h->store); /* all are asked, each time */
    bool scheduler = scheduler_has_moved(h->scheduler);
    bool http = api_has_moved(h->api);
    if (!writer)
        return "store-writer";
    return !scheduler ? "scheduler" : !http ? "http" : NULL;
}

void house_describe(const struct house *h, char *out, size_t cap)
{
    struct store_stats s;
    struct pool_stats p;
    struct pool_view pools = scheduler_view(h->scheduler);
    uint64_t queued = 0, running = 0;
    store_stats(h->store, &s);
    pools.read(pools.ctx, &p);
    for (int l = 0; l < LANE_COUNT; l++) {
        queued += s.live[l][TASK_QUEUED] + s.live[l][TASK_SCHEDULED];
        running += s.live[l][TASK_RUNNING];
    }
    (void)snprintf(out, cap, "queued %" PRIu64 ", running %" PRIu64 ", workers %u", queued, running,
                   p.workers_alive);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static void on_fixed_change(const char *name)
{
    log_warn("reload_needs_restart", LOG_STR("variable", name));
}

/* Takes cfg and handlers. */
static void put_in_force(struct house *h, struct config *cfg, struct handlers *handlers)
{
    config_each_fixed_change(&h->cfg, cfg, on_fixed_change);
    log_set_level((enum log_level)cfg->log_level);
    scheduler_reload(h->scheduler,
                     &(struct scheduler_plan){.handlers = handlers,
                                              .max_threads = (uint32_t)cfg->max_threads,
                                              .max_workers = (uint32_t)cfg->max_workers,
                                              .paused = (unsigned)cfg->paused});
    api_set_catalog(h->api, handlers_catalog(handlers));
    handlers_free(&h->handlers);
    h->handlers = handlers;
    log_info("reloaded", LOG_INT("workers", cfg->max_workers), LOG_INT("threads", cfg->max_threads),
             LOG_INT("handlers", handlers_catalog(handlers)->n), LOG_STR("env_file", cfg->env_file),
             LOG_STR("handlers_file", cfg->handlers));
    config_release(cfg);
}

bool house_reload(struct house *h)
{
    struct config cfg;
    struct handlers *handlers = NULL;
    struct fut_errbuf err = {""};
    int rc = config_load(&cfg, &err);
    if (rc == 0) {
        rc = handlers_load(*cfg.handlers ? cfg.handlers : NULL, &handlers, &err);
        if (rc != 0)
            config_release(&cfg);
    }
    if (rc == 0)
        put_in_force(h, &cfg, handlers);
    else
        log_error("reload_refused", LOG_STR("reason", err.text));
    return rc == 0;
}

/* ---- drain ----------------------------------------------------------------------------------- */

static void stop_accepting(struct house *h)
{
    if (h->api) {
        api_set_ready(h->api, false);
        api_quiesce(h->api);
    }
}

static void stop_claiming(struct house *h)
{
    if (h->scheduler_runs)
        scheduler_stop_claiming(h->scheduler);
}

static void answer_waiters(struct house *h)
{
    if (h->api)
        api_release_waiters(h->api);
}

static void end_tasks(struct house *h)
{
    if (!h->scheduler_runs)
        return;
    if (!scheduler_drain(h->scheduler, h->cfg.drain_ms))
        log_warn("drain_incomplete", LOG_INT("grace_ms", h->cfg.drain_ms));
    scheduler_stop(h->scheduler);
    h->scheduler_runs = false;
}

/* Whoever holds the sockets for the next daemon promised that nobody is turned away. */
static void answer_the_last(struct house *h)
{
    if (h->api)
        api_linger(h->api, LINGER_MS);
}

static void commit_the_rest(struct house *h)
{
    if (h->store_runs)
        store_stop(h->store);
    h->store_runs = false;
}

static void stop_http(struct house *h)
{
    if (h->api)
        api_stop(h->api, STEP_SLACK_MS);
    api_free(&h->api);
}

static void close_all(struct house *h)
{
    scheduler_free(&h->scheduler);
    store_close(&h->store);
    fork_server_stop(&h->fork_server);
    handlers_free(&h->handlers);
    auth_free(&h->auth);
    origin_rules_free(&h->origins);
    fence_free(&h->fence);
    tls_release(&h->tls);
    config_release(&h->cfg);
}

static int64_t no_time(const struct config *cfg)
{
    (void)cfg;
    return 0;
}

static int64_t drain_time(const struct config *cfg)
{
    return cfg->drain_ms + cfg->kill_grace_ms;
}

static const struct {
    const char *name, *doing;
    void (*run)(struct house *h);
    int64_t (*budget_ms)(const struct config *cfg);
} steps[] = {
    {"stop_accepting", "draining: accepting no more connections", stop_accepting, no_time},
    {"stop_claiming", "draining: starting no more tasks", stop_claiming, no_time},
    {"answer_waiters", "draining: answering long-polls", answer_waiters, no_time},
    {"end_tasks", "draining: letting running tasks end", end_tasks, drain_time},
    {"answer_the_last", "draining: answering the last requests", answer_the_last, no_time},
    {"commit", "draining: committing", commit_the_rest, no_time},
    {"stop_http", "draining: closing connections", stop_http, no_time},
    {"close", "draining: closing the database", close_all, no_time},
};

/* A step over its budget ends the process, which must be as safe as kill -9. */
static void on_overrun(int sig)
{
    static const char text[] = "futured: a step of the drain took too long\n";
    (void)sig;
    ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)n;
    _exit(EXIT_FAILURE);
}

static void arm_overrun(void)
{
    struct sigaction act = {.sa_handler = on_overrun};
    sigset_t set;
    (void)sigaction(SIGALRM, &act, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void house_tear_down(struct house **h)
{
    struct house *me = *h;
    arm_overrun();
    for (size_t i = 0; i < FUT_COUNT(steps); i++) {
        int64_t begin = clock_mono_ms();
        int64_t budget = steps[i].budget_ms(&me->cfg) + STEP_SLACK_MS * 2;
        (void)alarm((unsigned)(budget / 1000 + 1));
        service_busy(steps[i].doing, budget);
        steps[i].run(me);
        log_debug("drain_step", LOG_STR("step", steps[i].name),
                  LOG_INT("ms", clock_mono_ms() - begin));
    }
    (void)alarm(0);
    free(me);
    *h = NULL;
}
