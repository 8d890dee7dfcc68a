/* system: what the daemon needs from the system it starts on, looked at before anything depends on
 * it, so that a shortage is a sentence and not a crash. Main thread. */
#ifndef FUT_DAEMON_SYSTEM_H
#define FUT_DAEMON_SYSTEM_H

#include <stdint.h>
#include <sys/types.h>

#include "core/err.h"

/* Opens /dev/null for each of the descriptors 0 to 2 that is closed: else the next file that is
 * opened would become standard error. The first thing that main does. */
void system_open_standard(void);
/* Are there descriptors enough? FUT_ERR_INVAL with a sentence when not. */
FUT_MUST_CHECK int system_check_files(struct fut_errbuf *err);
/* Can this process have n more threads? Starts and ends them. FUT_ERR_AGAIN with a sentence when it
 * cannot. */
FUT_MUST_CHECK int system_check_threads(unsigned n, struct fut_errbuf *err);
/* As process 1 (in a container): reaps what has ended and was started by nobody of ours. ours: the
 * fork server, which is left alone. Never blocks. */
void system_reap_strangers(pid_t ours);

#endif
