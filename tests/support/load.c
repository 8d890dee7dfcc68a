#include "tests/support/load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/address.h"
#include "tests/support/fail.h"
#include "tests/support/load_script.h"

#define EVENTS 256
#define READ_BYTES 65536

struct load {
    const struct load_config *cfg;
    struct load_report *report;
    struct sockaddr_in to;
    int epoll;
    struct load_conn *conns;
    struct buf prepared;   /* the request that is the same each time */
    int64_t open;          /* requests */
    int64_t posts;         /* requests begun that are no polls */
    unsigned closed;       /* connections to be opened anew */
    int64_t began_mono_us; /* the first request */
    int64_t last_answer_mono_us;
    bool stopping;
};

/* ---- connections ----------------------------------------------------------------------------- */

static void watch(struct load *l, struct load_conn *c, int op, bool writes)
{
    struct epoll_event ev = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(l->epoll, op, c->fd, &ev) != 0)
        fail("epoll_ctl: errno %d", errno);
    c->writing = writes;
}

static void conn_open(struct load *l, struct load_conn *c)
{
    static const int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket: errno %d (are %u connections within ulimit -n?)", errno, l->cfg->connections);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (struct sockaddr *)&l->to, sizeof(l->to)) != 0 && errno != EINPROGRESS) {
        fd_close(&c->fd);
        return;
    }
    l->closed--;
    watch(l, c, EPOLL_CTL_ADD, true);
}

static void conn_dropped(struct load *l, struct load_conn *c)
{
    fd_close(&c->fd);
    l->closed++;
    c->in.len = 0;
    c->step = 0;
    c->greeting = c->greeted = false;
    if (!c->open)
        return;
    c->open = false;
    l->open--;
    l->report->disconnected++;
}

static void conn_write(struct load *l, struct load_conn *c)
{
    ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn_dropped(l, c);
        return;
    }
    if (n > 0) {
        c->out += n;
        c->out_len -= (size_t)n;
    }
    if (c->writing != (c->out_len > 0))
        watch(l, c, EPOLL_CTL_MOD, c->out_len > 0);
}

static void conn_say(struct load *l, struct load_conn *c)
{
    c->request.len = 0;
    bool own = c->greeting || l->cfg->script->ask(l->cfg, c);
    if (c->greeting)
        l->cfg->script->greet(l->cfg, c);
    const struct buf *from = own ? &c->request : &l->prepared;
    c->out = from->data;
    c->out_len = from->len;
    conn_write(l, c);
}

/* The second request of a pair. */
static bool is_poll(const struct load *l, const struct load_conn *c)
{
    return l->cfg->mode == LOAD_POST_POLL && c->step != 0;
}

/* A POST that begins a pair counts with the poll that is to follow it. */
static bool may_begin(const struct load *l, const struct load_conn *c)
{
    bool is_pair = l->cfg->mode == LOAD_POST_POLL && !is_poll(l, c);
    if (l->stopping)
        return false;
    if (!l->cfg->requests || is_poll(l, c))
        return true;
    return (is_pair ? 2 * l->posts : l->posts) < l->cfg->requests;
}

static void conn_begin(struct load *l, struct load_conn *c)
{
    if (!c->greeted && l->cfg->script->greet) {
        c->greeting = true;
        conn_say(l, c);
        return;
    }
    if (!may_begin(l, c))
        return;
    l->posts += !is_poll(l, c);
    c->open = true;
    c->began_mono_us = clock_mono_us();
    if (!l->report->requests)
        l->began_mono_us = c->began_mono_us;
    l->open++;
    l->report->requests++;
    conn_say(l, c);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void count_gap(struct load *l, int64_t now_mono_us)
{
    int64_t us = now_mono_us - l->last_answer_mono_us;
    if (l->report->answered && us > l->report->longest_gap_us)
        l->report->longest_gap_us = us;
    l->last_answer_mono_us = now_mono_us;
}

static void count_answer(struct load *l, const struct load_conn *c, const struct load_answer *a)
{
    struct load_report *report = l->report;
    count_gap(l, clock_mono_us());
    int64_t us = l->last_answer_mono_us - c->began_mono_us;
    report->answered++;
    report->by_status[a->status]++;
    report->late += (double)us > l->cfg->late_s * 1e6;
    samples_add(&report->samples, us);
    report->waited += a->waited;
    report->undone += a->waited && !a->done;
}

static void conn_answered(struct load *l, struct load_conn *c, const struct load_answer *a)
{
    if (c->greeting) {
        c->greeting = false;
        c->greeted = true;
    } else {
        count_answer(l, c, a);
        c->open = false;
        l->open--;
    }
    if (a->close)
        conn_dropped(l, c);
    else
        conn_begin(l, c);
}

static void conn_read(struct load *l, struct load_conn *c)
{
    buf_reserve(&c->in, READ_BYTES);
    ssize_t n = recv(c->fd, c->in.data + c->in.len, READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_dropped(l, c);
        return;
    }
    c->in.len += (size_t)n;
    c->in.data[c->in.len] = '\0';
    struct load_answer a = {0};
    enum load_taken t = l->cfg->script->take(l->cfg, c, &a);
    if (t == LOAD_BROKEN || (t != LOAD_MORE && !c->open && !c->greeting))
        fail("not an answer that was asked for: %.200s", c->in.data);
    if (t == LOAD_GOES_ON)
        conn_say(l, c);
    if (t == LOAD_WHOLE)
        conn_answered(l, c, &a);
}

static void conn_event(struct load *l, struct load_conn *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        conn_read(l, c);
        return;
    }
    if (c->open || c->greeting)
        conn_write(l, c);
    else
        conn_begin(l, c); /* just connected */
    if (c->fd >= 0 && c->writing && !c->out_len)
        watch(l, c, EPOLL_CTL_MOD, false);
}

/* ---- the run --------------------------------------------------------------------------------- */

static void turn(struct load *l)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(l->epoll, events, EVENTS, 20);
    for (int i = 0; i < n; i++) {
        struct load_conn *c = events[i].data.ptr;
        if (c->fd >= 0)
            conn_event(l, c, events[i].events);
    }
    for (unsigned i = 0; !l->stopping && l->closed && i < l->cfg->connections; i++) {
        if (l->conns[i].fd < 0)
            conn_open(l, &l->conns[i]);
    }
}

/* Each pair has ended, though some without their poll because the POST was refused. */
static bool is_spent(const struct load *l)
{
    return l->cfg->mode == LOAD_POST_POLL && !l->open && 2 * l->posts >= l->cfg->requests;
}

/* Counted from the first request: opening a thousand connections is not what is measured. */
static bool is_ended(const struct load *l)
{
    if (l->cfg->requests)
        return l->report->requests >= l->cfg->requests || is_spent(l);
    return l->report->requests &&
           (double)(clock_mono_us() - l->began_mono_us) >= l->cfg->seconds * 1e6;
}

/* Nothing was answered although there was time: nobody is there. */
static bool is_hopeless(const struct load *l, int64_t began_mono_us)
{
    return !l->report->answered && !l->open && clock_mono_us() - began_mono_us > 5000000;
}

static void run(struct load *l)
{
    int64_t began_mono_us = clock_mono_us();
    while (!is_ended(l) && !is_hopeless(l, began_mono_us))
        turn(l);
    l->stopping = true;
    int64_t grace_mono_us = clock_mono_us() + (int64_t)(l->cfg->grace_s * 1e6);
    while (l->open && clock_mono_us() < grace_mono_us)
        turn(l);
    l->report->unanswered = l->open;
    if (l->report->answered)
        l->report->seconds = (double)(l->last_answer_mono_us - l->began_mono_us) / 1e6;
}

static void release(struct load *l)
{
    for (unsigned i = 0; i < l->cfg->connections; i++) {
        fd_close(&l->conns[i].fd);
        buf_release(&l->conns[i].in);
        buf_release(&l->conns[i].request);
        buf_release(&l->conns[i].kept);
    }
    fd_close(&l->epoll);
    free(l->conns);
    buf_release(&l->prepared);
}

bool load_run(const struct load_config *cfg, struct load_report *report)
{
    struct load l = {.cfg = cfg, .report = report};
    if (!address_parse(cfg->address, &l.to))
        fail("not an address like 127.0.0.1:8420: %s", cfg->address);
    if (cfg->script->prepare)
        cfg->script->prepare(cfg, &l.prepared);
    l.closed = cfg->connections;
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.conns = xcalloc(cfg->connections, sizeof(*l.conns));
    for (unsigned i = 0; i < cfg->connections; i++) {
        l.conns[i].fd = -1;
        l.conns[i].number = i;
    }
    run(&l);
    release(&l);
    return report->answered > 0;
}
