#include "workers/fork/messages.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
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
        head.line = what->line;
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
    if (head->line > FORK_LINES || !out->path || !out->cwd || !out->argv || !out->env ||
        at != end || head->argc == 0)
        return FUT_ERR_INVAL;
    if (!head->has_cwd)
        out->cwd = NULL;
    out->is_local = head->is_local != 0;
    out->limits = head->limits;
    out->kill_grace_ms = head->kill_grace_ms;
    return 0;
}

/* ---- events ---- */

#define GATHER_MS 2

static struct {
    int sock;
    struct fork_event *items; /* not sent yet */
    size_t n, cap;
    int64_t due_mono_ms; /* of the first of them */
    bool is_blocked;
} events = {.sock = -1};

void message_init(int sock)
{
    events.sock = sock;
    events.n = 0;
    events.is_blocked = false;
}

static void keep(const struct fork_event *ev)
{
    if (events.n == events.cap) {
        events.cap = events.cap ? events.cap * 2 : MESSAGE_EVENTS_MAX;
        events.items = xrealloc(events.items, events.cap * sizeof(*events.items));
    }
    events.items[events.n++] = *ev;
}

static size_t send_some(void)
{
    size_t n = events.n < MESSAGE_EVENTS_MAX ? events.n : MESSAGE_EVENTS_MAX;
    ssize_t sent =
        send(events.sock, events.items, n * sizeof(*events.items), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent >= 0 || errno != EAGAIN ? n : 0; /* other errors: the daemon is gone, recv tells */
}

void message_send_kept(void)
{
    size_t sent = 0;
    events.is_blocked = false;
    while (events.n && (sent = send_some()) > 0) {
        events.n -= sent;
        memmove(events.items, events.items + sent, events.n * sizeof(*events.items));
    }
    events.is_blocked = events.n > 0;
}

void message_send(const struct fork_event *ev)
{
    keep(ev);
    if (!events.is_blocked)
        message_send_kept();
}

void message_gather(const struct fork_event *ev)
{
    if (!events.n)
        events.due_mono_ms = clock_mono_ms() + GATHER_MS;
    if (events.n + 1 >= MESSAGE_EVENTS_MAX)
        message_send(ev);
    else
        keep(ev);
}

bool message_is_blocked(void)
{
    return events.is_blocked;
}

int message_timeout_ms(void)
{
    if (!events.n || events.is_blocked)
        return -1;
    int64_t remaining_ms = events.due_mono_ms - clock_mono_ms();
    return remaining_ms > 0 ? (int)remaining_ms : 0;
}
