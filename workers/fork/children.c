#include "workers/fork/children.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"

struct children {
    struct loop *loop;
    struct fork_server *fs;
    struct loop_source src; /* a duplicate of the fork server's socket */
    struct loop_timer broken_timer;
    struct map by_generation;
    uint64_t last_generation;
    bool broken;
    void (*on_broken)(void *ctx);
    void *ctx;
};

static void fire_broken(struct loop_timer *t)
{
    struct children *c = FUT_CONTAINER(t, struct children, broken_timer);
    c->on_broken(c->ctx);
}

/* Told from the loop and never from inside a request, so that no caller is taken by surprise. */
static void set_broken(struct children *c)
{
    if (c->broken)
        return;
    c->broken = true;
    loop_close(c->loop, &c->src);
    loop_timer_set(c->loop, &c->broken_timer, clock_mono_ms());
}

static void deliver(struct children *c, const struct fork_event *ev)
{
    struct map_node *n = map_get(&c->by_generation, ev->generation);
    if (!n)
        return;
    struct child *child = FUT_CONTAINER(n, struct child, node);
    if (ev->verb == FORK_SPAWN_FAILED || ev->verb == FORK_EXITED)
        map_remove(&c->by_generation, n);
    child->on_event(child, ev);
}

/* What begins in the place of one that has ended hears of it after the end. */
static void take_event(struct children *c, const struct fork_event *ev)
{
    deliver(c, ev);
    if (ev->next)
        deliver(c, &(struct fork_event){.verb = FORK_SPAWNED,
                                        .slot = FORK_NO_SLOT,
                                        .generation = ev->next,
                                        .at_mono_us = ev->at_mono_us});
}

static void on_readable(struct loop_source *src, uint32_t events)
{
    struct children *c = FUT_CONTAINER(src, struct children, src);
    struct fork_event ev;
    int rc;
    (void)events;
    do {
        rc = fork_server_read(c->fs, &ev);
        if (rc == 0)
            take_event(c, &ev);
    } while (rc == 0 && fork_server_has_more(c->fs));
    if (rc != 0 && rc != FUT_ERR_AGAIN)
        set_broken(c);
}

struct children *children_new(struct loop *l, struct fork_server *fs, void (*on_broken)(void *ctx),
                              void *ctx)
{
    struct children *c = xnew(struct children);
    *c = (struct children){.loop = l, .fs = fs, .on_broken = on_broken, .ctx = ctx};
    c->broken_timer.fn = fire_broken;
    map_init(&c->by_generation);
    int fd = dup(fork_server_fd(fs));
    c->src.fd = -1;
    if (fd >= 0 && loop_open(l, &c->src, fd, EPOLLIN, on_readable) == 0)
        return c;
    int why = errno;
    fd_close(&fd);
    children_free(&c);
    errno = why;
    return NULL;
}

void children_free(struct children **cp)
{
    struct children *c = *cp;
    if (!c)
        return;
    loop_close(c->loop, &c->src);
    loop_timer_clear(c->loop, &c->broken_timer);
    map_release(&c->by_generation);
    free(c);
    *cp = NULL;
}

bool children_are_broken(const struct children *c)
{
    return c->broken;
}

static int booked(struct children *c, struct child *child, int rc)
{
    if (rc == 0)
        map_put(&c->by_generation, &child->node, child->generation);
    else if (rc == FUT_ERR_CLOSED)
        set_broken(c);
    return rc;
}

int children_spawn_worker(struct children *c, struct child *child, uint32_t slot, int channel)
{
    child->slot = slot;
    child->generation = ++c->last_generation;
    return booked(c, child, fork_server_spawn_worker(c->fs, slot, child->generation, channel));
}

int children_spawn_exec(struct children *c, struct child *child, uint32_t slot,
                        const struct fork_exec *what)
{
    child->slot = slot;
    child->generation = ++c->last_generation;
    return booked(c, child, fork_server_spawn_exec(c->fs, slot, child->generation, what));
}

int children_line_up(struct children *c, struct child *child, const struct fork_exec *what)
{
    child->slot = FORK_NO_SLOT;
    child->generation = ++c->last_generation;
    return booked(c, child, fork_server_line_up(c->fs, child->generation, what));
}

bool children_withdraw(struct children *c, struct child *child)
{
    if (!fork_server_withdraw(c->fs, child->generation))
        return false;
    children_forget(c, child);
    return true;
}

int children_adopt(struct children *c, struct child *child, uint32_t slot, pid_t pid,
                   const struct limits *limits)
{
    child->slot = slot;
    child->generation = ++c->last_generation;
    return booked(c, child, fork_server_adopt(c->fs, slot, child->generation, pid, limits));
}

void children_task(struct children *c, struct child *child, uint64_t task, int64_t cpu_ms)
{
    if (!map_is_linked(&child->node) || c->broken)
        return;
    if (fork_server_task(c->fs, child->slot, child->generation, task, cpu_ms) != 0)
        set_broken(c);
}

void children_kill(struct children *c, struct child *child, int signal)
{
    if (!map_is_linked(&child->node) || c->broken)
        return;
    if (fork_server_kill(c->fs, child->slot, child->generation, signal) != 0)
        set_broken(c);
}

void children_forget(struct children *c, struct child *child)
{
    map_remove(&c->by_generation, &child->node);
}
