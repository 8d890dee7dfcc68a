#include "workers/fork/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/list.h"
#include "core/mem.h"

/* ---- requests ---- */

static uint32_t put_list(struct buf *out, const char *const *list)
{
    uint32_t n = 0;
    for (; list[n]; n++)
        buf_put(out, list[n], strlen(list[n]) + 1);
    return n;
}

int message_encode(struct buf *out, struct fork_request head, const struct fork_exec *what)
{
    size_t at = out->len;
    buf_put(out, &head, sizeof(head));
    if (what) {
        const char *cwd = what->cwd ? what->cwd : "";
        buf_put(out, what->path, strlen(what->path) + 1);
        buf_put(out, cwd, strlen(cwd) + 1);
        head.has_cwd = what->cwd != NULL;
        head.is_local = what->is_local;
        head.behind = what->behind;
        head.limits = what->limits;
        head.kill_grace_ms = what->kill_grace_ms;
        head.argc = put_list(out, what->argv);
        head.envc = put_list(out, what->env);
        memcpy(out->data + at, &head, sizeof(head));
    }
    if (out->len - at <= FORK_MESSAGE_MAX_BYTES)
        return 0;
    out->len = at;
    return FUT_ERR_TOO_BIG;
}

/* The next string of the message, or NULL when it has ended. */
static const char *next_string(const char **at, const char *end)
{
    const char *s = *at;
    const char *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;
    if (nul)
        *at = nul + 1;
    return nul ? s : NULL;
}

static const char *const *next_list(const char **at, const char *end, uint32_t n, struct arena *a)
{
    if (n > FORK_MESSAGE_MAX_BYTES)
        return NULL;
    const char **list = arena_alloc(a, (n + 1) * sizeof(*list));
    for (uint32_t i = 0; i < n; i++) {
        list[i] = next_string(at, end);
        if (!list[i])
            return NULL;
    }
    return list;
}

int message_decode(const char *bytes, size_t n, struct arena *a, struct fork_request *head,
                   struct fork_exec *out)
{
    if (n < sizeof(*head))
        return FUT_ERR_INVAL;
    memcpy(head, bytes, sizeof(*head));
    if (head->verb != FORK_SPAWN_EXEC)
        return n == sizeof(*head) ? 0 : FUT_ERR_INVAL;
    const char *at = bytes + sizeof(*head), *end = bytes + n;
    out->path = next_string(&at, end);
    out->cwd = next_string(&at, end);
    out->argv = next_list(&at, end, head->argc, a);
    out->env = next_list(&at, end, head->envc, a);
    if (!out->path || !out->cwd || !out->argv || !out->env || at != end || head->argc == 0)
        return FUT_ERR_INVAL;
    if (!head->has_cwd)
        out->cwd = NULL;
    out->is_local = head->is_local != 0;
    out->limits = head->limits;
    out->kill_grace_ms = head->kill_grace_ms;
    return 0;
}

/* ---- events ---- */

struct event_message {
    struct list_node link;
    struct fork_event event;
};

static struct {
    int sock;
    struct list waiting;
} events = {.sock = -1};

void message_init(int sock)
{
    events.sock = sock;
    list_init(&events.waiting);
}

static bool send_now(const struct fork_event *ev)
{
    ssize_t n = send(events.sock, ev, sizeof(*ev), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n >= 0 || errno != EAGAIN; /* any other error: the daemon is gone, recv will tell */
}

void message_send(const struct fork_event *ev)
{
    if (list_is_empty(&events.waiting) && send_now(ev))
        return;
    struct event_message *a = xnew(struct event_message);
    a->event = *ev;
    list_push_back(&events.waiting, &a->link);
}

void message_send_waiting(void)
{
    for (struct list_node *n; (n = list_first(&events.waiting)) != NULL;) {
        struct event_message *a = FUT_CONTAINER(n, struct event_message, link);
        if (!send_now(&a->event))
            return;
        list_remove(&events.waiting, n);
        free(a);
    }
}

bool message_is_waiting(void)
{
    return !list_is_empty(&events.waiting);
}
