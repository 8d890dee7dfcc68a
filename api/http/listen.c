#include "api/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"

#define BACKLOG 4096
#define UNIX_PREFIX "unix:"

static int failed(struct fut_errbuf *err, const char *where, const char *what)
{
    int rc = errno == EADDRINUSE ? FUT_ERR_BUSY : FUT_ERR_IO;
    return fut_fail(err, rc, "cannot listen on %s: %s: %s", where, what, strerror(errno));
}

/* Writes "1.2.3.4:80", "[::1]:80" or "unix:/path". */
static void describe(int fd, char out[LISTEN_ADDRESS_SIZE])
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);
    char host[64], port[16];
    (void)snprintf(out, LISTEN_ADDRESS_SIZE, "fd:%d", fd);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return;
    if (ss.ss_family == AF_UNIX) {
        (void)snprintf(out, LISTEN_ADDRESS_SIZE, UNIX_PREFIX "%s",
                       ((struct sockaddr_un *)(void *)&ss)->sun_path);
        return;
    }
    if (getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        (void)snprintf(out, LISTEN_ADDRESS_SIZE, ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
                       host, port);
}

/* Fills address, is_local and is_unix from the descriptor. */
static void look_at(struct listener *l)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);
    describe(l->fd, l->address);
    if (getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0)
        return;
    l->is_unix = ss.ss_family == AF_UNIX;
    l->is_local = l->is_unix;
    if (ss.ss_family == AF_INET6)
        l->is_local = IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)(void *)&ss)->sin6_addr);
    if (ss.ss_family == AF_INET)
        l->is_local = ntohl(((struct sockaddr_in *)(void *)&ss)->sin_addr.s_addr) >> 24 == 127;
}

/* Binds a new socket to this address and listens. errno tells the reason. */
static int bind_socket(const struct sockaddr *sa, socklen_t len, const char **out_what)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    *out_what = "socket";
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* a help, no need */
    *out_what = "bind";
    if (bind(fd, sa, len) == 0) {
        *out_what = "listen";
        if (listen(fd, BACKLOG) == 0)
            return fd;
    }
    int saved = errno;
    fd_close(&fd);
    errno = saved;
    return -1;
}

/* ---- unix sockets ---------------------------------------------------------------------------- */

/* Removes the socket of a daemon that is gone. */
static int clear_stale(const struct sockaddr_un *sa, struct fut_errbuf *err, const char *where)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return fut_fail(err, FUT_ERR_INVAL,
                        "cannot listen on %s: a file that is no socket is there", where);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0;
    bool is_stale = !is_alive && errno == ECONNREFUSED;
    fd_close(&fd);
    if (is_alive)
        return fut_fail(err, FUT_ERR_BUSY, "cannot listen on %s: another process does", where);
    if (is_stale)
        (void)unlink(sa->sun_path); /* bind will tell */
    return 0;
}

static int open_unix(const char *where, struct listener *out, struct fut_errbuf *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = where + strlen(UNIX_PREFIX), *what;
    size_t n = strlen(path);
    if (*path != '/' || n >= sizeof(sa.sun_path))
        return fut_fail(
            err, FUT_ERR_INVAL,
            "cannot listen on %s: the path must begin with / and have at most %zu bytes", where,
            sizeof(sa.sun_path) - 1);
    memcpy(sa.sun_path, path, n + 1);
    int rc = clear_stale(&sa, err, where);
    if (rc != 0)
        return rc;
    int fd = bind_socket((struct sockaddr *)&sa, sizeof(sa), &what);
    if (fd < 0)
        return failed(err, where, what);
    *out = (struct listener){.fd = fd, .unix_path = xstrdup(path)};
    return 0;
}

/* ---- TCP ------------------------------------------------------------------------------------- */

/* Splits "host:port" and "[v6]:port"; false when it is neither. */
static bool split(const char *where, char *host, size_t cap, const char **out_port)
{
    const char *colon = strrchr(where, ':');
    size_t n = colon ? (size_t)(colon - where) : 0;
    if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strtol(colon + 1, NULL, 10) > 65535)
        return false;
    if (n >= 2 && where[0] == '[' && where[n - 1] == ']') {
        where++;
        n -= 2;
    } else if (memchr(where, ':', n)) {
        return false;
    }
    if (n >= cap)
        return false;
    memcpy(host, where, n);
    host[n] = '\0';
    *out_port = colon + 1;
    return true;
}

static int open_tcp(const char *where, struct listener *out, struct fut_errbuf *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char host[256];
    const char *port, *what = "bind";
    if (!split(where, host, sizeof(host), &port))
        return fut_fail(err, FUT_ERR_INVAL,
                        "cannot listen on \"%s\": it must be host:port, [v6]:port or unix:/path",
                        where);
    bool any = !*host || strcmp(host, "*") == 0;
    int rc = getaddrinfo(any ? NULL : host, port, &hints, &list);
    if (rc != 0)
        return fut_fail(err, FUT_ERR_INVAL, "cannot listen on %s: %s", where, gai_strerror(rc));
    int fd = -1;
    for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = bind_socket(ai->ai_addr, ai->ai_addrlen, &what);
    int saved = errno;
    freeaddrinfo(list);
    errno = saved;
    if (fd < 0)
        return failed(err, where, what);
    *out = (struct listener){.fd = fd};
    return 0;
}

int listen_open(const char *where, struct listener *out, struct fut_errbuf *err)
{
    bool is_unix = strncmp(where, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
    struct listener l = {.fd = -1};
    int rc = is_unix ? open_unix(where, &l, err) : open_tcp(where, &l, err);
    if (rc != 0)
        return rc;
    look_at(&l);
    *out = l;
    return 0;
}

int listen_adopt(int fd, struct listener *out, struct fut_errbuf *err)
{
    int is_listening = 0;
    socklen_t len = sizeof(is_listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) != 0 || !is_listening)
        return fut_fail(err, FUT_ERR_INVAL, "the inherited descriptor %d is no listening socket",
                        fd);
    if (fd_set_nonblock(fd) != 0)
        return fut_fail(err, FUT_ERR_IO, "cannot use the inherited descriptor %d: %s", fd,
                        strerror(errno));
    *out = (struct listener){.fd = fd};
    look_at(out);
    return 0;
}

int listen_keep(int fd, const char *where, struct listener *out, struct fut_errbuf *err)
{
    int rc = listen_adopt(fd, out, err);
    if (rc == 0 && out->is_unix)
        out->unix_path = xstrdup(where + strlen(UNIX_PREFIX));
    return rc;
}

void listen_close(struct listener *l)
{
    fd_close(&l->fd);
    if (l->unix_path)
        (void)unlink(l->unix_path);
    free(l->unix_path);
    l->unix_path = NULL;
}
