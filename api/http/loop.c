#include "api/http/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "api/http/conn.h"
#include "api/http/pending.h"
#include "api/http/request.h"
#include "api/http/serve.h"
#include "api/http/shared.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"

#define EVENTS 64
#define FLUSH_MS 1000        /* for answers to leave at the end */
#define POLLED_ROUND_MS 1    /* between rounds while nothing happens but that requests are polled */
#define ENDING_ROUND_MS 1    /* the same while ended connections are looked at */
#define BUSY_ROUNDS 8        /* rounds of the library between looks at our own epoll */
#define SHORTAGE_MS 100      /* after a client could not be accepted for want of descriptors, */
#define SHORTAGE_ROUND_MS 10 /* the library looks so often */

/* ---- other threads --------------------------------------------------------------------------- */

void http_loop_wish(struct http_loop *l, enum http_wish wish)
{
    (void)atomic_fetch_or(&l->wishes, (unsigned)wish);
    fd_wake(l->ready.wake_fd);
}

bool http_loop_has_emptied(const struct http_loop *l)
{
    return atomic_load(&l->is_closed) && !atomic_load(&l->connections);
}

bool http_loop_has_moved(struct http_loop *l)
{
    if (!thread_probe_ask(&l->probe))
        return false;
    fd_wake(l->ready.wake_fd);
    return true;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static size_t count_polled(const struct http_loop *l)
{
    return atomic_load_explicit(&l->polled, memory_order_relaxed);
}

static void resume_ready(struct http_loop *l)
{
    struct list ready;
    struct list_node *n;
    list_init(&ready);
    mailbox_take(&l->ready, &ready);
    while ((n = list_pop_front(&ready)))
        pending_ready(FUT_CONTAINER(n, struct request, ready));
}

static void grant_wishes(struct http_loop *l)
{
    unsigned fresh = atomic_load(&l->wishes) & ~l->granted;
    if (fresh & HTTP_QUIESCE) {
        http_daemon_quiesce(&l->daemon);
        atomic_store(&l->is_closed, true);
        fd_wake(l->api->emptied_fd);
    }
    if (fresh & HTTP_RELEASE)
        pending_release(l);
    l->granted |= fresh;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int64_t timeout_ms(struct http_loop *l)
{
    int64_t ms = http_daemon_timeout_ms(&l->daemon);
    struct heap_node *n = heap_min(&l->sleepers);
    if (ms == 0 && count_polled(l) && !l->was_busy)
        ms = POLLED_ROUND_MS; /* the 0 may be for those alone */
    if (ms != 0 && n) {
        int64_t rest = n->key - clock_mono_ms();
        ms = sooner(ms, rest > 0 ? rest : 0);
    }
    if (l->granted & HTTP_STOP)
        ms = sooner(ms, 10);
    if (l->is_short)
        ms = sooner(ms, SHORTAGE_ROUND_MS);
    if (!list_is_empty(&l->ending))
        ms = sooner(ms, ENDING_ROUND_MS);
    return ms;
}

static void poll_events(struct http_loop *l, int64_t ms)
{
    struct epoll_event ev[EVENTS];
    if (ms != 0 && !mailbox_may_sleep(&l->ready))
        ms = 0;
    int n = epoll_wait(l->epoll_fd, ev, EVENTS, (int)ms);
    for (int i = 0; i < n; i++) {
        struct http_conn *c = ev[i].data.ptr;
        if (c) /* else the library's epoll or the eventfd: looked at in any case */
            http_conn_end(l, c);
    }
}

/* Nothing is suspended, and the answers have left or had their time. */
static bool may_stop(struct http_loop *l)
{
    int64_t now = clock_mono_ms();
    if (!(l->granted & HTTP_STOP))
        return false;
    if (count_polled(l) || atomic_load_explicit(&l->suspended, memory_order_relaxed)) {
        if (now >= l->stop_mono_ms)
            FUT_BUG("a request still waits at the end");
        return false;
    }
    if (!l->flush_mono_ms)
        l->flush_mono_ms = now + FLUSH_MS;
    return !atomic_load_explicit(&l->open, memory_order_relaxed) || now >= l->flush_mono_ms;
}

/* A client that cannot be accepted stays in the backlog, and with it the library's epoll readable:
 * the loop would try all the time. For a moment after such a try it looks by the clock instead. */
static void mind_shortage(struct http_loop *l)
{
    bool is_short = l->refused_mono_ms && clock_mono_ms() - l->refused_mono_ms < SHORTAGE_MS;
    struct epoll_event ev = {.events = is_short ? 0 : EPOLLIN, .data.ptr = NULL};
    if (is_short != l->is_short &&
        epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, http_daemon_fd(&l->daemon), &ev) == 0)
        l->is_short = is_short;
}

static void *loop_main(void *arg)
{
    struct http_loop *l = arg;
    unsigned busy = 0;
    while (!may_stop(l)) {
        int64_t ms = timeout_ms(l);
        busy = ms == 0 ? busy + 1 : 0;
        if (busy % BUSY_ROUNDS == 0)
            poll_events(l, ms);
        resume_ready(l);
        pending_run_timers(l);
        grant_wishes(l);
        if (count_polled(l))
            l->turn_mono_ms = clock_mono_ms();
        l->was_busy = false;
        http_daemon_run(&l->daemon);
        http_conn_close_ended(l);
        if (l->refused_mono_ms)
            mind_shortage(l);
        thread_probe_answer(&l->probe);
    }
    http_daemon_stop(&l->daemon);
    return NULL;
}

/* ---- making one ------------------------------------------------------------------------------ */

static int add_event(struct http_loop *l, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = NULL};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : FUT_ERR_IO;
}

int http_loop_new(struct api *api, const struct listener *listener, unsigned limit,
                  struct http_loop **out)
{
    struct http_loop *l = xnew(struct http_loop);
    l->api = api;
    l->listener = listener;
    int rc = mailbox_init(&l->ready);
    heap_init(&l->sleepers);
    list_init(&l->ending);
    l->daemon.listen_fd = -1;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        rc = FUT_ERR_IO;
    if (rc == 0)
        rc = serve_start(&l->daemon, l, listener->fd, limit);
    if (rc == 0)
        rc = add_event(l, http_daemon_fd(&l->daemon), EPOLLIN);
    if (rc == 0) /* edge-triggered: each write is an event, nobody need read it */
        rc = add_event(l, l->ready.wake_fd, EPOLLIN | EPOLLET);
    if (rc != 0) {
        http_loop_free(&l);
        return rc;
    }
    *out = l;
    return 0;
}

int http_loop_start(struct http_loop *l, unsigned number)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "http-%u", number % 1000);
    int rc = thread_try_start(&l->thread, name, loop_main, l);
    l->is_started = rc == 0;
    return rc;
}

void http_loop_free(struct http_loop **l)
{
    struct http_loop *me = *l;
    if (me->is_started)
        thread_join(me->thread);
    else
        http_daemon_stop(&me->daemon);
    request_free_spares(me);
    fd_close(&me->epoll_fd);
    heap_release(&me->sleepers);
    mailbox_release(&me->ready);
    free(me);
    *l = NULL;
}
