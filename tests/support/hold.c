#include "tests/support/hold.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/address.h"
#include "tests/support/api.h"
#include "tests/support/fail.h"
#include "tests/support/response.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define EVENTS 256
#define SPARE_FDS 1000 /* the test's own; the daemon needs a few beside its connections, too */

struct holder {
    int fd; /* -1: hung up, or answered */
    struct buf in;
};

struct hold {
    const struct hold_config *cfg;
    struct sockaddr_in to;
    char *url;
    int epoll;
    struct holder **all;
    size_t n, cap;
    size_t dropped; /* none before this one is held */
    size_t count;   /* held */
};

size_t hold_possible(size_t n)
{
    struct rlimit now, want = {.rlim_cur = n + SPARE_FDS, .rlim_max = n + SPARE_FDS};
    if (getrlimit(RLIMIT_NOFILE, &now) != 0)
        fail("getrlimit: errno %d", errno);
    if (want.rlim_max < now.rlim_max)
        want.rlim_max = now.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &want) == 0)
        return n;
    now.rlim_cur = now.rlim_max; /* raising the hard limit takes privileges */
    if (setrlimit(RLIMIT_NOFILE, &now) != 0)
        fail("setrlimit: errno %d", errno);
    return now.rlim_cur >= n + SPARE_FDS    ? n
           : now.rlim_cur > 2UL * SPARE_FDS ? (size_t)now.rlim_cur - SPARE_FDS
                                            : (size_t)now.rlim_cur / 2;
}

struct hold *hold_new(const struct hold_config *cfg)
{
    struct hold *h = xnew(struct hold);
    h->cfg = cfg;
    if (!address_parse(cfg->address, &h->to))
        fail("not an address like 127.0.0.1:8420: %s", cfg->address);
    h->url = text_printf("http://%s", cfg->address);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    return h;
}

static void let_go(struct hold *h, struct holder *c)
{
    if (c->fd >= 0)
        h->count--;
    fd_close(&c->fd);
    buf_release(&c->in);
}

void hold_free(struct hold **h)
{
    struct hold *me = *h;
    for (size_t i = 0; i < me->n; i++) {
        let_go(me, me->all[i]);
        free(me->all[i]);
    }
    fd_close(&me->epoll);
    free(me->all);
    free(me->url);
    free(me);
    *h = NULL;
}

size_t hold_count(const struct hold *h)
{
    return h->count;
}

/* ---- what the daemon says -------------------------------------------------------------------- */

static bool agrees(void *ctx)
{
    const struct hold *h = ctx;
    struct http_reply r = api_get(h->url, "/v1/stats");
    bool same = api_int(r.json, "http.waiters") == (json_int_t)h->count;
    http_reply_release(&r);
    return same;
}

bool hold_agrees(struct hold *h)
{
    return wait_until(agrees, h, WAIT_LONG_MS);
}

/* ---- opening and hanging up ------------------------------------------------------------------ */

static void ask(struct hold *h, struct holder *c, const char *id)
{
    char *text = text_printf("GET /v1/futures/%s?wait=%g HTTP/1.1\r\nHost: %s\r\n\r\n", id,
                             h->cfg->wait_s, h->cfg->address);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket %zu: errno %d (ulimit -n?)", h->n, errno);
    if (connect(c->fd, (struct sockaddr *)&h->to, sizeof(h->to)) != 0 ||
        fd_write_all(c->fd, text, strlen(text)) != 0 ||
        epoll_ctl(h->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        fail("connection %zu: errno %d", h->n, errno);
    free(text);
}

bool hold_add(struct hold *h, size_t n)
{
    for (size_t end = h->n + n; h->n < end; h->n++) {
        if (h->n == h->cap) {
            h->cap = h->cap ? h->cap * 2 : 1024;
            h->all = xrealloc(h->all, h->cap * sizeof(struct holder *));
        }
        h->all[h->n] = xnew(struct holder);
        ask(h, h->all[h->n], h->cfg->ids[h->n % h->cfg->n_ids]);
        h->count++;
    }
    return hold_agrees(h);
}

bool hold_drop(struct hold *h, size_t n)
{
    static const struct linger at_once = {.l_onoff = 1};
    for (; n && h->dropped < h->n; h->dropped++) {
        struct holder *c = h->all[h->dropped];
        if (c->fd < 0)
            continue;
        if (n % 2)
            (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        let_go(h, c);
        n--;
    }
    return hold_agrees(h);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void answered(struct hold *h, struct holder *c, const struct response *r,
                     struct hold_report *out)
{
    const char *expect = h->cfg->expect;
    out->answered++;
    out->last_mono_us = clock_mono_us();
    if (r->status == 200 && memmem(r->body, r->body_len, expect, strlen(expect)))
        out->right++;
    else
        out->wrong = r->status;
    let_go(h, c);
}

static void read_some(struct hold *h, struct holder *c, struct hold_report *out)
{
    char bytes[8192];
    struct response r;
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        out->disconnected++;
        let_go(h, c);
        return;
    }
    buf_put(&c->in, bytes, (size_t)n);
    enum response_state s = response_parse(c->in.data, c->in.len, &r);
    if (s == RESPONSE_BROKEN)
        fail("not an answer: %.200s", c->in.data);
    if (s == RESPONSE_WHOLE)
        answered(h, c, &r, out);
}

void hold_collect(struct hold *h, int timeout_ms, struct hold_report *out)
{
    int64_t deadline_mono_ms = clock_mono_ms() + timeout_ms;
    *out = (struct hold_report){.asked = h->count};
    while (h->count) {
        struct epoll_event events[EVENTS];
        int64_t remaining_ms = deadline_mono_ms - clock_mono_ms();
        if (remaining_ms <= 0)
            break;
        int n = epoll_wait(h->epoll, events, EVENTS, (int)remaining_ms);
        for (int i = 0; i < n; i++)
            read_some(h, events[i].data.ptr, out);
    }
    out->unanswered = h->count;
    for (size_t i = 0; i < h->n; i++)
        let_go(h, h->all[i]);
}
