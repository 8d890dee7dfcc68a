#include "daemon/boot.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "api/http/auth.h"
#include "api/http/tls.h"
#include "api/server.h"
#include "core/attempt_token.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "daemon/database.h"
#include "daemon/failure_log.h"
#include "daemon/nodes.h"
#include "daemon/rejoin.h"
#include "daemon/schedules.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/spans.h"
#include "daemon/system.h"
#include "storage/results.h"
#include "storage/store.h"
#include "workers/base/http_allow.h"
#include "workers/fork/server.h"
#include "workers/scheduler/scheduler.h"

#define THREADS_NEEDED                                                                             \
    (DATABASE_READERS + 5) /* log, writer, scheduler, schedules, one of the io lane */
#define LINGER_MS 1000
#define LOG_MS 1000
#define SPANS_MS 2000
#define STEP_SLACK_MS 10000LL /* for a step that should take no time at all */

struct boot {
    struct config cfg;
    struct sockets sockets;
    struct attempt_tokens *tokens; /* of running attempts */
    struct auth *auth;             /* NULL: no tokens */
    struct origin_rules *origins;
    struct tls_pair tls;
    struct stat tls_cert_then, tls_key_then; /* when tls was read */
    struct http_allow *http_allow;
    struct handlers *handlers;
    struct fork_server *fork_server;
    struct store *store;
    struct failure_log *failures;
    struct spans *spans; /* NULL: nobody wants them */
    struct scheduler *scheduler;
    struct schedules *schedules;
    struct nodes *nodes;
    struct api *api;
    atomic_llong lease_until_mono_ms; /* of the fork server; 0: it has none */
    bool store_runs, scheduler_runs;
};

/* ---- boot ------------------------------------------------------------------------------------ */

/* After the fork server: no worker process gets a copy of these. */
static int load_secrets(struct boot *b, struct fut_errbuf *err)
{
    int rc = 0;
    if (*b->cfg.tokens)
        rc = auth_load(b->cfg.tokens, &b->auth, err);
    if (rc == 0 && *b->cfg.tls_cert) {
        (void)stat(b->cfg.tls_cert, &b->tls_cert_then); /* before the files are read: what is */
        (void)stat(b->cfg.tls_key, &b->tls_key_then);   /* written meanwhile is a change */
        rc = tls_load(b->cfg.tls_cert, b->cfg.tls_key, &b->tls, err);
    }
    return rc;
}

static int make_scheduler(struct boot *b, struct fut_errbuf *err)
{
    const struct scheduler_config cfg = {
        .store = b->store,
        .handlers = b->handlers,
        .fs = b->fork_server,
        .max_threads = (uint32_t)b->cfg.max_threads,
        .max_workers = (uint32_t)b->cfg.max_workers,
        .paused = (unsigned)b->cfg.paused,
        .kill_grace_ms = b->cfg.kill_grace_ms,
        .max_input_bytes =
            (size_t)(b->cfg.max_body_bytes > b->cfg.max_result_bytes ? b->cfg.max_body_bytes
                                                                     : b->cfg.max_result_bytes),
        .max_result_bytes = (size_t)b->cfg.max_result_bytes,
        .callback_secret = b->cfg.callback_secret,
        .allow = b->http_allow,
        .tokens = b->tokens,
    };
    return scheduler_new(&cfg, &b->scheduler, err);
}

#define SLOT_FDS 5 /* a channel, pipes and tickets of a worker, pipes or a socket of an io task */

/* For slots that may be lent, in which another process runs beside the one that waits; where
 * descriptors are scarce a quarter of them, as few tasks ever lend. */
static size_t lent_fds(void)
{
    struct rlimit lim;
    size_t all = (size_t)LANE_COUNT * POOL_LENT_MAX * SLOT_FDS;
    bool is_known = getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY;
    return is_known && lim.rlim_cur / 4 < all ? (size_t)lim.rlim_cur / 4 : all;
}

/* Descriptors that connections must leave: the store's and the daemon's own, and those of slots. */
static size_t reserved_fds(const struct config *c)
{
    return 64 + SLOT_FDS * ((size_t)c->max_workers + (size_t)c->max_threads) + lent_fds();
}

static void make_api(struct boot *b)
{
    b->api = api_new(&(struct api_config){
        .listen = b->cfg.listen,
        .listen_fds = b->sockets.fds,
        .n_listen_fds = b->sockets.n,
        .kept_fd = b->sockets.kept_fd,
        .threads = (unsigned)b->cfg.http_threads,
        .max_connections = (unsigned)b->cfg.max_connections,
        .reserved_fds = reserved_fds(&b->cfg),
        .max_body_bytes = (size_t)b->cfg.max_body_bytes,
        .max_buffered_bytes = (size_t)b->cfg.max_buffered_bytes,
        .max_header_bytes = (size_t)b->cfg.max_header_bytes,
        .max_wait_ms = b->cfg.max_wait_ms,
        .allows_url = http_allow_target,
        .allow = b->http_allow,
        .catalog = handlers_catalog(b->handlers),
        .spans = spans_view(b->spans),
        .version = FUT_VERSION,
        .attempts = b->tokens,
        .auth = b->auth,
        .origins = b->origins,
        .tls_cert_pem = b->tls.cert_pem,
        .tls_key_pem = b->tls.key_pem,
    });
}

static int start_api(struct boot *b, struct fut_errbuf *err)
{
    int rc = api_start(b->api, err);
    if (rc == 0)
        rejoin_keep_sockets(b->api, b->sockets.n ? NULL : b->cfg.listen);
    return rc;
}

/* HTTP is served while the database is waited for, so that /readyz tells. */
static int serve_early(void *boot, struct fut_errbuf *err)
{
    struct boot *b = boot;
    make_api(b);
    int rc = start_api(b, err);
    if (rc == 0)
        log_info("listening_early", LOG_STR("address", api_address(b->api, 0)));
    return rc;
}

/* A thread of the store's. */
static void on_lease(void *boot, int64_t until_mono_ms)
{
    struct boot *b = boot;
    atomic_store(&b->lease_until_mono_ms, until_mono_ms);
    fork_server_lease(b->fork_server, until_mono_ms);
}

static int open_store(struct boot *b, int signals, struct fut_errbuf *err)
{
    return database_open(
        &(struct database_config){
            .cfg = &b->cfg,
            .failures = b->failures,
            .signals = signals,
            .serve_early = serve_early,
            .on_lease = on_lease,
            .ctx = b,
        },
        &b->store, err);
}

static void make_schedules(struct boot *b)
{
    b->schedules = schedules_new(&(struct schedules_config){
        .store = b->store,
        .catalog = handlers_catalog(b->handlers),
        .allows_url = http_allow_target,
        .allow = b->http_allow,
    });
}

/* What any node has may be named here. */
static void on_catalog(void *boot, const struct catalog *all)
{
    struct boot *b = boot;
    api_set_catalog(b->api, all);
    schedules_set_catalog(b->schedules, all);
}

static void make_nodes(struct boot *b)
{
    b->nodes = nodes_new(&(struct nodes_config){
        .store = b->store,
        .catalog = handlers_catalog(b->handlers),
        .pools = scheduler_view(b->scheduler),
        .version = FUT_VERSION,
        .labels = b->cfg.labels,
        .takes_code = b->auth != NULL,
        .on_catalog = on_catalog,
        .ctx = b,
    });
}

/* Behind the HTTP side: attempts are told where to find it. */
static void start_scheduler(struct boot *b)
{
    char url[ATTEMPT_URL_SIZE];
    if (api_local_url(b->api, url, sizeof(url)))
        attempt_token_set_url(b->tokens, url);
    scheduler_start(b->scheduler);
    b->scheduler_runs = true;
}

static void report_recovery(const struct boot *b)
{
    struct store_stats stats;
    store_stats(b->store, &stats);
    if (stats.recovered)
        log_warn("tasks_recovered", LOG_INT("running_at_death", stats.recovered));
}

/* A full disk is no reason not to start: the schedules are as the store has them, until a reload.
 */
static int load_schedules(struct boot *b, struct fut_errbuf *err)
{
    int rc =
        schedules_load_file(b->schedules, b->cfg.schedules, handlers_catalog(b->handlers), err);
    if (rc != FUT_ERR_NO_SPACE)
        return rc;
    log_warn("schedules_not_loaded", LOG_STR("reason", err->text));
    return 0;
}

/* HTTP may be served already. */
static void attach_api(struct boot *b)
{
    struct pool_view pools = scheduler_view(b->scheduler);
    struct node_view nodes = nodes_view(b->nodes);
    if (!b->api)
        make_api(b);
    api_attach(b->api, b->store, &pools, &nodes);
}

/* With all that listens to it. */
static void start_store(struct boot *b)
{
    if (b->spans)
        spans_listen(b->spans, b->store);
    make_nodes(b);
    attach_api(b);
    make_schedules(b);
    store_start(b->store);
    b->store_runs = true;
    nodes_start(b->nodes);
}

int boot_start(const struct config *cfg, struct handlers **handlers, const struct sockets *sockets,
               int signals, struct boot **out, struct fut_errbuf *err)
{
    struct boot *b = xnew(struct boot);
    b->sockets = *sockets;
    b->cfg = *cfg;
    b->handlers = *handlers;
    *handlers = NULL;
    int rc = system_check_files(err);
    if (rc == 0)
        rc = fork_server_start(&b->fork_server, err);
    if (rc == 0) {
        rejoin_keep_fork_server(fork_server_pid(b->fork_server));
        rejoin_drop_other(&b->sockets, b->cfg.listen);
        rc = system_check_threads(THREADS_NEEDED + (unsigned)b->cfg.http_threads, err);
    }
    if (rc == 0)
        rc = log_ring_start();
    if (rc == 0) {
        rejoin_keep_limit(fd_limit_raise()); /* the fork server's children keep it as it was */
        rc = load_secrets(b, err);
    }
    if (rc == 0)
        rc = http_allow_new(b->cfg.http_prefixes, b->cfg.http_networks, &b->http_allow, err);
    if (rc == 0)
        rc = origin_rules_new(b->cfg.hosts, b->cfg.origins, &b->origins, err);
    if (rc == 0 && *b->cfg.otlp_url)
        rc = spans_start(b->cfg.otlp_url, &b->spans, err);
    if (rc == 0) {
        b->tokens = attempt_token_table_new();
        b->failures = failure_log_new();
        rc = open_store(b, signals, err);
    }
    if (rc == 0) {
        report_recovery(b);
        store_set_tokens(b->store, b->tokens);
        rc = make_scheduler(b, err);
    }
    if (rc == 0) {
        start_store(b);
        rc = load_schedules(b, err);
    }
    if (rc == 0) {
        schedules_start(b->schedules);
        if (!api_address(b->api, 0))
            rc = start_api(b, err);
    }
    if (rc != 0) {
        boot_stop(&b);
        return rc;
    }
    start_scheduler(b);
    api_set_ready(b->api, true);
    *out = b;
    return 0;
}

const char *boot_address(const struct boot *b, size_t i)
{
    return api_address(b->api, i);
}

pid_t boot_fork_pid(const struct boot *b)
{
    return fork_server_pid(b->fork_server);
}

bool boot_lease_has_ended(const struct boot *b)
{
    int64_t until_mono_ms = atomic_load(&b->lease_until_mono_ms);
    return until_mono_ms && clock_mono_ms() >= until_mono_ms;
}

int boot_broken_fd(const struct boot *b)
{
    return scheduler_broken_fd(b->scheduler);
}

/* ---- how it is ------------------------------------------------------------------------------- */

const char *boot_stuck_module(struct boot *b)
{
    bool writer = store_has_moved(b->store); /* all are asked, each time */
    bool scheduler = scheduler_has_moved(b->scheduler);
    bool schedules = schedules_has_moved(b->schedules);
    bool http = api_has_moved(b->api);
    const char *stuck = NULL;
    if (!writer)
        stuck = "store-writer";
    else if (!scheduler)
        stuck = "scheduler";
    else if (!schedules)
        stuck = "schedules";
    else if (!http)
        stuck = "http";
    api_set_stuck(b->api, stuck);
    return stuck;
}

void boot_sample(struct boot *b)
{
    api_sample(b->api);
}

void boot_describe(const struct boot *b, char *out, size_t cap)
{
    struct store_stats s;
    struct pool_stats p;
    struct pool_view pools = scheduler_view(b->scheduler);
    uint64_t queued = 0, running = 0;
    store_stats(b->store, &s);
    pools.read(pools.ctx, &p);
    for_each_lane (l) {
        queued += s.live[l][TASK_QUEUED] + s.live[l][TASK_SCHEDULED];
        running += s.live[l][TASK_RUNNING];
    }
    (void)snprintf(out, cap, "queued %" PRIu64 ", running %" PRIu64 ", workers %u", queued, running,
                   p.workers_alive);
}

void boot_report_failures(struct boot *b)
{
    failure_log_tick(b->failures);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static void on_fixed_change(const char *name)
{
    log_warn("reload_needs_restart", LOG_STR("variable", name));
}

/* Is the file another than at the start, or has it been written since? */
static bool has_changed(const char *path, const struct stat *then)
{
    struct stat now;
    return *path && stat(path, &now) == 0 &&
           (now.st_ino != then->st_ino || now.st_dev != then->st_dev ||
            now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != then->st_mtim.tv_nsec || now.st_size != then->st_size);
}

/* Takes cfg, handlers and auth. */
static void apply_reload(struct boot *b, struct config *cfg, struct handlers *handlers,
                         struct auth *auth)
{
    if (has_changed(b->cfg.tls_cert, &b->tls_cert_then) || /* the HTTP library reads them once */
        has_changed(b->cfg.tls_key, &b->tls_key_then))
        log_warn("reload_needs_restart", LOG_STR("file", b->cfg.tls_cert));
    if (auth)
        auth_replace(b->auth, &auth);
    config_each_fixed_change(&b->cfg, cfg, on_fixed_change);
    log_set_level((enum log_level)cfg->log_level);
    scheduler_reload(b->scheduler,
                     &(struct scheduler_plan){.handlers = handlers,
                                              .max_threads = (uint32_t)cfg->max_threads,
                                              .max_workers = (uint32_t)cfg->max_workers,
                                              .paused = (unsigned)cfg->paused});
    nodes_set_catalog(b->nodes, handlers_catalog(handlers));
    handlers_free(&b->handlers);
    b->handlers = handlers;
    log_info("reloaded", LOG_INT("workers", cfg->max_workers), LOG_INT("threads", cfg->max_threads),
             LOG_INT("handlers", handlers_catalog(handlers)->n), LOG_STR("env_file", cfg->env_file),
             LOG_STR("handlers_file", cfg->handlers));
    config_release(cfg);
}

bool boot_reload(struct boot *b)
{
    struct config cfg;
    struct handlers *handlers = NULL;
    struct auth *auth = NULL;
    struct fut_errbuf err = {""};
    int rc = config_load(&cfg, &err);
    if (rc == 0) {
        rc = handlers_load(*cfg.handlers ? cfg.handlers : NULL, &handlers, &err);
        if (rc == 0 && b->auth) /* the file of the start; another one needs a restart */
            rc = auth_load(b->cfg.tokens, &auth, &err);
        if (rc == 0) /* the last: what it does is done */
            rc = schedules_load_file(b->schedules, cfg.schedules, handlers_catalog(handlers), &err);
        if (rc != 0)
            config_release(&cfg);
    }
    if (rc == 0) {
        apply_reload(b, &cfg, handlers, auth);
        return true;
    }
    handlers_free(&handlers);
    auth_free(&auth);
    log_error("reload_refused", LOG_STR("reason", err.text));
    return false;
}

/* ---- drain ----------------------------------------------------------------------------------- */

static void stop_accepting(struct boot *b)
{
    if (b->api) {
        api_set_ready(b->api, false);
        api_quiesce(b->api);
    }
}

static void stop_claiming(struct boot *b)
{
    if (b->schedules)
        schedules_stop(b->schedules);
    if (b->scheduler_runs)
        scheduler_stop_claiming(b->scheduler);
}

static void answer_waiters(struct boot *b)
{
    if (b->api)
        api_release_waiters(b->api);
}

static void end_tasks(struct boot *b)
{
    if (!b->scheduler_runs)
        return;
    if (!scheduler_drain(b->scheduler, b->cfg.drain_ms))
        log_warn("drain_incomplete", LOG_INT("grace_ms", b->cfg.drain_ms));
    scheduler_stop(b->scheduler);
    b->scheduler_runs = false;
}

/* Whoever holds the sockets for the next daemon promised that nobody is turned away. */
static void answer_the_last(struct boot *b)
{
    if (b->api)
        api_linger(b->api, LINGER_MS);
}

static void commit_the_rest(struct boot *b)
{
    nodes_stop(b->nodes);
    if (b->store_runs)
        store_stop(b->store);
    b->store_runs = false;
}

static void send_spans(struct boot *b)
{
    spans_stop(b->spans, SPANS_MS);
}

static void stop_http(struct boot *b)
{
    if (b->api)
        api_stop(b->api, STEP_SLACK_MS);
    api_free(&b->api);
}

static void close_all(struct boot *b)
{
    schedules_free(&b->schedules);
    nodes_free(&b->nodes);
    scheduler_free(&b->scheduler);
    attempt_token_table_free(&b->tokens);
    store_close(&b->store);
    failure_log_free(&b->failures);
    spans_free(&b->spans);
    fork_server_stop(&b->fork_server);
    handlers_free(&b->handlers);
    auth_free(&b->auth);
    origin_rules_free(&b->origins);
    http_allow_free(&b->http_allow);
    tls_release(&b->tls);
    config_release(&b->cfg);
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
    void (*run)(struct boot *b);
    int64_t (*budget_ms)(const struct config *cfg);
} steps[] = {
    {"stop_accepting", "draining: accepting no more connections", stop_accepting, no_time},
    {"stop_claiming", "draining: starting no more tasks", stop_claiming, no_time},
    {"answer_waiters", "draining: answering long-polls", answer_waiters, no_time},
    {"end_tasks", "draining: letting running tasks end", end_tasks, drain_time},
    {"answer_the_last", "draining: answering the last requests", answer_the_last, no_time},
    {"commit", "draining: committing", commit_the_rest, no_time},
    {"send_spans", "draining: sending spans", send_spans, no_time},
    {"stop_http", "draining: closing connections", stop_http, no_time},
    {"close", "draining: closing the database", close_all, no_time},
};

void boot_stop(struct boot **b)
{
    struct boot *me = *b;
    rejoin_forget();
    for (size_t i = 0; i < FUT_COUNT(steps); i++) {
        int64_t begin = clock_mono_ms();
        int64_t budget = steps[i].budget_ms(&me->cfg) + STEP_SLACK_MS * 2;
        signals_deadline(budget, steps[i].doing);
        service_busy(steps[i].doing, budget);
        steps[i].run(me);
        log_debug("drain_step", LOG_STR("step", steps[i].name),
                  LOG_INT("ms", clock_mono_ms() - begin));
    }
    signals_deadline(LOG_MS + STEP_SLACK_MS, "draining: writing the log");
    free(me);
    *b = NULL;
}
