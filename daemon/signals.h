/* signals: SIGTERM, SIGINT and SIGHUP, as numbers that come out of a pipe. Handlers run on the main
 * thread, whatever it is doing: every other thread has all signals blocked (core/sync).
 *
 * The first SIGTERM or SIGINT gives the main thread some time to begin the drain (signals_deadline
 * extends it step by step); after that, or at the second one, the process ends at once, which is as
 * safe as kill -9. So no thread that hangs can keep the process alive. */
#ifndef FUT_DAEMON_SIGNALS_H
#define FUT_DAEMON_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* Installs the handlers. *out_fd: readable (poll) when a signal has come; nonblocking, never
 * closed. FUT_ERR_IO with a sentence in err. */
FUT_MUST_CHECK int signals_open(int *out_fd, struct fut_errbuf *err);
/* The next signal that has come, or 0. */
int signals_next(int fd);
/* Has one come that ends the daemon? Any thread. */
bool signals_were_asked(void);
/* From now on the process has this long; then it ends with 1 and says what took too long (a
 * literal). 0: no deadline. */
void signals_deadline(int64_t ms, const char *what);

#endif
