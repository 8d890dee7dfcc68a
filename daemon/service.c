#include "daemon/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/boot.h"

static const char refused[] = "; the latest reload was refused, the journal says why";

#define TICK_MS 2000 /* a status that is not older; the watchdog may want less */

struct service service_new(void)
{
    struct service s = {.is_heard = getenv("NOTIFY_SOCKET") != NULL, .tick_ms = -1};
    uint64_t watchdog_us = 0;
    if (!s.is_heard)
        return s;
    s.tick_ms = TICK_MS;
    s.has_watchdog = sd_watchdog_enabled(0, &watchdog_us) > 0;
    /* Four chances within the time, so that one slow commit is no death. */
    if (s.has_watchdog && (int64_t)(watchdog_us / 4000) < TICK_MS)
        s.tick_ms = (int64_t)(watchdog_us / 4000) + 1;
    return s;
}

static void tell_status(struct service *s, const char *status)
{
    if (strcmp(s->status, status) == 0)
        return;
    (void)snprintf(s->status, sizeof(s->status), "%s", status);
    (void)sd_notifyf(0, "STATUS=%s", status);
}

void service_ready(struct service *s, struct house *h)
{
    if (!s->is_heard)
        return;
    (void)sd_notify(0, "READY=1");
    service_tick(s, h);
}

/* Told at each tick: whoever reads the journal later sees how long it took. */
static void tell_stuck(struct service *s, const char *room)
{
    char status[sizeof(s->status)];
    int64_t now = clock_mono_ms();
    if (!s->stuck_mono_ms) {
        s->stuck_mono_ms = now;
        log_error("stuck", LOG_STR("room", room));
    }
    (void)snprintf(status, sizeof(status), "%s does not move since %" PRId64 " ms", room,
                   now - s->stuck_mono_ms);
    tell_status(s, status);
}

static void tell_well(struct service *s, const struct house *h)
{
    char status[sizeof(s->status)];
    if (s->stuck_mono_ms)
        log_info("moves_again", LOG_INT("ms", clock_mono_ms() - s->stuck_mono_ms));
    s->stuck_mono_ms = 0;
    if (s->has_watchdog)
        (void)sd_notify(0, "WATCHDOG=1");
    house_describe(h, status, sizeof(status));
    if (s->is_refused)
        (void)snprintf(status + strlen(status), sizeof(status) - strlen(status), "%s", refused);
    tell_status(s, status);
}

void service_tick(struct service *s, struct house *h)
{
    if (!s->is_heard)
        return;
    const char *stuck = house_stuck_room(h);
    if (stuck)
        tell_stuck(s, stuck);
    else
        tell_well(s, h);
}

void service_reloading(void)
{
    (void)sd_notify(0, "RELOADING=1");
}

void service_reloaded(struct service *s, struct house *h, bool is_in_force)
{
    s->is_refused = !is_in_force;
    service_ready(s, h);
}

void service_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

void service_busy(const char *doing, int64_t budget_ms)
{
    (void)sd_notifyf(0, "STATUS=%s\nEXTEND_TIMEOUT_USEC=%" PRId64, doing, budget_ms * 1000);
}
