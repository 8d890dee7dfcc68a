#include "workers/base/loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"

#define EVENTS_PER_TURN 64

struct loop {
    int epfd, urgent_epfd; /* the second has the sources that end a delay */
    struct heap timers;
    struct list deferred, soon;
};

static void close_all(struct loop *l)
{
    fd_close(&l->epfd);
    fd_close(&l->urgent_epfd);
}

struct loop *loop_new(void)
{
    struct loop *l = xnew(struct loop);
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->urgent_epfd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epfd < 0 || l->urgent_epfd < 0) {
        close_all(l);
        free(l);
        return NULL;
    }
    heap_init(&l->timers);
    list_init(&l->deferred);
    list_init(&l->soon);
    return l;
}

void loop_run_deferred(struct loop *l)
{
    struct list_node *n;
    while ((n = list_pop_front(&l->deferred)) != NULL) {
        struct loop_deferred *d = FUT_CONTAINER(n, struct loop_deferred, link);
        d->fn(d);
    }
}

void loop_free(struct loop **l)
{
    if (!*l)
        return;
    loop_run_deferred(*l);
    heap_release(&(*l)->timers);
    close_all(*l);
    free(*l);
    *l = NULL;
}

int loop_open(struct loop *l, struct loop_source *src, int fd, uint32_t events,
              void (*fn)(struct loop_source *, uint32_t))
{
    struct epoll_event ev = {.events = events, .data.ptr = src};
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) != 0)
        return FUT_ERR_IO;
    *src = (struct loop_source){.fd = fd, .events = events, .fn = fn};
    return 0;
}

void loop_keep(struct loop_source *src, int fd, void (*fn)(struct loop_source *, uint32_t))
{
    *src = (struct loop_source){.fd = fd, .is_kept = true, .fn = fn};
}

int loop_begin(struct loop *l, struct loop_source *src, uint32_t events)
{
    FUT_ASSERT(src->is_kept && src->fd >= 0);
    return loop_open(l, src, src->fd, events, src->fn);
}

int loop_end_delays(struct loop *l, struct loop_source *src)
{
    struct epoll_event ev = {.events = src->events};
    src->ends_delays = epoll_ctl(l->urgent_epfd, EPOLL_CTL_ADD, src->fd, &ev) == 0;
    return src->ends_delays ? 0 : FUT_ERR_IO;
}

void loop_watch(struct loop *l, struct loop_source *src, uint32_t events)
{
    if (src->fd < 0 || src->is_kept || src->events == events)
        return;
    struct epoll_event ev = {.events = events, .data.ptr = src};
    FUT_MUST(epoll_ctl(l->epfd, EPOLL_CTL_MOD, src->fd, &ev) == 0);
    src->events = events;
}

void loop_close(struct loop *l, struct loop_source *src)
{
    if (src->fd < 0)
        return;
    /* Explicit, because a duplicate in a passed message would keep the descriptor watched. */
    if (!src->is_kept)
        (void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, src->fd, NULL);
    if (src->ends_delays)
        (void)epoll_ctl(l->urgent_epfd, EPOLL_CTL_DEL, src->fd, NULL);
    fd_close(&src->fd);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_mono_ms)
{
    heap_put(&l->timers, &t->node, at_mono_ms);
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
    heap_remove(&l->timers, &t->node);
}

void loop_defer(struct loop *l, struct loop_deferred *deferred, void (*fn)(struct loop_deferred *))
{
    deferred->fn = fn;
    list_push_back(&l->deferred, &deferred->link);
}

void loop_do_soon(struct loop *l, struct loop_soon *soon)
{
    if (!list_is_linked(&soon->link))
        list_push_back(&l->soon, &soon->link);
}

void loop_do_not(struct loop *l, struct loop_soon *soon)
{
    if (list_is_linked(&soon->link))
        list_remove(&l->soon, &soon->link);
}

static void run_soon(struct loop *l)
{
    struct list_node *n;
    while ((n = list_pop_front(&l->soon)) != NULL) {
        struct loop_soon *soon = FUT_CONTAINER(n, struct loop_soon, link);
        soon->fn(soon);
    }
}

static int wait_ms_of(const struct loop *l, int64_t max_wait_ms)
{
    const struct heap_node *next = heap_min(&l->timers);
    int64_t wait_ms = max_wait_ms < 0 ? INT_MAX : max_wait_ms;
    if (next && next->key - clock_mono_ms() < wait_ms)
        wait_ms = next->key - clock_mono_ms();
    else if (!next && max_wait_ms < 0)
        return -1;
    if (wait_ms < 0)
        return 0;
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

static void run_timers(struct loop *l)
{
    if (!heap_min(&l->timers))
        return;
    int64_t now_ms = clock_mono_ms();
    for (struct heap_node *n; (n = heap_min(&l->timers)) != NULL && n->key <= now_ms;) {
        struct loop_timer *t = FUT_CONTAINER(n, struct loop_timer, node);
        heap_remove(&l->timers, n);
        t->fn(t);
    }
}

/* epoll_wait counts in milliseconds. */
void loop_delay(struct loop *l, int64_t us)
{
    struct epoll_event ev;
    struct pollfd urgent = {.fd = l->urgent_epfd, .events = POLLIN};
    struct timespec most = {us / 1000000, us % 1000000 * 1000};
    if (ppoll(&urgent, 1, &most, NULL) > 0)
        (void)epoll_wait(l->urgent_epfd, &ev, 1, 0); /* an edge counts once */
}

void loop_turn(struct loop *l, int64_t max_wait_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    run_soon(l);
    int n = epoll_wait(l->epfd, events, EVENTS_PER_TURN, wait_ms_of(l, max_wait_ms));
    FUT_ASSERT(n >= 0 || errno == EINTR);
    for (int i = 0; i < n; i++) {
        struct loop_source *src = events[i].data.ptr;
        if (src->fd >= 0)
            src->fn(src, events[i].events);
    }
    run_timers(l);
    loop_run_deferred(l);
}
