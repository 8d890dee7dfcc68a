#include "tests/support/receiver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/fail.h"
#include "tests/support/wait.h"

#define KEPT 8
#define REQUEST_SIZE 65536

struct receiver {
    int listener;
    unsigned port;
    bool keeps_open;
    bool is_silent; /* guarded by mu */
    pthread_t thread;
    struct mutex mu;
    int connection;                /* guarded by mu: the open one, -1 none */
    int refuse;                    /* guarded by mu */
    const char *refusal;           /* guarded by mu: as bytes; NULL: 500 */
    int connections, requests;     /* guarded by mu */
    char kept[KEPT][REQUEST_SIZE]; /* guarded by mu until it is counted, then for good */
};

static bool answer(struct receiver *r, int fd, const char *request)
{
    static const char *const answers[2][2] = {
        {"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
         "HTTP/1.1 500 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"},
        {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"},
    };
    mutex_lock(&r->mu);
    bool refuse = r->refuse > 0;
    const char *own = refuse ? r->refusal : NULL;
    r->refuse -= refuse;
    if (r->requests < KEPT)
        (void)snprintf(r->kept[r->requests], REQUEST_SIZE, "%s", request);
    r->requests++;
    bool is_silent = r->is_silent;
    mutex_unlock(&r->mu);
    if (is_silent)
        return true;
    const char *text = own ? own : answers[r->keeps_open][refuse];
    return fd_write_all(fd, text, strlen(text)) == 0 && r->keeps_open && !own;
}

static bool is_whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n"), *length = strstr(request, "Content-Length: ");
    return end && length && strlen(end + 4) >= strtoul(length + 16, NULL, 10);
}

static void serve_connection(struct receiver *r, int fd)
{
    char in[REQUEST_SIZE];
    size_t len = 0;
    bool more = true;
    for (ssize_t n; more && (n = recv(fd, in + len, sizeof(in) - 1 - len, 0)) > 0;) {
        len += (size_t)n;
        in[len] = '\0';
        if (!is_whole(in))
            continue;
        more = answer(r, fd, in);
        len = 0;
    }
}

static void open_connection(struct receiver *r, int fd)
{
    mutex_lock(&r->mu);
    r->connection = fd;
    r->connections++;
    mutex_unlock(&r->mu);
}

static void close_connection(struct receiver *r)
{
    mutex_lock(&r->mu);
    fd_close(&r->connection);
    mutex_unlock(&r->mu);
}

static void *serve(void *receiver)
{
    struct receiver *r = receiver;
    for (int fd; (fd = accept(r->listener, NULL, NULL)) >= 0;) {
        open_connection(r, fd);
        serve_connection(r, fd);
        close_connection(r);
    }
    return NULL;
}

struct receiver *receiver_start(bool keeps_open)
{
    struct receiver *r = xnew(struct receiver);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    r->keeps_open = keeps_open;
    r->connection = -1;
    mutex_init(&r->mu);
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->listener < 0 || bind(r->listener, (struct sockaddr *)&at, n) != 0 ||
        listen(r->listener, 64) != 0 || getsockname(r->listener, (struct sockaddr *)&at, &n) != 0)
        fail("cannot listen on loopback");
    r->port = ntohs(at.sin_port);
    thread_start(&r->thread, "receiver", serve, r);
    return r;
}

void receiver_stop(struct receiver **rp)
{
    struct receiver *r = *rp;
    if (!r)
        return;
    *rp = NULL;
    (void)shutdown(r->listener, SHUT_RDWR);
    mutex_lock(&r->mu);
    if (r->connection >= 0)
        (void)shutdown(r->connection, SHUT_RDWR);
    mutex_unlock(&r->mu);
    thread_join(r->thread);
    fd_close(&r->listener);
    mutex_destroy(&r->mu);
    free(r);
}

unsigned receiver_port(const struct receiver *r)
{
    return r->port;
}

void receiver_answer(struct receiver *r, int n, const char *bytes)
{
    mutex_lock(&r->mu);
    r->refuse = n;
    r->refusal = bytes;
    mutex_unlock(&r->mu);
}

void receiver_silence(struct receiver *r)
{
    mutex_lock(&r->mu);
    r->is_silent = true;
    mutex_unlock(&r->mu);
}

void receiver_refuse(struct receiver *r, int n)
{
    receiver_answer(r, n, NULL);
}

static int read_count(struct receiver *r, const int *count)
{
    mutex_lock(&r->mu);
    int n = *count;
    mutex_unlock(&r->mu);
    return n;
}

int receiver_requests(struct receiver *r)
{
    return read_count(r, &r->requests);
}

int receiver_connections(struct receiver *r)
{
    return read_count(r, &r->connections);
}

struct awaited {
    struct receiver *r;
    int requests;
};

static bool has_come(void *awaited)
{
    const struct awaited *a = awaited;
    return receiver_requests(a->r) >= a->requests;
}

void receiver_wait(struct receiver *r, int requests)
{
    if (!wait_until(has_come, &(struct awaited){r, requests}, WAIT_LONG_MS))
        fail("request %d did not come within a minute", requests);
}

const char *receiver_request(const struct receiver *r, int i)
{
    return r->kept[i];
}

const char *receiver_body(const struct receiver *r, int i)
{
    return strstr(r->kept[i], "\r\n\r\n") + 4;
}

const char *receiver_header(const struct receiver *r, int i, const char *name, char out[256])
{
    const char *at = strcasestr(r->kept[i], name);
    if (!at)
        return NULL;
    at += strlen(name) + 2;
    (void)snprintf(out, 256, "%.*s", (int)strcspn(at, "\r"), at);
    return out;
}
