/* rejoin: a node that the others may have given up begins again in the same process, which replaces
 * itself by its own program (execve). That starts as any start does and takes a number of its own,
 * so nothing is believed any more that stood in memory. With it end all threads, the connections to
 * the database and of clients, and the fork server with all programs. The process stays, with its
 * environment, its standard streams and control group, and the listening sockets: who connects
 * meanwhile waits in their backlog. */
#ifndef FUT_DAEMON_REJOIN_H
#define FUT_DAEMON_REJOIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/server.h"
#include "daemon/service.h"

/* At the start, before anything else looks at the environment: takes what the life before has left
 * there, its listening sockets, and waits until its fork server has ended, some seconds at most.
 * False: this is a first start, and there are none. */
bool rejoin_take(struct sockets *sockets);
/* Closes the socket that was kept unless it is of this address: the configuration has changed. */
void rejoin_drop_other(struct sockets *sockets, const char *listen);

/* What the next life gets or follows. Main thread; each may come again. */
void rejoin_keep_fork_server(pid_t pid);
/* files: the limit of open descriptors as it was at the start. */
void rejoin_keep_limit(int64_t files);
/* The sockets of an API that was started: that of `listen` (borrowed for good), or (NULL) inherited
 * ones. */
void rejoin_keep_sockets(const struct api *a, const char *listen);
/* The daemon ends by itself: from now on rejoin_now ends it. */
void rejoin_forget(void);

/* Begins again; where that cannot be, or the daemon is to end, the process ends with 1. Whatever
 * other threads do stops where it is, as by `kill -9`. Any thread. */
_Noreturn void rejoin_now(void);

#endif
