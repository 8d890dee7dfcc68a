#include "daemon/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

#define TICK_MS 2000 /* the status is not older; the watchdog may want less */
#define MESSAGE_MAX 512

static const char refused[] = "; the latest reload was refused, the journal says why";

/* sd_notify blocks while nobody empties the socket (by default the kernel keeps 10 datagrams); so
 * the socket is ours, and does not block. */
static struct {
    int sock;
    struct sockaddr_un to;
    socklen_t to_len;
} notify = {.sock = -1};

/* "/path", or "@name" of the abstract name space. */
static void open_notify(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(notify.to.sun_path) || (*path != '/' && *path != '@'))
        return;
    notify.to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(notify.to.sun_path, path, n);
    if (*path == '@')
        notify.to.sun_path[0] = '\0';
    notify.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path == '/'));
    notify.sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool say(const char *fmt, ...) FUT_PRINTF(1, 2);

/* False: the socket is full, or there is none. */
static bool say(const char *fmt, ...)
{
    char text[MESSAGE_MAX];
    va_list ap;
    if (notify.sock < 0)
        return false;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    return n > 0 && sendto(notify.sock, text, len, MSG_NOSIGNAL,
                           (const struct sockaddr *)&notify.to, notify.to_len) == (ssize_t)len;
}

struct service service_new(void)
{
    struct service s = {.tick_ms = TICK_MS};
    uint64_t watchdog_us = 0;
    open_notify();
    s.has_watchdog = notify.sock >= 0 && sd_watchdog_enabled(0, &watchdog_us) > 0;
    /* Four chances within the time, so that one slow commit is no death. */
    if (s.has_watchdog && (int64_t)(watchdog_us / 4000) < TICK_MS)
        s.tick_ms = (int64_t)(watchdog_us / 4000) + 1;
    return s;
}

static void say_status(struct service *s, const char *status)
{
    if (strcmp(s->status, status) != 0 && say("STATUS=%s", status))
        (void)snprintf(s->status, sizeof(s->status), "%s", status);
}

static void say_ready(struct service *s)
{
    if (s->is_ready && !s->said_ready)
        s->said_ready = say("READY=1");
}

void service_ready(struct service *s)
{
    s->is_ready = true;
    s->said_ready = false;
    say_ready(s);
}

/* Said at each tick: whoever reads the journal later sees how long it took. */
static void say_stuck(struct service *s, const char *module)
{
    char status[sizeof(s->status)];
    int64_t now = clock_mono_ms();
    if (!s->stuck_mono_ms) {
        s->stuck_mono_ms = now;
        log_error("stuck", LOG_STR("module", module));
    }
    (void)snprintf(status, sizeof(status), "%s does not move since %" PRId64 " ms", module,
                   now - s->stuck_mono_ms);
    say_status(s, status);
}

void service_tick(struct service *s, const char *stuck, const char *status)
{
    char text[sizeof(s->status)];
    say_ready(s);
    if (stuck) {
        say_stuck(s, stuck);
        return;
    }
    if (s->stuck_mono_ms)
        log_info("moves_again", LOG_INT("ms", clock_mono_ms() - s->stuck_mono_ms));
    s->stuck_mono_ms = 0;
    if (s->has_watchdog)
        (void)say("WATCHDOG=1");
    (void)snprintf(text, sizeof(text), "%s%s", status, s->is_refused ? refused : "");
    say_status(s, text);
}

/* Type=notify-reload wants to know when the reload began, by the monotonic clock. */
void service_reloading(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)say("RELOADING=1\nMONOTONIC_USEC=%" PRId64,
              (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void service_reloaded(struct service *s, bool is_in_force)
{
    s->is_refused = !is_in_force;
    service_ready(s);
}

void service_stopping(void)
{
    (void)say("STOPPING=1");
}

void service_busy(const char *doing, int64_t budget_ms)
{
    (void)say("STATUS=%s\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC=%" PRId64, doing, budget_ms * 1000);
}

int service_take_sockets(struct sockets *out, struct fut_errbuf *err)
{
    int n = sd_listen_fds(1);
    if (n < 0)
        return fut_fail(err, FUT_ERR_INVAL, "LISTEN_FDS cannot be understood: %s", strerror(-n));
    if (n > API_LISTENERS_MAX)
        return fut_fail(err, FUT_ERR_INVAL, "%d sockets were handed over (LISTEN_FDS), %d may be",
                        n, API_LISTENERS_MAX);
    for (; out->n < (size_t)n; out->n++)
        out->fds[out->n] = SD_LISTEN_FDS_START + (int)out->n;
    return 0;
}
