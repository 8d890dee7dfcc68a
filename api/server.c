#include "api/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api/http/loop.h"
#include "api/http/shared.h"
#include "api/resources/history.h"
#include "api/routes.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"

/* The rest of the connections is for those who submit, and ask how the daemon is. */
static size_t max_waiters(const struct api_config *cfg)
{
    size_t n = (size_t)cfg->max_connections * 9 / 10;
    return n ? n : 1;
}

struct api *api_new(const struct api_config *cfg)
{
    struct api *a = xnew(struct api);
    FUT_ASSERT(cfg->threads >= 1 && cfg->max_connections >= 1);
    a->cfg = *cfg;
    a->routes = &routes_table;
    a->answers = xcalloc(routes_table.n + 1, sizeof(*a->answers));
    a->history = history_new();
    catalog_lend_init(&a->catalog, cfg->catalog);
    FUT_ASSERT(cfg->n_listen_fds <= API_LISTENERS_MAX);
    a->emptied_fd = -1;
    a->started_mono_ms = clock_mono_ms();
    a->budget.max = cfg->max_buffered_bytes ? cfg->max_buffered_bytes : SIZE_MAX;
    waiters_init(&a->waiters, max_waiters(cfg));
    feed_init(&a->feed, &a->waiters);
    if (cfg->store)
        api_attach(a, cfg->store, &cfg->pools, &cfg->nodes);
    return a;
}

void api_attach(struct api *a, struct store *store, const struct pool_view *pools,
                const struct node_view *nodes)
{
    FUT_ASSERT(!atomic_load(&a->is_attached));
    a->cfg.store = store;
    a->cfg.pools = *pools;
    a->cfg.nodes = *nodes;
    store_listen(store, waiters_on_change, &a->waiters);
    store_listen(store, feed_on_change, &a->feed);
    store_watch_limits(store, feed_on_limit, &a->feed);
    if (pools->listen)
        pools->listen(pools->ctx, feed_on_death, &a->feed);
    atomic_store(&a->is_attached, true);
}

void api_set_catalog(struct api *a, const struct catalog *c)
{
    catalog_lend_set(&a->catalog, c);
}

/* Connections of one loop: the shares add up to at least the whole. */
static unsigned share(const struct api_config *cfg)
{
    return (cfg->max_connections + cfg->threads - 1) / cfg->threads;
}

static int make_loops(struct api *a, struct fut_errbuf *err)
{
    size_t n = a->cfg.threads * a->n_listeners;
    a->loops = xcalloc(n, sizeof(struct http_loop *));
    for (size_t i = 0; i < n; i++) {
        const struct listener *l = &a->listeners[i % a->n_listeners];
        int rc = http_loop_new(a, l, share(&a->cfg), &a->loops[i]);
        if (rc != 0)
            return fut_fail(err, rc, "cannot serve HTTP on %s: %s", l->address, strerror(errno));
        a->n_loops++;
    }
    return 0;
}

/* Without tokens whoever reaches the socket may run the operator's programs. */
static int check_reach(const struct api *a, const struct listener *l, struct fut_errbuf *err)
{
    if (!a->cfg.auth && !l->is_unix && catalog_takes_code(a->cfg.catalog))
        return fut_fail(
            err, FUT_ERR_INVAL,
            "refusing to listen on %s without tokens: a handler has \"scope\": \"code\", "
            "and every user of this machine could run programs by it. Set "
            "FUTURED_TOKENS, or listen on unix:/path",
            l->address);
    if (a->cfg.auth || l->is_local)
        return 0;
    return fut_fail(err, FUT_ERR_INVAL,
                    "refusing to listen on %s without tokens: others could run tasks here. Set "
                    "FUTURED_TOKENS, or listen on 127.0.0.1, [::1] or unix:/path",
                    l->address);
}

/* The i-th one: inherited, or the one of the configuration. */
static int add_listener(struct api *a, size_t i, struct fut_errbuf *err)
{
    struct listener *l = &a->listeners[i];
    int rc = i < a->cfg.n_listen_fds ? listen_adopt(a->cfg.listen_fds[i], l, err)
             : a->cfg.kept_fd        ? listen_keep(a->cfg.kept_fd, a->cfg.listen, l, err)
                                     : listen_open(a->cfg.listen, l, err);
    if (rc == 0) {
        a->n_listeners++;
        rc = check_reach(a, l, err);
    }
    return rc;
}

/* Whoever would be accepted beyond the limit of open files would take the descriptors that the
 * store and new processes need. */
static int fit_connections(struct api *a, size_t n_listeners, struct fut_errbuf *err)
{
    struct rlimit lim;
    size_t wanted = a->cfg.max_connections, reserved = a->cfg.reserved_fds;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur == RLIM_INFINITY ||
        wanted * n_listeners + reserved <= lim.rlim_cur)
        return 0;
    size_t fit = lim.rlim_cur > reserved ? (lim.rlim_cur - reserved) / n_listeners : 0;
    if (fit == 0)
        return fut_fail(err, FUT_ERR_INVAL,
                        "the limit of open files is %llu, and %zu are needed beside connections; "
                        "raise it (ulimit -n, LimitNOFILE=)",
                        (unsigned long long)lim.rlim_cur, reserved);
    log_warn("connections_fitted", LOG_INT("wanted", wanted), LOG_INT("max_connections", fit),
             LOG_INT("open_files", lim.rlim_cur), LOG_INT("reserved", reserved));
    a->cfg.max_connections = (unsigned)fit;
    a->waiters.max = max_waiters(&a->cfg);
    return 0;
}

static void wish_all(struct api *a, enum http_wish wish)
{
    for (size_t i = 0; i < a->n_loops; i++)
        http_loop_wish(a->loops[i], wish);
}

/* Ends all loops; a request that still waits at the deadline is a bug. */
static void stop_loops(struct api *a, int64_t deadline_mono_ms)
{
    for (size_t i = 0; i < a->n_loops; i++)
        a->loops[i]->stop_mono_ms = deadline_mono_ms;
    wish_all(a, HTTP_STOP);
    for (size_t i = 0; i < a->n_loops; i++)
        http_loop_free(&a->loops[i]);
    a->n_loops = 0;
}

/* The loops that the system gives threads to; each listening socket needs one of them. */
static int start_loops(struct api *a, struct fut_errbuf *err)
{
    size_t n = 0;
    while (n < a->n_loops && http_loop_start(a->loops[n], (unsigned)n) == 0)
        n++;
    if (n == a->n_loops)
        return 0;
    for (size_t i = n; i < a->n_loops; i++)
        http_loop_free(&a->loops[i]);
    size_t wanted = a->n_loops;
    a->n_loops = n;
    if (n < a->n_listeners) {
        stop_loops(a, clock_mono_ms());
        return fut_fail(err, FUT_ERR_AGAIN, "cannot serve HTTP: the system gives no more threads");
    }
    log_warn("http_threads_missing", LOG_INT("wanted", wanted), LOG_INT("threads", n));
    return 0;
}

int api_start(struct api *a, struct fut_errbuf *err)
{
    size_t n = a->cfg.n_listen_fds ? a->cfg.n_listen_fds : 1;
    int rc = fit_connections(a, n, err);
    if (rc == 0 && (a->emptied_fd = fd_wake_new()) < 0)
        rc = fut_fail(err, FUT_ERR_IO, "cannot serve HTTP: %s", strerror(errno));
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_listener(a, i, err);
    if (rc == 0)
        rc = make_loops(a, err);
    return rc == 0 ? start_loops(a, err) : rc;
}

const char *api_address(const struct api *a, size_t i)
{
    return i < a->n_listeners ? a->listeners[i].address : NULL;
}

int api_listening_fd(const struct api *a, size_t i)
{
    return i < a->n_listeners ? a->listeners[i].fd : -1;
}

/* A program must be able to pass it on in one word. */
static bool is_word(const char *s)
{
    while (*s > ' ' && *s < 0x7f)
        s++;
    return *s == '\0';
}

bool api_local_url(const struct api *a, char *out, size_t size)
{
    const char *scheme = a->cfg.tls_cert_pem ? "https" : "http", *host = NULL, *rest;
    size_t i = 0;
    int n;
    while (i < a->n_listeners && a->listeners[i].is_unix)
        i++;
    if (i == a->n_listeners)
        i = 0; /* there is at least one, of whatever kind */
    const char *address = a->listeners[i].address;
    rest = strrchr(address, ':');
    if (!rest || !is_word(address))
        return false;
    if (strncmp(address, "0.0.0.0:", 8) == 0)
        host = "127.0.0.1";
    else if (strncmp(address, "[::]:", 5) == 0)
        host = "[::1]";
    if (a->listeners[i].is_unix)
        n = snprintf(out, size, "%s", address);
    else if (host)
        n = snprintf(out, size, "%s://%s%s", scheme, host, rest);
    else
        n = snprintf(out, size, "%s://%s", scheme, address);
    return n > 0 && (size_t)n < size;
}

void api_set_ready(struct api *a, bool is_ready)
{
    atomic_store(&a->is_ready, is_ready);
}

void api_set_stuck(struct api *a, const char *module)
{
    atomic_store(&a->stuck, module);
}

void api_sample(struct api *a)
{
    history_sample(a);
}

void api_quiesce(struct api *a)
{
    atomic_store(&a->is_quiesced, true);
    wish_all(a, HTTP_QUIESCE);
}

void api_release_waiters(struct api *a)
{
    atomic_store(&a->is_released, true); /* before the wish: nobody falls asleep behind it */
    wish_all(a, HTTP_RELEASE);
}

bool api_idle(const struct api *a)
{
    for (size_t i = 0; i < a->n_loops; i++) {
        if (atomic_load_explicit(&a->loops[i]->suspended, memory_order_relaxed) ||
            atomic_load_explicit(&a->loops[i]->polled, memory_order_relaxed))
            return false;
    }
    return true;
}

bool api_has_moved(struct api *a)
{
    bool all = true;
    for (size_t i = 0; i < a->n_loops; i++)
        all = http_loop_has_moved(a->loops[i]) && all;
    return all;
}

static void close_listeners(struct api *a)
{
    for (size_t i = 0; i < a->n_listeners; i++)
        listen_close(&a->listeners[i]);
    a->n_listeners = 0;
}

/* Nobody comes any more and all have gone. */
static bool has_emptied(const struct api *a)
{
    for (size_t i = 0; i < a->n_loops; i++) {
        if (!http_loop_has_emptied(a->loops[i]))
            return false;
    }
    return true;
}

void api_linger(struct api *a, int64_t max_ms)
{
    int64_t deadline = clock_mono_ms() + max_ms, rest = max_ms;
    if (!a->cfg.n_listen_fds)
        return;
    while (!has_emptied(a) && rest > 0) {
        struct pollfd p = {a->emptied_fd, POLLIN, 0};
        if (poll(&p, 1, (int)rest) > 0)
            fd_wake_clear(a->emptied_fd);
        rest = deadline - clock_mono_ms();
    }
}

void api_stop(struct api *a, int64_t budget_ms)
{
    int64_t deadline = clock_mono_ms() + budget_ms;
    if (!a->n_loops)
        return;
    api_quiesce(a);
    api_release_waiters(a);
    stop_loops(a, deadline);
    close_listeners(a);
}

void api_free(struct api **a)
{
    struct api *me = *a;
    if (!me)
        return;
    for (size_t i = 0; i < me->n_loops; i++) /* a start that failed half-way */
        http_loop_free(&me->loops[i]);
    close_listeners(me);
    fd_close(&me->emptied_fd);
    free(me->loops);
    free(me->answers);
    history_free(&me->history);
    feed_release(&me->feed);
    waiters_release(&me->waiters);
    catalog_lend_release(&me->catalog);
    free(me);
    *a = NULL;
}
