#include "api/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/http_loop.h"
#include "api/server_internal.h"
#include "core/clock.h"
#include "core/mem.h"

struct api *api_new(const struct api_config *cfg)
{
    struct api *a = xnew(struct api);
    FUT_ASSERT(cfg->threads >= 1 && cfg->max_connections >= 1);
    a->cfg = *cfg;
    a->listener.fd = -1;
    a->started_mono_ms = clock_mono_ms();
    size_t max_waiters = (size_t)cfg->max_connections * 9 / 10;
    waiters_init(&a->waiters, max_waiters ? max_waiters : 1);
    store_listen(cfg->store, waiters_on_change, &a->waiters);
    return a;
}

/* Connections of one loop: the shares add up to at least the whole. */
static unsigned share(const struct api_config *cfg)
{
    return (cfg->max_connections + cfg->threads - 1) / cfg->threads;
}

static int make_loops(struct api *a, struct fut_errbuf *err)
{
    a->loops = xcalloc(a->cfg.threads, sizeof(struct http_loop *));
    for (unsigned i = 0; i < a->cfg.threads; i++) {
        int rc = http_loop_new(a, a->listener.fd, share(&a->cfg), &a->loops[i]);
        if (rc != 0)
            return fut_fail(err, rc, "cannot serve HTTP on %s: %s", a->listener.address,
                            strerror(errno));
        a->n_loops++;
    }
    return 0;
}

/* Without tokens whoever reaches the socket may run the operator's programs. */
static int check_reach(const struct api *a, struct fut_errbuf *err)
{
    if (a->cfg.auth || a->listener.is_local)
        return 0;
    return fut_fail(err, FUT_ERR_INVAL,
                    "refusing to listen on %s without tokens: others could run tasks here. Set "
                    "FUTURED_TOKENS, or listen on 127.0.0.1, [::1] or unix:/path",
                    a->listener.address);
}

int api_start(struct api *a, struct fut_errbuf *err)
{
    int rc = a->cfg.listen_fd >= 0 ? listen_adopt(a->cfg.listen_fd, &a->listener, err)
                                   : listen_open(a->cfg.listen, &a->listener, err);
    if (rc == 0)
        rc = check_reach(a, err);
    if (rc == 0)
        rc = make_loops(a, err);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < a->n_loops; i++)
        http_loop_start(a->loops[i], i);
    return 0;
}

const char *api_address(const struct api *a)
{
    return a->listener.address;
}

void api_set_ready(struct api *a, bool is_ready)
{
    atomic_store(&a->is_ready, is_ready);
}

static void wish_all(struct api *a, enum http_wish wish)
{
    for (size_t i = 0; i < a->n_loops; i++)
        http_loop_wish(a->loops[i], wish);
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
        if (atomic_load_explicit(&a->loops[i]->suspended, memory_order_relaxed))
            return false;
    }
    return true;
}

void api_stop(struct api *a, int64_t budget_ms)
{
    int64_t deadline = clock_mono_ms() + budget_ms;
    if (!a->n_loops)
        return;
    api_quiesce(a);
    api_release_waiters(a);
    for (size_t i = 0; i < a->n_loops; i++)
        a->loops[i]->stop_mono_ms = deadline;
    wish_all(a, HTTP_STOP);
    for (size_t i = 0; i < a->n_loops; i++)
        http_loop_free(&a->loops[i]);
    a->n_loops = 0;
    listen_close(&a->listener);
}

void api_free(struct api **a)
{
    struct api *me = *a;
    if (!me)
        return;
    for (size_t i = 0; i < me->n_loops; i++) /* a start that failed half-way */
        http_loop_free(&me->loops[i]);
    listen_close(&me->listener);
    free(me->loops);
    waiters_release(&me->waiters);
    free(me);
    *a = NULL;
}
