/* listen: makes the listening socket from a configured address. Blocks for a name lookup at most;
 * called at start by main only. */
#ifndef FUT_API_HTTP_LISTEN_H
#define FUT_API_HTTP_LISTEN_H

#include <stdbool.h>

#include "core/err.h"

#define LISTEN_ADDRESS_SIZE 160

struct listener {
    int fd;                            /* non-blocking, close-on-exec; -1 when closed */
    bool is_local;                     /* a unix socket or a loopback address */
    bool is_unix;                      /* a unix socket, which no browser connects to */
    char address[LISTEN_ADDRESS_SIZE]; /* for people and tests, with the real port */
    char *unix_path;                   /* to be unlinked at the end; NULL when none or inherited */
};

/* where: "host:port", "[v6]:port", ":port" (all addresses), "unix:/path". A unix socket that nobody
 * listens on any more is replaced. 0, or FUT_ERR_INVAL / IO / BUSY (in use) and a sentence in err.
 */
FUT_MUST_CHECK int listen_open(const char *where, struct listener *out, struct fut_errbuf *err);
/* Takes over a descriptor that listens already. */
FUT_MUST_CHECK int listen_adopt(int fd, struct listener *out, struct fut_errbuf *err);
/* Likewise one that listen_open has made for this address. */
FUT_MUST_CHECK int listen_keep(int fd, const char *where, struct listener *out,
                               struct fut_errbuf *err);
/* Closes and unlinks. Nothing happens when closed. */
void listen_close(struct listener *l);

#endif
