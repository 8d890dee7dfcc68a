/* sockets: listening sockets that systemd (futured.socket), or anybody who speaks its protocol,
 * hands over. Main thread, before the fork server. */
#ifndef FUT_DAEMON_SOCKETS_H
#define FUT_DAEMON_SOCKETS_H

#include "api/server.h"
#include "core/err.h"

struct sockets {
    int fds[API_LISTENERS_MAX]; /* close-on-exec */
    size_t n;                   /* 0: none were handed over, and FUTURED_LISTEN is in force */
};

/* Takes what LISTEN_FDS tells of and removes it from the environment. FUT_ERR_INVAL: too many. */
FUT_MUST_CHECK int sockets_take(struct sockets *out, struct fut_errbuf *err);

#endif
