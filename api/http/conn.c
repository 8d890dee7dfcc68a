#include "api/http/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "api/http/loop.h"
#include "api/http/pending.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "core/mem.h"

#define LOOKS 3 /* rounds for the library to work off what it has read: 100 Continue takes two */

struct http_conn *http_conn_new(struct http_loop *l, int fd)
{
    struct http_conn *c = xnew(struct http_conn);
    struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = c};
    c->fd = fd;
    c->is_watched = epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0;
    return c;
}

void http_conn_limit_silence(struct http_conn *c, int64_t ms)
{
    unsigned limit_ms = ms < INT32_MAX ? (unsigned)ms : INT32_MAX;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms));
}

/* The library closes the socket, which ends the watch. */
void http_conn_free(struct http_loop *l, struct http_conn **c)
{
    if (list_is_linked(&(*c)->ending))
        list_remove(&l->ending, &(*c)->ending);
    free(*c);
    *c = NULL;
}

void http_conn_hide_query(struct http_conn *c, const char *uri)
{
    c->uri = uri;
    c->uri_len = uri ? strlen(uri) : 0;
    const char *mark = uri ? strchr(uri, '?') : NULL;
    c->query = mark ? (char *)(uintptr_t)(mark + 1) : NULL;
    if (!c->query)
        return;
    c->query_start = c->query[0];
    c->query[0] = '\0';
}

const char *http_conn_take_query(struct http_conn *c)
{
    if (c->query)
        c->query[0] = c->query_start;
    return c->query;
}

/* ---- the end of what comes ------------------------------------------------------------------- */

/* With TLS the library reads until there is nothing, and misses no end. */
static void look_after(struct http_loop *l, struct http_conn *c)
{
    if (l->api->cfg.tls_cert_pem)
        return;
    c->looks = 0;
    if (!list_is_linked(&c->ending))
        list_push_back(&l->ending, &c->ending);
}

void http_conn_end(struct http_loop *l, struct http_conn *c)
{
    bool is_news = !c->is_ended;
    c->is_ended = true;
    const struct request *r = c->request;
    if (r && (r->state == REQUEST_ASLEEP || r->state == REQUEST_WAKING))
        pending_hang_up(c->request);
    else if (is_news)
        look_after(l, c);
}

void http_conn_completed(struct http_loop *l, struct http_conn *c)
{
    c->request = NULL;
    if (c->is_ended)
        look_after(l, c);
}

static bool is_being_answered(const struct http_conn *c)
{
    return c->request && (c->request->is_complete || c->request->status);
}

static bool has_unread(const struct http_conn *c)
{
    int n = 0;
    return ioctl(c->fd, FIONREAD, &n) == 0 && n > 0;
}

/* What the library knows of the connection is the beginning of a request, or nothing. Both sides
 * closed is an event for the library, which then closes the connection. */
static bool has_to_wait(struct http_conn *c)
{
    if (has_unread(c))
        c->looks = 0;
    else if (++c->looks == LOOKS)
        (void)shutdown(c->fd, SHUT_RDWR);
    return c->looks < LOOKS;
}

void http_conn_close_ended(struct http_loop *l)
{
    struct list all;
    struct list_node *n;
    list_init(&all);
    list_take_all(&all, &l->ending);
    while ((n = list_pop_front(&all))) {
        struct http_conn *c = FUT_CONTAINER(n, struct http_conn, ending);
        if (!is_being_answered(c) && has_to_wait(c)) /* else its completion comes back here */
            list_push_back(&l->ending, n);
    }
}
