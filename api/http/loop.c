#include "api/http/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "api/http/conn.h"
#include "api/http/held.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"

#define EVENTS 64
#define SPARE_MAX 256
#define STAYS_MS 100      /* a client that sends no more is given so long to have its answer */
#define FLUSH_MS 1000     /* for answers to leave at the end */
#define HELD_ROUND_MS 1   /* between rounds while nothing happens but that requests are held */
#define ENDING_ROUND_MS 1 /* the same while ended connections are looked at */
#define BUSY_ROUNDS 8     /* rounds of the library between looks at our own epoll */

/* ---- other threads --------------------------------------------------------------------------- */

void http_loop_wake(struct http_loop *l, struct request *r)
{
    mailbox_push(&l->ready, &r->ready);
}

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
    if (atomic_load(&l->is_asked))
        return false;
    atomic_store(&l->is_asked, true);
    fd_wake(l->ready.wake_fd);
    return true;
}

/* ---- sleepers -------------------------------------------------------------------------------- */

static void set_timer(struct http_loop *l, struct request *r, int64_t now)
{
    int64_t key = r->wake_mono_ms;
    if (!r->has_stayed && key > now + STAYS_MS)
        key = now + STAYS_MS;
    heap_put(&l->sleepers, &r->timer, key);
}

void http_loop_sleep(struct http_loop *l, struct request *r)
{
    r->is_asleep = true;
    set_timer(l, r, clock_mono_ms());
}

static void end_sleep(struct http_loop *l, struct request *r)
{
    if (!r->is_asleep)
        return;
    r->is_asleep = false;
    r->has_stayed = false;
    heap_remove(&l->sleepers, &r->timer);
}

static void resume(struct http_loop *l, struct request *r)
{
    if (r->is_held) {
        http_held_let_go(l, r);
        return;
    }
    end_sleep(l, r);
    (void)atomic_fetch_sub_explicit(&l->suspended, 1, memory_order_relaxed);
    http_resume(r);
}

/* Ends a sleep before its waiter does. When the waiter was faster, its wake-up is on the way to the
 * ready list and the request stays asleep until it is there. */
static void wake_early(struct http_loop *l, struct request *r)
{
    if (waiter_disarm(&l->api->waiters, &r->waiter))
        resume(l, r);
    else
        heap_remove(&l->sleepers, &r->timer);
}

/* The library does not see a suspended client leave: that is for us to do. */
void http_loop_hang_up(struct http_loop *l, struct request *r)
{
    if (!r->has_stayed || r->is_hung_up)
        return; /* its timer will see it */
    r->is_hung_up = true;
    wake_early(l, r);
}

static void on_timer(struct http_loop *l, struct request *r, int64_t now)
{
    r->has_stayed = true;
    if (now >= r->wake_mono_ms)
        wake_early(l, r);
    else if (r->peer->is_ended)
        http_loop_hang_up(l, r);
    else
        set_timer(l, r, now);
}

static void run_timers(struct http_loop *l)
{
    struct heap_node *n = heap_min(&l->sleepers);
    if (!n)
        return;
    int64_t now = clock_mono_ms();
    for (; n && n->key <= now; n = heap_min(&l->sleepers))
        on_timer(l, FUT_CONTAINER(n, struct request, timer), now);
}

static void release_sleepers(struct http_loop *l)
{
    struct heap_node *n;
    while ((n = heap_min(&l->sleepers)))
        wake_early(l, FUT_CONTAINER(n, struct request, timer));
}

/* ---- spare requests -------------------------------------------------------------------------- */

struct request *http_loop_take_spare(struct http_loop *l)
{
    struct request *r = l->spare;
    if (r) {
        l->spare = r->next_spare;
        l->n_spare--;
    }
    return r;
}

void http_loop_give_spare(struct http_loop *l, struct request *r)
{
    if (l->n_spare == SPARE_MAX) {
        request_delete(r);
        return;
    }
    r->next_spare = l->spare;
    l->spare = r;
    l->n_spare++;
}

void http_loop_log_failure(struct http_loop *l, const struct request *r, int rc)
{
    int64_t now = clock_mono_ms();
    if (l->logged_mono_ms && now - l->logged_mono_ms < 1000)
        return;
    l->logged_mono_ms = now;
    log_error("request_failed", LOG_STR("path", r->path), LOG_STR("err", fut_err_name(rc)));
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void resume_ready(struct http_loop *l)
{
    struct list ready;
    struct list_node *n;
    list_init(&ready);
    mailbox_take(&l->ready, &ready);
    while ((n = list_pop_front(&ready)))
        resume(l, FUT_CONTAINER(n, struct request, ready));
}

static void close_door(struct http_loop *l)
{
    http_daemon_quiesce(&l->daemon);
    atomic_store(&l->is_closed, true);
    fd_wake(l->api->left_fd);
}

static void grant_wishes(struct http_loop *l)
{
    unsigned fresh = atomic_load(&l->wishes) & ~l->granted;
    if (fresh & HTTP_QUIESCE)
        close_door(l);
    if (fresh & HTTP_RELEASE)
        release_sleepers(l);
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
    if (ms == 0 && http_held_count(l) && !l->was_busy)
        ms = HELD_ROUND_MS; /* the 0 may be for the held ones only */
    if (ms != 0 && n) {
        int64_t left = n->key - clock_mono_ms();
        ms = sooner(ms, left > 0 ? left : 0);
    }
    if (l->granted & HTTP_STOP)
        ms = sooner(ms, 10);
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
    if (http_held_count(l) || atomic_load_explicit(&l->suspended, memory_order_relaxed)) {
        if (now >= l->stop_mono_ms)
            FUT_BUG("a request still waits at the end");
        return false;
    }
    if (!l->flush_mono_ms)
        l->flush_mono_ms = now + FLUSH_MS;
    return !atomic_load_explicit(&l->open, memory_order_relaxed) || now >= l->flush_mono_ms;
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
        run_timers(l);
        grant_wishes(l);
        if (http_held_count(l))
            l->held_mono_ms = clock_mono_ms();
        l->was_busy = false;
        http_daemon_run(&l->daemon);
        http_conn_close_ended(l);
        if (atomic_load_explicit(&l->is_asked, memory_order_relaxed))
            atomic_store(&l->is_asked, false);
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

int http_loop_new(struct api *api, int listen_fd, unsigned limit, struct http_loop **out)
{
    struct http_loop *l = xnew(struct http_loop);
    l->api = api;
    int rc = mailbox_init(&l->ready);
    heap_init(&l->sleepers);
    list_init(&l->ending);
    l->daemon.listen_fd = -1;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        rc = FUT_ERR_IO;
    if (rc == 0)
        rc = http_daemon_start(&l->daemon, l, listen_fd, limit);
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

void http_loop_start(struct http_loop *l, unsigned number)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "http-%u", number % 1000);
    thread_start(&l->thread, name, loop_main, l);
    l->is_started = true;
}

void http_loop_free(struct http_loop **l)
{
    struct http_loop *me = *l;
    struct request *r;
    if (me->is_started)
        thread_join(me->thread);
    else
        http_daemon_stop(&me->daemon);
    while ((r = http_loop_take_spare(me)))
        request_delete(r);
    fd_close(&me->epoll_fd);
    heap_release(&me->sleepers);
    mailbox_release(&me->ready);
    free(me);
    *l = NULL;
}
