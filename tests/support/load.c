#include "tests/support/load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/id.h"
#include "core/mem.h"
#include "tests/support/address.h"
#include "tests/support/fail.h"
#include "tests/support/response.h"
#include "tests/support/text.h"

#define EVENTS 256
#define READ_BYTES 16384

/* A connection that failed is opened anew at the next turn of the loop. */
struct conn {
    int fd;
    bool open;             /* a request waits for its answer */
    bool writing;          /* epoll watches for room */
    bool polls;            /* LOAD_POST_POLL: the next request is the GET */
    char id[ID_TEXT_SIZE]; /* of the future to poll */
    int64_t began_mono_us;
    const char *out; /* rest of the request */
    size_t out_len;
    struct buf request; /* the GET, made per request */
    struct buf in;
};

struct load {
    const struct load_config *cfg;
    struct load_report *report;
    struct sockaddr_in to;
    int epoll;
    struct conn *conns;
    char *fixed; /* the POST (or the GET), the same for each */
    size_t fixed_len;
    int64_t open;    /* requests */
    int64_t posts;   /* requests begun that are no polls */
    unsigned closed; /* connections to be opened anew */
    int64_t last_answer_mono_us;
    bool stopping;
};

/* ---- requests -------------------------------------------------------------------------------- */

static char *make_post(const struct load_config *cfg)
{
    char *filler = text_repeat('x', cfg->body_bytes);
    char *quoted = text_printf("\"%s\"", filler);
    char *body = text_printf("{\"handler\":\"%s\",\"input\":%s}", cfg->handler,
                             cfg->input ? cfg->input : quoted);
    char *prefer = cfg->mode == LOAD_POST_WAIT ? text_printf("Prefer: wait=%g\r\n", cfg->wait_s)
                                               : text_printf("%s", "");
    char *request = text_printf("POST /v1/tasks HTTP/1.1\r\nHost: %s\r\n"
                                "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                                cfg->address, prefer, strlen(body), body);
    free(filler);
    free(quoted);
    free(body);
    free(prefer);
    return request;
}

static char *make_fixed(const struct load_config *cfg)
{
    if (cfg->mode == LOAD_GET)
        return text_printf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", cfg->path, cfg->address);
    return make_post(cfg);
}

static void choose_request(struct load *l, struct conn *c)
{
    if (!c->polls) {
        c->out = l->fixed;
        c->out_len = l->fixed_len;
        return;
    }
    c->request.len = 0;
    buf_printf(&c->request, "GET /v1/futures/%s?wait=%g HTTP/1.1\r\nHost: %s\r\n\r\n", c->id,
               l->cfg->wait_s, l->cfg->address);
    c->out = c->request.data;
    c->out_len = c->request.len;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void watch(struct load *l, struct conn *c, int op, bool room)
{
    struct epoll_event ev = {.events = EPOLLIN | (room ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(l->epoll, op, c->fd, &ev) != 0)
        fail("epoll_ctl: errno %d", errno);
    c->writing = room;
}

static void conn_open(struct load *l, struct conn *c)
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

static void conn_lost(struct load *l, struct conn *c)
{
    fd_close(&c->fd);
    l->closed++;
    c->in.len = 0;
    c->polls = false;
    if (!c->open)
        return;
    c->open = false;
    l->open--;
    l->report->disconnected++;
}

static void conn_write(struct load *l, struct conn *c)
{
    ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn_lost(l, c);
        return;
    }
    if (n > 0) {
        c->out += n;
        c->out_len -= (size_t)n;
    }
    if (c->writing != (c->out_len > 0))
        watch(l, c, EPOLL_CTL_MOD, c->out_len > 0);
}

/* A POST that begins a pair counts with the poll that is to follow it. */
static bool may_begin(const struct load *l, const struct conn *c)
{
    bool is_pair = l->cfg->mode == LOAD_POST_POLL && !c->polls;
    if (l->stopping)
        return false;
    if (!l->cfg->requests || c->polls)
        return true;
    return (is_pair ? 2 * l->posts : l->posts) < l->cfg->requests;
}

static void conn_begin(struct load *l, struct conn *c)
{
    if (!may_begin(l, c))
        return;
    l->posts += !c->polls;
    choose_request(l, c);
    c->open = true;
    c->began_mono_us = clock_mono_us();
    l->open++;
    l->report->requests++;
    conn_write(l, c);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void take_id(struct conn *c, const struct response *r)
{
    static const char prefix[] = "/v1/futures/";
    size_t len = 0;
    const char *location = response_header(r, "Location:", &len);
    const char *at = location ? memmem(location, len, prefix, sizeof(prefix) - 1) : NULL;
    c->polls = at != NULL;
    if (at)
        (void)snprintf(c->id, sizeof(c->id), "%.36s", at + sizeof(prefix) - 1);
}

static void count_answer(struct load *l, const struct conn *c, const struct response *r,
                         bool waited)
{
    struct load_report *report = l->report;
    l->last_answer_mono_us = clock_mono_us();
    int64_t us = l->last_answer_mono_us - c->began_mono_us;
    report->answered++;
    report->by_status[r->status]++;
    report->late += (double)us > l->cfg->late_s * 1e6;
    samples_add(&report->samples, us);
    static const char done[] = "\"done\":true";
    report->waited += waited;
    if (waited && !memmem(r->body, r->body_len, done, sizeof(done) - 1))
        report->undone++;
}

static void conn_answered(struct load *l, struct conn *c, const struct response *r)
{
    bool waited = c->polls || l->cfg->mode == LOAD_POST_WAIT;
    count_answer(l, c, r, waited);
    c->open = false;
    l->open--;
    if (l->cfg->mode == LOAD_POST_POLL && !c->polls)
        take_id(c, r);
    else
        c->polls = false;
    bool close = r->close;
    buf_consume(&c->in, r->total);
    if (close)
        conn_lost(l, c);
    else
        conn_begin(l, c);
}

static void conn_read(struct load *l, struct conn *c)
{
    struct response r;
    buf_reserve(&c->in, READ_BYTES);
    ssize_t n = recv(c->fd, c->in.data + c->in.len, READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_lost(l, c);
        return;
    }
    c->in.len += (size_t)n;
    c->in.data[c->in.len] = '\0';
    enum response_state s = response_parse(c->in.data, c->in.len, &r);
    if (s == RESPONSE_BROKEN || (s == RESPONSE_WHOLE && !c->open))
        fail("not an answer that was asked for: %.200s", c->in.data);
    if (s == RESPONSE_WHOLE)
        conn_answered(l, c, &r);
}

static void conn_event(struct load *l, struct conn *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        conn_read(l, c);
        return;
    }
    if (c->open)
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
        struct conn *c = events[i].data.ptr;
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

static bool is_over(const struct load *l, int64_t began_mono_us)
{
    if (l->cfg->requests)
        return l->report->requests >= l->cfg->requests || is_spent(l);
    return (double)(clock_mono_us() - began_mono_us) >= l->cfg->seconds * 1e6;
}

/* Nothing was answered although there was time: nobody is there. */
static bool is_hopeless(const struct load *l, int64_t began_mono_us)
{
    return !l->report->answered && !l->open && clock_mono_us() - began_mono_us > 5000000;
}

static void run(struct load *l)
{
    int64_t began_mono_us = clock_mono_us();
    l->last_answer_mono_us = began_mono_us;
    while (!is_over(l, began_mono_us) && !is_hopeless(l, began_mono_us))
        turn(l);
    l->stopping = true;
    int64_t grace_mono_us = clock_mono_us() + (int64_t)(l->cfg->grace_s * 1e6);
    while (l->open && clock_mono_us() < grace_mono_us)
        turn(l);
    l->report->unanswered = l->open;
    l->report->seconds = (double)(l->last_answer_mono_us - began_mono_us) / 1e6;
}

bool load_run(const struct load_config *cfg, struct load_report *report)
{
    struct load l = {.cfg = cfg, .report = report, .fixed = make_fixed(cfg)};
    if (!address_parse(cfg->address, &l.to))
        fail("not an address like 127.0.0.1:8420: %s", cfg->address);
    l.fixed_len = strlen(l.fixed);
    l.closed = cfg->connections;
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.conns = xcalloc(cfg->connections, sizeof(*l.conns));
    for (unsigned i = 0; i < cfg->connections; i++)
        l.conns[i].fd = -1;
    run(&l);
    for (unsigned i = 0; i < cfg->connections; i++) {
        fd_close(&l.conns[i].fd);
        buf_release(&l.conns[i].in);
        buf_release(&l.conns[i].request);
    }
    fd_close(&l.epoll);
    free(l.conns);
    free(l.fixed);
    return report->answered > 0;
}
