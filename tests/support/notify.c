#include "tests/support/notify.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/list.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/fail.h"
#include "tests/support/wait.h"

/* A thread of its own empties the socket at once, as systemd does: the kernel keeps few datagrams.
 */
struct message {
    struct list_node link;
    char text[4096];
};

struct notify {
    int fd, end_fd;
    bool is_read;
    pthread_t reader;
    struct mutex mu;
    struct cond came;
    struct list messages; /* guarded by mu: not asked for yet */
    char setting[160];
    char text[4096];
};

static void keep(struct notify *n)
{
    struct message *m = xnew(struct message);
    ssize_t got = recv(n->fd, m->text, sizeof(m->text) - 1, 0);
    if (got < 0)
        fail("recv: errno %d", errno);
    mutex_lock(&n->mu);
    list_push_back(&n->messages, &m->link);
    cond_signal(&n->came);
    mutex_unlock(&n->mu);
}

static void *read_all(void *arg)
{
    struct notify *n = arg;
    struct pollfd p[] = {{n->fd, POLLIN, 0}, {n->end_fd, POLLIN, 0}};
    while (poll(p, 2, -1) < 0 || !p[1].revents) {
        if (p[0].revents)
            keep(n);
    }
    return NULL;
}

struct notify *notify_new_unread(const char *dir)
{
    struct notify *n = xnew(struct notify);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int len = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/notify", dir);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (len < 0 || (size_t)len >= sizeof(sa.sun_path) || n->fd < 0 ||
        bind(n->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
        fail("no socket in %s: errno %d", dir, errno);
    (void)snprintf(n->setting, sizeof(n->setting), "NOTIFY_SOCKET=%s", sa.sun_path);
    mutex_init(&n->mu);
    cond_init(&n->came);
    list_init(&n->messages);
    n->end_fd = fd_wake_new();
    return n;
}

struct notify *notify_new(const char *dir)
{
    struct notify *n = notify_new_unread(dir);
    n->is_read = true;
    thread_start(&n->reader, "notify", read_all, n);
    return n;
}

const char *notify_setting(const struct notify *n)
{
    return n->setting;
}

const char *notify_next(struct notify *n)
{
    int64_t until_us = clock_mono_us() + (int64_t)WAIT_LONG_MS * 1000;
    struct list_node *node;
    mutex_lock(&n->mu);
    while (!(node = list_pop_front(&n->messages))) {
        if (!cond_wait_until(&n->came, &n->mu, until_us))
            fail("nothing was told for a minute; the latest was:\n%s", n->text);
    }
    mutex_unlock(&n->mu);
    struct message *m = FUT_CONTAINER(node, struct message, link);
    (void)snprintf(n->text, sizeof(n->text), "%s", m->text);
    free(m);
    return n->text;
}

const char *notify_wait(struct notify *n, const char *needle)
{
    const char *text;
    do
        text = notify_next(n);
    while (!strstr(text, needle));
    return text;
}

void notify_free(struct notify **n)
{
    if (!*n)
        return;
    struct list_node *node;
    fd_wake((*n)->end_fd);
    if ((*n)->is_read)
        thread_join((*n)->reader);
    while ((node = list_pop_front(&(*n)->messages)) != NULL)
        free(FUT_CONTAINER(node, struct message, link));
    fd_close(&(*n)->fd);
    fd_close(&(*n)->end_fd);
    cond_destroy(&(*n)->came);
    mutex_destroy(&(*n)->mu);
    free(*n);
    *n = NULL;
}
