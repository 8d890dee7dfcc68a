#include "tests/support/notify.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/wait.h"

struct notify {
    int fd;
    char setting[160];
    char text[4096];
};

struct notify *notify_new(const char *dir)
{
    struct notify *n = xnew(struct notify);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int len = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/notify", dir);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (len < 0 || (size_t)len >= sizeof(sa.sun_path) || n->fd < 0 ||
        bind(n->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
        fail("no socket in %s: errno %d", dir, errno);
    (void)snprintf(n->setting, sizeof(n->setting), "NOTIFY_SOCKET=%s", sa.sun_path);
    return n;
}

const char *notify_setting(const struct notify *n)
{
    return n->setting;
}

const char *notify_next(struct notify *n)
{
    struct pollfd p = {n->fd, POLLIN, 0};
    if (poll(&p, 1, WAIT_LONG_MS) != 1)
        fail("nothing was told for a minute; the latest was:\n%s", n->text);
    ssize_t got = recv(n->fd, n->text, sizeof(n->text) - 1, 0);
    if (got < 0)
        fail("recv: errno %d", errno);
    n->text[got] = '\0';
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
    fd_close(&(*n)->fd);
    free(*n);
    *n = NULL;
}
