/* boot: starts the daemon module by module, and ends it in reverse. Main thread only.
 *
 * The fork server must come before the first thread, the first SQLite handle and the first TLS
 * call; that is why it is the first module to start and the last to end. */
#ifndef FUT_DAEMON_BOOT_H
#define FUT_DAEMON_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/err.h"
#include "daemon/config.h"
#include "daemon/service.h"
#include "workers/handlers/registry.h"

struct boot;

/* Starts everything; blocks until HTTP is served, and while a PostgreSQL database cannot be reached
 * for as long as the configuration says. Takes cfg's contents and *handlers (which becomes NULL);
 * sockets: the inherited ones; signals: of signals_open. 0, or the FUT_ERR_* of the module that
 * could not be started, with a sentence in err; then nothing runs. FUT_ERR_CLOSED: a signal has
 * ended the waiting. */
FUT_MUST_CHECK int boot_start(const struct config *cfg, struct handlers **handlers,
                              const struct sockets *sockets, int signals, struct boot **out,
                              struct fut_errbuf *err);
/* The address of the i-th listening socket; NULL: there are no more. */
const char *boot_address(const struct boot *b, size_t i);
/* The process that forks; a child of this one. */
pid_t boot_fork_pid(const struct boot *b);
/* Becomes readable (poll) when a module has failed and the daemon should drain and end. */
int boot_broken_fd(const struct boot *b);
/* Has the fork server ended because this node's lease has? Other nodes may run its tasks. */
bool boot_lease_has_ended(const struct boot *b);
/* Asks every module for a sign of life and returns the name of the first whose thread has given
 * none since the call before, or NULL. /readyz says the same until the next call. */
const char *boot_stuck_module(struct boot *b);
/* For the daemon's history of the last hour; to be called every few seconds. */
void boot_sample(struct boot *b);
/* Writes one line: queued, running, workers. */
void boot_describe(const struct boot *b, char *out, size_t cap);
/* Logs how many tasks have failed without a line of their own, when it is time. */
void boot_report_failures(struct boot *b);
/* Reads the configuration, the handlers file, the tokens and the schedules again. What a running
 * daemon can follow is in force then, all of it or, when something is wrong, nothing (false, and
 * the log says what). Variables that need a restart are named in the log. Blocks for the files. */
bool boot_reload(struct boot *b);
/* Drains and frees: a table of steps, each logged with its time. Blocks; a step that exceeds its
 * budget ends the process. Sets *b to NULL. */
void boot_stop(struct boot **b);

#endif
