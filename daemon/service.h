/* service: what the daemon tells systemd: ready, stopping, one line of status, that it is alive,
 * and that it needs more time. Without NOTIFY_SOCKET in the environment nothing is sent and nothing
 * ticks. Main thread only; a call blocks for one datagram. */
#ifndef FUT_DAEMON_SERVICE_H
#define FUT_DAEMON_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

struct house;

struct service {
    bool is_heard;         /* somebody listens */
    bool has_watchdog;     /* somebody ends us when we are not alive */
    int64_t tick_ms;       /* between two ticks; -1: none are needed */
    int64_t stuck_mono_ms; /* since when a room has not moved; 0: all move */
    bool is_refused;       /* the latest reload; part of the status until one succeeds */
    char status[200];      /* the latest that was told */
};

/* Reads the environment. */
struct service service_new(void);
/* "READY=1", and the first status. */
void service_ready(struct service *s, struct house *h);
/* Tells the status when it has changed and, when every room has moved since the last tick, feeds
 * the watchdog. To be called every tick_ms. */
void service_tick(struct service *s, struct house *h);
/* "RELOADING=1" and, when it is over, "READY=1" again. */
void service_reloading(void);
void service_reloaded(struct service *s, struct house *h, bool is_in_force);
/* "STOPPING=1". */
void service_stopping(void);
/* What is going on while nobody ticks, and that it may take so long from now: systemd's own
 * time-outs are put off by that much. */
void service_busy(const char *doing, int64_t budget_ms);

#endif
