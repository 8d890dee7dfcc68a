/* house: builds the daemon room by room and tears it down in reverse. Main thread only.
 *
 * The fork server must come before the first thread, the first SQLite handle and the first TLS
 * call; that is why it is the first room to be built and the last to go. */
#ifndef FUT_DAEMON_BOOT_H
#define FUT_DAEMON_BOOT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "daemon/config.h"
#include "daemon/sockets.h"
#include "workers/handlers/registry.h"

struct house;

/* Takes *handlers over (NULLs it), and sockets, the inherited ones. Blocks until HTTP is served.
 * err names what failed; then nothing is left running. 0, or the FUT_ERR_* of the room that could
 * not be built. */
FUT_MUST_CHECK int house_build(const struct config *cfg, struct handlers **handlers,
                               const struct sockets *sockets, struct house **out,
                               struct fut_errbuf *err);
/* Of the i-th listening socket; NULL: there are no more. */
const char *house_address(const struct house *h, size_t i);
/* Readable (poll) once a room has broken down and the daemon should drain and end. */
int house_broken_fd(const struct house *h);
/* The first room whose thread has not moved since the last call, or NULL. */
const char *house_stuck_room(struct house *h);
/* One line: queued, running, workers. */
void house_describe(const struct house *h, char *out, size_t cap);
/* Reads the configuration and the handlers file again. What a running daemon can follow is in force
 * then, all of it or, when something is wrong, nothing (false, and the log says what). Variables
 * that need a restart are named in the log. Blocks for the files. */
bool house_reload(struct house *h);
/* The drain: a table of steps, each logged with its time. Blocks. NULLs. */
void house_tear_down(struct house **h);

#endif
