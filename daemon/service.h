/* service: what systemd, or anybody who speaks its protocols, hands over, and what it is told:
 * ready, stopping, one line of status, that we are alive, and that we need more time. Without
 * NOTIFY_SOCKET in the environment nothing is sent. Main thread only. Nothing blocks: a datagram
 * that the socket does not take at once is dropped, and the next tick sends what still matters. */
#ifndef FUT_DAEMON_SERVICE_H
#define FUT_DAEMON_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/server.h"
#include "core/err.h"

struct service {
    bool has_watchdog;     /* somebody ends us when we are not alive */
    int64_t tick_ms;       /* between two ticks */
    int64_t stuck_mono_ms; /* since when a module has given no sign of life; 0: all do */
    bool is_refused;       /* the latest reload; part of the status until one succeeds */
    bool is_ready;         /* READY=1 is to be said until the socket has taken it */
    bool said_ready;
    char status[200]; /* the latest that the socket took */
};

/* Reads the environment and opens a socket of our own to NOTIFY_SOCKET. */
struct service service_new(void);
/* Says "READY=1", again at each tick until the socket takes it. */
void service_ready(struct service *s);
/* To be called every tick_ms. stuck: the module that gave no sign of life since the tick before, or
 * NULL, which feeds the watchdog. status: one line. Says the status when it has changed, and logs a
 * module that is stuck or lives again. */
void service_tick(struct service *s, const char *stuck, const char *status);
/* Says "RELOADING=1", which "READY=1" ends (service_reloaded). */
void service_reloading(void);
/* Says "READY=1"; is_in_force: the reload succeeded, else the status says that it was refused. */
void service_reloaded(struct service *s, bool is_in_force);
/* Says "STOPPING=1". */
void service_stopping(void);
/* Says what goes on while nobody ticks, and that it may take budget_ms from now: systemd's own
 * time-outs are extended by that much. */
void service_busy(const char *doing, int64_t budget_ms);

/* Listening sockets that were handed over (futured.socket). */
struct sockets {
    int fds[API_LISTENERS_MAX]; /* close-on-exec */
    size_t n;                   /* 0: none were handed over, and FUTURED_LISTEN is in force */
    int kept_fd;        /* of FUTURED_LISTEN, from before this process began again; 0: none */
    char *kept_address; /* that it was then */
};

/* Takes what LISTEN_FDS tells of and removes it from the environment; before the fork server
 * starts. FUT_ERR_INVAL: too many. */
FUT_MUST_CHECK int service_take_sockets(struct sockets *out, struct fut_errbuf *err);

#endif
